/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seccomp: strict mode, and filters, which form a chain from the oldest to the newest and are shared with threads and
 * children made later.
 *
 * While a thread runs our agent its filters are suspended (PTRACE_O_SUSPEND_SECCOMP), but only as long as we live. So
 * before the agent goes in, every call that it will make is put to the filters: where they would let all of them pass,
 * the agent finds its way out also without us. Where they would not, the task is refused, unless the user takes the
 * risk that a cr-dump killed in this very moment takes the task with it.
 *
 * Restored, filters come when all else is done, by calls that the tracer makes the thread execute. Installing them takes
 * no_new_privs or CAP_SYS_ADMIN: a thread that has neither keeps this capability until its filters stand.
 */
#include "common/task/seccomp.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common/task/bpf.h"
#include "common/task/task.h"

#define INSNS_MAX BPF_MAXINSNS
#define CHAIN_MAX 4096 /* the kernel's limit is on instructions: 32768, and 4 for each filter */
#define LOADABLE (SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW)

struct layer { struct sock_filter *insns; size_t n; uint32_t flags; };
struct seccomp_chain { struct layer *v; size_t n; }; /* oldest first */

/* What went into seccomp.img so far. */
struct seccomp_images {
	SeccompFilter **filters;
	size_t nfilters, cap;
	struct { const struct seccomp_chain *chain; bool tsync; uint32_t oldest; } *chains;
	size_t nchains, chains_cap;
};

/* ---- dump: looking from outside ---- */

static bool same_layer(const struct layer *a, const struct layer *b)
{
	return a->n == b->n && a->flags == b->flags && !memcmp(a->insns, b->insns, a->n * sizeof(*a->insns));
}

static bool same_chain(const struct seccomp_chain *a, const struct seccomp_chain *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_layer(&a->v[i], &b->v[i]))
			return false;
	return true;
}

static int trace_error(struct err *err, pid_t tid, const char *what)
{
	int errnum = errno, ret = err_sys(err, "cannot %s of thread %d", what, tid);

	if (errnum == EPERM || errnum == EACCES)
		return err_hint(err, ret, "it takes CAP_SYS_ADMIN, and a cr-dump without a seccomp filter of its own");
	return ret;
}

/* One filter; 0 when there are no more, 1 when there was one. */
static int read_layer(struct dump *d, pid_t tid, uint64_t i, struct layer *l, struct err *err)
{
	struct __ptrace_seccomp_metadata md = { .filter_off = i };
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, NULL);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0 && errno == EMEDIUMTYPE)
		return err_refuse(err, "thread %d has a seccomp filter that is no classic BPF", tid);
	if (n <= 0 || n > INSNS_MAX)
		return trace_error(err, tid, "read the seccomp filters");
	l->n = (size_t)n;
	l->insns = arena_alloc(d->arena, l->n * sizeof(*l->insns));
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid, i, l->insns) != n ||
	    ptrace(PTRACE_SECCOMP_GET_METADATA, tid, sizeof(md), &md) < 0)
		return trace_error(err, tid, "read the seccomp filters");
	l->flags = (uint32_t)md.flags;
	if (bpf_may_return(l->insns, l->n, SECCOMP_RET_USER_NOTIF))
		return err_refuse(err, "thread %d has a seccomp filter with a listener (SECCOMP_RET_USER_NOTIF)", tid);
	return 1;
}

static int read_chain(struct dump *d, pid_t tid, struct seccomp_chain **out, struct err *err)
{
	struct layer v[64];
	struct seccomp_chain *c = arena_alloc(d->arena, sizeof(*c));
	int ret = 1;

	while (c->n < ARRAY_SIZE(v) && (ret = read_layer(d, tid, c->n, &v[c->n], err)) > 0)
		c->n++;
	if (ret < 0)
		return ret;
	if (ret)
		return err_refuse(err, "thread %d has more than %zu seccomp filters", tid, ARRAY_SIZE(v));
	c->v = arena_dup(d->arena, v, c->n * sizeof(*v));
	*out = c;
	return 0;
}

