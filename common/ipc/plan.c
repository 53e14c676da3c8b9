// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An IPC namespace is made by entering it: the controller unshares its own, so that the root is born into the new one, fills
 * it, and goes back when all tasks stand ready. Ids come back through kernel.*_next_id, as CAP_CHECKPOINT_RESTORE may.
 */
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include "common/ipc/ipcns.h"
#include "common/mm/mm.h"

static void write_to(struct program *p, int phase, const char *note, const char *path, const char *text)
{
	size_t n = strlen(text);
	struct step_ref fd = program_call(p, phase, note, SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(program_string(p, path)),
					  A(O_WRONLY | O_CLOEXEC));

	program_call_eq(p, phase, note, (int64_t)n, SYS_write, A_RESULT(fd), A_DATA(program_string(p, text)), A(n));
	program_call(p, phase, note, SYS_close, A_RESULT(fd));
}

void ipc_plan_next_id(struct program *p, const char *sysctl, uint32_t id)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s", sysctl);
	snprintf(text, sizeof(text), "%u", id);
	write_to(p, MAKE_OBJECTS, "id of a System V object", path, text);
}

struct ipc_creator ipc_plan_creator(struct program *p, const IpcDescEntry *i)
{
	struct ipc_creator c = { .other = i->cuid || i->cgid };
	const uint64_t keep = (uint64_t)-1;

	if (!c.other)
		return c;
	c.dumpable = program_try(p, MAKE_OBJECTS, "who we are", SYS_prctl, A(PR_GET_DUMPABLE));
	c.uid = program_call(p, MAKE_OBJECTS, "who we are", SYS_geteuid);
	c.gid = program_call(p, MAKE_OBJECTS, "who we are", SYS_getegid);
	program_call(p, MAKE_OBJECTS, "as its creator", SYS_setresgid, A(keep), A(i->cgid), A(keep));
	program_call(p, MAKE_OBJECTS, "as its creator", SYS_setresuid, A(keep), A(i->cuid), A(keep));
	return c;
}

void ipc_plan_creator_end(struct program *p, const struct ipc_creator *c)
{
	const uint64_t keep = (uint64_t)-1;

	if (!c->other)
		return;
	program_call(p, MAKE_OBJECTS, "as before", SYS_setresuid, A(keep), A_RESULT(c->uid), A(keep));
	program_call(p, MAKE_OBJECTS, "as before", SYS_setresgid, A(keep), A_RESULT(c->gid), A(keep));
	program_try(p, MAKE_OBJECTS, "as before", SYS_prctl, A(PR_SET_DUMPABLE), A_RESULT(c->dumpable));
}

/* ---- settings ---- */

static void plan_settings(struct program *p, const IpcVarEntry *e)
{
	const struct { const char *path; uint64_t v; bool optional; } v[] = {
		{ "/proc/sys/kernel/msgmax", e->msg_ctlmax, false },
		{ "/proc/sys/kernel/msgmnb", e->msg_ctlmnb, false },
		{ "/proc/sys/kernel/msgmni", e->msg_ctlmni, false },
		{ "/proc/sys/kernel/shmmax", e->shm_ctlmax, false },
		{ "/proc/sys/kernel/shmall", e->shm_ctlall, false },
		{ "/proc/sys/kernel/shmmni", e->shm_ctlmni, false },
		{ "/proc/sys/fs/mqueue/queues_max", e->mq_queues_max, true },
		{ "/proc/sys/fs/mqueue/msg_max", e->mq_msg_max, true },
		{ "/proc/sys/fs/mqueue/msgsize_max", e->mq_msgsize_max, true },
		{ "/proc/sys/fs/mqueue/msg_default", e->mq_msg_default, true },
		{ "/proc/sys/fs/mqueue/msgsize_default", e->mq_msgsize_default, true },
	};
	char text[64];

	snprintf(text, sizeof(text), "%u %u %u %u", e->sem_ctls[0], e->sem_ctls[1], e->sem_ctls[2], e->sem_ctls[3]);
	write_to(p, MAKE_OBJECTS, "settings of the IPC namespace", "/proc/sys/kernel/sem", text);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		if (v[i].optional && !v[i].v) /* the kernel of the dump had none */
			continue;
		snprintf(text, sizeof(text), "%lu", v[i].v);
		write_to(p, MAKE_OBJECTS, "settings of the IPC namespace", v[i].path, text);
	}
	if (e->shm_rmid_forced) /* when all segments are made, which we have attached */
		write_to(p, MAKE_LAST, "settings of the IPC namespace", "/proc/sys/kernel/shm_rmid_forced", "1");
}

