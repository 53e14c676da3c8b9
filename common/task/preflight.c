/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host must allow so that tasks come back as they were. Asked before any process exists; all findings
 * are reported. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/task/dead.h"
#include "common/task/task.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66 /* include/uapi/linux/prctl.h, since 6.3 */
#endif

int task_own_read(struct arena *arena, struct task_own *own, struct err *err)
{
	int64_t last_cap = CAP_LAST_CAP, loginuid;
	struct err ignore = ERR_INIT;
	cleanup_fd int self = -1;
	int ret;

	*own = (struct task_own){ 0 };
	ret = proc_open(getpid(), &self, err);
	if (!ret)
		ret = proc_status(self, "status", arena, &own->st, err);
	if (!ret)
		ret = proc_limits(self, &own->limits, err);
	if (ret)
		return ret;
	proc_number(self, "../sys/kernel/cap_last_cap", 10, &last_cap, &ignore);
	own->known_caps = last_cap >= 63 ? UINT64_MAX : (2ull << last_cap) - 1;
	own->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	own->nice = getpriority(PRIO_PROCESS, 0);
	own->has_loginuid = !proc_number(self, "loginuid", 10, &loginuid, &ignore);
	own->loginuid = own->has_loginuid ? (uint32_t)loginuid : UINT32_MAX;
	return 0;
}

uint64_t task_privileges(const struct model *m, const struct task_own *own)
{
	uint64_t need = m->ipc ? 1ull << CAP_SYS_ADMIN : 0; /* unshare(CLONE_NEWIPC) */

	for (size_t t = 0; t < m->ntasks; t++) {
		const struct model_task *task = &m->tasks[t];
		const TaskCoreEntry *tc = task->threads[0].core->tc;

		if (task->zombie) {
			need |= dead_privileges(tc, own);
			continue;
		}
		/* A kernel without audit knows no login uid: nothing is lost when there was none. */
		if (tc && tc->has_loginuid && tc->loginuid != own->loginuid)
			need |= 1ull << CAP_AUDIT_CONTROL;
		for (size_t i = 0; i < task->nthreads; i++) {
			const ThreadCoreEntry *tcore = task->threads[i].core->thread_core;

			need |= task_sched_privileges(tcore, own);
			/* PTRACE_O_SUSPEND_SECCOMP */
			if (tcore->has_seccomp_mode && tcore->seccomp_mode)
				need |= 1ull << CAP_SYS_ADMIN;
			if (tcore->creds)
				need |= task_creds_privileges(tcore->creds, own);
		}
	}
	return need;
}

/* What whoever starts a process gives it, and nothing takes away: others' programs get it with their restore. */
static void warn_inherited(const struct model *m, const struct task_own *own, const struct log *log)
{
	bool privileged = false, free = false;

	for (size_t t = 0; t < m->ntasks; t++)
		for (size_t i = 0; i < m->tasks[t].nthreads && !m->tasks[t].zombie; i++) {
			const ThreadCoreEntry *tc = m->tasks[t].threads[i].core->thread_core;

			privileged |= tc->creds && !tc->creds->no_new_privs;
			free |= !tc->has_seccomp_mode || !tc->seccomp_mode;
		}
	if (own->st.no_new_privs > 0 && privileged)
		log_warn(log, "cr-restore runs with no_new_privs, and so will all that it restores: no execve gives them privileges");
	if (own->st.seccomp > 0 && free)
		log_warn(log, "cr-restore runs below a seccomp filter, and so will all that it restores");
	if (prctl(PR_GET_MDWE, 0, 0, 0, 0) > 0)
		log_warn(log, "cr-restore runs with PR_SET_MDWE, and so will all that it restores: no memory becomes executable");
}

void task_preflight(const struct model *m, const struct task_own *own, finding_fn line,
		    void *ctx, const struct log *log)
{
	const struct task_report report = { line, ctx, log };
	char locked[192];

	warn_inherited(m, own, log);
	/* kernel/commoncap.c, cap_task_prctl(): what is locked cannot be changed, and stays locked. */
	if (own->securebits & SECURE_ALL_LOCKS && own->st.cap_eff >> CAP_SETPCAP & 1) {
		snprintf(locked, sizeof(locked), "cr-restore runs with locked securebits (%#x), which nothing that it makes can leave: "
			 "start it without (capsh --print shows them)", own->securebits);
		line(ctx, NULL, locked);
	}
	for (size_t t = 0; t < m->ntasks; t++) {
		const struct model_task *task = &m->tasks[t];
		const TaskCoreEntry *tc = task->threads[0].core->tc;

		if (task->zombie)
			continue;
		if (tc)
			task_rlimit_preflight(tc, task->threads[0].tid, own->st.cap_eff >> CAP_SYS_RESOURCE & 1,
					      &own->limits, &report);
		/* The other threads' are the same, as a rule: one line says it. */
		for (size_t i = 0; i < task->nthreads; i++)
			if (task_creds_preflight(task->threads[i].core->thread_core, task->threads[i].tid, own,
						 &report))
				break;
	}
}