static bool passes(const struct dump_thread *t, const struct bpf_call *call, bool tidies)
{
	if (t->status.seccomp == SECCOMP_MODE_STRICT)
		return false;
	for (size_t i = 0; i < t->seccomp->n; i++) {
		uint32_t r = bpf_strictest(t->seccomp->v[i].insns, t->seccomp->v[i].n, call);

		r &= SECCOMP_RET_ACTION_FULL;
		/* A question that is answered by an errno, or by no tracer, is a question without answer and no more. */
		if (r == SECCOMP_RET_ALLOW || r == SECCOMP_RET_LOG ||
		    (!tidies && (r == SECCOMP_RET_ERRNO || r == SECCOMP_RET_TRACE)))
			continue;
		return false;
	}
	return true;
}

/* Of a thread that was only frozen. Below a filter that cannot be read its sleeps begin anew, too: the dump is refused for it later. */
static int spare_restart(struct dump *d, struct frozen_thread *frozen, struct err *err)
{
	const struct bpf_call call = { .nr = SYS_restart_syscall, .arch = ARCH_AUDIT };
	struct dump_thread t = { .frozen = frozen, .status.seccomp = SECCOMP_MODE_FILTER };
	struct arch_regs again = frozen->regs;
	struct err ignore = ERR_INIT;
	char path[THREAD_PATH_MAX];
	int ret;

	if (frozen->dead || !arch_restart_whole(&again))
		return 0;
	/* Without a filter there is not even a first one (kernel/seccomp.c, get_nth_filter()). */
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, frozen->tid, 0, NULL) < 0) {
		if (errno == EINVAL)
			return 0;
		dump_thread_path(d->task, frozen->tid, "status", path);
		if (!proc_status(d->task->proc_fd, path, d->arena, &t.status, &ignore) && t.status.seccomp != SECCOMP_MODE_FILTER)
			return 0;
	}
	if (!read_chain(d, frozen->tid, &t.seccomp, &ignore) && passes(&t, &call, true))
		return 0;
	log_info(d->log, "thread %d: its seccomp filter forbids restart_syscall: it sleeps its whole time again", frozen->tid);
	frozen->regs = again;
	ret = arch_set_regs(frozen->tid, &again);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot set the registers of thread %d", frozen->tid) : 0;
}

int seccomp_spare(struct dump *d, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < d->task->fz.nthreads && !ret; i++)
		ret = spare_restart(d, &d->task->fz.threads[i], err);
	return ret;
}

/* Threads with the same filters have one chain: that of the first. */
static int look_at_chain(struct dump *d, struct dump_thread *t, struct err *err)
{
	const struct dump_thread *first = &d->task->threads[d->task->fz.speaker];
	int ret;

	if (t != first && t->alike & ALIKE_STATUS) {
		t->seccomp = first->seccomp;
		return 0;
	}
	ret = read_chain(d, t->frozen->tid, &t->seccomp, err);
	if (ret < 0)
		return ret;
	if (t->seccomp != first->seccomp && same_chain(first->seccomp, t->seccomp))
		t->seccomp = first->seccomp;
	return 0;
}

int seccomp_look(struct dump *d, struct dump_thread *t, struct err *err)
{
	pid_t tid = t->frozen->tid;
	int ret = 0;

	if (!t->status.seccomp)
		return 0;
	if (t->status.seccomp == SECCOMP_MODE_FILTER)
		ret = look_at_chain(d, t, err);
	else if (t->status.seccomp != SECCOMP_MODE_STRICT)
		ret = err_refuse(err, "thread %d is in seccomp mode %d", tid, t->status.seccomp);
	if (ret < 0)
		return ret;
	t->frozen->options |= PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SETOPTIONS, tid, 0, (void *)(uintptr_t)t->frozen->options) < 0)
		return trace_error(err, tid, "suspend the seccomp filters");
	return 0;
}

/* ---- dump: would the agent's calls pass? ---- */

/* The ways in and out (common/remote/remote.c, agent.S). tidies: a refusal by errno would leave something behind. */
static const struct own_call { long nr; bool tidies; } own_calls[] = {
	{ SYS_mmap, true }, { SYS_munmap, true }, { SYS_rt_sigprocmask, true }, { SYS_futex, true },
	{ SYS_getpid, true }, { SYS_gettid, true }, { SYS_tgkill, true },
};

