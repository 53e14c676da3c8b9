/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process begins with what its parent has, as a thread does (alike.c): the same namespaces, control groups, directories and program by
 * reference, and numbers as copies. Two tasks that stand still and have equal pointers have one object, for both hold a reference.
 *
 *	nsproxy, user_ns of real_cred, ns of the pid's last number	the links in ns
 *	cgroups								cgroup (kernel/cgroup/cgroup.c)
 *	fs: mount and name of pwd, and of root				cwd, root
 *	mm: exe_file							exe
 *	loginuid, oom_score_adj, the flags of mm			loginuid, oom_score_adj, coredump_filter
 *	signal: posix_timers is empty					timers
 *	mm, files, fs, sighand						kcmp(2), which compares these pointers (kernel/kcmp.c)
 *
 * Somebody who is killed meanwhile loses his mm first (kernel/exit.c, do_exit()), and has nothing of his parent's any more. What this
 * kernel does not have under these names is not taken for equal.
 */
#include "common/task/kin.h"

#include <string.h>
#include <unistd.h>

#include "common/bpf/iter.h"

enum { MANY_TASKS = 32 };

/* Of task_struct: numbers in a row. */
enum field {
	LEVEL, NUMBERS, LAST_NUMBER = NUMBERS + ITER_LEVELS - 1, PID_NS, LAST_PID_NS = PID_NS + ITER_LEVELS - 1,
	MM, EXE, FLAGS, FLAG_WORDS, FILES, FS, CWD_MOUNT, CWD_NAME, ROOT_MOUNT, ROOT_NAME, SIGHAND, NSPROXY, USER_NS, CGROUPS,
	LOGINUID, OOM, TIMERS, LAST, FIELDS
};
static const char *const paths[FIELDS] = {
	[LEVEL] = "thread_pid->level",
	/* In the namespace of each level: namespaces within each other may be more, but rarely are. */
	[NUMBERS] = ITER_EACH_LEVEL("nr"),
	[PID_NS] = ITER_EACH_LEVEL("ns"),
	[MM] = "mm",
	[EXE] = "mm->exe_file",
	[FLAGS] = "mm->flags",
	[FLAG_WORDS] = "mm->flags.__mm_flags[0]", /* since Linux 6.18 */
	[FILES] = "files",
	[FS] = "fs",
	[CWD_MOUNT] = "fs->pwd.mnt",
	[CWD_NAME] = "fs->pwd.dentry",
	[ROOT_MOUNT] = "fs->root.mnt",
	[ROOT_NAME] = "fs->root.dentry",
	[SIGHAND] = "sighand",
	[NSPROXY] = "nsproxy",
	[USER_NS] = "real_cred->user_ns",
	[CGROUPS] = "cgroups",
	[LOGINUID] = "loginuid.val",
	[OOM] = "signal->oom_score_adj",
	[TIMERS] = "signal->posix_timers.first",
	[LAST] = "thread_pid->level",
};
#define BIT(field) (1ull << (field))
#define NEEDED (BIT(LEVEL) | BIT(NUMBERS) | BIT(MM) | BIT(FILES) | BIT(FS) | BIT(SIGHAND))
/* May be nothing, or 0, in both. */
#define VALUES (BIT(LOGINUID) | BIT(OOM))

static const struct { unsigned kin; uint64_t fields; } questions[] = {
	{ KIN_NAMESPACES, BIT(NSPROXY) | BIT(USER_NS) | BIT(PID_NS) },
	{ KIN_CGROUP, BIT(CGROUPS) },
	{ KIN_CWD, BIT(CWD_MOUNT) | BIT(CWD_NAME) },
	{ KIN_ROOT, BIT(ROOT_MOUNT) | BIT(ROOT_NAME) },
	{ KIN_EXE, BIT(EXE) },
	{ KIN_LOGINUID, BIT(LOGINUID) },
	{ KIN_OOM, BIT(OOM) },
	{ KIN_FILTER, BIT(FLAGS) },
	{ KIN_FILTER, BIT(FLAG_WORDS) },
};

/* The row of a thread: its own, for numbers are looked at. */
static int read_row(const struct iter *it, pid_t tid, uint64_t row[FIELDS], struct err *err)
{
	struct iter_rows rows;
	int ret = iter_read(it, tid, &rows, err);
	uint64_t level;

	if (ret)
		return ret;
	level = rows.n == 1 ? rows.v[LEVEL] : 8;
	if (level < ITER_LEVELS && !(it->absent >> (NUMBERS + level) & 1) && rows.v[NUMBERS + level] == (uint64_t)tid && rows.v[MM])
		memcpy(row, rows.v, FIELDS * sizeof(*row));
	else
		ret = err_set(err, ERR_FEATURE, 0, "the kernel does not tell which thread is which (%d, %zu rows)", (int)tid, rows.n);
	iter_rows_free(&rows);
	/* That of its own namespace is the one that counts. */
	if (!ret)
		row[PID_NS] = it->absent >> (PID_NS + level) & 1 ? 0 : row[PID_NS + level];
	return ret;
}

static unsigned compare(const struct iter *it, const uint64_t *row, const uint64_t *parents)
{
	uint64_t equal = 0;
	unsigned kin = 0;

	for (unsigned i = 0; parents && i < FIELDS; i++)
		if (row[i] == parents[i] && !(it->absent >> i & 1) && (row[i] || VALUES & BIT(i)))
			equal |= BIT(i);
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		if (!(questions[i].fields & ~equal))
			kin |= questions[i].kin;
	if (!(it->absent >> TIMERS & 1) && !row[TIMERS])
		kin |= KIN_NO_TIMERS;
	return kin;
}

static int look(struct dump *d, const struct iter *it, struct kin *out, struct err *err)
{
	uint64_t (*rows)[FIELDS] = arena_alloc(d->arena, d->ntasks * sizeof(*rows));
	int ret = 0;

	for (size_t i = 0; i < d->ntasks && !ret; i++) {
		const struct dump_task *t = d->tasks[i];

		if (t->zombie)
			continue;
		ret = read_row(it, t->tid, rows[i], err);
		out[i] = (struct kin){ .vm = rows[i][MM], .files = rows[i][FILES], .fs = rows[i][FS], .sighand = rows[i][SIGHAND] };
	}
	for (size_t i = 0; i < d->ntasks && !ret; i++)
		if (!d->tasks[i]->zombie)
			d->tasks[i]->kin = compare(it, rows[i], d->tasks[i]->parent && !d->tasks[i]->parent->zombie ?
								rows[d->tasks[i]->parent->index] : NULL);
	return ret;
}

bool kin_look(struct dump *d, struct kin **out)
{
	struct err why = ERR_INIT;
	struct iter it = { .prog = -1 };
	uint64_t own[FIELDS];
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < d->ntasks; i++)
		n += !d->tasks[i]->zombie;
	/* A check says of each task what is wrong with it. */
	if (n < MANY_TASKS || d->found)
		return false;
	*out = arena_alloc(d->arena, d->ntasks * sizeof(**out));
	ret = iter_load(ITER_THREAD, paths, FIELDS, NEEDED, &it, &why);
	if (!ret)
		ret = read_row(&it, getpid(), own, &why);
	if (!ret)
		ret = look(d, &it, *out, &why);
	iter_close(&it);
	if (ret)
		log_debug(d->log, "all of each task is read from /proc: %s", why.reason);
	return !ret;
}
