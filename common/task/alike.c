/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread begins with what its maker has: the very same objects of the kernel, by reference (kernel/fork.c, copy_process()), and most
 * threads keep them. Each file of /proc that says so takes 10 to 20 us, of which a tenth is the text, and leaves a directory in
 * the kernel's cache that is to be taken down when the thread ends. A BPF iterator gives the pointers of all threads in one reading,
 * 1 us for each.
 *
 * Two threads with equal pointers have one object: both hold a reference, so nobody else's can have come to be at that address. What is
 * asked about an object has then one answer for both, whichever of them is asked:
 *
 *	real_cred, and bits and numbers of the thread itself	status: ids, groups, capabilities, NoNewPrivs, Seccomp
 *	signal, sighand, mm, fs					status: signals of the process, handlers, memory, umask
 *	files, fs, sysvsem.undo_list				kcmp(2), which compares these pointers (kernel/kcmp.c)
 *	nsproxy							the links in ns, but for pid and user, which threads share
 *	cgroups							cgroup: the groups of a css_set (kernel/cgroup/cgroup.c)
 *
 * What is a thread's own in status (name, pending signals) comes from the same row, and so does what it would say if it were asked
 * (common/dump/told.h). Somebody who is killed meanwhile loses his mm
 * first (kernel/exit.c, do_exit()), and is not alike any more. A row is that of a thread by its number in our pid namespace, which
 * we know the level of: from a row of our own. What this kernel does not have under these names is not taken for equal.
 */
#include "common/task/alike.h"

#include <string.h>
#include <sys/stat.h>

#include "common/arch/arch.h"
#include "common/base/aside.h"
#include "common/bpf/iter.h"
#include "common/dump/told.h"

/* From so many threads on, preparing takes less than it saves. */
enum { MANY_THREADS = 48 };

/* Of task_struct: numbers in a row. */
enum field {
	LEVEL, NUMBERS, LAST_NUMBER = NUMBERS + ITER_LEVELS - 1,
	SIGHAND, FS, FILES, UNDO, NSPROXY, CGROUPS, PENDING, SHARED, COMM, COMM_END,
	TOLD_ONES, /* in the order of enum told */
	REAL_CRED = TOLD_ONES + TOLD_REAL_CRED, ATOMIC_FLAGS = TOLD_ONES + TOLD_ATOMIC_FLAGS, SECCOMP_MODE = TOLD_ONES + TOLD_SECCOMP_MODE,
	SECCOMP_FILTER = TOLD_ONES + TOLD_SECCOMP_FILTER, SECCOMP_COUNT = TOLD_ONES + TOLD_SECCOMP_COUNT,
	SIGNAL = TOLD_ONES + TOLD_SIGNAL, MM = TOLD_ONES + TOLD_MM,
	FIELDS = TOLD_ONES + TOLDS
};
_Static_assert(FIELDS <= ITER_FIELDS_MAX, "so many an iterator has room for");
static const char *const paths[FIELDS] = {
	[LEVEL] = "thread_pid->level",
	/* In the namespace of each level: namespaces within each other may be more, but rarely are. */
	[NUMBERS] = ITER_EACH_LEVEL("nr"),
	[REAL_CRED] = "real_cred",
	[ATOMIC_FLAGS] = "atomic_flags",
	[SECCOMP_MODE] = "seccomp.mode",
	[SECCOMP_FILTER] = "seccomp.filter",
	[SECCOMP_COUNT] = "seccomp.filter_count.counter",
	[SIGNAL] = "signal",
	[SIGHAND] = "sighand",
	[MM] = "mm",
	[FS] = "fs",
	[FILES] = "files",
	[UNDO] = "sysvsem.undo_list",
	[NSPROXY] = "nsproxy",
	[CGROUPS] = "cgroups",
	[PENDING] = "pending.signal.sig[0]",
	[SHARED] = "signal->shared_pending.signal.sig[0]",
	[COMM] = "comm[0]",
	[COMM_END] = "comm[8]",
	[TOLD_ONES + TOLD_CRED] = "cred",
	[TOLD_ONES + TOLD_SESSION_KEYRING] = "cred->session_keyring",
	[TOLD_ONES + TOLD_FLAGS] = "flags",
	[TOLD_ONES + TOLD_SWITCHES] = "thread_info.flags",
	[TOLD_ONES + TOLD_FEATURES] = ARCH_TASK_FEATURES,
	[TOLD_ONES + TOLD_MEMPOLICY] = "mempolicy",
	[TOLD_ONES + TOLD_STACK] = "sas_ss_sp",
	[TOLD_ONES + TOLD_STACK_SIZE] = "sas_ss_size",
	[TOLD_ONES + TOLD_STACK_FLAGS] = "sas_ss_flags",
	[TOLD_ONES + TOLD_CLEAR_TID] = "clear_child_tid",
	[TOLD_ONES + TOLD_SLACK] = "timer_slack_ns",
	[TOLD_ONES + TOLD_PDEATH] = "pdeath_signal",
};
#define BIT(field) (1ull << (field))
#define OBJECTS (BIT(REAL_CRED) | BIT(SIGNAL) | BIT(SIGHAND) | BIT(MM) | BIT(FS) | BIT(FILES) | BIT(NSPROXY) | BIT(CGROUPS))

