/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the model to the plan: every kind adds its steps, the engine adds what belongs to no kind. */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/file/table.h"
#include "common/ipc/ipcns.h"
#include "common/kinds.h"
#include "common/mm/mm.h"
#include "common/restore/inner.h"

enum { TASK_STOPPED_STATE = 3 };

size_t region_code_len(void)
{
	return ((size_t)(arch_agent_end - arch_agent_start) + PAGE - 1) & ~(PAGE - 1);
}

static void plan_restart(const ThreadCoreEntry *c, struct plan_thread *pth)
{
	pth->restart_ns = UINT64_MAX;
	if (!c->restart)
		return;
	pth->restart.block = true;
	pth->restart.nr = c->restart->nr;
	for (size_t i = 0; i < c->restart->n_args && i < ARRAY_SIZE(pth->restart.arg); i++)
		pth->restart.arg[i] = c->restart->args[i];
	pth->restart_ns = c->restart->remaining_ns;
}

/* An empty program for each thread. */
static void plan_programs(const struct model_task *t, size_t index, struct plan *plan)
{
	struct plan_task *pt = &plan->tasks[index];

	pt->kind = t->zombie ? TASK_IS_ZOMBIE : TASK_IS_LIVE;
	pt->index = index;
	pt->pid = (pid_t)t->pstree->pid;
	pt->comm = t->threads[0].core->tc->comm;
	pt->nthreads = t->nthreads;
	pt->threads = arena_alloc(plan->arena, t->nthreads * sizeof(*pt->threads));
	for (size_t i = 0; i < t->nthreads; i++) {
		pt->threads[i].tid = t->threads[i].tid;
		pt->threads[i].prog = program_new();
	}
	plan->ntasks = index + 1;
}

static int plan_threads(const struct model_task *t, struct plan *plan, struct plan_task *pt, struct err *err)
{
	for (size_t i = 0; i < t->nthreads; i++) {
		const CoreEntry *core = t->threads[i].core;
		struct plan_thread *pth = &pt->threads[i];
		int ret;

		ret = t->threads[i].decoded ? 0 : arch_core_decode(core, plan->arena, &pth->regs, &pth->fpu, err);
		if (ret)
			return err_object(err, ret, "core-%d.img: entry 0", pth->tid);
		if (t->threads[i].decoded) {
			pth->regs = t->threads[i].regs;
			pth->fpu = t->threads[i].fpu;
		}
		pth->fpu_self = arch_fpu_loadable(&pth->fpu);
		pth->sigmask = i == 0 ? core->tc->blk_sigset : core->thread_core->blk_sigset;
		plan_restart(core->thread_core, pth);
	}
	if (t->threads[0].core->tc->task_state == TASK_STOPPED_STATE) {
		const TaskCoreEntry *tc = t->threads[0].core->tc;

		pt->stop_signal = tc->has_stop_signo ? (int)tc->stop_signo : SIGSTOP;
	}
	return 0;
}

/* The root's group, when it is another's: it can only be joined where it exists; with shell_job the root stays in ours,
 * which it has by birth. */
static void plan_root_group(const struct model_task *t, const struct restore_opts *opts, struct plan_task *pt)
{
	const PstreeEntry *e = t->pstree;

	if (e->sid != e->pid && e->pgid != e->pid && !(opts && opts->shell_job))
		program_call(pt->threads[0].prog, TASK_SESSION, "joins its process group", SYS_setpgid, A(0),
			     A(e->pgid));
}

