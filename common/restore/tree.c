/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is born where and when, so that parents, sessions and process groups come out as they were.
 *
 * A process inherits its session from whoever makes it. A child of the session that its parent had before its own is
 * born before the parent calls setsid; one whose session leader is not among its ancestors is made by that leader, as
 * its sibling (CLONE_PARENT): that is how init gets other people's children. Where a leader is dead, a helper takes its
 * number until everybody has joined.
 *
 * Two barriers, which the controller opens: all are born (it traces them from then on), and all are in their groups
 * (helpers exit, zombies die; and what tasks opened for others to fetch is in its place, see file_pull()).
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/restore/inner.h"
#include "common/task/dead.h"

/* A task of the plan as this file sees it. */
struct node {
	pid_t pid, sid, pgid;
	pid_t born_sid; /* session that it is born into; 0 = the restorer's, whose number no checkpoint knows */
	pid_t born_pgid, own_pgid; /* the same for its process group, and the one that it has with its session: before it joins another */
	size_t parent;	/* its own for the root */
	bool group_inherited;
	int exit_signal; /* that its parent gets when it ends */
	size_t maker;	  /* who makes it, and when: not of the root */
	int born_in;
	bool makes_early; /* others are born of it before it has memory of its own, or by way of it beside it */
};

struct tree {
	const struct model *m;
	struct plan *plan;
	struct node *v; /* as plan->tasks */
	size_t n;
	size_t *by_pid; /* those of the model, sorted */
};

static struct program *prog(const struct tree *t, size_t i)
{
	return t->plan->tasks[i].threads[0].prog;
}

static int by_pid(const void *a, const void *b, void *ctx)
{
	const struct tree *t = ctx;
	pid_t x = t->v[*(const size_t *)a].pid, y = t->v[*(const size_t *)b].pid;

	return x < y ? -1 : x > y;
}

/* SIZE_MAX when nobody has or gets this pid. */
static size_t find(const struct tree *t, pid_t pid)
{
	size_t lo = 0, hi = t->m->ntasks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->v[t->by_pid[mid]].pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < t->m->ntasks && t->v[t->by_pid[lo]].pid == pid)
		return t->by_pid[lo];
	for (size_t i = t->m->ntasks; i < t->n; i++)
		if (t->v[i].pid == pid)
			return i;
	return SIZE_MAX;
}

static bool is_tid(const struct model *m, pid_t pid)
{
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 1; k < m->tasks[i].nthreads; k++)
			if (m->tasks[i].threads[k].tid == pid)
				return true;
	return false;
}

static int refuse(const struct tree *t, size_t i, struct err *err, const char *what, pid_t number, const char *why)
{
	return err_task(err, t->v[i].pid, t->plan->tasks[i].comm,
			err_refuse(err, "it belongs to %s %d, %s", what, number, why));
}

static int helper(struct tree *t, size_t parent, const struct node *node, size_t *out, struct err *err)
{
	struct plan_task *pt = &t->plan->tasks[t->n];

	if (is_tid(t->m, node->pid))
		return err_image(err, "pstree.img: %d is a thread, and the leader of a session or process group",
				 node->pid);
	*pt = (struct plan_task){
		.kind = TASK_IS_HELPER, .index = t->n, .pid = node->pid, .comm = "helper", .nthreads = 1,
		.threads = arena_alloc(t->plan->arena, sizeof(*pt->threads)),
	};
	pt->threads[0] = (struct plan_thread){ .tid = node->pid, .prog = program_new() };
	t->v[t->n] = *node;
	t->v[t->n].parent = parent;
	*out = t->n++;
	t->plan->ntasks = t->n;
	return 0;
}

/* Whose program makes the address space that task i lives in. */
static const struct plan_task *address_space(const struct tree *t, size_t i)
{
	return t->plan->tasks[i].vm_of ? t->plan->tasks[i].vm_of : &t->plan->tasks[i];
}

