// SPDX-License-Identifier: GPL-2.0-or-later
/* Connections that wait to be accepted, dump side: which ones there are, and what is done with all of them. */
#include "common/sock/accept_queue.h"

#include <errno.h>
#include <string.h>

#include "common/net/guard.h"
#include "common/sock/accept_queue_read.h"
#include "common/net/handshake.h"

#define TRIES 20
#define QUEUE_MAX (1u << 30) /* bytes of all connections of a socket */

struct queue {
	struct dump_task *task;
	struct fd_source src; /* fd is ours */
	FileEntry *entry;
	unsigned n;
	bool has_deferred;
	struct deferred deferred;
	struct net_connection *found; /* n, then deferred.n */
	size_t nfound;
};

struct accept_queues {
	struct queue *v;
	size_t n, cap;
	struct queue_reader *reader;
};

static int refuse(const char *what, const struct err *why, struct err *err)
{
	char reason[sizeof(why->reason) + 64];

	snprintf(reason, sizeof(reason), "%s%s%s", why->reason, why->errnum ? ": " : "", why->errnum ? strerror(why->errnum) : "");
	return err_hint(err, err_refuse(err, "%s, which this kernel or these privileges do not bring back (%.180s)", what, reason),
			"cr-check --feature tcp_waiting tells; --skip-in-flight drops them");
}

int accept_queues_open(struct accept_queues **all, const char *what, struct err *err)
{
	struct err why = ERR_INIT;
	struct queue_reader *reader;

	if (*all)
		return 0;
	if (handshake_possible(&why) < 0 || queue_reader_open(&reader, &why) < 0)
		return refuse(what, &why, err);
	*all = xzalloc(sizeof(**all));
	(*all)->reader = reader;
	return 0;
}

void accept_queues_add(struct accept_queues *all, struct dump_task *task, const struct fd_source *src, int fd, FileEntry *entry,
		       unsigned n, bool deferred)
{
	struct queue q = { .task = task, .src = *src, .entry = entry, .n = n, .has_deferred = deferred };

	q.src.fd = fd;
	q.src.kept = NULL;
	array_reserve(&all->v, &all->cap, all->n, sizeof(*all->v));
	all->v[all->n++] = q;
}

size_t accept_queues_n(const struct accept_queues *all)
{
	return all ? all->n : 0;
}

static int blame(const struct queue *q, int ret, struct err *err)
{
	char what[300];

	if (!ret)
		return 0;
	sock_describe(q->src.fd, what, sizeof(what));
	err_object(err, ret, "%s: connections that wait to be accepted", what);
	return err_task(err, q->task->pid, q->task->stat.comm, file_blame(q->src.number, ret, err));
}

/* ---- which ones ---- */

static int take_name(void *ctx, size_t i, const struct queued *c, struct err *err)
{
	struct queue *q = ctx;

	(void)err;
	queued_connection(c, &q->found[i]);
	return 0;
}

static int read_deferred(struct dump *d, struct accept_queues *all, struct queue *q, struct err *err)
{
	return q->has_deferred ? deferred_read(all->reader, q->src.fd, q->entry->isk->family == AF_INET6, d->arena, &q->deferred, err) : 0;
}

static int look(struct dump *d, struct accept_queues *all, struct queue *q, struct err *err)
{
	int ret = read_deferred(d, all, q, err);

	if (ret < 0)
		return ret;
	q->nfound = q->n + q->deferred.n;
	q->found = xreallocarray(NULL, q->nfound, sizeof(*q->found));
	for (size_t i = 0; i < q->deferred.n; i++)
		accept_queue_connection(q->entry->isk, q->deferred.v[i], &q->found[q->n + i]);
	return queue_read(all->reader, q->src.fd, q->n, take_name, q, err);
}

int accept_queues_look(struct dump *d, struct accept_queues *all, struct net_connection **v, size_t *n, struct err *err)
{
	for (size_t i = 0; all && i < all->n; i++) {
		struct queue *q = &all->v[i];
		const int ret = look(d, all, q, err);

		if (ret < 0)
			return blame(q, ret, err);
		*v = xreallocarray(*v, *n + q->nfound, sizeof(**v));
		memcpy(*v + *n, q->found, q->nfound * sizeof(**v));
		*n += q->nfound;
	}
	return 0;
}

/* ---- what they are ---- */

struct taking { struct dump *d; struct accept_queues *all; struct queue *q; uint8_t *bytes; size_t len, cap; };

