// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Errors that wait in TCP sockets whose connection has ended, or whose attempt at one has failed. The kernel makes them in these ways,
 * and so does a restore, with sockets of its own over the loopback device (net/ipv4/tcp_input.c, tcp_ipv4.c, tcp_timer.c, Linux 6.18):
 *
 *	a reset (tcp_reset())		ECONNRESET; EPIPE where the peer has said its end before and we have not; ECONNREFUSED;
 *	no answer (tcp_write_err())	ETIMEDOUT, or what an ICMP message has said before (sk_err_soft); TCP_USER_TIMEOUT makes that short;
 *	an ICMP message (tcp_v4_err())	what that means, while the connection is being opened;
 *	an administrator (tcp_abort())	ECONNABORTED.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <string.h>
#include <time.h>

#include "common/net/guard.h"
#include "common/sock/icmp.h"
#include "common/sock/tcp_ended.h"

enum { ESTABLISHED = 1, CLOSED = 7, CLOSE_WAIT = 8 }; /* include/net/tcp_states.h */
#define ACK_TRIES 400
#define ACK_PAUSE_NS 5000000
#define WAIT_TIMES 3 /* of two seconds: the first timer of a SYN has one, later ones are short */

static bool by_reset(const InetSkEntry *e)
{
	if (e->ended->attempt)
		return e->error == ECONNREFUSED && !e->ended->report;
	return e->error == ECONNRESET || (e->error == EPIPE && e->ended->fin);
}

/* Whether one of the ways leads to it. */
static bool possible(const InetSkEntry *e, const union inet_address *own)
{
	const EndedTcpEntry *ended = e->ended;

	if (ended->attempt ? ended->fin || ended->unread : ended->report)
		return false;
	if (ended->report && (inet_is_v6(own) || !icmp_means(false, (int)e->error, false)))
		return false;
	return by_reset(e) || e->error == ETIMEDOUT || e->error == ECONNABORTED || icmp_means(inet_is_v6(own), (int)e->error, false);
}

/* ---- dump ---- */

int tcp_error_dump(const struct sock_error *w, InetSkEntry *e, EndedTcpEntry *ended, const char *what, struct err *err)
{
	union inet_address own;

	if (!ended || (w->stage != SOCK_CONNECTED && w->stage != SOCK_CONNECTING))
		return sock_error_refuse(what, w, err);
	inet_address_of(e, false, &own);
	e->has_error = true;
	e->error = (uint32_t)w->error;
	e->ended = ended;
	ended->has_attempt = ended->attempt = w->stage == SOCK_CONNECTING;
	ended->has_fin = ended->fin = w->fin;
	ended->has_report = ended->report = w->report;
	return possible(e, &own) ? 0 : sock_error_refuse(what, w, err);
}

/* ---- restore ---- */

int tcp_error_plan(struct tcp_ended *r, struct plan *plan, struct err *err)
{
	const InetSkEntry *e = r->e;
	union inet_address own;

	if (!e->has_error)
		return 0;
	inet_address_of(e, false, &own);
	if (!e->error || e->error > SOCK_ERRNO_MAX || !possible(e, &own))
		return err_image(err, "files.img: TCP socket %u: an error that it cannot have: %u", e->id, e->error);
	r->by_icmp = !by_reset(e) && icmp_means(inet_is_v6(&own), (int)e->error, false);
	if (r->by_icmp)
		r->raw = sock_error_raw(plan, inet_is_v6(&own));
	return 0;
}

/* Drops whatever comes, without an answer. */
static int make_deaf(int fd)
{
	struct sock_filter drop = { .code = BPF_RET | BPF_K };
	const struct sock_fprog all = { 1, &drop };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)) < 0 ? -errno : 0;
}

/*
 * An ICMP message about its segment `seq`. For it the kernel looks for a socket on the loopback device, also where the address is another
 * device's (tcp_v6_err()); sock_quiet_end() gives it that again.
 */
static int answer(const struct tcp_ended *r, int fd, int peer, int raw, uint32_t seq, struct err *err)
{
	union inet_address own, other = { 0 };
	socklen_t len = sizeof(other);
	struct icmp_answered p = { .own = &own, .peer = &other, .protocol = IPPROTO_TCP, .len = sizeof(p.head) };

	tcp_ended_address(r, &own);
	if (getsockname(peer, &other.sa, &len) < 0)
		return err_sys(err, "cannot read the address of a socket");
	sock_set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
	seq = htonl(seq);
	memcpy(p.head, &own.in.sin_port, 2); /* at the same place in both */
	memcpy(p.head + 2, &other.in.sin_port, 2);
	memcpy(p.head + 4, &seq, 4);
	p.head[12] = 5 << 4; /* words of its header */
	return icmp_answer(raw, &p, (int)r->e->error, err);
}

static int not_heard(struct err *err)
{
	return err_hint(err, err_set(err, ERR_FAILED, 0, "it does not hear of its error"), SOCK_LOOPBACK_HINT "; --tcp-close drops it");
}