static const struct { unsigned alike; uint64_t fields; } questions[] = {
	{ ALIKE_STATUS, BIT(REAL_CRED) | BIT(ATOMIC_FLAGS) | BIT(SECCOMP_MODE) | BIT(SECCOMP_FILTER) | BIT(SECCOMP_COUNT) | BIT(SIGNAL) |
			BIT(SIGHAND) | BIT(MM) | BIT(FS) },
	{ ALIKE_SHARED, BIT(MM) | BIT(FILES) | BIT(FS) | BIT(UNDO) },
	{ ALIKE_NAMESPACES, BIT(MM) | BIT(NSPROXY) },
	{ ALIKE_CGROUP, BIT(MM) | BIT(CGROUPS) },
};
#define NEEDED (BIT(LEVEL) | BIT(NUMBERS) | (BIT(TOLD_ONES) - BIT(SIGHAND)) | BIT(REAL_CRED) | BIT(ATOMIC_FLAGS) | BIT(SECCOMP_MODE) | \
		BIT(SECCOMP_FILTER) | BIT(SECCOMP_COUNT) | BIT(SIGNAL) | BIT(MM))

struct alike {
	struct aside preparing;
	struct iter iter;
	uint64_t level; /* of our pid namespace */
	struct err why; /* kind 0: it can be used */
};

struct alike *alike_new(void)
{
	struct alike *a = xzalloc(sizeof(*a));

	a->iter.prog = -1;
	return a;
}

void alike_free(struct alike *a)
{
	struct err ignore = ERR_INIT;

	if (!a)
		return;
	aside_join(&a->preparing, &ignore);
	iter_close(&a->iter);
	free(a);
}

/* 0: it is not told. */
static pid_t number_of(const struct alike *a, const uint64_t *row)
{
	const uint64_t at = NUMBERS + row[LEVEL];

	return at <= LAST_NUMBER && !(a->iter.absent >> at & 1) ? (pid_t)row[at] : 0;
}

static int find_own_level(struct alike *a, struct err *err)
{
	struct iter_rows rows;
	int ret = iter_read(&a->iter, getpid(), &rows, err);

	if (ret)
		return ret;
	a->level = rows.n ? rows.v[LEVEL] : 0;
	if (!rows.n || number_of(a, rows.v) != getpid())
		ret = err_set(err, ERR_FEATURE, 0, "the kernel does not tell which thread is which");
	iter_rows_free(&rows);
	return ret;
}

static int prepare(void *arg, struct err *err)
{
	struct alike *a = arg;
	int ret = iter_load(ITER_TASK, paths, FIELDS, NEEDED, &a->iter, err);

	return ret ? ret : find_own_level(a, err);
}

static void begin(struct alike *a)
{
	if (!aside_begun(&a->preparing))
		aside_start(&a->preparing, prepare, a);
}

