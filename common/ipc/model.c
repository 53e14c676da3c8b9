// SPDX-License-Identifier: GPL-2.0-or-later
/* The images of an IPC namespace, read and checked. */
#include <string.h>

#include "common/ipc/ipcns.h"
#include "common/restore/verify.h"

static int bad_desc(const IpcDescEntry *e, const struct where *at, struct err *err)
{
	if (e->id > INT32_MAX)
		return bad_image(err, at, "id %u", e->id);
	return e->mode & ~0777u ? bad_image(err, at, "id %u: mode %o", e->id, e->mode) : 0;
}

static int load_sems(struct model *m, unsigned long ns, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_free struct model_sem *v = NULL;
	ProtobufCMessage *msg;
	size_t n = 0, cap = 0;
	int ret = image_reader_open(m->dir, IMG_IPCNS_SEM, ns, &rd, err);

	for (long i = 0; !ret; i++) {
		const struct where *at = AT(IPCNS_SEM, ns, i);
		IpcSemEntry *e;
		void *values;

		ret = image_reader_next(rd, m->arena, &msg, err);
		if (ret <= 0)
			break;
		e = (IpcSemEntry *)msg;
		ret = bad_desc(e->desc, at, err);
		if (!ret && (!e->nsems || e->nsems > INT32_MAX || image_reader_payload_left(rd) < 2ull * e->nsems))
			ret = bad_image(err, at, "%u semaphores", e->nsems);
		if (ret)
			break;
		values = arena_alloc(m->arena, 2ull * e->nsems);
		ret = image_reader_payload(rd, values, 2ull * e->nsems, err);
		array_reserve(&v, &cap, n, sizeof(*v));
		v[n++] = (struct model_sem){ e, values };
	}
	if (n)
		m->ipc->sems = arena_dup(m->arena, v, n * sizeof(*v));
	m->ipc->nsems = n;
	return ret;
}

/* "qnum times: length, message, text padded to 8" */
static int parse_messages(struct model *m, const IpcMsgEntry *e, const unsigned char *p, uint64_t left, const struct where *at,
			  const struct model_msg **out, struct err *err)
{
	struct model_msg *v;

	if (e->qnum > left / 4)
		return bad_image(err, at, "%u messages in %lu bytes", e->qnum, left);
	*out = v = arena_alloc(m->arena, e->qnum * sizeof(*v));
	for (uint32_t i = 0; i < e->qnum; i++) {
		IpcMsg *msg;
		uint32_t len;

		if (left < sizeof(len))
			return bad_image(err, at, "message %u is cut short", i);
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		left -= sizeof(len);
		msg = len <= left ? ipc_msg__unpack(NULL, len, p) : NULL;
		if (!msg)
			return bad_image(err, at, "message %u cannot be read", i);
		v[i] = (struct model_msg){ .type = msg->mtype, .size = msg->msize, .text = p + len };
		ipc_msg__free_unpacked(msg, NULL);
		p += len;
		left -= len;
		uint64_t whole = ((uint64_t)v[i].size + 7) & ~7ull;

		if (whole > left || !v[i].type || v[i].type > INT64_MAX)
			return bad_image(err, at, "message %u of type %lu has %u bytes", i, v[i].type, v[i].size);
		p += whole;
		left -= whole;
	}
	return 0;
}

static int load_msgs(struct model *m, unsigned long ns, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_free struct model_msgq *v = NULL;
	ProtobufCMessage *msg;
	size_t n = 0, cap = 0;
	int ret = image_reader_open(m->dir, IMG_IPCNS_MSG, ns, &rd, err);

	for (long i = 0; !ret; i++) {
		const struct where *at = AT(IPCNS_MSG, ns, i);
		struct model_msgq q = { 0 };
		uint64_t left;
		void *bytes;

		ret = image_reader_next(rd, m->arena, &msg, err);
		if (ret <= 0)
			break;
		q.entry = (IpcMsgEntry *)msg;
		ret = bad_desc(q.entry->desc, at, err);
		if (ret)
			break;
		left = image_reader_payload_left(rd);
		bytes = arena_alloc(m->arena, left);
		ret = left ? image_reader_payload(rd, bytes, left, err) : 0;
		if (!ret)
			ret = parse_messages(m, q.entry, bytes, left, at, &q.v, err);
		array_reserve(&v, &cap, n, sizeof(*v));
		v[n++] = q;
	}
	if (n)
		m->ipc->queues = arena_dup(m->arena, v, n * sizeof(*v));
	m->ipc->nqueues = n;
	return ret;
}

static int check_settings(const IpcVarEntry *e, unsigned long ns, struct err *err)
{
	const struct where *at = AT(IPC_VAR, ns, 0);

	if (e->n_sem_ctls != 4)
		return bad_image(err, at, "%zu values of kernel.sem", e->n_sem_ctls);
	for (size_t i = 0; i < e->n_mqueues; i++) {
		int ret = mqueue_check(e->mqueues[i], at, err);

		if (ret)
			return ret;
	}
	return 0;
}

int ipcns_load(struct model *m, struct err *err)
{
	const TaskKobjIdsEntry *own = m->inventory->root_ids, *roots = m->tasks[0].ids;
	ProtobufCMessage *msg;
	unsigned long ns;
	int ret;

	for (size_t i = 0; i < m->ntasks; i++) {
		const TaskKobjIdsEntry *ids = m->tasks[i].ids;

		if (ids && roots && ids->has_ipc_ns_id && own->has_ipc_ns_id && ids->ipc_ns_id != roots->ipc_ns_id)
			return cannot_restore(err, AT(IDS, m->tasks[i].pstree->pid, 0),
					      "the task has another IPC namespace than the root: one for all can be restored");
	}
	if (!roots || !roots->has_ipc_ns_id || !own->has_ipc_ns_id || roots->ipc_ns_id == own->ipc_ns_id)
		return 0;
	ns = roots->ipc_ns_id;
	m->ipc = arena_alloc(m->arena, sizeof(*m->ipc));
	ret = image_read_one(m->dir, IMG_IPC_VAR, ns, m->arena, &msg, err);
	if (ret)
		return ret;
	m->ipc->var = (IpcVarEntry *)msg;
	ret = check_settings(m->ipc->var, ns, err);
	if (!ret)
		ret = load_sems(m, ns, err);
	return ret ? ret : load_msgs(m, ns, err);
}