static int check_call(const struct dump *d, const struct dump_thread *t, const struct bpf_call *call, bool tidies,
		      const char *what, struct err *err)
{
	if (passes(t, call, tidies))
		return 0;
	if (d->opts->suspend_seccomp) {
		log_info(d->log, "thread %d: its seccomp %s forbids %s: should cr-dump be killed now, so is the task",
			 t->frozen->tid, t->status.seccomp == SECCOMP_MODE_STRICT ? "strict mode" : "filter", what);
		return 1;
	}
	return err_hint(err,
			err_refuse(err, "thread %d has a seccomp %s that forbids what the dump asks inside of it (%s)",
				   t->frozen->tid,
				   t->status.seccomp == SECCOMP_MODE_STRICT ? "strict mode" : "filter", what),
			"--suspend-seccomp dumps it all the same; only if cr-dump is killed within the same moment, the"
			" filter kills the task");
}

static int check_program(const struct dump *d, const struct dump_thread *t, const struct program *prog, struct err *err)
{
	char what[64];
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own_calls) && !ret; i++) {
		const struct bpf_call call = { .nr = (uint32_t)own_calls[i].nr, .arch = ARCH_AUDIT };

		snprintf(what, sizeof(what), "system call %ld", own_calls[i].nr);
		ret = check_call(d, t, &call, own_calls[i].tidies, what, err);
	}
	for (size_t i = 0; i < program_steps(prog) && !ret; i++) {
		const struct arg *args = program_args(prog, i);
		struct bpf_call call = { .nr = (uint32_t)program_nr(prog, i), .arch = ARCH_AUDIT };

		for (unsigned a = 0; a < 6; a++)
			if (args[a].kind == ARG_CONST) {
				call.arg[a] = args[a].v;
				call.args_known |= 1u << a;
			}
		snprintf(what, sizeof(what), "system call %ld, %s", program_nr(prog, i), program_note(prog, i));
		ret = check_call(d, t, &call, false, what, err);
	}
	return ret < 0 ? ret : 0;
}

/* These kinds stand last in the table: the program holds the questions of all others. */
static int ask_task(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	const struct dump_thread *t = d->task->threads;

	return t->status.seccomp ? check_program(d, t, prog, err) : 0;
}

static int ask_thread(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	const struct dump_thread *t = d->task->threads, *checked = NULL;
	int ret = 0;

	for (size_t i = 0; i < d->task->nthreads && !ret; i++, t++) {
		if (!t->status.seccomp || (checked && t->seccomp && checked->seccomp == t->seccomp))
			continue;
		ret = check_program(d, t, prog, err);
		checked = t;
	}
	return ret;
}

/* ---- dump: images ---- */

/* All threads below the same filters: the format says it once, with the leader and SECCOMP_FILTER_FLAG_TSYNC. */
static bool all_alike(const struct dump_task *task)
{
	for (size_t i = 1; i < task->nthreads; i++)
		if (task->threads[i].seccomp != task->threads[0].seccomp ||
		    task->threads[i].status.seccomp != task->threads[0].status.seccomp ||
		    task->threads[i].status.no_new_privs != task->threads[0].status.no_new_privs)
			return false;
	return task->nthreads > 1;
}

/* Index of the oldest filter of the chain; in the image the newest comes first, and `prev` leads to what came later. */
static uint32_t put_chain(struct dump *d, const struct seccomp_chain *c, bool tsync)
{
	struct seccomp_images *im = d->seccomp;
	size_t base;

	if (!im)
		im = d->seccomp = arena_alloc(d->arena, sizeof(*im));
	for (size_t i = 0; i < im->nchains; i++)
		if (im->chains[i].tsync == tsync && same_chain(im->chains[i].chain, c))
			return im->chains[i].oldest;
	base = im->nfilters;
	for (size_t i = 0; i < c->n; i++) {
		const struct layer *l = &c->v[c->n - 1 - i];
		SeccompFilter *f = arena_msg(d->arena, SeccompFilter, seccomp_filter__init);

		f->filter.len = l->n * sizeof(*l->insns);
		f->filter.data = (uint8_t *)l->insns;
		f->has_flags = l->flags || tsync;
		f->flags = l->flags | (tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0);
		f->has_prev = i > 0;
		f->prev = (uint32_t)(base + i - 1);
		array_reserve(&im->filters, &im->cap, im->nfilters, sizeof(*im->filters));
		im->filters[im->nfilters++] = f;
	}
	array_reserve(&im->chains, &im->chains_cap, im->nchains, sizeof(*im->chains));
	im->chains[im->nchains].chain = c;
	im->chains[im->nchains].tsync = tsync;
	im->chains[im->nchains].oldest = (uint32_t)(im->nfilters - 1);
	return im->chains[im->nchains++].oldest;
}

