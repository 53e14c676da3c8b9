// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/tcp_load.h"

#include <linux/tcp.h>

#include "common/base/halves.h"
#include "common/sock/tcp_urgent.h"

enum { LISTEN = 10 };
#define QUEUE_MAX (1u << 30)
#define WSCALE_MAX 14 /* TCP_MAX_WSCALE */
/* From so many images on a second thread is worth its start. */
#define MANY 16
#define AT_ONCE 8

static int check_stream(const InetSkEntry *e, const TcpStreamEntry *s, uint64_t payload, struct err *err)
{
	if (s->inq_len > QUEUE_MAX || s->outq_len > QUEUE_MAX || payload != (uint64_t)s->inq_len + s->outq_len)
		return err_image(err, "tcp-stream-%x.img: the queues are cut off or too long", e->ino);
	if (!s->has_unsq_len || s->unsq_len > s->outq_len)
		return err_image(err, "tcp-stream-%x.img: no length of what was not sent", e->ino);
	if (s->snd_wscale > WSCALE_MAX || (s->has_rcv_wscale && s->rcv_wscale > WSCALE_MAX))
		return err_image(err, "tcp-stream-%x.img: a window scale that cannot be", e->ino);
	if (s->opt_mask & TCPI_OPT_WSCALE && !s->has_rcv_wscale)
		return err_image(err, "tcp-stream-%x.img: no window scale of ours", e->ino);
	if (s->opt_mask & TCPI_OPT_TIMESTAMPS && !s->has_timestamp)
		return err_image(err, "tcp-stream-%x.img: no clock", e->ino);
	if (s->mss_clamp > UINT16_MAX)
		return err_image(err, "tcp-stream-%x.img: segments of %u bytes", e->ino, s->mss_clamp);
	return tcp_urgent_check(e, s, err);
}

static int load(const struct model *m, struct arena *arena, const InetSkEntry *e, struct tcp_stream *out, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage *msg;
	int ret = image_reader_open(m->dir, IMG_TCP_STREAM, e->ino, &rd, err);

	if (ret < 0)
		return ret;
	ret = image_reader_absent(rd) ? 0 : image_reader_next(rd, arena, &msg, err);
	if (ret < 0)
		return ret;
	if (!ret)
		return err_image(err, "tcp-stream-%x.img is missing, without which a connection cannot be restored", e->ino);
	const TcpStreamEntry *s = (const TcpStreamEntry *)msg;
	ret = check_stream(e, s, image_reader_payload_left(rd), err);
	if (ret < 0)
		return ret;
	uint8_t *bytes = arena_alloc(arena, (size_t)s->inq_len + s->outq_len + 1);
	ret = image_reader_payload(rd, bytes, (size_t)s->inq_len + s->outq_len, err);
	if (ret >= 0)
		*out = (struct tcp_stream){ s, bytes, bytes + s->inq_len };
	return ret;
}

/* ---- all of them ---- */

struct tcp_streams {
	struct id_map by_id; /* of the socket's entry: its place in v */
	const InetSkEntry **e;
	struct tcp_stream *v; /* s is NULL where something is wrong: who needs it finds out what */
	size_t n;
};

struct loader { const struct model *m; struct tcp_streams *all; struct arena *arena; };

static int load_one(void *view, size_t i, struct err *err)
{
	const struct loader *l = view;
	struct err ignore = ERR_INIT;

	(void)err;
	load(l->m, l->arena, l->all->e[i], &l->all->v[i], &ignore);
	return 0;
}

static struct tcp_streams *load_all(const struct model *m, struct plan *plan)
{
	struct tcp_streams *all = arena_alloc(plan->arena, sizeof(*all));
	struct loader mine = { m, all, plan->arena }, other;
	struct err ignore = ERR_INIT;

	all->e = arena_alloc(plan->arena, m->nfiles * sizeof(*all->e));
	for (size_t i = 0; i < m->nfiles; i++) {
		const InetSkEntry *e = m->files[i]->type == FD_TYPES__INETSK ? m->files[i]->isk : NULL;

		if (!e || e->proto != IPPROTO_TCP || e->state == LISTEN || !e->dst_port)
			continue;
		id_map_put(&all->by_id, plan->arena, e->id, (uint32_t)all->n);
		all->e[all->n++] = e;
	}
	all->v = arena_alloc(plan->arena, all->n * sizeof(*all->v));
	/* In a stream they are in memory already, and in one place for all. */
	if (all->n < MANY || !m->dir || image_dir_fd(m->dir) < 0)
		return all;
	plan->beside = plan->beside ?: arena_new();
	other = (struct loader){ m, all, plan->beside };
	halves_run(&(struct halves){ .n = all->n, .at_once = AT_ONCE, .one = load_one, .mine = &mine, .other = &other }, &ignore);
	return all;
}

int tcp_as_ended(const struct model *m, struct plan *plan, const InetSkEntry *e, const InetSkEntry **out, struct err *err)
{
	InetSkEntry *copy = arena_dup(plan->arena, e, sizeof(*e));
	EndedTcpEntry *ended = arena_msg(plan->arena, EndedTcpEntry, ended_tcp_entry__init);
	cleanup_reader struct image_reader *rd = NULL;
	struct tcp_stream st = { 0 };
	int ret = image_reader_open(m->dir, IMG_TCP_STREAM, e->ino, &rd, err);

	if (!ret && !image_reader_absent(rd))
		ret = tcp_stream_load(m, plan, e, &st, err);
	if (ret < 0)
		return ret;
	ended->port = e->src_port;
	ended->addr = e->src_addr;
	ended->n_addr = e->n_src_addr;
	ended->unread = st.s ? st.s->inq_len : 0;
	copy->ended = ended;
	copy->src_port = copy->dst_port = 0;
	*out = copy;
	return 0;
}

int tcp_stream_load(const struct model *m, struct plan *plan, const InetSkEntry *e, struct tcp_stream *out, struct err *err)
{
	uint32_t i;

	if (!plan->tcp_streams)
		plan->tcp_streams = load_all(m, plan);
	if (id_map_get(&plan->tcp_streams->by_id, e->id, &i) && plan->tcp_streams->e[i] == e && plan->tcp_streams->v[i].s) {
		*out = plan->tcp_streams->v[i];
		return 0;
	}
	return load(m, plan->arena, e, out, err);
}