static int take(void *ctx, size_t i, const struct queued *c, struct err *err)
{
	struct taking *t = ctx;
	InetSkEntry *e = t->q->entry->isk;
	WaitingTcpEntry *w = e->waiting[i] = arena_msg(t->d->arena, WaitingTcpEntry, waiting_tcp_entry__init);
	struct net_connection now;
	int ret = -EAGAIN;

	queued_connection(c, &now);
	if (memcmp(&now, &t->q->found[i], sizeof(now)))
		return err_hint(err, err_refuse(err, "somebody else accepts connections there"), "try again");
	/* What is on its way already is no matter of the lock. */
	for (int tries = 0; tries < TRIES && ret == -EAGAIN; tries++) {
		uint8_t *bytes;

		ret = queued_fill(t->all->reader, c, e->family == AF_INET6, t->d->arena, w, err);
		if (ret < 0)
			return ret;
		if (w->unread > QUEUE_MAX - t->len)
			return err_refuse(err, "more than 1 GiB of data");
		array_reserve(&t->bytes, &t->cap, t->len + w->unread, 1);
		bytes = t->bytes + t->len;
		ret = queued_bytes(t->all->reader, c, w, bytes, err);
	}
	if (ret == -EAGAIN)
		return err_hint(err, err_refuse(err, "data comes faster than it can be read"), "try again");
	t->len += w->unread;
	return ret;
}

static void put_bytes(struct dump *d, const InetSkEntry *e, const uint8_t *bytes, size_t len)
{
	TcpStreamEntry s = TCP_STREAM_ENTRY__INIT;

	s.inq_len = (uint32_t)len;
	s.has_unsq_len = true;
	image_store_put(d->store, IMG_TCP_STREAM, e->ino, &s.base);
	image_store_payload(d->store, IMG_TCP_STREAM, e->ino, bytes, len);
}

/* They come behind the others, as if the time that they wait for data were over. */
static int take_deferred(struct dump *d, struct accept_queues *all, struct queue *q, struct err *err)
{
	InetSkEntry *e = q->entry->isk;
	int ret = read_deferred(d, all, q, err);

	if (!ret && q->deferred.n != q->nfound - q->n)
		ret = -EAGAIN;
	for (size_t i = 0; !ret && i < q->deferred.n; i++) {
		struct net_connection now;

		e->waiting[q->n + i] = q->deferred.v[i];
		accept_queue_connection(e, q->deferred.v[i], &now);
		if (memcmp(&now, &q->found[q->n + i], sizeof(now)))
			ret = -EAGAIN;
	}
	return ret == -EAGAIN && !err->kind ? err_hint(err, err_refuse(err, "the first data of one of them has come"), "try again") : ret;
}

static int dump_one(struct dump *d, struct accept_queues *all, struct queue *q, struct err *err)
{
	struct taking t = { .d = d, .all = all, .q = q };
	InetSkEntry *e = q->entry->isk;
	int ret = q->found ? 0 : look(d, all, q, err);

	e->n_waiting = q->nfound;
	e->waiting = arena_alloc(d->arena, q->nfound * sizeof(WaitingTcpEntry *) + 1);
	if (!ret)
		ret = queue_read(all->reader, q->src.fd, q->n, take, &t, err);
	if (!ret)
		ret = take_deferred(d, all, q, err);
	if (!ret && t.len && !d->found)
		put_bytes(d, e, t.bytes, t.len);
	free(t.bytes);
	if (!ret)
		file_put(d, q->entry);
	return blame(q, ret, err);
}

int accept_queues_dump(struct dump *d, struct accept_queues *all, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; all && i < all->n && !ret; i++) {
		d->task = all->v[i].task;
		ret = dump_one(d, all, &all->v[i], err);
		if (d->found)
			ret = dump_note(d, ret, err);
	}
	return ret;
}

/* ---- their end ---- */

void accept_queues_guard(const struct accept_queues *all, struct guard *g)
{
	for (size_t i = 0; all && i < all->n; i++)
		guard_add_listening(g, all->v[i].src.fd, all->v[i].n);
}

void accept_queues_silence(struct accept_queues *all)
{
	for (size_t i = 0; all && i < all->n; i++)
		repair_waiting(all->v[i].src.fd, all->v[i].n);
}

void accept_queues_close(struct accept_queues *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++) {
		close(all->v[i].src.fd);
		free(all->v[i].found);
		free(all->v[i].deferred.v);
	}
	queue_reader_close(all->reader);
	free(all->v);
	free(all);
}
