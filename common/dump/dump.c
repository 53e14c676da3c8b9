/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a dump, told in order. What happens to the target is decided in one place, at the end of dump_run(): it
 * runs on, stops, or dies, and it dies only when all images are safe.
 */
#include "common/dump/dump.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/aside.h"
#include "common/base/fault.h"
#include "common/dump/identity.h"
#include "common/feature/feature.h"
#include "common/file/table.h"
#include "common/kinds.h"
#include "common/mm/mm.h"
#include "common/task/task.h"
#include "stats.pb-c.h"

/* A set of questions: one program, and for each kind that asks its handles. */
struct questions {
	struct program *prog;
	void **slots; /* by index in state_kinds; arena memory */
};

static void questions_done(struct questions *q)
{
	program_free(q->prog);
}

static int ask(struct dump *d, enum scope scope, struct questions *q, struct err *err)
{
	size_t n = 0;

	while (state_kinds[n])
		n++;
	q->prog = program_new();
	q->slots = arena_alloc(d->arena, n * sizeof(*q->slots));
	for (size_t i = 0; i < n; i++) {
		const struct state_kind *k = state_kinds[i];
		int ret;

		if (k->scope != scope)
			continue;
		q->slots[i] = arena_alloc(d->arena, k->slot_size);
		if (!k->ask)
			continue;
		ret = k->ask(d, q->prog, q->slots[i], err);
		if (ret)
			return ret;
	}
	return 0;
}

static int record(struct dump *d, enum scope scope, struct dump_thread *t, const struct questions *q, struct err *err)
{
	for (size_t i = 0; state_kinds[i]; i++) {
		const struct state_kind *k = state_kinds[i];
		int ret;

		if (k->scope != scope || !k->dump)
			continue;
		ret = k->dump(d, t, q->prog, q->slots[i], err);
		if (ret)
			return t == d->task->threads ? ret : err_object(err, ret, "thread %d", t->frozen->tid);
	}
	return 0;
}

/* Work is shared with a second thread of ours from this many threads of the target on: starting one costs as much as ten of them. */
#define SHARED_FROM 32

/* Some of the target's threads, and where to put what is read of them. */
struct share { struct dump *d; size_t from, to; struct arena *arena; };

static int read_statuses(void *arg, struct err *err)
{
	const struct share *s = arg;
	struct dump_task *task = s->d->task;
	int ret = 0;

	for (size_t i = s->from; i < s->to && !ret; i++) {
		struct dump_thread *t = &task->threads[i];
		char path[64];

		t->frozen = &task->fz.threads[i];
		snprintf(path, sizeof(path), "task/%d/status", t->frozen->tid);
		ret = proc_status(task->proc_fd, path, s->arena, &t->status, err);
	}
	return ret;
}

static int read_all_statuses(struct dump *d, struct err *err)
{
	size_t n = d->task->nthreads, half = n < SHARED_FROM ? n : n / 2;
	struct share mine = { d, 0, half, d->arena }, other = { d, half, n, d->beside };
	struct aside beside;
	int ret, back;

	if (half == n)
		return read_statuses(&mine, err);
	aside_start(&beside, read_statuses, &other);
	ret = read_statuses(&mine, err);
	back = aside_join(&beside, err);
	return ret ? ret : back;
}

/* What is known of each thread from outside, and what makes the process unfit before anything runs inside it. */
static int look_outside(struct dump *d, struct err *err)
{
	struct dump_task *task = d->task;
	int ret;

	ret = proc_stat(task->proc_fd, "stat", &task->stat, err);
	if (ret)
		return ret;
	task->vm_id = task->files_id = task->fs_id = task->sighand_id = TASK_KOBJ;
	task->nthreads = task->fz.nthreads;
	task->threads = arena_alloc(d->arena, task->nthreads * sizeof(*task->threads));
	ret = read_all_statuses(d, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < task->nthreads; i++) {
		struct dump_thread *t = &task->threads[i];

		t->frozen->pending = (t->status.sig_pnd | t->status.shd_pnd) & ~t->frozen->sigmask;
		t->core = arena_msg(d->arena, CoreEntry, core_entry__init);
		t->core->thread_core = arena_msg(d->arena, ThreadCoreEntry, thread_core_entry__init);
		if (!i)
			t->core->tc = arena_msg(d->arena, TaskCoreEntry, task_core_entry__init);
		/* Its own filter might kill it for what the agent calls; and nothing has run in it yet. */
		if (t->status.seccomp)
			return err_refuse(err, "thread %d has a seccomp %s, which this version does not restore",
					  t->frozen->tid, t->status.seccomp == 1 ? "strict mode" : "filter");
		if (!arch_is_native(&t->frozen->regs))
			return err_refuse(err, "thread %d runs 32-bit code, which this version does not restore",
					  t->frozen->tid);
	}
	return task_check(d, err);
}

