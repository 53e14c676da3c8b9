/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a dump, told in order. What happens to the target is decided in one place, at the end of dump_run(): it
 * runs on, stops, or dies, and it dies only when all images are safe.
 */
#include "common/dump/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/action.h"
#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/halves.h"
#include "common/dump/ahead.h"
#include "common/dump/before.h"
#include "common/dump/identity.h"
#include "common/dump/left.h"
#include "common/dump/share.h"
#include "common/dump/state.h"
#include "common/feature/feature.h"
#include "common/file/fdrows.h"
#include "common/file/table.h"
#include "common/sock/listeners.h"
#include "common/sock/tcp.h"
#include "common/image/threads.h"
#include "common/net/lock.h"
#include "common/mm/keeper.h"
#include "common/mm/look.h"
#include "common/ipc/ipcns.h"
#include "common/mm/mm.h"
#include "common/mm/previous.h"
#include "common/task/alike.h"
#include "common/task/cgroup.h"
#include "common/task/seccomp.h"
#include "common/task/task.h"
#include "stats.pb-c.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* include/uapi/linux/pidfd.h, since 6.9 */
#endif

/* A task's directory and memory, and its pages image. */
#define FDS_PER_TASK 3
#define SPARE_FDS 128

/* In the order of the tasks and threads, whoever encodes them. */
enum { MANY_CORES = 64, CORES_AT_ONCE = 16 };
struct cores { struct image_store *store; const struct dump_thread **v; size_t n; };

static unsigned long core_id(const struct dump_thread *t)
{
	return (unsigned long)t->frozen->tid;
}

static int put_core(void *view, size_t i, struct err *err)
{
	const struct cores *c = view;

	image_store_put(c->store, IMG_CORE, core_id(c->v[i]), &c->v[i]->core->base);
	return 0;
}

static int put_cores(struct dump *d, struct err *err)
{
	struct cores all = { .store = d->store };
	size_t n = 0;

	for (size_t i = 0; i < d->ntasks; i++)
		n += d->tasks[i]->nthreads;
	all.v = arena_alloc(d->arena, n * sizeof(*all.v));
	for (size_t i = 0; i < d->ntasks; i++)
		for (size_t k = 0; k < d->tasks[i]->nthreads; k++) {
			all.v[all.n++] = &d->tasks[i]->threads[k];
			image_store_touch(d->store, IMG_CORE, core_id(&d->tasks[i]->threads[k]));
		}
	return halves_run(&(struct halves){ .n = n, .at_once = n < MANY_CORES ? n : CORES_AT_ONCE, .one = put_core, .mine = &all,
					    .other = &all }, err);
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
	s.pages_skipped_parent = d->stats.pages_parent;
	entry.dump = &s;
	image_store_put(d->store, IMG_STATS, 0, &entry.base);
}

static int settle(struct dump *d, struct err *err)
{
	return d->task->vm_shared ? 0 : aio_settle(d, err);
}

/* What is left for a check when all but memory was looked at. */
static int check_rest(struct dump *d, struct err *err)
{
	int ret = tcp_check_connections(d, err);

	if (!ret)
		ret = dump_each_task(d, settle, err);
	if (!ret)
		ret = objects_check(d, err);
	return ret ? ret : dump_each_task(d, task_signals_late, err);
}

bool dump_stays_tracked(const struct dump *d)
{
	return d->opts->track_mem && !d->found && (d->opts->pre_dump || d->opts->leave_running || d->opts->leave_stopped);
}

int dump_send(struct dump *d, struct err *err)
{
	int ret;

	if (!image_store_is_stream(d->store))
		return 0;
	ret = image_store_send_images(d->store, err);
	return ret ? ret : pages_send(d, err);
}

static int share_aside(void *view, struct err *err)
{
	return share_find(view, err);
}

/* What can be told of tasks one by one, and, meanwhile, what they share. */
static int look_at_tasks(struct dump *d, struct err *err)
{
	struct err ignore = ERR_INIT;
	struct aside sharing = { 0 };
	struct dump view = *d;
	int ret, back;

	view.arena = d->ahead_arena;
	if (d->found || d->ntasks < TASKS_FOR_TWO) {
		ret = dump_each_task(d, state_look, err);
		return ret ? ret : dump_note(d, share_find(d, err), err);
	}
	aside_start(&sharing, share_aside, &view);
	ret = dump_each_task(d, state_look, err);
	back = aside_join(&sharing, ret ? &ignore : err);
	return ret ? ret : back;
}

/* The state of all tasks but their memory. */
static int dump_states(struct dump *d, struct err *err)
{
	int ret;

	d->ahead = d->found ? NULL : ahead_start(d, state_look_ahead);
	ret = dump_note(d, files_look(d, err), err);
	if (!ret)
		ret = state_dump_all(d, err);
	ahead_end(take_ptr(d->ahead));
	return ret;
}