/* One clone3 in the program of `maker`. */
static void birth(const struct tree *t, size_t maker, size_t child, int phase, uint64_t flags)
{
	bool sibling = t->v[child].parent != maker;
	struct clone_args args = {
		.flags = flags | (sibling ? CLONE_PARENT : 0),
		.exit_signal = sibling ? 0 : (uint64_t)t->v[child].exit_signal, /* a sibling inherits its maker's */
		.set_tid_size = 1,
	};
	struct program *p = prog(t, maker);
	struct data_ref tid = program_data(p, &t->v[child].pid, sizeof(t->v[child].pid));
	struct data_ref data = program_data(p, &args, sizeof(args));

	t->v[child].maker = maker;
	t->v[child].born_in = phase;
	program_data_pointer(p, data, offsetof(struct clone_args, set_tid), tid, 0);
	program_clone(p, phase, sibling ? "process, a sibling" : "child process", data, sizeof(args),
		      t->v[child].pid, prog(t, child));
	if (phase != TASK_BIRTH_EARLY && t->plan->tasks[maker].kind == TASK_IS_LIVE)
		t->plan->tasks[child].maker = &t->plan->tasks[maker];
	if (phase == TASK_BIRTH)
		t->plan->tasks[maker].births++;
	if (phase == TASK_BIRTH_COW) {
		t->plan->tasks[child].copy_of = address_space(t, maker);
		t->plan->copies = true;
	}
}

/* Whether task i begins as a copy of a bare process: of a live task that has made itself one by then, or of one that was born so. */
static bool is_born_bare(const struct tree *t, size_t i)
{
	for (; i && !t->plan->tasks[i].copy_of; i = t->v[i].maker)
		if (t->v[i].born_in == TASK_BIRTH && t->plan->tasks[t->v[i].maker].kind == TASK_IS_LIVE)
			return !t->plan->tasks[t->v[i].maker].copy_of;
	return false;
}

/* A child dies with its parent until the controller holds it; if the parent is dead already, it goes no further. */
static void first_steps(const struct tree *t, size_t i)
{
	program_call(prog(t, i), TASK_BORN, "dies with its parent, for now", SYS_prctl, A(PR_SET_PDEATHSIG), A(SIGKILL));
	program_call_eq(prog(t, i), TASK_BORN, "its parent", t->v[t->v[i].parent].pid, SYS_getppid, A(0));
}

/*
 * Who shares pages or the whole address space with its parent is born of it when they are there. Then its own children
 * cannot be copies of a bare process: they are born late, too.
 */
static bool born_late(struct tree *t, size_t i)
{
	struct plan_task *pt = &t->plan->tasks[i];

	pt->cow = pt->kind == TASK_IS_LIVE && t->m->tasks[i].pages.ncow && !t->v[i].makes_early;
	return pt->cow || pt->vm_of || t->plan->tasks[t->v[i].parent].copy_of;
}

/* Sessions that decide when children are born, before any is planned. */
static void find_early(struct tree *t)
{
	for (size_t i = 1; i < t->n; i++) {
		const struct node *x = &t->v[i];
		size_t leader;

		if (x->sid == x->pid || x->sid == t->v[x->parent].sid)
			continue;
		t->v[x->parent].makes_early = true;
		leader = find(t, x->sid);
		if (leader != SIZE_MAX)
			t->v[leader].makes_early = true;
	}
}

/* Flags of clone3 for what the task has together with its parent. */
static uint64_t shared_flags(const struct tree *t, size_t i)
{
	const struct model_task *mt = &t->m->tasks[i];

	return (mt->files_owner != i ? CLONE_FILES : 0) | (mt->vm_owner != i ? CLONE_VM : 0) |
	       (mt->fs_owner != i ? CLONE_FS : 0) | (mt->sighand_shared ? CLONE_SIGHAND : 0);
}