/* Who the target is among others: nothing of it hangs on what the agent finds, so both may be done at the same time. */
static int look_around(void *arg, struct err *err)
{
	const struct dump *d = arg;
	int ret = identity_check(d, err);

	return ret ? ret : task_check_threads(d, err);
}

/* All that needs the agent inside the process. */
static int ask_inside(struct dump *d, struct err *err)
{
	cleanup(questions_done) struct questions task = { 0 };
	cleanup(questions_done) struct questions leader = { 0 };
	cleanup(questions_done) struct questions others = { 0 };
	struct err ignore = ERR_INIT;
	int ret, back;

	ret = ask(d, SCOPE_TASK, &task, err);
	if (!ret)
		ret = ask(d, SCOPE_THREAD, &leader, err);
	if (!ret) {
		others = (struct questions){ program_copy(leader.prog), leader.slots };
		ret = remote_open(&d->task->fz, MAX(program_size(task.prog), program_size(leader.prog)), d->log,
				  &d->task->remote, err);
	}
	d->task->left_busy = ret == -EBUSY;
	if (ret)
		return ret;
	remote_prepare(d->task->remote, task.prog, true);
	remote_prepare(d->task->remote, leader.prog, true);
	remote_prepare(d->task->remote, others.prog, false);

	ret = remote_run(d->task->remote, 0, task.prog, err);
	if (!ret)
		ret = record(d, SCOPE_TASK, &d->task->threads[0], &task, err);
	for (size_t i = 0; i < d->task->nthreads && !ret; i++) {
		struct questions *q = i ? &others : &leader;

		ret = remote_run(d->task->remote, i, q->prog, err);
		if (!ret)
			ret = record(d, SCOPE_THREAD, &d->task->threads[i], q, err);
	}
	back = remote_close(take_ptr(d->task->remote), ret ? &ignore : err);
	return ret ? ret : back;
}

/* The images that are about the checkpoint as a whole, and the cores that all kinds have filled. */
static void put_images(struct dump *d)
{
	struct dump_task *task = d->task;

	for (size_t i = 0; i < task->nthreads; i++)
		image_store_put(d->store, IMG_CORE, (unsigned long)task->threads[i].frozen->tid,
				&task->threads[i].core->base);
	identity_put(d);
}

static void put_stats(struct dump *d, uint64_t start_us)
{
	StatsEntry entry = STATS_ENTRY__INIT;
	DumpStatsEntry s = DUMP_STATS_ENTRY__INIT;

	d->stats.image_bytes = image_store_bytes(d->store);
	d->stats.total_us = now_us() - start_us;
	s.freezing_time = (uint32_t)d->stats.freezing_us;
	s.frozen_time = (uint32_t)d->stats.frozen_us;
	s.memdump_time = (uint32_t)d->stats.memdump_us;
	s.memwrite_time = (uint32_t)d->stats.memwrite_us;
	s.pages_scanned = d->stats.pages_scanned;
	s.pages_written = d->stats.pages_written;
	entry.dump = &s;
	image_store_put(d->store, IMG_STATS, 0, &entry.base);
}

/* Everything between freeze and thaw. */
static int dump_frozen(struct dump *d, struct err *err)
{
	struct aside around = { 0 };
	int ret, back;

	ret = look_outside(d, err);
	if (ret)
		return ret;
	if (d->task->nthreads >= SHARED_FROM)
		aside_start(&around, look_around, d);
	else
		ret = look_around(d, err);
	if (!ret)
		ret = mm_collect(d, err);
	fault("dump:looked");
	if (!ret)
		ret = ask_inside(d, err);
	back = aside_join(&around, err);
	ret = ret ? ret : back;
	if (!ret)
		ret = files_dump(d, err);
	fault("dump:before-pages");
	if (!ret)
		ret = pages_dump(d, err);
	if (!ret)
		ret = objects_dump(d, err);
	fault("dump:after-pages");
	if (!ret)
		ret = task_signals_late(d, err);
	if (!ret)
		put_images(d);
	return ret;
}

/*
 * What the kernel asks for. CAP_CHECKPOINT_RESTORE: /proc/PID/map_files. CAP_SYS_PTRACE: a task that is not wholly ours
 * (kernel/ptrace.c, __ptrace_may_access()): other ids, more capabilities, or not dumpable, which /proc/PID tells by its
 * owner. CAP_DAC_OVERRIDE: files in a /proc/PID of another owner. CAP_KILL: to end a task of another user.
 */