/*
 * While threads share a table of descriptors, each time it grows costs a grace period (fs/file.c, expand_fdtable()): so it grows
 * now, as far as the tasks' images will need it.
 */
static void reserve_descriptors(const struct dump *d)
{
	int far = fcntl(d->tasks[0]->fz.mem_fd, F_DUPFD_CLOEXEC, (int)(d->ntasks * FDS_PER_TASK) + SPARE_FDS);

	if (far >= 0)
		close(far);
}

/* Everything between freeze and thaw. */
static int dump_frozen(struct dump *d, struct err *err)
{
	int ret = dump_note(d, ipcns_enter(d, err), err);

	if (d->ntasks >= TASKS_FOR_TWO)
		reserve_descriptors(d);
	if (!ret)
		ret = dump_note(d, cgroup_begin(d, err), err);
	if (!ret)
		ret = look_at_tasks(d, err);
	if (!ret)
		ret = dump_states(d, err);
	if (!ret)
		ret = dump_note(d, files_dump(d, err), err);
	if (!ret)
		ret = dump_note(d, ipcns_dump(d, err), err);
	if (!ret && d->found)
		return check_rest(d, err);
	if (!ret)
		ret = tcp_dump_connections(d, err);
	if (!ret && dump_stays_tracked(d))
		ret = dump_each_task(d, track_begin, err);
	if (!ret && dump_stays_tracked(d))
		ret = dump_each_task(d, pages_list, err);
	fault("dump:before-pages");
	if (!ret)
		ret = pages_dump_all(d, err);
	if (!ret)
		ret = objects_dump(d, err);
	fault("dump:after-pages");
	if (!ret)
		ret = dump_each_task(d, task_signals_late, err);
	if (!ret)
		ret = put_cores(d, err);
	if (ret)
		return ret;
	identity_put(d);
	return dump_send(d, err);
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
	struct image_store *stream = d->tracker ? d->tracker->stream : NULL;
	int ret = findings_note(d->found, check_privileges(d->opts, err), err);

	if (d->found)
		d->store = image_store_nowhere();
	else if (!ret && stream)
		d->store = image_store_stream_part(stream, d->opts->pre_dump ? d->opts->images_dir : NULL);
	else if (!ret && d->opts->stream >= 0)
		ret = image_store_stream(d->opts->stream, d->opts->compress, image_threads_default(), &d->store, err);
	else if (!ret)
		ret = image_store_open(d->opts->images_dir, &d->store, err);
	if (!ret && !d->found)
		image_store_seal(d->store, "cr-dump", false);
	if (!ret && !d->found && !stream)
		ret = previous_open(d, err);
	if (!ret && d->store && d->opts->prev_images_dir)
		image_store_parent(d->store, d->opts->prev_images_dir);
	if (!ret && d->store && !d->found)
		image_store_bind(d->store, dump_run_id(d), d->previous ? &d->previous->id : stream ? &d->tracker->last : NULL);
	d->files = file_table_new();
	identity_read_own(d);
	return ret;
}

/* Takes over what was frozen. */
static int freeze(struct dump *d, struct err *err)
{
	struct tree tree;
	int ret = freeze_tree(d->opts->pid, d->opts->timeout_s * 1000, d->log, d->found, &tree, err);

	if (ret)
		return ret;
	d->tasks = arena_alloc(d->arena, tree.n * sizeof(*d->tasks));
	for (size_t i = 0; i < tree.n; i++) {
		const struct tree_task *t = &tree.v[i];
		struct dump_task *task = d->tasks[i] = arena_alloc(d->arena, sizeof(*task));

		task->pid = t->pid;
		task->tid = freeze_tid(&t->fz);
		task->index = i;
		task->parent = i ? d->tasks[t->parent] : NULL;
		task->zombie = t->zombie;
		task->fz = t->fz;
		task->proc_fd = t->proc_fd;
		task->reading_fd = -1;
		task->stat = t->stat;
	}
	d->ntasks = tree.n;
	d->task = d->tasks[0];
	free(tree.v);
	return 0;
}

void dump_thaw(struct dump *d, enum thaw how)
{
	cleanup_free struct freeze **all = xreallocarray(NULL, d->ntasks, sizeof(*all));

	for (size_t i = 0; i < d->ntasks; i++)
		all[i] = &d->tasks[i]->fz;
	freeze_end_all(all, d->ntasks, how);
}

struct dump_known {
	const void *key;
	void *bytes;
	struct dump_known *next;
};

