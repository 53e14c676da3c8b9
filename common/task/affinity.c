/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU affinity, in our own field, written when a thread is kept from some CPU that is online. Restored tasks start
 * from all
 * CPUs, whatever the restorer was bound to.
 */
#include <string.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/task/task.h"

#define MASK_MAX 1024 /* bytes: the largest NR_CPUS of x86-64 */

/* "0-3,8" into a mask; s is cut into pieces. False when it cannot be read so. */
static bool parse_list(char *s, unsigned char *mask)
{
	char *save = NULL;

	for (char *word = strtok_r(s, ",\n", &save); word; word = strtok_r(NULL, ",\n", &save)) {
		char *dash = strchr(word, '-');
		uint64_t a, b;

		if (dash)
			*dash++ = '\0';
		if (parse_u64(word, 10, &a) || parse_u64(dash ? dash : word, 10, &b) || b < a || b >= MASK_MAX * 8)
			return false;
		for (; a <= b; a++)
			mask[a / 8] |= (unsigned char)(1u << a % 8);
	}
	return true;
}

/* Which CPUs there are, read once. Unknown: then every mask is written. */
static const unsigned char *online(struct dump *d)
{
	static const char key;
	cleanup_free char *text = NULL;
	unsigned char *mask;
	size_t len;
	bool fresh;

	mask = dump_recall(d, &key, MASK_MAX, &fresh);
	if (fresh && !read_file_at(-1, "/sys/devices/system/cpu/online", 65536, &text, &len) && !parse_list(text, mask))
		memset(mask, 0, MASK_MAX);
	return mask;
}

static int dump_affinity(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			 struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	unsigned char mask[MASK_MAX] = { 0 };
	size_t n = MASK_MAX;

	if (syscall(SYS_sched_getaffinity, thread->frozen->tid, sizeof(mask), mask) < 0)
		return err_sys(err, "cannot read the CPU affinity of thread %d", thread->frozen->tid);
	if (!memcmp(mask, online(d), sizeof(mask)))
		return 0;
	while (n && !mask[n - 1])
		n--;
	tcore->has_affinity = true;
	tcore->affinity.len = n;
	tcore->affinity.data = arena_dup(d->arena, mask, n);
	return 0;
}

static int plan_affinity(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			 struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;
	unsigned char mask[MASK_MAX];

	/* Threads inherit from the leader: cleared once, before they exist. */
	if (thread == &task->threads[0]) {
		memset(mask, 0xff, sizeof(mask));
		program_call(pth->prog, TASK_LIMITS, "all CPUs", SYS_sched_setaffinity, A(0), A(sizeof(mask)),
			     A_DATA(program_data(pth->prog, mask, sizeof(mask))));
	}
	if (!tcore->has_affinity)
		return 0;
	if (!tcore->affinity.len || tcore->affinity.len > MASK_MAX)
		return err_image(err, "thread %d: a CPU mask of %zu bytes", pth->tid, tcore->affinity.len);
	/* The kernel takes shorter masks than its own only in whole words. */
	memset(mask, 0, sizeof(mask));
	memcpy(mask, tcore->affinity.data, tcore->affinity.len);
	size_t len = (tcore->affinity.len + 7) / 8 * 8;

	program_call(pth->prog, THREAD_SELF, "CPU affinity", SYS_sched_setaffinity, A(0), A(len),
		     A_DATA(program_data(pth->prog, mask, len)));
	return 0;
}

const struct state_kind affinity_kind = {
	.name = "CPU affinity",
	.scope = SCOPE_THREAD,
	.dump = dump_affinity,
	.by_number = true,
	.plan = plan_affinity,
};
