// SPDX-License-Identifier: GPL-2.0-or-later
/* TCP sockets without a connection: listening, bound, fresh. Connections are tcp_stream.c's. */
#include "common/sock/tcp.h"
#include "common/sock/accept_queue.h"
#include "common/sock/ahead.h"
#include "common/sock/listeners.h"
#include "common/sock/reuse.h"
#include "common/sock/tcp_ended.h"
#include "common/sock/tcp_load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>

static bool tcp_match(int type, int protocol)
{
	return type == SOCK_STREAM && protocol == IPPROTO_TCP;
}

/* ---- dump ---- */

TcpOptsEntry *tcp_options(struct dump *d, int fd)
{
	static const struct { int name; size_t has, value; bool boolean; } fields[] = {
#define FIELD(name, field, boolean) { name, offsetof(TcpOptsEntry, has_##field), offsetof(TcpOptsEntry, field), boolean }
		FIELD(TCP_CORK, cork, true),	      FIELD(TCP_NODELAY, nodelay, true),
		FIELD(TCP_KEEPCNT, keepcnt, false),   FIELD(TCP_KEEPIDLE, keepidle, false),
		FIELD(TCP_KEEPINTVL, keepintvl, false),
#undef FIELD
	};
	TcpOptsEntry *o = arena_msg(d->arena, TcpOptsEntry, tcp_opts_entry__init);

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
	return o;
}

