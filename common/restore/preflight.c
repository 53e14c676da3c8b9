/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host has against the checkpoint, before anything is made: all problems at once, because who fixes one and
 * then meets the next has been sent on an errand.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <string.h>
#include <sched.h>
#include <time.h>
#include <sys/resource.h>

#include "common/base/action.h"
#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/findings.h"
#include "common/base/io.h"
#include "common/feature/feature.h"
#include "common/image/source.h"
#include "common/tty/pty.h"
#include "common/file/external.h"
#include "common/file/table.h"
#include "common/sock/accept_queue.h"
#include "common/sock/tcp_ended.h"
#include "common/proc/proc.h"
#include "common/mm/mm.h"
#include "common/restore/inner.h"
#include "common/restore/taken.h"
#include "common/task/cgroup.h"
#include "common/task/task.h"

static void printf_like(5, 6) found(struct findings *f, enum err_kind kind, const struct model_task *t, const char *hint,
				     const char *fmt, ...)
{
	struct err e = { .kind = kind };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.reason, sizeof(e.reason), fmt, ap);
	va_end(ap);
	if (hint)
		err_hint(&e, 0, "%s", hint);
	if (t)
		err_task(&e, (pid_t)t->pstree->pid,
			 t->threads[0].core && t->threads[0].core->tc ? t->threads[0].core->tc->comm : NULL, 0);
	findings_take(f, &e);
}

/* ---- ids ---- */

static void check_pid(struct findings *f, const struct model_task *t, struct taken_probe *probe, pid_t tid)
{
	const char *hint = "end it, or restore in a new pid namespace (unshare -pf --mount-proc)";
	const struct taken by = taken_by(probe, tid);

	switch (by.how) {
	case TAKEN_NOT:
		return;
	case TAKEN_PROCESS:
		if (by.state == 'Z')
			found(f, ERR_FAILED, t, hint, "pid %d is taken by a dead process (%s) that its parent %d does not wait for",
			      tid, by.comm, by.ppid);
		else
			found(f, ERR_FAILED, t, hint, "pid %d is taken by pid %d (%s)", tid, tid, by.comm);
		return;
	case TAKEN_THREAD:
		found(f, ERR_FAILED, t, hint, "pid %d is taken by a thread of pid %d (%s)", tid, by.pid, by.comm);
		return;
	case TAKEN_GROUP:
	case TAKEN_SESSION:
		found(f, ERR_FAILED, t, hint, "pid %d is used as a %s id by pid %d (%s)%s", tid,
		      by.how == TAKEN_SESSION ? "session" : "process group", by.pid, by.comm,
		      by.state == 'Z' ? ", which is dead, and nobody waits for it" : "");
		return;
	case TAKEN_SOMEHOW:
		found(f, ERR_FAILED, t, hint, "pid %d is taken", tid);
	}
}

static void check_pids(const struct model *m, const struct plan *plan, struct findings *f)
{
	struct taken_probe probe;

	taken_open(&probe);
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].nthreads; k++)
			check_pid(f, &m->tasks[i], &probe, m->tasks[i].threads[k].tid);
	for (size_t i = m->ntasks; plan && i < plan->ntasks; i++) /* leaders that are dead */
		check_pid(f, NULL, &probe, plan->tasks[i].pid);
	taken_close(&probe);
}

static void check_ids(const struct model *m, const struct restore_opts *opts, struct findings *f)
{
	cleanup_free char *text = NULL;
	uint64_t max = 0;
	size_t len;

	if (!read_file_at(AT_FDCWD, "/proc/sys/kernel/pid_max", 64, &text, &len)) {
		while (len && text[len - 1] == '\n')
			text[--len] = 0;
		parse_u64(text, 10, &max);
	}
	for (size_t i = 0; i < m->ntasks; i++) {
		const struct model_task *t = &m->tasks[i];

		for (size_t k = 0; k < t->nthreads; k++)
			if (max && (uint64_t)t->threads[k].tid >= max)
				found(f, ERR_FEATURE, t, "raise /proc/sys/kernel/pid_max",
				      "pid %d is above this host's pid_max", t->threads[k].tid);
	}
	if (opts->shell_job || !m->ntasks || m->tasks[0].pstree->sid == m->tasks[0].pstree->pid)
		return;
	if ((pid_t)m->tasks[0].pstree->sid != getsid(0))
		found(f, ERR_REFUSED, &m->tasks[0], "use --shell-job to let it join this session",
		      "the task belongs to session %u, whose leader is not in the checkpoint", m->tasks[0].pstree->sid);
}

/* ---- the rest ---- */

