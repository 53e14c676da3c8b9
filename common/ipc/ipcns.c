// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dump of an IPC namespace that nobody but the tree lives in (ipc/namespace.c). Nothing of it has an owner among the
 * tasks: what is there is found by asking for everything.
 */
#include "common/ipc/ipcns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "common/base/io.h"
#include "common/dump/identity.h"
#include "common/mm/mm.h"
#include "common/proc/proc.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000 /* include/uapi/linux/msg.h; with CONFIG_CHECKPOINT_RESTORE */
#endif
#define OWN_NS 3	/* as identity.c numbers the dumper's */
#define TREES_NS 9	/* any number that is nobody else's */
#define TEXT_LONGEST (1u << 30)

union semun_ { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

uint32_t ipcns_id(const struct dump *d)
{
	return d->ipc_back ? TREES_NS : OWN_NS;
}

/* Somebody who is not dumped and lives there. */
static int check_alone(const struct dump *d, const char *link, struct err *err)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int ret = 0;

	while (proc && !ret && (e = readdir(proc))) {
		char path[300], its[64] = "";
		uint64_t pid;

		if (parse_u64(e->d_name, 10, &pid) || dump_find_task(d, (pid_t)pid))
			continue;
		snprintf(path, sizeof(path), "%s/ns/ipc", e->d_name);
		if (readlinkat(dirfd(proc), path, its, sizeof(its) - 1) > 0 && !strcmp(its, link))
			ret = err_hint(err, identity_nowhere(d, err_refuse(err, "its IPC namespace (%s) is also that of pid %d, which is"
									   " not in the tree", link, (int)pid), err),
				       "dump all that live there, or run cr-dump inside that namespace: nsenter -t %d -i", d->task->pid);
	}
	if (proc)
		closedir(proc);
	return ret;
}

int ipcns_enter(struct dump *d, struct err *err)
{
	const char *own = identity_own_link(d, "ipc");
	cleanup_fd int back = -1, theirs = -1;
	char link[64] = "";
	int ret;

	if (readlinkat(d->task->proc_fd, "ns/ipc", link, sizeof(link) - 1) < 0 || !*own || !strcmp(own, link))
		return 0;
	ret = check_alone(d, link, err);
	if (ret)
		return ret;
	back = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);
	theirs = openat(d->task->proc_fd, "ns/ipc", O_RDONLY | O_CLOEXEC);
	if (back < 0 || theirs < 0)
		return err_sys(err, "cannot open the IPC namespace");
	if (setns(theirs, CLONE_NEWIPC))
		return err_hint(err, err_sys(err, "cannot enter its IPC namespace"), "it takes CAP_SYS_ADMIN");
	d->ipc_back = arena_dup(d->arena, &back, sizeof(back));
	back = -1;
	identity_entered(d, "ipc", link);
	return 0;
}

void ipcns_leave(struct dump *d)
{
	if (!d->ipc_back)
		return;
	setns(*d->ipc_back, CLONE_NEWIPC);
	close(*d->ipc_back);
	d->ipc_back = NULL;
}

/* ---- settings ---- */

/* The first n numbers of a file of /proc/sys; 0 for those that are not there. */
static void sysctl_read(const char *name, uint64_t *v, size_t n)
{
	struct err ignore = ERR_INIT;
	cleanup_free char *text = NULL;
	char *rest;

	memset(v, 0, n * sizeof(*v));
	if (proc_read(AT_FDCWD, name, 4096, &text, &ignore))
		return;
	rest = text;
	for (size_t i = 0; i < n; i++) {
		char *word;

		do
			word = strsep(&rest, " \t\n");
		while (word && !*word);
		if (!word || parse_u64(word, 10, &v[i]))
			v[i] = 0;
	}
}

static uint64_t one(const char *name)
{
	uint64_t v;

	sysctl_read(name, &v, 1);
	return v;
}

static void read_settings(struct dump *d, IpcVarEntry *e)
{
	uint64_t sem[4];

	sysctl_read("/proc/sys/kernel/sem", sem, 4);
	e->n_sem_ctls = 4;
	e->sem_ctls = arena_alloc(d->arena, 4 * sizeof(*e->sem_ctls));
	for (size_t i = 0; i < 4; i++)
		e->sem_ctls[i] = (uint32_t)sem[i];
	e->msg_ctlmax = (uint32_t)one("/proc/sys/kernel/msgmax");
	e->msg_ctlmnb = (uint32_t)one("/proc/sys/kernel/msgmnb");
	e->msg_ctlmni = (uint32_t)one("/proc/sys/kernel/msgmni");
	e->auto_msgmni = (uint32_t)one("/proc/sys/kernel/auto_msgmni");
	e->shm_ctlmax = one("/proc/sys/kernel/shmmax");
	e->shm_ctlall = one("/proc/sys/kernel/shmall");
	e->shm_ctlmni = (uint32_t)one("/proc/sys/kernel/shmmni");
	e->shm_rmid_forced = (uint32_t)one("/proc/sys/kernel/shm_rmid_forced");
	e->mq_queues_max = (uint32_t)one("/proc/sys/fs/mqueue/queues_max");
	e->mq_msg_max = (uint32_t)one("/proc/sys/fs/mqueue/msg_max");
	e->mq_msgsize_max = (uint32_t)one("/proc/sys/fs/mqueue/msgsize_max");
	e->mq_msg_default = (uint32_t)one("/proc/sys/fs/mqueue/msg_default");
	e->mq_msgsize_default = (uint32_t)one("/proc/sys/fs/mqueue/msgsize_default");
	e->has_mq_msg_default = e->has_mq_msgsize_default = e->mq_msg_default != 0;
}