void tcp_fill_options(struct dump *d, const struct fd_source *src, InetSkEntry *e)
{
	const struct sock_told *told = sock_ahead_get(d, src->ahead);

	e->tcp_opts = told && told->tcp ? told->tcp : tcp_options(d, src->fd);
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

/* Connections that are there, or coming. */
static int dump_connected(struct dump *d, const struct fd_source *src, const struct tcp_info *info, FileEntry *entry, InetSkEntry *e,
			  struct err *err)
{
	const unsigned state = info->tcpi_state;
	char what[300];

	if (d->opts->tcp_close || (d->opts->skip_in_flight && state == TCP_SYN_SENT))
		return tcp_dump_dropped(d, src, e, err);
	/* No SYN is on its way: connect(2) left that to the first data (tcp_fastopen_defer_connect() in net/ipv4/tcp_fastopen.c). */
	if (state == TCP_SYN_SENT && !info->tcpi_unacked)
		return err_hint(err, err_refuse(err, "TCP socket whose connection begins with its first data (TCP_FASTOPEN_CONNECT)"),
				"let the program send something, or use --skip-in-flight to drop it");
	if (state != TCP_SYN_RECV && d->opts->tcp_established)
		return tcp_collect(d, src, entry, err);
	sock_describe(src->fd, what, sizeof(what));
	if (state == TCP_SYN_RECV)
		return err_refuse(err, "%s: its handshake is not complete", what);
	return err_hint(err, err_refuse(err, "%s", what),
			state == TCP_SYN_SENT ? "use --tcp-established to keep it, or --skip-in-flight to drop it" :
						"use --tcp-established to keep it, or --tcp-close to drop it");
}

/* Connections that their peers take for open, and that the program may not accept before the first byte comes. */
static int count_deferred(struct dump *d, const struct fd_source *src, const InetSkEntry *e, int seconds, unsigned *n, struct err *err)
{
	*n = 0;
	return seconds ? inet_opening(d, src, (uint16_t)e->src_port, n, err) : 0;
}

static void describe_waiting(int fd, unsigned n, unsigned deferred, char *out, size_t size)
{
	size_t len;

	sock_describe(fd, out, size);
	len = strlen(out);
	if (n)
		snprintf(out + len, size - len, ": %u %s the program has not accepted yet", n,
			 n == 1 ? "connection that" : "connections that");
	else
		snprintf(out + len, size - len, ": %u %s for data before the program may accept (TCP_DEFER_ACCEPT)", deferred,
			 deferred == 1 ? "connection that waits" : "connections that wait");
}

static int dump_listening(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	struct tcp_info info = { 0 };
	unsigned n, deferred;
	char what[400];
	int ret, seconds = 0;
	socklen_t len = sizeof(seconds);

	getsockopt(src->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len);
	if (!seconds)
		listeners_settle(d, src->fd, (uint16_t)e->src_port);
	/* Of a listening socket these two tell the accept queue (tcp_get_info() in net/ipv4/tcp.c). */
	len = sizeof(info);
	if (getsockopt(src->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "cannot read the state of a TCP socket");
	e->backlog = info.tcpi_sacked;
	reuse_dump(d, src->fd, e);
	if (d->opts->skip_in_flight || d->opts->tcp_close)
		return 0;
	n = info.tcpi_unacked;
	listeners_watch(d, src->fd, n);
	ret = count_deferred(d, src, e, seconds, &deferred, err);
	if (ret || (!n && !deferred))
		return ret;
	describe_waiting(src->fd, n, deferred, what, sizeof(what));
	if (d->opts->tcp_established)
		return tcp_collect_waiting(d, src, entry, n, deferred, what, err);
	return err_hint(err, err_refuse(err, "%s", what), "use --tcp-established to keep them, or --skip-in-flight to drop them");
}

static int tcp_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	struct sock_error waiting;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int ret;

	if (getsockopt(src->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(err, "cannot read the state of a TCP socket");
	ret = refuse_upper(src->fd, err);
	if (!ret)
		ret = inet_refuse_keys(d, src, err);
	if (ret < 0)
		return ret;
	if (info.tcpi_state != TCP_LISTEN && info.tcpi_state != TCP_CLOSE)
		return dump_connected(d, src, &info, entry, e, err);
	if (info.tcpi_state == TCP_CLOSE && tcp_was_connected(src->fd))
		return tcp_dump_ended(d, src, e, err);
	ret = inet_fill(d, src, e, false, err);
	if (ret < 0)
		return ret;
	tcp_fill_options(d, src, e);
	e->state = info.tcpi_state;
	/* As after a connection that was dissolved (connect(2) to AF_UNSPEC). */
	ret = sock_error_look(d, src, "TCP socket without a connection", &waiting, err);
	if (!ret && waiting.error)
		ret = sock_error_refuse("TCP socket without a connection", &waiting, err);
	if (ret < 0)
		return ret;
	return e->state == TCP_LISTEN ? dump_listening(d, src, entry, e, err) : 0;
}

int tcp_state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

/* Of any descriptor; -1: it is no TCP socket (MPTCP knows TCP_INFO, too). */
static int state_if_tcp(int fd)
{
	return fd < 0 || sock_option(fd, SO_PROTOCOL) != IPPROTO_TCP ? -1 : tcp_state(fd);
}

/* One descriptor of a frozen task: a connection that no option allows? */
static int refuse_connection(const struct dump *d, int pidfd, int number, struct err *err)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	const int state = state_if_tcp(fd);
	char what[300];

	if (state < 0 || state == TCP_LISTEN || state == TCP_CLOSE || (state == TCP_SYN_SENT && d->opts->skip_in_flight))
		return 0;
	sock_describe(fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s", what), "use --tcp-established to keep it, or --tcp-close to drop it");
}

bool tcp_is_connected(const struct dump_task *t, int number)
{
	cleanup_fd int pidfd = dump_task_pidfd(t), fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	const int state = state_if_tcp(fd);

	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

int tcp_refuse_early(const struct dump *d, struct err *err)
{
	if (d->opts->tcp_established || d->opts->tcp_close || d->found) /* a check tells of each in its place */
		return 0;
	for (size_t i = 0; i < d->ntasks; i++) {
		const struct dump_task *task = d->tasks[i];
		cleanup_fd int pidfd = task->zombie ? -1 : dump_task_pidfd(task);
		struct err ignore = ERR_INIT;
		int *numbers, ret;
		size_t n;

		if (pidfd < 0 || proc_numbers(task->proc_fd, "fd", d->arena, &numbers, &n, &ignore) < 0)
			continue;
		for (size_t k = 0; k < n; k++) {
			ret = refuse_connection(d, pidfd, numbers[k], err);
			if (ret)
				return err_task(err, task->pid, task->stat.comm, err_object(err, ret, "fd %d", numbers[k]));
		}
	}
	return 0;
}

/* ---- restore ---- */

void tcp_normal_ask(struct tcp_normal *out)
{
	const struct { int level, name; uint32_t *value; } all[] = {
		{ IPPROTO_TCP, TCP_KEEPCNT, &out->keepcnt },	 { IPPROTO_TCP, TCP_KEEPIDLE, &out->keepidle },
		{ IPPROTO_TCP, TCP_KEEPINTVL, &out->keepintvl }, { IPPROTO_IP, IP_TTL, &out->ttl },
	};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(all); i++) {
		socklen_t len = sizeof(*all[i].value);

		if (getsockopt(fd, all[i].level, all[i].name, all[i].value, &len) < 0)
			*all[i].value = 0;
	}
}

void tcp_plan_options(struct plan *plan, const TcpOptsEntry *o, uint32_t slot)
{
	if (!o)
		return;
	if (o->has_keepcnt && o->keepcnt && o->keepcnt != plan->tcp_normal.keepcnt)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, (int)o->keepcnt);
	if (o->has_keepidle && o->keepidle && o->keepidle != plan->tcp_normal.keepidle)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, (int)o->keepidle);
	if (o->has_keepintvl && o->keepintvl && o->keepintvl != plan->tcp_normal.keepintvl)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, (int)o->keepintvl);
	if (o->has_nodelay && o->nodelay)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1);
	if (o->has_cork && o->cork)
		inet_plan_int(plan, MAKE_CONTENT, slot, "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1);
}

