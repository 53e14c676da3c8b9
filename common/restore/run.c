/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A restore from beginning to end. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common/base/action.h"
#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/file/external.h"
#include "common/file/table.h"
#include "common/sock/sockerr.h"
#include "common/sock/tcp_ended.h"
#include "common/sock/tcp_urgent.h"
#include "common/image/manifest.h"
#include "common/image/source.h"
#include "common/mm/mm.h"
#include "common/restore/inner.h"
#include "common/restore/own_limits.h"
#include "common/restore/used.h"
#include "common/task/cgroup.h"

static void count_pages(const struct model *m, struct restore_stats *stats)
{
	for (size_t i = 0; i < m->ntasks; i++)
		stats->bytes_read += m->tasks[i].pages.size;
	for (size_t i = 0; i < m->nshmem; i++)
		stats->bytes_read += m->shmem[i].pages.size;
	stats->pages_restored = stats->bytes_read / PAGE;
}

/*
 * Detached, the task loses us as its parent when we exit. A thread with a parent death signal would get it then, so
 * such a task is an orphan before that signal is set: nothing more happens to its parent than did after the dump.
 */
static enum born how_born(const struct restore_opts *opts, const struct model_task *t)
{
	if (opts->sibling)
		return BORN_SIBLING;
	for (size_t k = 0; opts->detach && k < t->nthreads; k++)
		if (t->threads[k].core->thread_core->pdeath_sig)
			return BORN_ORPHAN;
	return BORN_CHILD;
}

/* Contents that are not written by us, and so not verified on their way: tasks read them at this time, and run later. */
struct beside_verify { const struct model *m; const struct plan *plan; };

static int verify_set(const struct model_pages *p, struct err *err)
{
	int ret = p->want && p->file.fd >= 0 ? manifest_verify(p->want, &p->file, 1, err) : 0;

	return ret ? err_object(err, ret, "pages-%u.img", p->pages_id) : 0;
}

static int verify_pages(void *arg, struct err *err)
{
	const struct beside_verify *v = arg;
	int ret = 0;

	for (size_t i = 0; i < v->m->ntasks && !ret; i++) {
		const struct plan_task *pt = &v->plan->tasks[i];

		if (!v->m->tasks[i].zombie && (pt->nown || !pt->npages))
			ret = verify_set(&v->m->tasks[i].pages, err);
	}
	for (size_t i = 0; i < v->m->nshmem && !ret; i++)
		ret = verify_set(&v->m->shmem[i].pages, err);
	return ret;
}

static void tell_unused(const struct externals *given, const struct log *log)
{
	for (size_t i = 0; given && i < given->nfds; i++)
		if (!given->fds[i].used)
			log_warn(log, "--inherit-fd fd[%d]:%s: nothing in the checkpoint has this name", given->fds[i].fd,
				 given->fds[i].key);
}

struct on_commit { struct plan *plan; struct slots *slots; struct tcp_run *tcp; };

/*
 * Before a task runs, all that it has is its own: a description that we held, too, would outlive its close(2), so that no peer
 * would hear of that, and an epoll set would go on telling of it.
 */
static void committed(void *arg)
{
	const struct on_commit *c = arg;

	tcp_run_done(c->tcp);
	slots_close(c->slots);
	done_run(c->plan);
}

/* Births and last acts. On failure everything that was made is gone again. */
static int make_tasks(const struct restore_opts *opts, const struct log *log, struct model *m,
		      struct plan *plan, struct slots *slots, struct tcp_run *tcp, struct restore_stats *stats,
		      struct err *err)
{
	struct source *source = image_dir_source(m->dir);
	struct beside_verify v = { m, plan };
	struct births births;
	struct aside beside = { 0 };
	uint64_t start = now_us();
	int ret = births_prepare(&births, plan, slots, err), back;

	struct on_commit on_commit = { plan, slots, tcp };

	births.model = m;
	births.committed = committed;
	births.committed_arg = &on_commit;
	if (!ret) {
		aside_start(&beside, verify_pages, &v);
		progress_start(&births.progress, opts->progress);
		for (size_t i = 0; i < m->ntasks; i++)
			births.memory_bytes += m->tasks[i].pages.size;
		ret = births_run(&births, how_born(opts, &m->tasks[0]), err);
		progress_end(&births.progress);
	}
	if (!ret)
		stats->memory_us = births_memory_us(&births);
	stats->forking_us = now_us() - start;
	log_debug(log, "programs ran in %lu us", (unsigned long)stats->forking_us);
	/* Here everything is known that could be wrong with the images, and no task has run yet. */
	back = aside_join(&beside, err);
	if (!ret)
		ret = back;
	if (!ret && source)
		ret = source_end(source, err);
	if (!ret)
		ret = actions_run(opts->actions, ACTION_POST_RESTORE, plan->tasks[0].pid, log, err);
	if (!ret)
		ret = last_run(plan, slots, err);
	if (!ret)
		ret = tcp_run_release(tcp, slots->fd, m->tasks[0].pstree->pid, err);
	if (!ret)
		actions_tell(opts->actions, ACTION_PRE_RESUME, plan->tasks[0].pid, log);
	if (!ret)
		ret = births_finish(&births, opts->leave_stopped, err);
	if (ret)
		births_abort(&births);
	births_release(&births);
	return ret;
}