/* ---- objects ---- */

static void plan_sem(struct program *p, const struct model_sem *s)
{
	const IpcDescEntry *i = s->entry->desc;
	struct semid_ds set = { .sem_perm = { .uid = i->uid, .gid = i->gid, .mode = (unsigned short)i->mode } };
	struct ipc_creator creator;

	ipc_plan_next_id(p, "sem_next_id", i->id);
	creator = ipc_plan_creator(p, i);
	program_call_eq(p, MAKE_OBJECTS, "semaphores", (int64_t)i->id, SYS_semget, A(i->key), A(s->entry->nsems),
			A(IPC_CREAT | IPC_EXCL | i->mode));
	ipc_plan_creator_end(p, &creator);
	program_call(p, MAKE_OBJECTS, "their values", SYS_semctl, A(i->id), A(0), A(SETALL),
		     A_DATA(program_data(p, s->values, 2ul * s->entry->nsems)));
	program_call(p, MAKE_OBJECTS, "their owner and mode", SYS_semctl, A(i->id), A(0), A(IPC_SET),
		     A_DATA(program_data(p, &set, sizeof(set))));
}

static void plan_queue(struct program *p, const struct model_msgq *q)
{
	const IpcDescEntry *i = q->entry->desc;
	struct msqid_ds set = { .msg_perm = { .uid = i->uid, .gid = i->gid, .mode = (unsigned short)i->mode },
				.msg_qbytes = q->entry->qbytes };
	struct ipc_creator creator;

	ipc_plan_next_id(p, "msg_next_id", i->id);
	creator = ipc_plan_creator(p, i);
	program_call_eq(p, MAKE_OBJECTS, "message queue", (int64_t)i->id, SYS_msgget, A(i->key),
			A(IPC_CREAT | IPC_EXCL | i->mode));
	ipc_plan_creator_end(p, &creator);
	for (uint32_t k = 0; k < q->entry->qnum; k++) {
		const struct model_msg *m = &q->v[k];
		cleanup_free unsigned char *bytes = xmalloc(sizeof(long) + m->size);

		memcpy(bytes, &m->type, sizeof(long));
		memcpy(bytes + sizeof(long), m->text, m->size);
		program_call(p, MAKE_OBJECTS, "message", SYS_msgsnd, A(i->id),
			     A_DATA(program_data(p, bytes, sizeof(long) + m->size)), A(m->size), A(IPC_NOWAIT));
	}
	program_call(p, MAKE_OBJECTS, "its owner, mode and size", SYS_msgctl, A(i->id), A(IPC_SET),
		     A_DATA(program_data(p, &set, sizeof(set))));
}

int ipcns_plan(const struct model *m, struct plan *plan, struct err *err)
{
	struct program *p = plan->controller;
	uint32_t back;
	int ret = 0;

	if (!m->ipc)
		return 0;
	plan->ipc_own = true;
	back = plan_slot(plan, "the IPC namespace of the restorer");
	plan_slot_is(plan, back, program_call(p, MAKE_OBJECTS, "the way back", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(p, "/proc/thread-self/ns/ipc")), A(O_RDONLY | O_CLOEXEC)));
	program_call(p, MAKE_OBJECTS, "IPC namespace", SYS_unshare, A(CLONE_NEWIPC));
	program_call(plan->last, 0, "back from the IPC namespace of the tree", SYS_setns, A_SLOT(back), A(CLONE_NEWIPC));
	plan_settings(p, m->ipc->var);
	for (size_t i = 0; i < m->ipc->nsems; i++)
		plan_sem(p, &m->ipc->sems[i]);
	for (size_t i = 0; i < m->ipc->nqueues; i++)
		plan_queue(p, &m->ipc->queues[i]);
	for (size_t i = 0; i < m->ipc->var->n_mqueues; i++)
		mqueue_plan(p, m->ipc->var->mqueues[i]);
	for (size_t i = 0; i < m->nshmem && !ret; i++)
		if (m->shmem[i].segment && !m->shmem[i].views)
			ret = sysv_plan(plan, &m->shmem[i], err);
	return ret;
}
