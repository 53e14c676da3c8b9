// SPDX-License-Identifier: GPL-2.0-or-later
/* Signal-driven I/O of a description: its owner (struct fown_struct), the signal, and O_ASYNC. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/file/fdrows.h"
#include "common/file/file.h"

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17 /* with CONFIG_CHECKPOINT_RESTORE; <linux/fcntl.h> clashes with <fcntl.h> */
#endif

/* What the restored tasks open themselves (file_opened_late()). */
static bool only_task_opens(const struct fd_source *src)
{
	return reg_proc_pid(src->link) || !strcmp(src->link, "/dev/tty") || !strcmp(src->link, "anon_inode:[pidfd]") ||
	       !strncmp(src->link, "pidfd:[", 7);
}

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
	const struct proc_status *st = &d->task->threads[0].status;
	if ((fown->uid != st->uid[0] || fown->euid != st->uid[1]) && only_task_opens(src))
		return err_refuse(err, "its signal owner was set with uid %u (effective %u), which the task no longer has, and nobody"
				  " else can open it", fown->uid, fown->euid);
	return 0;
}

/* The kernel takes uid and effective uid of who calls F_SETOWN (f_modown() in fs/fcntl.c), and signals only whom those may signal. */
static bool set_by_task(const struct model *m, const FownEntry *fown, const struct plan_task *pt)
{
	const CoreEntry *core = m->tasks[pt->index].threads[0].core;
	const CredsEntry *creds = core && core->thread_core ? core->thread_core->creds : NULL;

	return !creds || (fown->uid == creds->uid && fown->euid == creds->euid);
}

/*
 * Somebody set the owner who is not who the task is now: a daemon before it gave up being root, as a rule. So we do, as he was: with
 * our effective id for a saved one, to come back. Whether it was done is asked behind that: an error before would leave us so.
 */
static void set_as_another(struct plan *plan, const FownEntry *fown, const struct f_owner_ex *owner, uint32_t slot)
{
	struct program *p = plan->last;
	struct step_ref real = program_call(p, 0, "who we are", SYS_getuid), effective = program_call(p, 0, "who we are", SYS_geteuid);
	const uint64_t same = UINT32_MAX, told = owner->type == F_OWNER_PGRP ? -(uint64_t)owner->pid : (uint64_t)owner->pid;

	program_call(p, 0, "as who set the signal owner", SYS_setresuid, A(fown->uid), A(fown->euid), A_RESULT(effective));
	program_try(p, 0, "signal owner", SYS_fcntl, A_SLOT(slot), A(F_SETOWN_EX), A_DATA(program_data(p, owner, sizeof(*owner))));
	program_call(p, 0, "as before", SYS_setresuid, A(same), A_RESULT(effective), A(same));
	program_call(p, 0, "as before", SYS_setresuid, A_RESULT(real), A(same), A(same));
	program_call_eq(p, 0, "signal owner, set by another user", told, SYS_fcntl, A_SLOT(slot), A(F_GETOWN));
}

int fown_plan(const struct model *m, struct plan *plan, const FileEntry *entry, int fd, struct plan_task *pt, struct err *err)
{
	uint32_t flags = 0, slot;
	const FownEntry *fown = file_fown(m, entry, &flags);
	struct program *prog = pt->threads[0].prog;
	struct arg number = A((uint64_t)fd);

	if (!fown || flags & O_PATH)
		return 0;
	/* Late: the owner may be a thread, which must exist, and the credentials must be the final ones. */
	if (fown->pid) {
		struct f_owner_ex owner = { .type = (int)fown->pid_type, .pid = (pid_t)fown->pid };

		if (set_by_task(m, fown, pt))
			program_call(prog, THREAD_AFTER_CREDS, "signal owner", SYS_fcntl, number, A(F_SETOWN_EX),
				     A_DATA(program_data(prog, &owner, sizeof(owner))));
		else if (file_slot_known(plan, entry->type, entry->id, FILE_AS_ENTRY, &slot))
			set_as_another(plan, fown, &owner, slot);
		else
			return err_refuse(err, "its signal owner was set with uid %u (effective %u), and only its task can open it",
					  fown->uid, fown->euid);
	}
	if (fown->signum)
		program_call(prog, THREAD_AFTER_CREDS, "signal of the owner", SYS_fcntl, number, A(F_SETSIG),
			     A(fown->signum));
	if (flags & O_ASYNC)
		program_call(prog, THREAD_AFTER_CREDS, "O_ASYNC", SYS_fcntl, number, A(F_SETFL), A(flags));
	return 0;
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
