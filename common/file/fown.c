// SPDX-License-Identifier: GPL-2.0-or-later
/* Signal-driven I/O of a description: its owner (struct fown_struct), the signal, and O_ASYNC. */
#include <errno.h>
#include <sys/syscall.h>

#include "common/file/fdrows.h"
#include "common/file/file.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17 /* with CONFIG_CHECKPOINT_RESTORE; <linux/fcntl.h> clashes with <fcntl.h> */
#endif

int fown_dump(struct dump *d, const struct fd_source *src, FownEntry **out, struct err *err)
{
	FownEntry *fown = arena_msg(d->arena, FownEntry, fown_entry__init);
	struct f_owner_ex owner = { .type = F_OWNER_PID };
	uint32_t ids[2] = { 0, 0 };

	*out = fown;
	if (src->flags & O_PATH)
		return 0; /* has none: every such fcntl gives EBADF */
	if (src->row && src->row->ownerless)
		return 0;
	if (fcntl(src->fd, F_GETOWN_EX, &owner) < 0)
		return err_sys(err, "cannot read its signal owner");
	int signum = fcntl(src->fd, F_GETSIG);
	if (signum < 0)
		return err_sys(err, "cannot read its signal");
	fown->signum = (uint32_t)signum;
	if (owner.pid <= 0)
		return 0; /* none, or it is dead */
	if (fcntl(src->fd, F_GETOWNER_UIDS, ids) < 0)
		return err_sys(err, "cannot read the ids of its signal owner");
	fown->pid_type = (uint32_t)owner.type; /* F_OWNER_TID, _PID, _PGRP are 0, 1, 2, as in the format */
	fown->pid = (uint32_t)owner.pid;
	fown->uid = ids[0];
	fown->euid = ids[1];
	/*
	 * The kernel takes these ids from whoever calls F_SETOWN. The restored task calls it with the credentials that
	 * it has now, so others cannot come back.
	 */
	const struct proc_status *st = &d->task->threads[0].status;
	if (fown->uid != st->uid[0] || fown->euid != st->uid[1])
		return err_refuse(err,
				  "its signal owner was set with uid %u (effective %u), which the task no longer has",
				  fown->uid, fown->euid);
	return 0;
}

void fown_plan(const FownEntry *fown, uint32_t flags, int fd, struct plan_task *pt)
{
	struct program *prog = pt->threads[0].prog;
	struct arg number = A((uint64_t)fd);

	/*
	 * Late: the owner may be a thread, which must exist, and F_SETOWN records the caller's credentials, which must
	 * be the final ones.
	 */
	if (fown->pid) {
		struct f_owner_ex owner = { .type = (int)fown->pid_type, .pid = (pid_t)fown->pid };
		struct data_ref data = program_data(prog, &owner, sizeof(owner));
		program_call(prog, THREAD_AFTER_CREDS, "signal owner", SYS_fcntl, number, A(F_SETOWN_EX), A_DATA(data));
	}
	if (fown->signum)
		program_call(prog, THREAD_AFTER_CREDS, "signal of the owner", SYS_fcntl, number, A(F_SETSIG),
			     A(fown->signum));
	if (flags & O_ASYNC)
		program_call(prog, THREAD_AFTER_CREDS, "O_ASYNC", SYS_fcntl, number, A(F_SETFL), A(flags));
}

const FownEntry *file_fown(const struct model *m, const FileEntry *e, uint32_t *flags)
{
	const RegFileEntry *reg;

#define FOWN(sub) (*flags = (sub)->flags, (sub)->fown)
	switch (e->type) {
	case FD_TYPES__FIFO:
		reg = e->fifo->has_regf_id ? model_reg(m, e->fifo->regf_id) : NULL;
		return reg ? FOWN(reg) : NULL;
	case FD_TYPES__REG:
		return FOWN(e->reg);
	case FD_TYPES__PIPE:
		return FOWN(e->pipe);
	case FD_TYPES__EVENTFD:
		return FOWN(e->efd);
	case FD_TYPES__EVENTPOLL:
		return FOWN(e->epfd);
	case FD_TYPES__SIGNALFD:
		return FOWN(e->sgfd);
	case FD_TYPES__TIMERFD:
		return FOWN(e->tfd);
	case FD_TYPES__UNIXSK:
		return FOWN(e->usk);
	case FD_TYPES__INETSK:
		return FOWN(e->isk);
	case FD_TYPES__NETLINKSK:
		return FOWN(e->nlsk);
	case FD_TYPES__PACKETSK:
		return FOWN(e->psk);
	case FD_TYPES__TUNF:
		reg = model_reg(m, e->tunf->id);
		return reg ? FOWN(reg) : NULL;
	case FD_TYPES__PIDFD:
		return FOWN(e->pidfd);
	case FD_TYPES__INOTIFY:
		return FOWN(e->ify);
	case FD_TYPES__FANOTIFY:
		return FOWN(e->ffy);
	case FD_TYPES__MEMFD:
		return FOWN(e->memfd);
	case FD_TYPES__TTY:
		return FOWN(e->tty);
	default:
		return NULL;
	}
#undef FOWN
}