/* Who makes task i, and when. */
static int plan_maker(struct tree *t, size_t i, struct err *err)
{
	struct node *x = &t->v[i], *parent = &t->v[x->parent];
	uint64_t flags = shared_flags(t, i);
	size_t maker = x->parent;
	int phase = TASK_BIRTH, ret;

	x->born_sid = parent->sid;
	if (x->sid != x->pid && x->sid != parent->sid) {
		if (parent->sid == parent->pid && x->sid == parent->born_sid) {
			phase = TASK_BIRTH_EARLY;
			x->born_sid = parent->born_sid;
		} else {
			maker = find(t, x->sid);
			if (maker == SIZE_MAX) {
				const struct node leader = { .pid = x->sid, .sid = x->sid, .pgid = x->sid, .own_pgid = x->sid,
							     .exit_signal = SIGCHLD };

				ret = helper(t, x->parent, &leader, &maker, err);
				if (ret)
					return ret;
				birth(t, x->parent, maker, TASK_BIRTH, 0);
				first_steps(t, maker);
			}
			if (t->v[maker].parent != x->parent || maker == 0 || t->v[maker].sid != x->sid)
				return refuse(t, i, err, "session", x->sid, "whose leader is neither above nor beside it");
			x->born_sid = x->sid;
		}
	}
	if (flags && (phase == TASK_BIRTH_EARLY || maker != x->parent))
		return refuse(t, i, err, "session", x->sid,
			      "and shares descriptors, memory or directories with its parent, which is in another");
	if (maker != x->parent && x->exit_signal != t->v[maker].exit_signal)
		return refuse(t, i, err, "session", x->sid, "and its end tells its parent by a signal of its own choice");
	if (maker == x->parent && phase == TASK_BIRTH && born_late(t, i))
		phase = TASK_BIRTH_COW;
	x->born_pgid = phase == TASK_BIRTH_EARLY ? t->v[maker].born_pgid : t->v[maker].own_pgid;
	x->own_pgid = x->pgid == x->pid ? x->pid : x->born_pgid;
	birth(t, maker, i, phase, flags);
	first_steps(t, i);
	return 0;
}

/* Groups that exist only once everybody is born. */
static int plan_join(struct tree *t, size_t i, struct err *err)
{
	const struct node *x = &t->v[i];
	size_t leader, maker = i;
	int ret;

	if (x->pgid == x->pid || x->group_inherited)
		return 0;
	leader = find(t, x->pgid);
	if (leader == SIZE_MAX) {
		const struct node node = { .pid = x->pgid, .sid = x->sid, .pgid = x->pgid, .exit_signal = SIGCHLD };

		/* A zombie could not wait for it. */
		if (t->plan->tasks[i].kind != TASK_IS_LIVE)
			maker = x->parent;
		if (t->v[maker].sid != x->sid)
			return refuse(t, i, err, "process group", x->pgid, "whose leader is dead and in another session");
		ret = helper(t, maker, &node, &leader, err);
		if (ret)
			return ret;
		birth(t, maker, leader, TASK_BIRTH, 0);
		first_steps(t, leader);
	}
	if (t->v[leader].sid != x->sid)
		return refuse(t, i, err, "process group", x->pgid, "which is in another session");
	if (x->pgid == x->own_pgid)
		return 0;
	program_call(prog(t, i), TASK_GROUPS, "joins its process group", SYS_setpgid, A(0), A((uint64_t)x->pgid));
	return 0;
}

static void barrier(const struct tree *t, size_t i, int phase, const char *note, size_t left, size_t gate)
{
	uint64_t words = t->plan->hole + region_code_len(), nobody = words + offsetof(struct shared_control, pad);

	/* One call that counts down and wakes; the controller, which sleeps on the counter, opens the gate at zero. The first word of
	 * such a call is one whose waiter wakes in any case, also when none is to be: nobody waits for that (futex_wake_op() in
	 * kernel/futex/waitwake.c). */
	program_call(prog(t, i), phase, note, SYS_futex, A(nobody), A(FUTEX_WAKE_OP), A(0), A(INT32_MAX),
		     A(words + left), A((uint32_t)FUTEX_OP(FUTEX_OP_ADD, -1 & 0xfff, FUTEX_OP_CMP_EQ, 1)));
	program_try(prog(t, i), phase, note, SYS_futex, A(words + gate), A(FUTEX_WAIT), A(0), A(0));
}