static void report(void *ctx, const char *object, const char *reason)
{
	findings_add(ctx, ERR_FAILED, 0, object, NULL, "%s", reason);
}

static void check_cpu(const struct model *m, struct findings *f)
{
	char names[256];

	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].nthreads && !m->tasks[i].zombie; k++) {
			arch_fpu_missing(m->tasks[i].threads[k].core, names, sizeof(names));
			if (!names[0])
				continue;
			found(f, ERR_FEATURE, &m->tasks[i], NULL, "this CPU lacks %s, which thread %d uses", names,
			      m->tasks[i].threads[k].tid);
			return; /* the other threads' need is the same, as a rule */
		}
}

static void check_limits(const struct model *m, const struct plan *plan, struct findings *f)
{
	struct rlimit lim;

	if (plan && plan->nfds && !getrlimit(RLIMIT_NOFILE, &lim) && (rlim_t)plan->fds[plan->nfds - 1] >= lim.rlim_max)
		found(f, ERR_FAILED, NULL, "raise it (ulimit -Hn)",
		      "fd %d is above the hard limit of open files here (%lu)", plan->fds[plan->nfds - 1],
		      (unsigned long)lim.rlim_max);
}

static void check_addresses(const struct model *m, const struct task_own *own, struct findings *f)
{
	cleanup_free char *text = NULL;
	uint64_t min = 0;
	size_t len;

	/* security/commoncap.c: cap_mmap_addr() */
	if (own->st.cap_eff & 1ull << CAP_SYS_RAWIO || read_file_at(AT_FDCWD, "/proc/sys/vm/mmap_min_addr", 64, &text, &len))
		return;
	while (len && text[len - 1] == '\n')
		text[--len] = 0;
	if (parse_u64(text, 10, &min))
		return;
	for (size_t i = 0; i < m->ntasks; i++) {
		const MmEntry *mm = m->tasks[i].mm;

		if (!mm || !mm->n_vmas || mm->vmas[0]->start >= min || !(mm->vmas[0]->status & 1))
			continue;
		found(f, ERR_FEATURE, &m->tasks[i], "lower /proc/sys/vm/mmap_min_addr",
		      "mapping %lx-%lx lies below this host's vm.mmap_min_addr (%lx)", mm->vmas[0]->start,
		      mm->vmas[0]->end, min);
	}
}

/*
 * A task that waits until an absolute time waits longer on a host that was started later; its clocks seem to jump back.
 * Only a time namespace would change that.
 */
static void check_clocks(const struct model *m, const struct log *log)
{
	static const struct { clockid_t id; const char *name; } clocks[] = {
		{ CLOCK_MONOTONIC, "CLOCK_MONOTONIC" }, { CLOCK_BOOTTIME, "CLOCK_BOOTTIME" },
	};

	for (size_t i = 0; m->clocks && i < ARRAY_SIZE(clocks); i++) {
		const Timespec *then = i ? m->clocks->boottime : m->clocks->monotonic;
		uint64_t now = clock_ns(clocks[i].id) / 1000000000u;

		if (then->tv_sec <= now)
			continue;
		log_warn(log,
			 "%s was %lu s ahead at the dump, and time namespaces are not restored: timeouts at absolute"
			 " times come late by that much",
			 clocks[i].name, (unsigned long)(then->tv_sec - now));
		return;
	}
}

/* CAP_SYS_ADMIN stands for CAP_CHECKPOINT_RESTORE (capability.h: checkpoint_restore_ns_capable()). */
static void check_privileges(const struct model *m, const struct plan *plan, const struct task_own *own, struct findings *f)
{
	uint64_t need = task_privileges(m, own) | 1ull << CAP_CHECKPOINT_RESTORE;
	struct err e = ERR_INIT;
	int caps[64];
	size_t n = 0;

	need |= plan ? plan_privileges(plan, own->st.cap_eff) : 0;
	for (int i = 0; i < 64; i++)
		if (need >> i & 1)
			caps[n++] = i;
	if (privileges_need(caps, n, &e))
		findings_take(f, &e);
}

/* Terminals have numbers that others may have here. */
static void check_terminals(const struct plan *plan, struct findings *f)
{
	for (size_t i = 0; i < plan->nslots; i++) {
		const struct plan_bind *b = &plan->binds[i];
		struct err e = ERR_INIT;

		if (b->source == SLOT_PTY)
			findings_note(f, pty_check(b->path, (uint32_t)b->fd, &e), &e);
	}
}

struct preflight_ahead { struct aside aside; const struct model *m; struct files_check files; struct findings found; };