static int tcp_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	const bool gave_up = plan->tcp_close || m->inventory->tcp_close;
	int ret;

	if (e->state == TCP_CLOSE && e->dst_port && !e->ended && !gave_up) {
		ret = tcp_as_ended(m, plan, e, &e, err);
		if (ret < 0)
			return ret;
	}
	const bool connected = e->state != TCP_LISTEN && e->dst_port;

	if (e->has_error && (connected || e->state != TCP_CLOSE || !e->ended))
		return err_image(err, "files.img: TCP socket %u: an error waits to be read, and no connection has ended", e->id);
	if (e->n_waiting && e->state != TCP_LISTEN)
		return err_image(err, "files.img: TCP socket %u: connections wait to be accepted, and it does not listen", e->id);
	if (connected && !gave_up)
		return tcp_plan_connection(m, e, plan, slot, err);
	if (e->state == TCP_CLOSE && e->ended && !gave_up) {
		ret = tcp_plan_ended(m, e, plan, slot, err);
		if (ret <= 0)
			return ret;
	}
	ret = reuse_plan_before(m, e, plan, err);
	if (!ret)
		ret = e->n_waiting && !gave_up ? accept_queue_plan(m, e, plan, slot, err) : 0;
	if (!ret)
		ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	const bool shared = !connected && inet_port_shared(m, plan, e);
	if (!connected)
		inet_plan_bind(plan, e, shared, slot);
	/* Where others have the port, too, they must be bound before: nobody is bound to a port on which somebody listens. */
	if (e->state == TCP_LISTEN)
		program_call(plan->controller, shared ? MAKE_CONTENT : MAKE_OBJECTS, "listen", SYS_listen, A_SLOT(slot), A(e->backlog));
	/* It says that there is no connection, and shuts down all the same (inet_shutdown() in net/ipv4/af_inet.c). */
	if (connected || (e->state == TCP_CLOSE && e->has_shutdown && e->shutdown == SK_SHUTDOWN__BOTH))
		program_call_eq(plan->controller, MAKE_CONTENT, "its connection is over", -ENOTCONN, SYS_shutdown, A_SLOT(slot),
				A(SHUT_RDWR));
	tcp_plan_options(plan, e->tcp_opts, slot);
	return inet_plan_options(plan, e, slot, err);
}

const struct inet_protocol tcp_protocol = {
	.name = "TCP socket",
	.match = tcp_match,
	.dump = tcp_dump,
	.plan = tcp_plan,
};