static void plan_barriers(const struct tree *t)
{
	for (size_t i = 0; i < t->n; i++) {
		barrier(t, i, TASK_ALL_BORN, "until all are born", offsetof(struct shared_control, born_left),
			offsetof(struct shared_control, born_gate));
		barrier(t, i, TASK_GROUPS, "until all are in their groups", offsetof(struct shared_control, grouped_left),
			offsetof(struct shared_control, grouped_gate));
	}
}

/* The end of a zombie: with the status that it had. Nothing of it is written to a core file, so that bit is lost. */
static void plan_death(const struct tree *t, size_t i)
{
	const TaskCoreEntry *tc = t->m->tasks[i].threads[0].core->tc;
	struct program *p = prog(t, i);
	uint64_t sig = tc->exit_code & 0x7f, none = 0;

	if (t->v[i].sid == t->v[i].pid)
		program_call(p, TASK_SESSION, "session leader", SYS_setsid, A(0));
	else if (t->v[i].pgid == t->v[i].pid)
		program_call(p, TASK_SESSION, "process group leader", SYS_setpgid, A(0), A(0));
	program_call(p, TASK_SESSION, "name", SYS_prctl, A(PR_SET_NAME), A_DATA(program_string(p, tc->comm)));
	dead_plan(tc, t->plan->lacks, p, TASK_REAP); /* in the end, because it takes what it takes to be somebody else */
	if (!sig) {
		program_try(p, TASK_REAP, "dies", SYS_exit_group, A(tc->exit_code >> 8 & 0xff));
		return;
	}
	program_call(p, TASK_REAP, "leaves no core file", SYS_prctl, A(PR_SET_DUMPABLE), A(0));
	if (sig != SIGKILL && sig != SIGSTOP)
		program_call(p, TASK_REAP, "dies of this signal", SYS_rt_sigaction, A(sig),
			     A_DATA(program_data(p, NULL, 32)), A(0), A(8));
	program_call(p, TASK_REAP, "dies", SYS_tgkill, A((uint64_t)t->v[i].pid), A((uint64_t)t->v[i].pid), A(sig));
	program_try(p, TASK_REAP, "dies", SYS_rt_sigprocmask, A(SIG_SETMASK), A_DATA(program_data(p, &none, 8)), A(0),
		    A(8));
	program_try(p, TASK_REAP, "a signal that does not kill", SYS_exit_group, A(sig));
}

/* A signal that told of one: those that were pending come from the images. */
static void forget_death(struct program *p, int sig)
{
	const uint64_t set = 1ull << (sig - 1);

	program_try(p, TASK_REAP, "signal of a death", SYS_rt_sigtimedwait, A_DATA(program_data(p, &set, 8)), A(0),
		    A_DATA(program_data(p, NULL, sizeof(struct timespec))), A(8));
}