static int look_ahead(void *arg, struct err *err)
{
	struct preflight_ahead *a = arg;

	(void)err;
	/* A table of descriptors that two threads have in common costs a grace period each time that it grows (expand_fdtable() in
	 * fs/file.c). Where it stays so, it costs that. */
	unshare(CLONE_FILES);
	files_preflight(a->m, &a->files, report, &a->found);
	return 0;
}

#define AHEAD_FROM 256 /* entries of files: less is done before a thread runs */

struct preflight_ahead *preflight_begin(const struct model *m, const struct restore_opts *opts)
{
	struct preflight_ahead *a;

	if (m->nfiles < AHEAD_FROM || (opts->given && opts->given->nfds) || actions_any(opts->actions) || opts->stream >= 0 ||
	    opts->plan_only)
		return NULL;
	a = xzalloc(sizeof(*a));
	a->m = m;
	a->files = (struct files_check){ .skip_rwx = opts->skip_file_rwx_check, .size_only = opts->validate_size_only };
	aside_start(&a->aside, look_ahead, a);
	return a;
}

void preflight_end(struct preflight_ahead *a)
{
	struct err ignore = ERR_INIT;

	if (!a)
		return;
	aside_join(&a->aside, &ignore);
	findings_release(&a->found);
	free(a);
}

/* Files, and sockets. */
static void check_files(const struct model *m, const struct files_check *files, struct preflight_ahead *ahead, struct findings *f)
{
	struct err ignore = ERR_INIT;

	if (!ahead) {
		files_preflight(m, files, report, f);
		return;
	}
	aside_join(&ahead->aside, &ignore);
	for (size_t i = 0; i < ahead->found.n; i++)
		report(f, ahead->found.v[i].object, ahead->found.v[i].reason);
}

int preflight_collect(const struct model *m, const struct plan *plan, const struct restore_opts *opts, enum preflight_when when,
		      const struct log *log, struct findings *f, struct err *err)
{
	const bool all = when == PREFLIGHT_ALL;
	const struct source *source = image_dir_source(m->dir);
	const struct files_check files = { .skip_rwx = opts->skip_file_rwx_check, .held = !all,
					   .size_only = opts->validate_size_only, .plan = plan };
	cleanup_arena struct arena *arena = arena_new();
	struct err waiting = ERR_INIT;
	struct task_own own;
	int ret;

	ret = task_own_read(arena, &own, err);
	if (ret)
		return ret;
	check_privileges(m, plan, &own, f);
	if (all)
		check_pids(m, plan, f);
	check_ids(m, opts, f);
	check_cpu(m, f);
	check_limits(m, plan, f);
	check_addresses(m, &own, f);
	if (all)
		check_clocks(m, log);
	check_files(m, &files, opts->ahead, f);
	if (all)
		mm_preflight(m, report, f);
	/* While the tasks live that are sent: when the last page has gone, it is too late to be told by the restore itself. */
	if (source && source_more(source))
		file_copies_preflight(m, plan, report, f);
	task_preflight(m, &own, report, f, all ? log : NULL);
	if (plan) {
		tcp_preflight(m, plan, report, f);
		tcp_ended_preflight(plan, report, f);
		if (accept_queues_need(plan, &waiting) < 0)
			findings_take(f, &waiting);
		accept_queues_preflight(plan, report, f);
		cgroup_preflight(plan, report, f);
		if (all)
			check_terminals(plan, f);
	}
	return 0;
}

/* All of them in one line, as far as one line goes. */
static int tell(const struct findings *f, const struct log *log, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const char *hint = "";
	int ret;

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];
		cleanup_free char *line = xasprintf("%s%s%s%s%s", x->object, x->object[0] ? ": " : "", x->reason,
						    x->errnum ? ": " : "", x->errnum ? strerror(x->errnum) : "");

		log_info(log, "preflight: %s", line);
		hint = hint[0] ? hint : x->hint;
		if (text.len < 400)
			strbuf_printf(&text, "%s%s", i ? "; " : "", line);
	}
	if (f->n == 1)
		ret = err_set(err, f->v[0].kind, 0, "%s", text.s);
	else
		ret = err_set(err, f->v[0].kind, 0, "%zu problems: %s%s", f->n, text.s,
			      text.len >= 400 ? " ... (cr-restore --check lists all)" : "");
	return hint[0] ? err_hint(err, ret, "%s", hint) : ret;
}

int preflight(const struct model *m, const struct plan *plan, const struct restore_opts *opts, enum preflight_when when,
	      const struct log *log, struct err *err)
{
	cleanup_findings struct findings f = { 0 };
	int ret = preflight_collect(m, plan, opts, when, log, &f, err);

	return ret || !f.n ? ret : tell(&f, log, err);
}
