/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Credentials of a thread: ids, groups, five capability sets, securebits, no_new_privs.
 *
 * The order of restoring follows from what each call needs and what it destroys (kernel/sys.c, security/commoncap.c):
 *   1. securebits that keep capabilities through changes of ids
 *   2. groups, then group ids, then user ids: none needs what a later one takes away
 *   3. capset to the final sets plus CAP_SETPCAP, while the bounding set still allows every inheritable bit
 *   4. ambient set (needs permitted and inheritable), then the bounding set, then the final securebits
 *   5. capset to the final sets, and no_new_privs, after which nothing can be gained any more
 *
 * A thread is born with what its leader has. So where all are alike, the leader changes its groups and group ids before it makes them;
 * and all of it, when what remains is enough for making and placing them. User ids are not changed earlier than that: RLIMIT_NPROC
 * counts processes of a user, and spares who has CAP_SYS_ADMIN (kernel/fork.c, copy_process()).
 */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/syscall.h>

#include "common/task/seccomp.h"
#include "common/task/task.h"

#define SETPCAP_BIT (1ull << CAP_SETPCAP)
#define ADMIN_BIT (1ull << CAP_SYS_ADMIN)
#define KNOWN_CAPS ((2ull << CAP_LAST_CAP) - 1)
#define NCAPS 64
/* What it takes to make threads with their numbers (clone3, set_tid), and to give them their priorities. */
#define MAKER_CAPS (1ull << CAP_CHECKPOINT_RESTORE | 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_NICE)

#define NAMED_CAPS 4 /* of those that are missing: more are no news */

struct creds_slot { struct step_ref securebits; };

static int ask_creds(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct creds_slot *s = slot;

	s->securebits = program_call(prog, 0, "securebits", SYS_prctl, A(PR_GET_SECUREBITS));
	return 0;
}

/* kernel/sys.c and security/commoncap.c, PR_GET_SECUREBITS: a number of the credentials. */
static struct told_rule creds_told(const void *slot)
{
	return (struct told_rule){ .same = TOLD(CRED) };
}

static void put_caps(struct arena *arena, uint64_t caps, size_t *n, uint32_t **out)
{
	uint32_t words[2] = { (uint32_t)caps, (uint32_t)(caps >> 32) };

	*n = 2;
	*out = arena_dup(arena, words, sizeof(words));
}

static int dump_creds(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	const struct creds_slot *s = slot;
	const struct proc_status *st = &thread->status;
	CredsEntry *c = arena_msg(d->arena, CredsEntry, creds_entry__init);

	c->uid = st->uid[0], c->euid = st->uid[1], c->suid = st->uid[2], c->fsuid = st->uid[3];
	c->gid = st->gid[0], c->egid = st->gid[1], c->sgid = st->gid[2], c->fsgid = st->gid[3];
	c->n_groups = st->ngroups;
	c->groups = arena_dup(d->arena, st->groups, st->ngroups * sizeof(*st->groups));
	put_caps(d->arena, st->cap_inh, &c->n_cap_inh, &c->cap_inh);
	put_caps(d->arena, st->cap_prm, &c->n_cap_prm, &c->cap_prm);
	put_caps(d->arena, st->cap_eff, &c->n_cap_eff, &c->cap_eff);
	put_caps(d->arena, st->cap_bnd, &c->n_cap_bnd, &c->cap_bnd);
	put_caps(d->arena, st->cap_amb, &c->n_cap_amb, &c->cap_amb);
	c->secbits = (uint32_t)program_result(prog, s->securebits);
	if (st->no_new_privs) {
		c->has_no_new_privs = true;
		c->no_new_privs = 1;
	}
	task_thread_core(d, thread)->creds = c;
	return 0;
}

static int check_creds(const CredsEntry *c, pid_t tid, struct err *err)
{
	if (c->n_cap_inh != 2 || c->n_cap_prm != 2 || c->n_cap_eff != 2 || c->n_cap_bnd != 2 ||
	    (c->n_cap_amb && c->n_cap_amb != 2))
		return err_image(err, "thread %d: a capability set is not of two words", tid);
	if (c->n_groups > PROC_GROUPS_MAX)
		return err_image(err, "thread %d: %zu supplementary groups", tid, c->n_groups);
	if ((c->lsm_profile && c->lsm_profile[0]) || (c->lsm_sockcreate && c->lsm_sockcreate[0]))
		return err_refuse(err, "thread %d has the security label %s", tid,
				  c->lsm_profile ? c->lsm_profile : c->lsm_sockcreate);
	return 0;
}