static int plan_kinds(const struct model *m, const struct model_task *t, struct plan *plan, struct plan_task *pt,
		      struct err *err)
{
	for (size_t k = 0; state_kinds[k]; k++) {
		const struct state_kind *kind = state_kinds[k];
		size_t n = kind->scope == SCOPE_TASK ? 1 : t->nthreads;

		if (!kind->plan)
			continue;
		for (size_t i = 0; i < n; i++) {
			int ret = kind->plan(m, t, &t->threads[i], plan, pt, &pt->threads[i], err);

			err_object(err, ret, "thread %d: %s", t->threads[i].tid, kind->name);
			ret = plan_note(plan, pt, ret, err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Each further thread is born with its own id and goes on with its own program. The agent needs no stack. */
void plan_clones(struct plan_task *pt)
{
	struct program *p = pt->threads[0].prog;

	for (size_t i = 1; i < pt->nthreads; i++) {
		struct clone_args args = {
			.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
			.set_tid_size = 1,
		};
		struct data_ref tid = program_data(p, &pt->threads[i].tid, sizeof(pt->threads[i].tid));
		struct data_ref data = program_data(p, &args, sizeof(args));

		program_data_pointer(p, data, offsetof(struct clone_args, set_tid), tid, 0);
		program_clone(p, TASK_THREADS, "thread", data, sizeof(args), pt->threads[i].tid, pt->threads[i].prog);
	}
}

/*
 * Changing credentials in any thread resets what the whole mm has (commit_creds() in kernel/cred.c sets the dumpable
 * flag back), so the leader waits until all other threads are through before it sets such things for good. And our own
 * safety net for a dying controller, the parent death signal, goes away unless the task had one.
 */
static void plan_gate(const struct model_task *t, struct plan_task *pt)
{
	const ThreadCoreEntry *c = t->threads[0].core->thread_core;
	struct program *p = pt->threads[0].prog;

	if (pt->nthreads > 1)
		program_try(p, THREAD_CREDS, "until all threads are made", SYS_futex,
			    A(region_control(pt) + offsetof(struct control, gate)), A(FUTEX_WAIT), A(0), A(0));
	if (!c->has_pdeath_sig || !c->pdeath_sig)
		program_call(p, THREAD_AFTER_CREDS, "no parent death signal", SYS_prctl, A(PR_SET_PDEATHSIG), A(0));
}

/* The time at this place of the program, for statistics. */
static struct data_ref plan_clock(struct plan_task *pt, const char *note)
{
	struct program *p = pt->threads[0].prog;
	struct data_ref ts = program_data(p, NULL, sizeof(struct timespec));

	program_try(p, TASK_CONTENT, note, SYS_clock_gettime, A(CLOCK_MONOTONIC), A_DATA(ts));
	return ts;
}

/* Large page sets are the controller's: it begins when the mappings are there, and the leader goes on when it is
 * through. Where nobody is a copy of somebody else, both are so when all are born. */
static void plan_written_pages(const struct plan *plan, struct plan_task *pt)
{
	struct program *p = pt->threads[0].prog;
	struct arg unmade = A(region_control(pt) + offsetof(struct control, unmade));

	if (!plan_is_filled(pt))
		return;
	pt->pages_late = plan->ntasks > 1 && !plan->copies && !pt->set->streamed && !pt->set->spooled;
	if (pt->pages_late) {
		plan_fill_end(pt, TASK_ALL_BORN);
		return;
	}
	/* One call that stores 0 and wakes: the agent itself cannot store. */
	program_call(p, TASK_MAP, "the controller may write pages", SYS_futex, unmade, A(FUTEX_WAKE_OP), A(1), A(0), unmade,
		     A(FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)));
	program_try(p, TASK_CONTENT, "until the controller is through", SYS_futex,
		    A(region_control(pt) + offsetof(struct control, filled)), A(FUTEX_WAIT), A(0), A(0));
	plan_fill_end(pt, TASK_CONTENT);
}

static int plan_task(const struct model *m, const struct restore_opts *opts, const struct model_task *t,
		     struct plan *plan, struct plan_task *pt, struct err *err)
{
	int ret = plan_threads(t, plan, pt, err);

	if (ret)
		return ret;
	if (t == m->tasks)
		plan_root_group(t, opts, pt);
	ret = plan_kinds(m, t, plan, pt, err);
	if (!ret && t->files_owner == pt->index)
		ret = plan_files(m, t, plan, pt, err);
	if (pt->vm_of) {
		plan_mm_shared(m, pt);
	} else {
		pt->content_from = plan_clock(pt, "memory is filled from here");
		if (!ret)
			ret = plan_mm(m, t, plan, pt, err);
	}
	if (!ret && (!pt->hole || pt->hole % PAGE || pt->hole_len % PAGE))
		ret = err_image(err, "no free range of addresses for the time of the restore");
	if (ret)
		return ret;
	plan_written_pages(plan, pt);
	if (!pt->vm_of)
		pt->content_to = plan_clock(pt, "to here");
	plan_clones(pt);
	plan_gate(t, pt);
	return 0;
}

static int by_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

/* What the controller's own descriptors must stay clear of. */
static void collect_fds(const struct model *m, struct plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < m->ntasks; i++)
		n += m->tasks[i].nfds;
	plan->fds = arena_alloc(plan->arena, n * sizeof(*plan->fds));
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].nfds; k++)
			plan->fds[plan->nfds++] = (int)m->tasks[i].fds[k]->fd;
	if (n)
		qsort(plan->fds, n, sizeof(*plan->fds), by_int);
}

