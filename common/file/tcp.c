// SPDX-License-Identifier: GPL-2.0-or-later
/* TCP sockets without a connection: listening, bound, fresh. Connections are tcp_stream.c's. */
#include "common/file/inet.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static bool tcp_match(int type, int protocol)
{
	return type == SOCK_STREAM && protocol == IPPROTO_TCP;
}

/* ---- dump ---- */

static void fill_tcp_options(struct dump *d, int fd, InetSkEntry *e)
{
	static const struct { int name; size_t has, value; bool boolean; } fields[] = {
#define FIELD(name, field, boolean) { name, offsetof(TcpOptsEntry, has_##field), offsetof(TcpOptsEntry, field), boolean }
		FIELD(TCP_CORK, cork, true),	      FIELD(TCP_NODELAY, nodelay, true),
		FIELD(TCP_KEEPCNT, keepcnt, false),   FIELD(TCP_KEEPIDLE, keepidle, false),
		FIELD(TCP_KEEPINTVL, keepintvl, false),
#undef FIELD
	};
	TcpOptsEntry *o = e->tcp_opts = arena_msg(d->arena, TcpOptsEntry, tcp_opts_entry__init);

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		int v = 0;
		socklen_t len = sizeof(v);

		if (getsockopt(fd, IPPROTO_TCP, fields[i].name, &v, &len) < 0)
			continue;
		*(protobuf_c_boolean *)((char *)o + fields[i].has) = true;
		if (fields[i].boolean)
			*(protobuf_c_boolean *)((char *)o + fields[i].value) = v != 0;
		else
			*(uint32_t *)(void *)((char *)o + fields[i].value) = (uint32_t)v;
	}
}

/* A protocol on top (kernel TLS) keeps keys and records that nobody can read. */
static int refuse_upper(int fd, struct err *err)
{
	char name[16] = "", what[256];
	socklen_t len = sizeof(name) - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &len) < 0 || !len || !name[0])
		return 0;
	sock_describe(fd, what, sizeof(what));
	return err_refuse(err, "%s: the kernel runs the protocol %s on top of it, whose state cannot be read", what, name);
}

static int refuse_connection(const struct fd_source *src, struct err *err)
{
	char what[300];

	sock_describe(src->fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s", what),
			"TCP connections come back only with --tcp-established, which this version lacks");
}

static int tcp_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	char what[300];
	int ret;

	if (getsockopt(src->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "cannot read the state of a TCP socket");
	ret = refuse_upper(src->fd, err);
	if (ret < 0)
		return ret;
	if (info.tcpi_state != TCP_LISTEN && info.tcpi_state != TCP_CLOSE)
		return refuse_connection(src, err);
	ret = inet_fill(d, src, e, false, err);
	if (ret < 0)
		return ret;
	fill_tcp_options(d, src->fd, e);
	e->state = info.tcpi_state;
	if (e->state != TCP_LISTEN)
		return 0;
	/* Of a listening socket these two tell the accept queue (tcp_get_info() in net/ipv4/tcp.c). */
	e->backlog = info.tcpi_sacked;
	if (!info.tcpi_unacked)
		return 0;
	sock_describe(src->fd, what, sizeof(what));
	return err_refuse(err, "%s: %u connections that the program has not accepted yet", what, info.tcpi_unacked);
}

/* ---- restore ---- */

static void plan_tcp_options(struct plan *plan, const TcpOptsEntry *o, uint32_t slot)
{
	if (!o)
		return;
	if (o->has_keepcnt && o->keepcnt)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, (int)o->keepcnt);
	if (o->has_keepidle && o->keepidle)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, (int)o->keepidle);
	if (o->has_keepintvl && o->keepintvl)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, (int)o->keepintvl);
	if (o->has_nodelay && o->nodelay)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
	if (o->has_cork && o->cork)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1);
}

static int tcp_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	int ret;

	if (e->state != TCP_LISTEN && e->dst_port)
		return err_refuse(err, "files.img: TCP connection, which this version cannot restore");
	ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	inet_plan_bind(plan, e, slot);
	if (e->state == TCP_LISTEN)
		program_call(plan->controller, MAKE_OBJECTS, "listen", SYS_listen, A_SLOT(slot), A(e->backlog));
	plan_tcp_options(plan, e->tcp_opts, slot);
	return inet_plan_options(plan, e, slot, err);
}

const struct inet_protocol tcp_protocol = {
	.name = "TCP socket",
	.match = tcp_match,
	.dump = tcp_dump,
	.plan = tcp_plan,
};
