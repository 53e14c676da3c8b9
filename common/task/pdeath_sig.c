/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The signal that a thread gets when its parent dies. A change of credentials clears it, so it comes after them. */
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "common/task/task.h"

struct pdeath_slot { struct data_ref signo; };

static int ask_pdeath_sig(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct pdeath_slot *s = slot;

	s->signo = program_data(prog, NULL, sizeof(int));
	program_call(prog, 0, "parent death signal", SYS_prctl, A(PR_GET_PDEATHSIG), A_DATA(s->signo));
	return 0;
}

/* kernel/sys.c, PR_GET_PDEATHSIG */
static struct told_rule pdeath_sig_told(const void *slot)
{
	return (struct told_rule){ .own = TOLD(PDEATH) };
}

static void tell_pdeath_sig(const uint64_t numbers[TOLDS], struct program *prog, const void *slot)
{
	const struct pdeath_slot *s = slot;
	int signo = (int)numbers[TOLD_PDEATH];

	program_set_answer(prog, s->signo, &signo, sizeof(signo));
}

static int dump_pdeath_sig(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			   struct err *err)
{
	int signo = *(const int *)program_answer(prog, ((const struct pdeath_slot *)slot)->signo);

	/* The kernel sends it at the end of the thread that is the parent, and the leader that is restored ends once more. */
	if (signo && d->task->parent && d->task->parent->fz.speaker)
		return err_refuse(err, "it has a parent death signal (PR_SET_PDEATHSIG), and the first thread of its parent has ended");
	if (signo) {
		ThreadCoreEntry *tcore = task_thread_core(d, thread);

		tcore->has_pdeath_sig = true;
		tcore->pdeath_sig = (uint32_t)signo;
	}
	return 0;
}

static int plan_pdeath_sig(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			   struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;

	if (!tcore->has_pdeath_sig || !tcore->pdeath_sig)
		return 0;
	if (tcore->pdeath_sig > 64)
		return err_image(err, "thread %d: parent death signal %u", pth->tid, tcore->pdeath_sig);
	program_call(pth->prog, THREAD_AFTER_CREDS, "parent death signal", SYS_prctl, A(PR_SET_PDEATHSIG),
		     A(tcore->pdeath_sig));
	return 0;
}

const struct state_kind pdeath_sig_kind = {
	.name = "parent death signal",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct pdeath_slot),
	.ask = ask_pdeath_sig,
	.told = pdeath_sig_told,
	.tell = tell_pdeath_sig,
	.dump = dump_pdeath_sig,
	.plan = plan_pdeath_sig,
};