static int check_privileges(const struct dump_opts *opts, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	static const int all[] = { CAP_CHECKPOINT_RESTORE, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, CAP_KILL };
	int caps[ARRAY_SIZE(all)] = { CAP_CHECKPOINT_RESTORE }, ret;
	cleanup_fd int fd = -1, self = -1;
	struct proc_status st, own;
	struct stat dir;
	struct err ignore = ERR_INIT;
	size_t n = 1;

	if (!privileges_need(all, ARRAY_SIZE(all), &ignore))
		return 0;
	ret = proc_open(opts->pid, &fd, err);
	if (!ret)
		ret = proc_status(fd, "status", arena, &st, err);
	if (!ret)
		ret = proc_open(getpid(), &self, err);
	if (!ret)
		ret = proc_status(self, "status", arena, &own, err);
	if (ret)
		return err_task(err, opts->pid, NULL, ret);
	if (fstat(fd, &dir))
		return err_sys(err, "cannot stat /proc/%d", opts->pid);
	bool same_uid = st.uid[0] == own.uid[0] && st.uid[1] == own.uid[0] && st.uid[2] == own.uid[0];
	bool same_gid = st.gid[0] == own.gid[0] && st.gid[1] == own.gid[0] && st.gid[2] == own.gid[0];

	if (!same_uid || !same_gid || (st.cap_prm & ~own.cap_prm) || dir.st_uid != st.uid[1])
		caps[n++] = CAP_SYS_PTRACE;
	if (dir.st_uid != own.uid[3])
		caps[n++] = CAP_DAC_OVERRIDE;
	if (!opts->leave_running && !same_uid)
		caps[n++] = CAP_KILL;
	ret = privileges_need(caps, n, err);
	return ret ? err_task(err, opts->pid, st.comm, ret) : 0;
}

static int dump_open(struct dump *d, struct err *err)
{
	int ret = check_privileges(d->opts, err);

	if (!ret)
		ret = image_store_open(d->opts->images_dir, &d->store, err);
	if (!ret)
		image_store_seal(d->store, "cr-dump", d->opts->seal);
	d->files = file_table_new();
	d->tasks = arena_alloc(d->arena, sizeof(*d->tasks));
	d->task = d->tasks[d->ntasks++] = arena_alloc(d->arena, sizeof(*d->task));
	d->task->proc_fd = -1;
	return ret;
}

static void dump_close(struct dump *d)
{
	file_table_free(d->files);
	image_store_free(d->store);
	for (size_t i = 0; i < d->ntasks; i++)
		if (d->tasks[i]->proc_fd >= 0)
			close(d->tasks[i]->proc_fd);
	arena_free(d->arena);
	arena_free(d->beside);
}

static int commit(struct dump *d, struct err *err)
{
	int ret;

	fault("dump:before-commit");
	ret = image_store_commit(d->store, err);
	fault("dump:committed");
	return ret;
}

/* One attempt. -EBUSY with *again set: nothing happened, and a moment later it may work. */
static int dump_once(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, bool *again,
		     struct err *err)
{
	struct dump d = { .opts = opts, .log = log, .arena = arena_new(), .beside = arena_new(), };
	uint64_t start_us = now_us(), frozen_us;
	bool frozen = false;
	char comm[64] = "";
	int ret;

	ret = dump_open(&d, err);
	if (!ret)
		ret = freeze_process(opts->pid, opts->timeout_s * 1000, log, &d.task->fz, err);
	if (ret)
		goto out;
	frozen = true;
	frozen_us = d.task->fz.frozen_ns / 1000;
	d.stats.freezing_us = now_us() - frozen_us;
	fault("dump:frozen");
	ret = proc_open(opts->pid, &d.task->proc_fd, err);
	if (!ret)
		ret = dump_frozen(&d, err);
	*again = d.task->left_busy;
	snprintf(comm, sizeof(comm), "%s", d.task->stat.comm);
	if (!ret && opts->leave_running) {
		/* The images are in memory or in files of ours: the target need not wait for the disk. */
		freeze_end(&d.task->fz, THAW_RUN);
		frozen = false;
	}
	d.stats.frozen_us = now_us() - frozen_us;
	if (!ret) {
		put_stats(&d, start_us);
		ret = commit(&d, err);
	}
	if (frozen)
		freeze_end(&d.task->fz, ret ? THAW_RUN : opts->leave_stopped ? THAW_STOP : THAW_KILL);
	d.stats.total_us = now_us() - start_us;
	if (stats)
		*stats = d.stats;
	if (ret)
		err_task(err, opts->pid, comm, ret);
out:
	dump_close(&d);
	return ret;
}

int dump_run(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, struct err *err)
{
	/* The threads of a dumper that was killed need microseconds of their own to get out; GUEST_INSIDE_S at the
	 * worst. */
	for (int tries = 0;; tries++) {
		const struct timespec pause = { 0, 5000000 };
		bool again = false;
		int ret = dump_once(opts, log, stats, &again, err);

		if (!again || tries == 400)
			return ret;
		*err = (struct err)ERR_INIT;
		nanosleep(&pause, NULL);
	}
}
