// SPDX-License-Identifier: GPL-2.0-or-later
/* What only sock_diag tells of unix sockets: peers, pending connections, files. Asked once for all of them. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "common/sock/unixsk.h"

#define ANSWER_MAX (256u << 10) /* more than any message: an accept queue of 60,000 connections */

static uint32_t word(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void take_attribute(struct arena *arena, int type, const unsigned char *value, size_t len, struct unix_diag *s)
{
	switch (type) {
	case UNIX_DIAG_NAME:
		s->name_len = (uint32_t)len;
		s->name = arena_dup(arena, value, len);
		break;
	case UNIX_DIAG_VFS:
		if (len >= sizeof(struct unix_diag_vfs)) {
			s->file_ino = word(value + offsetof(struct unix_diag_vfs, udiag_vfs_ino));
			s->file_dev = word(value + offsetof(struct unix_diag_vfs, udiag_vfs_dev));
		}
		break;
	case UNIX_DIAG_PEER:
		s->peer = len >= 4 ? word(value) : 0;
		break;
	case UNIX_DIAG_ICONS:
		s->nicons = len / 4;
		s->icons = arena_dup(arena, value, len);
		break;
	case UNIX_DIAG_RQLEN:
		if (len >= sizeof(struct unix_diag_rqlen)) {
			s->rqueue = word(value + offsetof(struct unix_diag_rqlen, udiag_rqueue));
			s->wqueue = word(value + offsetof(struct unix_diag_rqlen, udiag_wqueue));
		}
		break;
	case UNIX_DIAG_SHUTDOWN:
		s->shutdown = len ? *value : 0;
		break;
	}
}

static void take_socket(struct arena *arena, const struct nlmsghdr *h, struct unix_diag *s)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	const unsigned char *p = (const unsigned char *)(msg + 1), *end = (const unsigned char *)h + h->nlmsg_len;

	*s = (struct unix_diag){ .ino = msg->udiag_ino, .type = msg->udiag_type, .state = msg->udiag_state };
	while ((size_t)(end - p) >= sizeof(struct nlattr)) {
		struct nlattr a;
		memcpy(&a, p, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > end - p)
			break;
		take_attribute(arena, a.nla_type, p + NLA_HDRLEN, a.nla_len - NLA_HDRLEN, s);
		p += MIN((size_t)NLA_ALIGN(a.nla_len), (size_t)(end - p));
	}
}

static int by_ino(const void *va, const void *vb)
{
	const struct unix_diag *a = va, *b = vb;

	return (a->ino > b->ino) - (a->ino < b->ino);
}

/* Takes the answers in one datagram. 1: there are more, 0: that was the last. */
static int take_answers(struct arena *arena, const struct nlmsghdr *h, size_t left, struct unix_diag **v, size_t *cap,
			size_t *n, struct err *err)
{
	for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			return err_set(err, ERR_FAILED, -e->error, "sock_diag does not tell about unix sockets");
		}
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
			return err_set(err, ERR_FAILED, EPROTO, "sock_diag gave half an answer");
		array_reserve(v, cap, *n, sizeof(**v));
		take_socket(arena, h, &(*v)[(*n)++]);
	}
	return 1;
}

int unix_diag_all(struct arena *arena, struct unix_diags *out, struct err *err)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = AF_UNIX, .udiag_states = ~0u,
		       .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS |
				     UDIAG_SHOW_RQLEN },
	};
	cleanup_fd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	cleanup_free struct unix_diag *v = NULL;
	cleanup_free void *answer = xmalloc(ANSWER_MAX);
	size_t cap = 0;
	int ret;

	*out = (struct unix_diags){ 0 };
	if (nl < 0)
		return err_sys(err, "cannot open a sock_diag socket");
	if (send(nl, &req, sizeof(req), 0) < 0)
		return err_sys(err, "cannot ask sock_diag");
	do {
		ssize_t len = recv(nl, answer, ANSWER_MAX, MSG_TRUNC);
		if (len < 0)
			return err_sys(err, "cannot ask sock_diag");
		if ((size_t)len > ANSWER_MAX)
			return err_set(err, ERR_FAILED, EMSGSIZE, "sock_diag gave too long an answer");
		ret = take_answers(arena, answer, (size_t)len, &v, &cap, &out->n, err);
	} while (ret > 0);
	if (ret < 0)
		return ret;
	if (out->n) {
		qsort(v, out->n, sizeof(*v), by_ino);
		out->v = arena_dup(arena, v, out->n * sizeof(*v));
	}
	return 0;
}

const struct unix_diag *unix_diag_find(const struct unix_diags *all, uint32_t ino)
{
	const struct unix_diag key = { .ino = ino };

	return all->n && ino ? bsearch(&key, all->v, all->n, sizeof(key), by_ino) : NULL;
}

const struct unix_diag *unix_diag_listener(const struct unix_diags *all, uint32_t client, uint32_t *place)
{
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < all->v[i].nicons; k++)
			if (all->v[i].icons[k] == client) {
				*place = (uint32_t)k;
				return &all->v[i];
			}
	return NULL;
}

/* What accept(2) gave has the listener's name and file, but holds neither. */
static bool holds_name(const struct unix_diag *s)
{
	return s->type == SOCK_DGRAM || s->state != UNIX_CONNECTED;
}

const struct unix_diag *unix_diag_by_file(const struct unix_diags *all, const struct stat *st)
{
	/* The kernel's own way to put a device number together (MKDEV in linux/kdev_t.h), and the low half of the inode. */
	uint32_t dev = (uint32_t)(major(st->st_dev) << 20 | minor(st->st_dev));

	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].file_ino == (uint32_t)st->st_ino && all->v[i].file_dev == dev && all->v[i].file_ino &&
		    holds_name(&all->v[i]))
			return &all->v[i];
	return NULL;
}

const struct unix_diag *unix_diag_by_name(const struct unix_diags *all, const void *name, size_t len)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].name_len == len && holds_name(&all->v[i]) && !memcmp(all->v[i].name, name, len))
			return &all->v[i];
	return NULL;
}