static bool same_caps(size_t n, const uint32_t *v, size_t m, const uint32_t *w)
{
	return task_caps(n, v) == task_caps(m, w);
}

static bool alike(const CredsEntry *a, const CredsEntry *b)
{
	return a->uid == b->uid && a->euid == b->euid && a->suid == b->suid && a->fsuid == b->fsuid && a->gid == b->gid &&
	       a->egid == b->egid && a->sgid == b->sgid && a->fsgid == b->fsgid && a->secbits == b->secbits &&
	       same_caps(a->n_cap_inh, a->cap_inh, b->n_cap_inh, b->cap_inh) &&
	       same_caps(a->n_cap_prm, a->cap_prm, b->n_cap_prm, b->cap_prm) &&
	       same_caps(a->n_cap_eff, a->cap_eff, b->n_cap_eff, b->cap_eff) &&
	       same_caps(a->n_cap_bnd, a->cap_bnd, b->n_cap_bnd, b->cap_bnd) &&
	       same_caps(a->n_cap_amb, a->cap_amb, b->n_cap_amb, b->cap_amb) &&
	       (a->has_no_new_privs && a->no_new_privs) == (b->has_no_new_privs && b->no_new_privs) && a->n_groups == b->n_groups &&
	       (!a->n_groups || !memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)));
}

static enum creds_shared shared_creds(const struct model_task *task)
{
	const CredsEntry *c = task->threads[0].core->thread_core->creds;

	if (task->nthreads == 1)
		return CREDS_OWN;
	for (size_t k = 1; k < task->nthreads; k++) {
		const CredsEntry *other = task->threads[k].core->thread_core->creds;

		if (!other || !alike(c, other))
			return CREDS_OWN;
	}
	return MAKER_CAPS & ~task_caps(c->n_cap_eff, c->cap_eff) ? CREDS_GROUPS : CREDS_ALL;
}

static void plan_groups(struct program *prog, int phase, const CredsEntry *c, uint64_t lacks)
{
	struct data_ref groups = program_data(prog, c->groups, c->n_groups * sizeof(*c->groups));

	if (!(lacks >> CAP_SETGID & 1))
		program_call(prog, phase, "groups", SYS_setgroups, A(c->n_groups), A_DATA(groups));
	program_call(prog, phase, "group ids", SYS_setresgid, A(c->gid), A(c->egid), A(c->sgid));
	if (c->fsgid != c->egid) {
		program_try(prog, phase, "filesystem group id", SYS_setfsgid, A(c->fsgid));
		/* The call cannot fail and tells the value before: asked again, it must be ours. */
		program_call_eq(prog, phase, "filesystem group id", c->fsgid, SYS_setfsgid, A(c->fsgid));
	}
}

static void plan_users(struct program *prog, int phase, const CredsEntry *c)
{
	program_call(prog, phase, "user ids", SYS_setresuid, A(c->uid), A(c->euid), A(c->suid));
	if (c->fsuid != c->euid) {
		program_try(prog, phase, "filesystem user id", SYS_setfsuid, A(c->fsuid));
		program_call_eq(prog, phase, "filesystem user id", c->fsuid, SYS_setfsuid, A(c->fsuid));
	}
}

static void plan_capset(struct program *prog, int phase, uint64_t eff, uint64_t prm, uint64_t inh)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)eff, (uint32_t)prm, (uint32_t)inh },
		{ (uint32_t)(eff >> 32), (uint32_t)(prm >> 32), (uint32_t)(inh >> 32) },
	};
	struct data_ref h = program_data(prog, &header, sizeof(header)), v = program_data(prog, data, sizeof(data));

	program_call(prog, phase, "capabilities", SYS_capset, A_DATA(h), A_DATA(v));
}