void *dump_recall(struct dump *d, const void *key, size_t size, bool *fresh)
{
	struct dump_known *k = d->known;

	while (k && k->key != key)
		k = k->next;
	*fresh = !k;
	if (k)
		return k->bytes;
	k = arena_alloc(d->arena, sizeof(*k));
	*k = (struct dump_known){ key, arena_alloc(d->arena, size), d->known };
	d->known = k;
	return k->bytes;
}

int dump_note(const struct dump *d, int ret, struct err *err)
{
	if (d->found && ret < 0)
		err_task(err, d->task->pid, d->task->stat.comm, ret);
	return findings_note(d->found, ret, err);
}

int dump_each_task(struct dump *d, int (*fn)(struct dump *d, struct err *err), struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < d->ntasks && !ret; i++) {
		struct dump_task *task = d->tasks[i];

		if (task->zombie || task->unfit)
			continue;
		d->task = task;
		ret = fn(d, err);
		if (ret)
			err_task(err, task->pid, task->stat.comm, ret);
		if (ret && d->found && !task->left_busy) {
			task->unfit = true;
			ret = dump_note(d, ret, err);
		}
	}
	d->task = d->tasks[0];
	return ret;
}

void dump_thread_path(const struct dump_task *t, pid_t tid, const char *name, char path[THREAD_PATH_MAX])
{
	if (tid == t->tid)
		snprintf(path, THREAD_PATH_MAX, "%s", name);
	else
		snprintf(path, THREAD_PATH_MAX, "task/%d/%s", tid, name);
}

bool dump_calls_freely(const struct dump *d)
{
	return !d->task->threads[d->task->fz.speaker].status.seccomp;
}

int dump_task_pidfd(const struct dump_task *t)
{
	return (int)syscall(SYS_pidfd_open, t->tid, t->tid == t->pid ? 0 : PIDFD_THREAD);
}

struct dump_task *dump_find_task(const struct dump *d, pid_t pid)
{
	for (size_t i = 0; i < d->ntasks; i++)
		if (d->tasks[i]->pid == pid)
			return d->tasks[i];
	return NULL;
}

static void dump_close(struct dump *d)
{
	tcp_dump_end(d);
	listeners_free(d);
	previous_close(d);
	file_table_free(d->files);
	pages_sets_free(d);
	seccomp_images_free(d);
	cgroup_sets_free(d);
	image_store_free(d->store);
	for (size_t i = 0; i < d->ntasks; i++) {
		if (d->tasks[i]->proc_fd >= 0)
			close(d->tasks[i]->proc_fd);
		pages_unlist(d->tasks[i]);
		if (d->tasks[i]->reading_fd >= 0)
			close(d->tasks[i]->reading_fd);
	}
	mm_look_free(d->mm_look);
	alike_free(d->alike);
	fd_rows_free(d->fd_rows);
	arena_free(d->arena);
	arena_free(d->beside);
	arena_free(d->ahead_arena);
}

static int commit(struct dump *d, struct err *err)
{
	int ret = listeners_quiet(d, err);

	listeners_leave(d); /* a restore may want their addresses as soon as the tasks are gone */
	if (ret)
		return ret;
	fault("dump:before-commit");
	ret = image_store_commit(d->store, err);
	/* What is still in the pipe dies with its reader: the tasks must not go before. */
	if (!ret && image_store_is_stream(d->store) && !d->opts->pre_dump)
		ret = image_store_drained(d->store, err);
	if (!ret && d->tracker->stream)
		image_store_identify(d->store, &d->tracker->last);
	if (!ret)
		file_links_keep(d->files);
	fault("dump:committed");
	if (!ret && d->previous && d->opts->auto_dedup)
		ret = previous_dedup(d, err);
	return ret;
}

/* The probe makes a network namespace of its own, for which it takes more than the lock does. */
static int check_lock(struct err *err)
{
	struct err ignore = ERR_INIT;
	struct net_lock *none = NULL;
	int ret;

	if (!privileges_need((const int[]){ CAP_SYS_ADMIN }, 1, &ignore))
		return feature_need("network_lock_nftables", err);
	ret = privileges_need((const int[]){ CAP_NET_ADMIN }, 1, err);
	if (!ret)
		ret = net_lock_find("check", &none, err);
	net_lock_free(none);
	return ret;
}

static uint64_t resident_bytes(const struct dump *d)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < d->ntasks; i++)
		pages += d->tasks[i]->stat.rss;
	return pages * 4096;
}

/* One attempt. -EBUSY with *again set: nothing happened, and a moment later it may work. */
static int dump_once(const struct dump_opts *opts, const struct log *log, struct findings *found, struct tracker *tracker,
		     struct dump_stats *stats, bool *again, struct err *err)
{
	struct tracker own = { 0 };
	struct dump d = { .opts = opts, .log = log, .found = found, .arena = arena_new(), .beside = arena_new(),
			  .ahead_arena = arena_new(), .mm_look = mm_look_new(), .alike = alike_new(), .fd_rows = fd_rows_new() };
	uint64_t start_us = now_us(), frozen_us;
	bool frozen = false;
	int ret;