static int dump_seccomp(struct dump *d, struct dump_thread *t, const struct program *prog, const void *slot,
			struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, t);
	bool alike = t->seccomp && all_alike(d->task);

	if (!t->status.seccomp || (alike && t != d->task->threads))
		return 0;
	tcore->has_seccomp_mode = true;
	tcore->seccomp_mode = (SeccompMode)t->status.seccomp;
	if (t->seccomp && t->seccomp->n) {
		tcore->has_seccomp_filter = true;
		tcore->seccomp_filter = put_chain(d, t->seccomp, alike);
	}
	return 0;
}

void seccomp_put_thread(struct dump *d, struct dump_thread *t)
{
	struct err ignore = ERR_INIT;

	dump_seccomp(d, t, NULL, NULL, &ignore);
}

void seccomp_put(struct dump *d)
{
	SeccompEntry e = SECCOMP_ENTRY__INIT;

	if (d->seccomp) {
		e.n_seccomp_filters = d->seccomp->nfilters;
		e.seccomp_filters = d->seccomp->filters;
	}
	image_store_put(d->store, IMG_SECCOMP, 0, &e.base);
}

void seccomp_images_free(struct dump *d)
{
	if (!d->seccomp)
		return;
	free(d->seccomp->filters);
	free(d->seccomp->chains);
	d->seccomp = NULL;
}

/* ---- restore ---- */

static bool is_strict(const ThreadCoreEntry *c)
{
	return c->has_seccomp_mode && c->seccomp_mode == SECCOMP_MODE__strict;
}

static bool is_filtered(const ThreadCoreEntry *c)
{
	return c->has_seccomp_mode && c->seccomp_mode == SECCOMP_MODE__filter && c->has_seccomp_filter;
}

int seccomp_verify(const struct model *m, const ThreadCoreEntry *c, const char **why)
{
	const SeccompEntry *s = m->seccomp;
	uint32_t at = c->seccomp_filter;

	*why = NULL;
	if (c->has_seccomp_mode && (unsigned)c->seccomp_mode > SECCOMP_MODE_FILTER)
		*why = "its seccomp mode is not known";
	else if (c->has_seccomp_mode && c->seccomp_mode == SECCOMP_MODE__filter && !c->has_seccomp_filter)
		*why = "its seccomp filter is not given";
	if (*why || !is_filtered(c))
		return *why ? -EINVAL : 0;
	for (size_t n = 0;; n++) {
		const SeccompFilter *f = s && at < s->n_seccomp_filters ? s->seccomp_filters[at] : NULL;

		if (!f)
			*why = "its seccomp filter is not in seccomp.img";
		else if (!f->filter.len || f->filter.len % sizeof(struct sock_filter) ||
			 f->filter.len / sizeof(struct sock_filter) > INSNS_MAX)
			*why = "its seccomp filter has a length that no filter has";
		else if (f->has_flags && f->flags & ~(uint32_t)LOADABLE)
			*why = "its seccomp filter has flags that no filter keeps";
		else if (n > CHAIN_MAX)
			*why = "its seccomp filters have no end";
		if (*why)
			return -EINVAL;
		if (!f->has_prev)
			return 0;
		at = f->prev;
	}
}

static const SeccompFilter *next_of(const struct model *m, const SeccompFilter *f)
{
	return f->has_prev ? m->seccomp->seccomp_filters[f->prev] : NULL;
}

static const SeccompFilter *oldest_of(const struct model *m, const ThreadCoreEntry *c)
{
	return is_filtered(c) ? m->seccomp->seccomp_filters[c->seccomp_filter] : NULL;
}

static bool same_filter(const SeccompFilter *a, const SeccompFilter *b)
{
	return a->filter.len == b->filter.len && !memcmp(a->filter.data, b->filter.data, a->filter.len) &&
	       (a->flags & SECCOMP_FILTER_FLAG_LOG) == (b->flags & SECCOMP_FILTER_FLAG_LOG);
}

static bool no_new_privs(const struct model_thread *t)
{
	const CredsEntry *c = t->core->thread_core->creds;

	return c && c->has_no_new_privs && c->no_new_privs;
}