void task_creds_plan_capset(struct program *prog, int phase, const CredsEntry *c)
{
	plan_capset(prog, phase, task_caps(c->n_cap_eff, c->cap_eff) & KNOWN_CAPS,
		    task_caps(c->n_cap_prm, c->cap_prm) & KNOWN_CAPS, task_caps(c->n_cap_inh, c->cap_inh) & KNOWN_CAPS);
}

/*
 * The bounding set of a thread is its leader's when it is made: what no thread has, the leader drops once, when all its children exist.
 * Newer kernels have capabilities that the image's did not: those are taken away too, where they exist. Not what somebody may
 * inherit: capset() grants that from the bounding set only (security/commoncap.c, cap_capset()).
 */
static void plan_common_bounds(const struct model_task *task, struct plan_task *pt, struct program *prog)
{
	uint64_t keep = ~((2ull << (CAP_LAST_CAP + 7)) - 1);

	for (size_t k = 0; k < task->nthreads; k++) {
		const CredsEntry *c = task->threads[k].core->thread_core->creds;

		if (c)
			keep |= task_caps(c->n_cap_bnd, c->cap_bnd) | task_caps(c->n_cap_inh, c->cap_inh);
	}
	pt->caps_dropped = ~keep;
	for (unsigned i = 0; i < CAP_LAST_CAP + 8; i++)
		if (pt->caps_dropped >> i & 1)
			program_add(prog, TASK_LIMITS, "bounding set", i > CAP_LAST_CAP ? EXPECT_ANY : EXPECT_OK, 0, SYS_prctl,
				    PROGRAM_ARGS(A(PR_CAPBSET_DROP), A(i)));
}

/* Without CAP_SETPCAP bounding set and securebits are what they must be already: preflight has seen to it. */
static void plan_caps(struct program *prog, int phase, const CredsEntry *c, uint64_t dropped, bool setpcap, bool admin)
{
	const uint64_t known = KNOWN_CAPS, kept = admin ? ADMIN_BIT : 0;
	uint64_t prm = task_caps(c->n_cap_prm, c->cap_prm) & known, eff = task_caps(c->n_cap_eff, c->cap_eff) & known;
	uint64_t inh = task_caps(c->n_cap_inh, c->cap_inh) & known, bnd = task_caps(c->n_cap_bnd, c->cap_bnd) | dropped;
	uint64_t amb = task_caps(c->n_cap_amb, c->cap_amb) & known;

	if (amb || inh & ~bnd)
		plan_capset(prog, phase, prm | kept | (setpcap ? SETPCAP_BIT : 0), prm | kept | (setpcap ? SETPCAP_BIT : 0), inh);
	for (unsigned i = 0; i < NCAPS; i++)
		if (amb >> i & 1)
			program_call(prog, phase, "ambient capability", SYS_prctl, A(PR_CAP_AMBIENT),
				     A(PR_CAP_AMBIENT_RAISE), A(i), A(0), A(0));
	for (unsigned i = 0; setpcap && i <= CAP_LAST_CAP; i++)
		if (!(bnd >> i & 1))
			program_call(prog, phase, "bounding set", SYS_prctl, A(PR_CAPBSET_DROP), A(i));
	for (unsigned i = CAP_LAST_CAP + 1; setpcap && i < CAP_LAST_CAP + 8; i++)
		if (!(bnd >> i & 1))
			program_try(prog, phase, "bounding set", SYS_prctl, A(PR_CAPBSET_DROP), A(i));
	if (setpcap)
		program_call(prog, phase, "securebits", SYS_prctl, A(PR_SET_SECUREBITS), A(c->secbits));
	plan_capset(prog, phase, eff | kept, prm | kept, inh);
}

