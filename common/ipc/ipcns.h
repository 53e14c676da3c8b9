/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IPC namespaces: one that is the tree's own is dumped with all that is in it, and made again. Of the dumper's, nothing is
 * kept but shared memory that tasks of the tree have attached (common/mm/sysv.c).
 */
#ifndef CR_IPC_IPCNS_H
#define CR_IPC_IPCNS_H

#include "common/dump/dump.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"
#include "ipc-msg.pb-c.h"
#include "ipc-sem.pb-c.h"
#include "ipc-var.pb-c.h"

/* ---- dump ---- */

/*
 * When the root lives in another IPC namespace than we, enters it for this thread and those that it makes from then on: what
 * is asked about IPC is asked there. Refused when anybody outside of the tree lives there too. The namespace counts as the
 * dumper's own from then on, so whoever of the tree is not in it is refused by the usual checks.
 */
int ipcns_enter(struct dump *d, struct err *err);
void ipcns_leave(struct dump *d);
/* What the images call the IPC namespace of the tree. */
uint32_t ipcns_id(const struct dump *d);
/* Settings, semaphores, message queues, and segments that nobody has attached, when the namespace is the tree's own. */
int ipcns_dump(struct dump *d, struct err *err);
/* Its POSIX message queues, with the messages in them. */
int mqueues_dump(struct dump *d, IpcVarEntry *var, struct err *err);

/* ---- restore ---- */

struct model_sem { const IpcSemEntry *entry; const void *values; };
struct model_msg { uint64_t type; const void *text; uint32_t size; };
struct model_msgq { const IpcMsgEntry *entry; const struct model_msg *v; };
struct model_ipc {
	const IpcVarEntry *var;
	struct model_sem *sems;
	size_t nsems;
	struct model_msgq *queues;
	size_t nqueues;
};

/* m->ipc, when the tree has a namespace of its own. All of it is checked. */
int ipcns_load(struct model *m, struct err *err);
/* The controller enters a new namespace, fills it, and is back in its own at the end. To be called before anything else of the
 * controller's program. */
int ipcns_plan(const struct model *m, struct plan *plan, struct err *err);

/* common/ipc/mqueue.c: whether it can be one, and how it is made. */
struct where;
int mqueue_check(const MqueueEntry *q, const struct where *at, struct err *err);
void mqueue_plan(struct program *p, const MqueueEntry *e);

/* The id that the next object gets; sysctl: "shm_next_id". */
void ipc_plan_next_id(struct program *p, const char *sysctl, uint32_t id);
/* Who makes an object is its creator for ever: what is between is done with those ids. */
struct ipc_creator { bool other; struct step_ref uid, gid, dumpable; };
struct ipc_creator ipc_plan_creator(struct program *p, const IpcDescEntry *e);
void ipc_plan_creator_end(struct program *p, const struct ipc_creator *c);

#endif