/* The links of its directory of threads: two more than there are threads (fs/proc/base.c, proc_task_getattr()). */
void alike_begin(struct alike *a, pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if (!stat(path, &st) && st.st_nlink >= MANY_THREADS)
		begin(a);
}

/* Whether it can be used; waits until that is known. */
static bool is_ready(struct alike *a, const struct log *log)
{
	begin(a);
	if (aside_join(&a->preparing, &a->why))
		log_debug(log, "all of each thread is read from /proc: %s", a->why.reason);
	return a->why.kind == ERR_NONE;
}

/* Rows and threads have the same order, but for those that have ended. */
static const uint64_t *row_of(const struct alike *a, const struct iter_rows *rows, pid_t tid, size_t *hint)
{
	for (size_t i = 0; i < rows->n; i++) {
		const size_t at = (*hint + i) % rows->n;
		const uint64_t *row = rows->v + at * FIELDS;

		if (row[LEVEL] == a->level && number_of(a, row) == tid) {
			*hint = at + 1;
			return row;
		}
	}
	return NULL;
}

static unsigned compare(const uint64_t *row, const uint64_t *first)
{
	uint64_t equal = 0;
	unsigned alike = 0;

	for (unsigned i = 0; i < FIELDS; i++)
		if (row[i] == first[i] && (row[i] || !(OBJECTS & BIT(i))))
			equal |= BIT(i);
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		if (!(questions[i].fields & ~equal))
			alike |= questions[i].alike;
	return alike;
}

static void note(struct dump_thread *t, const uint64_t *row, const uint64_t *first, struct arena *arena)
{
	t->alike = compare(row, first);
	t->told = arena_dup(arena, row + TOLD_ONES, TOLDS * sizeof(*row));
}

static void fill_status(struct proc_status *out, const struct proc_status *first, const uint64_t *row, pid_t tid, uint64_t sigmask)
{
	*out = *first;
	out->pid = out->nspid = tid;
	memset(out->comm, 0, sizeof(out->comm));
	memcpy(out->comm, &row[COMM], 2 * sizeof(*row));
	out->sig_pnd = row[PENDING];
	out->shd_pnd = row[SHARED];
	out->sig_blk = sigmask;
}

void alike_look(struct alike *a, struct dump_task *t, struct arena *arena, const struct log *log)
{
	struct dump_thread *first = &t->threads[t->fz.speaker];
	struct err why = ERR_INIT;
	struct iter_rows rows;
	const uint64_t *its;
	size_t hint = 0, all = 0;

	/* Threads have the numbers of one namespace: where it is not ours, nothing is compared. */
	if (t->nthreads < MANY_THREADS || first->status.nspid_depth != 1 || !is_ready(a, log))
		return;
	if (iter_read(&a->iter, t->pid, &rows, &why)) {
		log_debug(log, "pid %d: all of each thread is read from /proc: %s", t->pid, why.reason);
		return;
	}
	its = row_of(a, &rows, t->tid, &hint);
	t->told_known = ~a->iter.absent >> TOLD_ONES & ((1ull << TOLDS) - 1);
	if (its)
		first->told = arena_dup(arena, its + TOLD_ONES, TOLDS * sizeof(*its));
	for (size_t i = t->fz.speaker + 1; i < t->nthreads && its; i++) {
		struct dump_thread *thread = &t->threads[i];
		const uint64_t *row = row_of(a, &rows, thread->frozen->tid, &hint);

		if (row)
			note(thread, row, its, arena);
		if (thread->alike & ALIKE_STATUS)
			fill_status(&thread->status, &first->status, row, thread->frozen->tid, thread->frozen->sigmask);
		all += thread->alike == (ALIKE_STATUS | ALIKE_SHARED | ALIKE_NAMESPACES | ALIKE_CGROUP);
	}
	iter_rows_free(&rows);
	log_debug(log, "pid %d: %zu of %zu threads have all that the first one has", t->pid, all, t->nthreads - 1);
}