static IpcDescEntry *describe(struct dump *d, const struct ipc_perm *p, int id)
{
	IpcDescEntry *e = arena_msg(d->arena, IpcDescEntry, ipc_desc_entry__init);

	e->key = (uint32_t)p->__key;
	e->uid = p->uid;
	e->gid = p->gid;
	e->cuid = p->cuid;
	e->cgid = p->cgid;
	e->mode = p->mode & 0777;
	e->id = (uint32_t)id;
	return e;
}

/* ---- semaphores ---- */

static int dump_semaphores(struct dump *d, struct err *err)
{
	struct seminfo info;
	int last = semctl(0, 0, SEM_INFO, (union semun_){ .info = &info });

	for (int i = 0; i <= last; i++) {
		IpcSemEntry e = IPC_SEM_ENTRY__INIT;
		struct semid_ds ds;
		int id = semctl(i, 0, SEM_STAT_ANY, (union semun_){ .buf = &ds });

		if (id < 0 && errno == EINVAL)
			continue; /* no set in this place */
		if (id < 0)
			return err_sys(err, "cannot look at semaphores");
		const size_t n = ds.sem_nsems, room = (n * sizeof(unsigned short) + 7) & ~(size_t)7;
		cleanup_free unsigned short *values = xzalloc(room);

		if (semctl(id, 0, GETALL, (union semun_){ .array = values }) < 0)
			return err_sys(err, "cannot read the semaphores with id %d", id);
		e.desc = describe(d, &ds.sem_perm, id);
		e.nsems = (uint32_t)n;
		image_store_put(d->store, IMG_IPCNS_SEM, ipcns_id(d), &e.base);
		image_store_payload(d->store, IMG_IPCNS_SEM, ipcns_id(d), values, room);
	}
	return 0;
}

/* ---- messages ---- */

static void put_message(struct dump *d, uint64_t type, const char *text, size_t n)
{
	static const char zeros[8];
	IpcMsg msg = IPC_MSG__INIT;
	unsigned char packed[64];
	uint32_t len;

	msg.mtype = type;
	msg.msize = (uint32_t)n;
	len = (uint32_t)ipc_msg__pack(&msg, packed);
	image_store_payload(d->store, IMG_IPCNS_MSG, ipcns_id(d), &len, sizeof(len));
	image_store_payload(d->store, IMG_IPCNS_MSG, ipcns_id(d), packed, len);
	image_store_payload(d->store, IMG_IPCNS_MSG, ipcns_id(d), text, n);
	image_store_payload(d->store, IMG_IPCNS_MSG, ipcns_id(d), zeros, -n & 7);
}

static int dump_queue(struct dump *d, const struct msqid_ds *ds, int id, struct err *err)
{
	struct { long type; char text[]; } *m;
	IpcMsgEntry e = IPC_MSG_ENTRY__INIT;
	cleanup_free void *room = NULL;

	if (ds->__msg_cbytes > TEXT_LONGEST)
		return err_refuse(err, "message queue with id %d holds %lu bytes", id, (unsigned long)ds->__msg_cbytes);
	m = room = xzalloc(sizeof(*m) + ds->__msg_cbytes + 1);
	e.desc = describe(d, &ds->msg_perm, id);
	e.qbytes = (uint32_t)ds->msg_qbytes;
	e.qnum = (uint32_t)ds->msg_qnum;
	image_store_put(d->store, IMG_IPCNS_MSG, ipcns_id(d), &e.base);
	for (uint32_t i = 0; i < e.qnum; i++) {
		ssize_t n = msgrcv(id, m, ds->__msg_cbytes, i, MSG_COPY | IPC_NOWAIT);

		if (n < 0)
			return err_sys(err, "cannot copy message %u of the queue with id %d", i, id);
		put_message(d, (uint64_t)m->type, m->text, (size_t)n);
	}
	return 0;
}

static int dump_messages(struct dump *d, struct err *err)
{
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info), ret = 0;

	for (int i = 0; i <= last && !ret; i++) {
		struct msqid_ds ds;
		int id = msgctl(i, MSG_STAT_ANY, &ds);

		if (id < 0 && errno == EINVAL)
			continue;
		ret = id < 0 ? err_sys(err, "cannot look at message queues") : dump_queue(d, &ds, id, err);
	}
	return ret;
}

int ipcns_dump(struct dump *d, struct err *err)
{
	IpcVarEntry var = IPC_VAR_ENTRY__INIT;
	int ret;

	if (!d->ipc_back)
		return 0;
	read_settings(d, &var);
	ret = dump_semaphores(d, err);
	if (!ret)
		ret = dump_messages(d, err);
	if (!ret)
		ret = mqueues_dump(d, &var, err);
	if (!ret)
		ret = sysv_collect_detached(d, var.shm_rmid_forced, err);
	image_store_put(d->store, IMG_IPC_VAR, ipcns_id(d), &var.base);
	return ret;
}