	d.tracker = tracker ? tracker : &own;
	alike_begin(d.alike, opts->pid);
	if (!opts->pre_dump)
		fd_rows_begin(d.fd_rows, opts->pid);
	ret = dump_open(&d, err);
	if (!ret)
		ret = freeze(&d, err);
	if (ret)
		goto out;
	frozen = true;
	mm_look_begin(&d);
	if (!opts->pre_dump)
		fd_rows_begin_tree(d.fd_rows, &d);
	ret = dump_each_task(&d, seccomp_spare, err);
	keeper_take(&d);
	frozen_us = d.tasks[0]->fz.frozen_ns / 1000;
	d.stats.freezing_us = now_us() - frozen_us;
	fault("dump:frozen");
	if (!ret)
		ret = opts->pre_dump && !found ? dump_before(&d, &frozen, err) : dump_frozen(&d, err);
	ipcns_leave(&d);
	for (size_t i = 0; i < d.ntasks; i++)
		*again |= d.tasks[i]->left_busy;
	if (!ret && ((opts->leave_running && !actions_any(opts->actions)) || found) && frozen) {
		/* The images are in memory or in files of ours: the target need not wait for the disk; only for scripts. */
		dump_thaw(&d, THAW_RUN);
		frozen = false;
	}
	if (!opts->pre_dump || found)
		d.stats.frozen_us = now_us() - frozen_us;
	if (!ret && found) {
		log_info(log, "frozen for %lu us, %lu us of them until all stood still", (unsigned long)d.stats.frozen_us,
			 (unsigned long)d.stats.freezing_us);
		if (d.tcp && opts->network_lock != NET_LOCK_SKIP)
			ret = findings_note(found, check_lock(err), err);
	} else if (!ret) {
		put_stats(&d, start_us);
		ret = commit(&d, err);
		if (!ret)
			ret = actions_run(opts->actions, ACTION_POST_DUMP, opts->pid, log, err);
	}
	const bool kill = !found && !opts->pre_dump && !opts->leave_running && !opts->leave_stopped;
	if (!ret && kill)
		ret = tcp_before_kill(&d, err);
	if (frozen)
		dump_thaw(&d, ret || opts->leave_running ? THAW_RUN : opts->leave_stopped ? THAW_STOP : THAW_KILL);
	if (!ret && kill)
		tcp_after_kill(&d);
	if (!ret && (kill || (found && !found->n))) /* else some of the tree may not be among its tasks */
		left_tell(&d, kill);
	if (!ret && dump_stays_tracked(&d))
		keeper_leave(d.tracker, dump_run_id(&d), log);
	else if (!ret && (opts->leave_running || opts->leave_stopped))
		keeper_end(&own, resident_bytes(&d));
	d.stats.total_us = now_us() - start_us;
	if (stats)
		*stats = d.stats;
	if (ret)
		err_task(err, opts->pid, d.tasks[0]->stat.comm, ret);
out:
	dump_close(&d);
	tracker_close(&own);
	return ret;
}

static int dump_or_check(const struct dump_opts *opts, const struct log *log, struct findings *found,
			 struct tracker *tracker, struct dump_stats *stats, struct err *err)
{
	/* The threads of a dumper that was killed need microseconds of their own to get out, GUEST_PERHAPS_NS at the
	 * worst, and the time until they get a processor. */
	for (int tries = 0;; tries++) {
		const struct timespec pause = { 0, 5000000 };
		bool again = false;
		int ret = dump_once(opts, log, found, tracker, stats, &again, err);

		if (!again || tries == 400)
			return ret;
		*err = (struct err)ERR_INIT;
		nanosleep(&pause, NULL);
	}
}

int dump_round(const struct dump_opts *opts, const struct log *log, struct tracker *tracker, struct dump_stats *stats,
	       struct err *err)
{
	return dump_or_check(opts, log, NULL, tracker, stats, err);
}

int dump_run(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, struct err *err)
{
	int ret = track_check(opts, err);

	if (!ret)
		ret = actions_run(opts->actions, ACTION_PRE_DUMP, opts->pid, log, err);
	if (ret)
		return ret;
	return opts->iterate ? dump_iterate(opts, log, stats, err) : dump_round(opts, log, NULL, stats, err);
}

int dump_check(const struct dump_opts *opts, const struct log *log, struct findings *found, struct err *err)
{
	features_check(found, GROUP_DUMP);
	/* What cannot even be frozen is a finding, too. */
	return findings_note(found, dump_or_check(opts, log, found, NULL, NULL, err), err);
}