static int check_slots(const struct plan *plan, struct err *err)
{
	for (size_t i = 0; i < plan->nslots; i++)
		if (plan->binds[i].source == SLOT_UNBOUND)
			return err_set(err, ERR_IMAGE, 0, "nothing in the checkpoint makes %s", plan->slot_names[i]);
	return 0;
}

int plan_note(const struct plan *plan, const struct plan_task *pt, int ret, struct err *err)
{
	if (plan->found && ret < 0)
		err_task(err, pt->pid, pt->comm, ret);
	return findings_note(plan->found, ret, err);
}

int plan_build(const struct model *m, const struct restore_opts *opts, struct plan **out, struct err *err)
{
	return plan_check(m, opts, NULL, out, err);
}

static bool names_file(const struct model *m, const char *path)
{
	for (size_t i = 0; *path && i < m->nfiles; i++)
		if (m->files[i]->type == FD_TYPES__REG && m->files[i]->reg && !strcmp(m->files[i]->reg->name, path))
			return true;
	return false;
}

int plan_check(const struct model *m, const struct restore_opts *opts, struct findings *found, struct plan **out,
	       struct err *err)
{
	cleanup_plan struct plan *plan = plan_new();
	int ret = 0;

	*out = NULL;
	plan->tasks = arena_alloc(plan->arena, PLAN_TASKS_MAX(m->ntasks) * sizeof(*plan->tasks));
	for (size_t i = 0; i < m->ntasks; i++)
		plan_programs(&m->tasks[i], i, plan);
	plan->found = found;
	plan->lacks = opts ? opts->lacks : 0;
	plan->cgroups = opts ? opts->cgroups : CGROUPS_SOFT;
	plan->link_remap = opts && opts->link_remap;
	plan->merging = opts && opts->merging;
	plan->executable = opts && names_file(m, opts->executable) ? arena_strdup(plan->arena, opts->executable) : NULL;
	plan->tcp_established = opts && opts->tcp_established;
	plan->tcp_close = opts && opts->tcp_close;
	plan->network_lock = opts && opts->network_lock;
	plan->tcp_normal = opts ? opts->tcp_normal : (struct tcp_normal){ 0 };
	plan->file_locks = opts && opts->file_locks;
	plan->unique = opts ? opts->unique : 0;
	plan->given = opts ? opts->given : NULL;
	plan->shell_job = opts && opts->shell_job;
	plan->foreground = opts && opts->foreground;
	collect_fds(m, plan);
	ret = plan_hole(m, plan, err);
	if (!ret)
		ret = ipcns_plan(m, plan, err);
	if (!ret)
		ret = plan_tree(m, plan, err);
	for (size_t i = 0; !ret && i < m->ntasks; i++) {
		const struct model_task *t = &m->tasks[i];

		if (t->zombie) /* plan_tree() has said all about it */
			continue;
		ret = plan_task(m, opts, t, plan, &plan->tasks[i], err);
		if (ret)
			err_task(err, (pid_t)t->pstree->pid, t->threads[0].core->tc->comm, ret);
		ret = findings_note(found, ret, err);
	}
	if (found && found->n) {
		*out = take_ptr(plan);
		return ret;
	}
	if (!ret)
		ret = check_slots(plan, err);
	if (ret)
		return ret;
	program_seal(plan->controller);
	program_seal(plan->last);
	program_seal(plan->done);
	for (size_t i = 0; i < plan->ntasks; i++)
		for (size_t k = 0; k < plan->tasks[i].nthreads; k++) {
			program_seal(plan->tasks[i].threads[k].prog);
			if (plan->tasks[i].threads[k].late)
				program_seal(plan->tasks[i].threads[k].late);
		}
	*out = take_ptr(plan);
	return 0;
}