/* What parents do about children that are to be dead. */
static void plan_deaths(const struct tree *t)
{
	cleanup_free bool *told = xzalloc(t->n);

	for (size_t i = 1; i < t->n; i++) {
		struct program *p = prog(t, t->v[i].parent), *self = prog(t, i);
		enum plan_task_kind kind = t->plan->tasks[i].kind;

		if (kind == TASK_IS_LIVE)
			continue;
		if (kind == TASK_IS_HELPER) {
			program_call(self, TASK_SESSION, "a leader that is dead", t->v[i].sid == t->v[i].pid ?
				     SYS_setsid : SYS_setpgid, A(0), A(0));
			program_try(self, TASK_REAP, "is needed no longer", SYS_exit_group, A(0));
			program_call_eq(p, TASK_REAP, "helper is gone", t->v[i].pid, SYS_wait4,
					A((uint64_t)t->v[i].pid), A(0), A(__WALL), A(0));
		} else {
			plan_death(t, i);
			program_call(p, TASK_REAP, "zombie is dead", SYS_waitid, A(P_PID), A((uint64_t)t->v[i].pid), A(0),
				     A(WEXITED | WNOWAIT | __WALL), A(0));
			if (t->v[i].exit_signal && t->v[i].exit_signal != SIGCHLD)
				forget_death(p, t->v[i].exit_signal);
		}
		if (told[t->v[i].parent])
			continue;
		told[t->v[i].parent] = true;
		/* Whoever ignores SIGCHLD has no zombies, and we may have been started like that. */
		program_call(p, TASK_BORN, "zombies stay", SYS_rt_sigaction, A(SIGCHLD), A_DATA(program_data(p, NULL, 32)),
			     A(0), A(8));
	}
	for (size_t i = 0; i < t->n; i++) {
		struct program *p = prog(t, i);

		if (told[i])
			forget_death(p, SIGCHLD);
	}
}

/* Sessions and groups of leaders that are neither alive nor dead here: the shell's, whose job the root is. */
static void inherit_outside(struct tree *t)
{
	const struct node *root = &t->v[0];

	for (size_t i = 0; i < t->n; i++)
		t->v[i].group_inherited = root->sid != root->pid && root->pgid != root->pid &&
					  t->v[i].sid == root->sid && t->v[i].pgid == root->pgid;
}

int plan_tree(const struct model *m, struct plan *plan, struct err *err)
{
	struct tree t = { .m = m, .plan = plan, .n = m->ntasks };
	cleanup_free struct node *v = xzalloc(PLAN_TASKS_MAX(m->ntasks) * sizeof(*v));
	cleanup_free size_t *order = xreallocarray(NULL, m->ntasks, sizeof(*order));
	int ret = 0;

	t.v = v;
	t.by_pid = order;
	for (size_t i = 0; i < m->ntasks; i++) {
		const PstreeEntry *e = m->tasks[i].pstree;

		v[i] = (struct node){ .pid = (pid_t)e->pid, .sid = (pid_t)e->sid, .pgid = (pid_t)e->pgid,
				      .parent = m->tasks[i].parent, .exit_signal = SIGCHLD };
		if (m->tasks[i].threads[0].core->tc->has_exit_signal)
			v[i].exit_signal = (int)m->tasks[i].threads[0].core->tc->exit_signal;
		/* Its parent gets it again, and blocks all that can be blocked. */
		if (m->tasks[i].zombie && (v[i].exit_signal == SIGKILL || v[i].exit_signal == SIGSTOP))
			v[i].exit_signal = 0;
		if (m->tasks[i].vm_owner != i)
			plan->tasks[i].vm_of = &plan->tasks[m->tasks[i].vm_owner];
		order[i] = i;
		if (e->sid == e->pid && e->pgid != e->pid)
			return err_image(err, "pstree.img: pid %u leads its session, but is in process group %u", e->pid,
					 e->pgid);
	}
	qsort_r(order, m->ntasks, sizeof(*order), by_pid, &t);
	if (v[0].sid != v[0].pid)
		v[0].born_sid = v[0].sid;
	v[0].own_pgid = v[0].pgid; /* which it joins as soon as it is there */
	inherit_outside(&t);
	find_early(&t);
	for (size_t i = 1; !ret && i < m->ntasks; i++)
		ret = plan_maker(&t, i, err);
	for (size_t i = 1; !ret && i < m->ntasks; i++)
		ret = plan_join(&t, i, err);
	for (size_t i = 0; i < t.n; i++) {
		plan->tasks[i].bare_born = is_born_bare(&t, i);
		plan->tasks[i].hole = plan->hole;
		plan->tasks[i].hole_len = plan->hole_len;
	}
	if (ret || t.n == 1)
		return ret;
	plan_deaths(&t);
	plan_barriers(&t);
	return 0;
}