int tcp_error_attempt(const struct tcp_ended *r, int fd, int peer, int raw, struct err *err)
{
	const SkOptsEntry *o = r->e->opts;
	const int flags = fcntl(fd, F_GETFL);
	union inet_address own, other;
	int ret = tcp_ended_bind(r, fd, peer, &own, &other, err);
	const socklen_t len = (socklen_t)ret;

	if (ret < 0)
		return ret;
	ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	if (!ret)
		ret = repair_leave(fd, o->has_reuseaddr && o->reuseaddr);
	/* Who does not listen, resets. */
	if (!ret && !by_reset(r->e))
		ret = make_deaf(peer);
	if (!ret && !by_reset(r->e) && listen(peer, 1) < 0)
		ret = -errno;
	if (!ret && r->e->error == ETIMEDOUT)
		ret = sock_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1);
	if (ret < 0)
		return tcp_ended_failed(err, ret, "cannot make somebody who does not answer");
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, &other.sa, len) < 0 && errno != EINPROGRESS)
		ret = err_sys(err, "cannot try to connect it");
	fcntl(fd, F_SETFL, flags);
	if (ret < 0 || r->e->error == ETIMEDOUT)
		return ret < 0 ? ret : 1;
	if (r->by_icmp)
		ret = answer(r, fd, peer, raw, 1, err);
	else if (r->e->error == ECONNABORTED)
		ret = sock_destroy(fd, err);
	if (!ret)
		ret = tcp_wait_state(fd, CLOSED);
	/* This empties the queue of reports, in which IPv4 has one now (do_ip_setsockopt()). */
	if (!ret && r->by_icmp && !r->e->ended->report)
		sock_set(fd, IPPROTO_IP, IP_RECVERR, 0);
	return ret == -ETIMEDOUT && !err->kind ? not_heard(err) : ret;
}

/* The peer has gone, and our end is answered by a reset: as in LAST_ACK. */
static int reset_last(const struct tcp_ended *r, int fd, int peer)
{
	const SkOptsEntry *o = r->e->opts;
	int ret = repair_enter(peer);

	if (!ret && connect(peer, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)) < 0)
		ret = -errno;
	if (!ret)
		ret = repair_leave(fd, o->has_reuseaddr && o->reuseaddr);
	if (!ret && shutdown(fd, SHUT_WR) < 0)
		ret = -errno;
	return ret;
}

static int wait_acked(int fd)
{
	const struct timespec pause = { 0, ACK_PAUSE_NS };

	for (int tries = 0; tries < ACK_TRIES; tries++) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof(info);

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			return -errno;
		if (!info.tcpi_unacked)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/*
 * What it sends is answered no more. A byte before that was, so the kernel knows how long that takes, and waits a fifth of a second and not
 * three.
 */
static int send_in_vain(const struct tcp_ended *r, int fd, int peer, int raw, struct err *err)
{
	const SkOptsEntry *o = r->e->opts;
	int ret = repair_leave(fd, o->has_reuseaddr && o->reuseaddr);

	sock_set(peer, IPPROTO_TCP, TCP_QUICKACK, 1);
	if (!ret && send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		ret = -errno;
	if (!ret)
		ret = wait_acked(fd);
	if (!ret)
		ret = make_deaf(peer);
	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1);
	if (!ret && send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		ret = -errno;
	if (!ret && r->by_icmp)
		return answer(r, fd, peer, raw, 2, err);
	return ret == -ETIMEDOUT ? not_heard(err) : tcp_ended_failed(err, ret, "cannot send in vain");
}

int tcp_error_connected(const struct tcp_ended *r, int fd, int peer, int raw, struct err *err)
{
	const InetSkEntry *e = r->e;
	/* With its probe: a packet filter that knows connections takes that as the beginning of one. */
	int ret = sock_set(peer, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);

	if (!ret && e->ended->fin && shutdown(peer, SHUT_WR) < 0)
		ret = -errno;
	if (!ret && e->ended->fin)
		ret = tcp_wait_state(fd, CLOSE_WAIT);
	if (!ret && e->error == ECONNABORTED)
		return sock_destroy(fd, err);
	if (!ret && !by_reset(e)) {
		ret = send_in_vain(r, fd, peer, raw, err);
		return ret < 0 ? ret : 1;
	}
	if (!ret && e->ended->fin && e->error == ECONNRESET)
		ret = reset_last(r, fd, peer);
	else if (!ret && connect(peer, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)) < 0)
		ret = -errno;
	if (!ret)
		ret = tcp_wait_state(fd, CLOSED);
	return ret == -ETIMEDOUT ? not_heard(err) : tcp_ended_failed(err, ret, "cannot reset its connection");
}

int tcp_error_wait(int fd, struct err *err)
{
	int ret = -ETIMEDOUT;

	for (int i = 0; i < WAIT_TIMES && ret == -ETIMEDOUT; i++)
		ret = tcp_wait_state(fd, CLOSED);
	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
	return ret == -ETIMEDOUT ? not_heard(err) : tcp_ended_failed(err, ret, "cannot wait for its error");
}
