/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nothing is left of a dead thread that could be asked. What its restored self needs for the one call that it makes (its
 * place below the filters of the others, their credentials, which it gives on to those that it makes) is theirs; what would
 * have an effect when it ends, it does not have.
 */
#include "common/dump/dead_leader.h"

#include <signal.h>
#include <string.h>

#include "common/task/seccomp.h"
#include "common/task/task.h"

void dead_leader_status(struct dump_task *task)
{
	struct dump_thread *leader = &task->threads[0];
	char comm[sizeof(leader->status.comm)];

	if (!leader->frozen->dead)
		return;
	memcpy(comm, leader->status.comm, sizeof(comm));
	leader->status = task->threads[task->fz.speaker].status;
	memcpy(leader->status.comm, comm, sizeof(comm));
	leader->status.sig_pnd = 0;
}

int dead_leader_dump(struct dump *d, struct err *err)
{
	struct dump_thread *leader = &d->task->threads[0], *speaker = &d->task->threads[d->task->fz.speaker];
	ThreadCoreEntry *tcore = leader->core->thread_core;
	SignalQueueEntry *none;
	struct arch_fpu fpu;
	int ret;

	if (!leader->frozen->dead)
		return 0;
	ret = arch_get_fpu(speaker->frozen->tid, d->arena, &fpu, err);
	if (ret)
		return ret;
	none = arena_msg(d->arena, SignalQueueEntry, signal_queue_entry__init);
	*tcore = *speaker->core->thread_core;
	tcore->futex_rla = tcore->futex_rla_len = 0;
	tcore->has_blk_sigset = false;
	tcore->sas = arena_msg(d->arena, ThreadSasEntry, thread_sas_entry__init);
	tcore->sas->ss_flags = SS_DISABLE;
	tcore->has_pdeath_sig = false;
	tcore->signals_p = none;
	tcore->rseq_entry = arena_msg(d->arena, RseqEntry, rseq_entry__init);
	tcore->restart = NULL;
	tcore->comm = arena_strdup(d->arena, leader->status.comm);
	leader->core->tc->comm = tcore->comm;
	seccomp_put_thread(d, leader);
	arch_core_encode(leader->core, &leader->frozen->regs, &fpu, d->arena);
	return 0;
}