/* Pages that a stream gave once do not come again. */
static bool taken_from(const struct model *m)
{
	for (size_t i = 0; i < m->ntasks; i++)
		if (m->tasks[i].pages.streamed)
			return true;
	return m->consumed;
}

static int restore(const struct restore_opts *opts, const struct log *log, struct model *m, struct plan *plan,
		   struct restore_stats *stats, struct err *err)
{
	struct slots slots = { 0 };
	struct tcp_run *tcp = NULL;
	int ret = preflight(m, plan, opts, PREFLIGHT_ALL, log, err);

	if (!ret)
		ret = tcp_run_begin(m, plan, log, &tcp, err);
	if (!ret)
		tell_unused(plan->given, log);
	if (!ret)
		ret = controller_run(plan, log, &slots, err);
	if (!ret)
		ret = tcp_ended_run(plan, log, slots.fd, err);
	if (!ret)
		ret = tcp_urgent_run(plan, slots.fd, err);
	if (!ret)
		ret = sock_errors_run(plan, slots.fd, err);
	if (!ret)
		cgroups_tell(plan, log);
	/*
	 * The number of a task that was waited for a moment ago is given back a little later (release_task() in kernel/exit.c,
	 * 6.18), and a restore right after a dump may be quicker. What was made is gone again, so it can be made again; but a
	 * sibling's corpse is its parent's business.
	 */
	for (int tries = 0; !ret; tries++) {
		const struct timespec pause = { 0, 2000000 << tries };

		ret = make_tasks(opts, log, m, plan, &slots, tcp, stats, err);
		if (ret != -EEXIST || opts->sibling || tries == 5 || taken_from(m))
			break;
		*err = (struct err)ERR_INIT;
		nanosleep(&pause, NULL);
		ret = 0;
	}
	if (!ret && tcp)
		actions_tell(opts->actions, ACTION_NETWORK_UNLOCK, plan->tasks[0].pid, log);
	tcp_run_free(tcp);
	slots_close(&slots);
	shmem_finish(plan, ret != 0);
	return ret;
}

/* What this process may not do. Nothing, when the kernel does not tell: then a step says which it is. */
static uint64_t lacking_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &header, data))
		return 0;
	return ~(data[0].effective | (uint64_t)data[1].effective << 32);
}

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68 /* include/uapi/linux/prctl.h, since 6.4 */
#endif

void restore_complete(struct restore_opts *opts)
{
	const ssize_t n = readlink("/proc/self/exe", opts->executable, sizeof(opts->executable) - 1);

	opts->executable[MAX(n, (ssize_t)0)] = 0;
	opts->merging = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) > 0;
	opts->lacks |= lacking_capabilities();
	opts->unique = opts->unique ? opts->unique : clock_ns(CLOCK_REALTIME);
	if (opts->tcp_established)
		tcp_normal_ask(&opts->tcp_normal);
}

int restore_run(const struct restore_opts *given, const struct log *log, pid_t *root, struct restore_stats *stats,
		struct err *err)
{
	cleanup_model struct model *m = NULL;
	cleanup_plan struct plan *plan = NULL;
	struct restore_opts copy = *given, *opts = &copy;
	struct restore_stats none = { 0 };
	struct image_dir *dir = NULL;
	struct own_limits limits;
	uint64_t start = now_us();
	int ret;

	*root = 0;
	opts->ahead = NULL;
	own_limits_lift(&limits);
	stats = stats ? stats : &none;
	*stats = (struct restore_stats){ 0 };
	if (!opts->plan_only) /* a plan that is only shown is the same for everybody, every time */
		restore_complete(opts);
	ret = opts->stream >= 0 ? image_dir_stream(opts->stream, &dir, err) : image_dir_open(opts->images_dir, &dir, err);
	if (!ret)
		ret = opts->stream >= 0 ? stream_load(dir, opts, log, &m, err) : model_load(dir, &m, err);
	if (!ret) {
		log_debug(log, "checkpoint read in %lu us", (unsigned long)(now_us() - start));
		opts->ahead = preflight_begin(m, opts);
		ret = plan_build(m, opts, &plan, err);
	}
	if (!ret && opts->plan_only) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;

		plan_print(m, plan, &text);
		if (fwrite(text.s, 1, text.len, opts->out) != text.len || fflush(opts->out))
			ret = err_sys(err, "writing the plan");
	} else if (!ret) {
		ret = actions_run(opts->actions, ACTION_PRE_RESTORE, plan->tasks[0].pid, log, err);
		if (!ret)
			ret = restore(opts, log, m, plan, stats, err);
		if (!ret)
			*root = plan->tasks[0].pid;
		if (!ret)
			tty_resized(m, plan);
		count_pages(m, stats);
	}
	stats->total_us = stats->restore_us = now_us() - start;
	if (!ret)
		log_info(log, "restored in %lu us", (unsigned long)stats->total_us);
	if (!ret && *root && opts->auto_dedup && opts->stream < 0) {
		struct err why = ERR_INIT;

		/* They run, whatever becomes of their images. */
		if (used_give_back(m, &why))
			log_warn(log, "auto-dedup: %s%s%s", why.object, why.object[0] ? ": " : "", why.reason);
	}
	preflight_end(opts->ahead);
	model_free(take_ptr(m)); /* before its directory */
	image_dir_free(dir);
	own_limits_back(&limits);
	if (!ret && *root)
		actions_tell(opts->actions, ACTION_POST_RESUME, *root, log);
	return ret;
}