/*
 * How many filters, from the oldest on, the leader installs for all threads at once. The format's way: it is flagged, and
 * the others name none. Ours: all threads begin with the same ones, as threads do whose maker had them; shared like
 * that they also count as ancestors when one of the threads synchronises later (kernel/seccomp.c, is_ancestor()).
 */
static size_t common_layers(const struct model *m, const struct model_task *task)
{
	const SeccompFilter *f = oldest_of(m, task->threads[0].core->thread_core);
	bool others = false;
	size_t n = 0, common = SIZE_MAX;

	for (size_t i = 1; i < task->nthreads; i++) {
		const ThreadCoreEntry *c = task->threads[i].core->thread_core;

		others |= is_filtered(c) || is_strict(c);
	}
	if (!others) {
		for (; f && f->has_flags && f->flags & SECCOMP_FILTER_FLAG_TSYNC; f = next_of(m, f))
			n++;
		return task->nthreads > 1 ? n : 0;
	}
	for (size_t i = 1; i < task->nthreads; i++) {
		const SeccompFilter *a = f, *b = oldest_of(m, task->threads[i].core->thread_core);

		if (no_new_privs(&task->threads[i]) != no_new_privs(&task->threads[0]))
			return 0;
		for (n = 0; a && b && same_filter(a, b); a = next_of(m, a), b = next_of(m, b))
			n++;
		common = MIN(common, n);
	}
	return common;
}

bool seccomp_takes_admin(const struct model *m, const struct model_task *task, const struct model_thread *thread)
{
	const CredsEntry *c = thread->core->thread_core->creds;

	return is_filtered(thread->core->thread_core) && c && !no_new_privs(thread) &&
	       !(task_caps(c->n_cap_eff, c->cap_eff) >> CAP_SYS_ADMIN & 1);
}

static void plan_filter(struct program *prog, const SeccompFilter *f, bool tsync)
{
	struct data_ref insns = program_data(prog, f->filter.data, f->filter.len);
	struct sock_fprog fprog = { .len = (unsigned short)(f->filter.len / sizeof(struct sock_filter)) };
	struct data_ref data = program_data(prog, &fprog, sizeof(fprog));
	uint32_t flags = f->has_flags ? f->flags & SECCOMP_FILTER_FLAG_LOG : 0;

	program_data_pointer(prog, data, offsetof(struct sock_fprog, filter), insns, 0);
	/* Mitigations are switches of their own, which loading a filter must not change. */
	flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW | (tsync ? SECCOMP_FILTER_FLAG_TSYNC : 0);
	program_call_eq(prog, 0, tsync ? "seccomp filter of all threads" : "seccomp filter", 0, SYS_seccomp,
			A(SECCOMP_SET_MODE_FILTER), A(flags), A_DATA(data));
}

static int plan_seccomp(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *c = thread->core->thread_core;
	size_t common, i = 0;

	if (!is_strict(c) && !is_filtered(c))
		return 0;
	pt->seccomp = true;
	for (size_t k = 0; k < pt->nthreads; k++) /* the leader's may bring all threads below filters */
		if (!pt->threads[k].late)
			pt->threads[k].late = program_new();
	if (is_strict(c)) {
		program_call(pth->late, 0, "seccomp strict mode", SYS_prctl, A(PR_SET_SECCOMP), A(SECCOMP_MODE_STRICT),
			     A(0), A(0), A(0));
		return 0;
	}
	common = common_layers(m, task);
	for (const SeccompFilter *f = oldest_of(m, c); f; f = next_of(m, f), i++) {
		if (i >= common)
			plan_filter(pth->late, f, false);
		else if (thread == &task->threads[0])
			plan_filter(pth->late, f, true);
	}
	if (seccomp_takes_admin(m, task, thread))
		task_creds_plan_capset(pth->late, 0, c->creds);
	return 0;
}

const struct state_kind seccomp_task_kind = {
	.name = "seccomp",
	.scope = SCOPE_TASK,
	.ask = ask_task,
};

const struct state_kind seccomp_kind = {
	.name = "seccomp",
	.scope = SCOPE_THREAD,
	.ask = ask_thread,
	.told = told_nothing,
	.dump = dump_seccomp,
	.plan = plan_seccomp,
};
