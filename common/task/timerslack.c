/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timer slack, in our own field when it is not 50 µs. Real-time threads have none (the kernel ignores the prctl for
 * them), so it is set after the policy. A thread's default is the slack of its maker: the leader has 50 µs while
 * threads are made.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define DEFAULT_SLACK 50000u

struct slack_slot { struct step_ref get; };

static int ask_slack(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	((struct slack_slot *)slot)->get = program_call(prog, 0, "timer slack", SYS_prctl, A(PR_GET_TIMERSLACK));
	return 0;
}

/* kernel/sys.c, PR_GET_TIMERSLACK */
static struct told_rule slack_told(const void *slot)
{
	return (struct told_rule){ .own = TOLD(SLACK) };
}

static void tell_slack(const uint64_t numbers[TOLDS], struct program *prog, const void *slot)
{
	program_set_result(prog, ((const struct slack_slot *)slot)->get.i, (int64_t)numbers[TOLD_SLACK]);
}

static int dump_slack(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	uint64_t ns = (uint64_t)program_result(prog, ((const struct slack_slot *)slot)->get);

	if (ns && ns != DEFAULT_SLACK) {
		ThreadCoreEntry *tcore = task_thread_core(d, thread);

		tcore->has_timerslack_ns = true;
		tcore->timerslack_ns = ns;
	}
	return 0;
}

static int plan_slack(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;

	if (thread == &task->threads[0])
		program_call(pth->prog, TASK_LIMITS, "default timer slack", SYS_prctl, A(PR_SET_TIMERSLACK),
			     A(DEFAULT_SLACK));
	if (tcore->has_timerslack_ns && tcore->timerslack_ns)
		program_call(pth->prog, THREAD_SELF, "timer slack", SYS_prctl, A(PR_SET_TIMERSLACK),
			     A(tcore->timerslack_ns));
	return 0;
}

const struct state_kind timerslack_kind = {
	.name = "timer slack",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct slack_slot),
	.ask = ask_slack,
	.told = slack_told,
	.tell = tell_slack,
	.dump = dump_slack,
	.plan = plan_slack,
};