static int plan_creds(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const CredsEntry *c = thread->core->thread_core->creds;
	const bool leader = thread == &task->threads[0];
	int groups, rest;
	bool setpcap;
	int ret;

	if (!c)
		return err_image(err, "core-%d.img has no credentials", thread->tid);
	ret = check_creds(c, pth->tid, err);
	if (ret)
		return ret;
	setpcap = !(plan->lacks & SETPCAP_BIT);
	if (setpcap && leader)
		plan_common_bounds(task, pt, pth->prog);
	if (setpcap && leader)
		pt->creds = shared_creds(task);
	if (!leader && pt->creds == CREDS_ALL)
		return 0;
	groups = leader && pt->creds != CREDS_OWN ? TASK_THREADS : THREAD_CREDS;
	rest = leader && pt->creds == CREDS_ALL ? TASK_THREADS : THREAD_CREDS;
	if (leader || pt->creds == CREDS_OWN) {
		if (setpcap)
			program_call(pth->prog, groups, "keep capabilities while ids change", SYS_prctl,
				     A(PR_SET_SECUREBITS), A(SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP));
		program_call(pth->prog, groups, "ambient capabilities", SYS_prctl, A(PR_CAP_AMBIENT),
			     A(PR_CAP_AMBIENT_CLEAR_ALL), A(0), A(0), A(0));
		plan_groups(pth->prog, groups, c, plan->lacks);
	}
	plan_users(pth->prog, rest, c);
	/* Its filters come when all else is done; until then it keeps what installing them takes. */
	plan_caps(pth->prog, rest, c, pt->caps_dropped, setpcap, seccomp_takes_admin(m, task, thread));
	if (c->has_no_new_privs && c->no_new_privs)
		program_call(pth->prog, rest, "no_new_privs", SYS_prctl, A(PR_SET_NO_NEW_PRIVS), A(1), A(0), A(0), A(0));
	return 0;
}

static bool has_id(const uint32_t own[4], uint32_t id)
{
	return id == own[0] || id == own[1] || id == own[2];
}

static bool same_groups(const CredsEntry *c, const struct proc_status *own)
{
	return c->n_groups == own->ngroups &&
	       (!c->n_groups || !memcmp(c->groups, own->groups, c->n_groups * sizeof(*c->groups)));
}

/* kernel/sys.c and security/commoncap.c: to become what one is already takes nothing. */
uint64_t task_creds_privileges(const CredsEntry *c, const struct task_own *own)
{
	uint64_t prm = task_caps(c->n_cap_prm, c->cap_prm) & own->known_caps;
	uint64_t inh = task_caps(c->n_cap_inh, c->cap_inh) & own->known_caps;
	uint64_t bnd = task_caps(c->n_cap_bnd, c->cap_bnd) & own->known_caps;
	const uint32_t *uid = own->st.uid, *gid = own->st.gid;
	uint64_t need = prm & ~own->st.cap_prm;

	if (!has_id(uid, c->uid) || !has_id(uid, c->euid) || !has_id(uid, c->suid) || !has_id(uid, c->fsuid))
		need |= 1ull << CAP_SETUID;
	if (!has_id(gid, c->gid) || !has_id(gid, c->egid) || !has_id(gid, c->sgid) || !has_id(gid, c->fsgid) ||
	    !same_groups(c, &own->st))
		need |= 1ull << CAP_SETGID;
	if (c->secbits != own->securebits || (own->st.cap_bnd & ~bnd) || (inh & ~(own->st.cap_inh | own->st.cap_prm)))
		need |= SETPCAP_BIT;
	return need;
}

bool task_creds_preflight(const ThreadCoreEntry *tcore, pid_t tid, const struct task_own *own,
			  const struct task_report *report)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	unsigned more = 0;
	char object[32];
	const CredsEntry *c = tcore->creds;
	uint64_t missing = c ? task_caps(c->n_cap_bnd, c->cap_bnd) & own->known_caps & ~own->st.cap_bnd : 0;

	if (!missing)
		return false;
	snprintf(object, sizeof(object), "thread %d", tid);
	strbuf_puts(&line, "its bounding set has");
	for (int i = 0, n = 0; i < NCAPS; i++) {
		char *name = missing >> i & 1 ? cap_to_name(i) : NULL;

		if (name && n++ < NAMED_CAPS)
			strbuf_printf(&line, " %s", name);
		else
			more += name != NULL;
		cap_free(name);
	}
	if (more)
		strbuf_printf(&line, " and %u more", more);
	strbuf_puts(&line, ", which ours has lost: start cr-restore with a full bounding set (capsh --print shows it)");
	report->line(report->ctx, object, line.s);
	return true;
}

const struct state_kind creds_kind = {
	.name = "credentials",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct creds_slot),
	.ask = ask_creds,
	.told = creds_told,
	.dump = dump_creds,
	.plan = plan_creds,
};
