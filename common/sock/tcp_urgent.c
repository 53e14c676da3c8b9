// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Urgent data (tcp_urg(), tcp_check_urg() in net/ipv4/tcp_input.c; Linux 6.18). The kernel knows one place of the stream, the mark, and
 * the byte there, which the program may have read already (MSG_OOB) when it has not come to the mark yet; or the peer has announced it,
 * and it has not come. Reading stops at the mark, and so does counting, but with SO_OOBINLINE, which is on or off here for some
 * microseconds. A look at what lies behind begins there (SO_PEEK_OFF, since Linux 6.9).
 *
 * Nothing but a segment sets a mark. So a restore fills the queue up to it, and says the rest over the loopback device in the name of the
 * peer. What was sent as urgent and not acknowledged is sent as urgent once more, in repair mode, too (tcp_mark_urg() in net/ipv4/tcp.c).
 */
#include "common/sock/tcp_urgent.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/base/io.h"
#include "common/bpf/kmem.h"
#include "common/net/guard.h"
#include "common/sock/sockerr.h"
#include "common/sock/tcp_packet.h"

enum { SYN_SENT = 2, FIN_WAIT1 = 4, FIN_WAIT2, CLOSED = 7, CLOSE_WAIT, LAST_ACK, CLOSING = 11 }; /* include/net/tcp_states.h */
/* How far the pointer of a segment leads. */
#define AHEAD_MAX (UINT16_MAX - 1u)
#define SMALL_BYTES 512u
#define LOOPBACK 1 /* LOOPBACK_IFINDEX */
#define ROOM 65536u
#define TRIES 200
#define PAUSE_NS 5000000

/* ---- the kernel's memory ---- */

enum field { URGENT, COPIED, URGENT_SENT, ACKED, FIELDS };
static const char *const fields[FIELDS] = { "urg_seq", "copied_seq", "snd_up", "snd_una" };

struct tcp_urgent {
	struct kmem *k; /* NULL: why */
	struct err why;
	struct btf_bits at[FIELDS];
	size_t size;
};

static struct tcp_urgent *open_all(void)
{
	struct tcp_urgent *all = xzalloc(sizeof(*all));

	if (kmem_open(&all->k, &all->why) < 0)
		return all;
	all->size = btf_size(kmem_types(all->k), "tcp_sock");
	for (size_t i = 0; i < FIELDS && all->k; i++) {
		if (all->size && btf_bits(kmem_types(all->k), "tcp_sock", fields[i], &all->at[i]))
			continue;
		btf_lacks("tcp_sock", fields[i], &all->why);
		kmem_close(take_ptr(all->k));
	}
	return all;
}

void tcp_urgent_close(struct tcp_urgent *all)
{
	if (all)
		kmem_close(all->k);
	free(all);
}

/* 0: this is not to be known here. */
static int read_numbers(struct tcp_urgent **all, int fd, uint32_t out[FIELDS], struct err *err)
{
	struct tcp_urgent *t = *all = *all ?: open_all();
	cleanup_free char *sock = xmalloc(t->size + 1);
	uint64_t file, at;
	int ret;

	if (!t->k)
		return 0;
	ret = kmem_file(t->k, fd, &file, err);
	if (!ret)
		ret = kmem_follow(t->k, file, "file", "private_data->(socket)sk", &at, err);
	if (!ret)
		ret = kmem_read(t->k, at, sock, t->size, err);
	for (size_t i = 0; !ret && i < FIELDS; i++)
		out[i] = (uint32_t)kmem_field(sock, &t->at[i], 4);
	return ret < 0 ? ret : 1;
}

/* ---- dump ---- */

/* What a guard finds out. */
struct marked {
	int fd, ret;
	int before, all; /* bytes up to the mark; of the queue */
	int byte;	 /* what MSG_OOB gives: 1, 0 or -errno */
	int beyond;	 /* whether one can look behind the mark: 0, -EBUSY (SO_PEEK_OFF is the program's) or another -errno */
	unsigned char bytes[];
};

static ssize_t peek(int fd, void *to, size_t n, int flags)
{
	const ssize_t got = recv(fd, to, n, MSG_PEEK | MSG_DONTWAIT | flags);

	return got < 0 ? -errno : got;
}

static int count(int fd, int inlined, int *n)
{
	const int ret = sock_set(fd, SOL_SOCKET, SO_OOBINLINE, inlined);

	return ret ? ret : ioctl(fd, SIOCINQ, n) < 0 ? -errno : 0;
}

static bool find_mark(void *memory)
{
	struct marked *m = memory;
	const int was = sock_option(m->fd, SO_OOBINLINE);
	char byte;

	m->ret = count(m->fd, 1, &m->all);
	if (!m->ret)
		m->ret = count(m->fd, 0, &m->before);
	/* Nothing stops at a mark: something has come in between. */
	m->before = MIN(m->before, m->all);
	m->byte = (int)peek(m->fd, &byte, 1, MSG_OOB);
	m->beyond = sock_option(m->fd, SO_PEEK_OFF) >= 0 ? -EBUSY : sock_set(m->fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	sock_set(m->fd, SOL_SOCKET, SO_OOBINLINE, was > 0);
	return false;
}

static bool take_bytes(void *memory)
{
	struct marked *m = memory;
	const int was = sock_option(m->fd, SO_OOBINLINE);
	ssize_t n = 0;

	m->ret = sock_set(m->fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!m->ret && m->before)
		n = peek(m->fd, m->bytes, (size_t)m->before, 0);
	if (!m->ret && n == m->before && m->all > m->before) {
		if (m->before)
			m->ret = sock_set(m->fd, SOL_SOCKET, SO_PEEK_OFF, m->before);
		n = peek(m->fd, m->bytes + m->before, (size_t)(m->all - m->before), 0);
		n += n < 0 ? 0 : m->before;
		if (m->before)
			sock_set(m->fd, SOL_SOCKET, SO_PEEK_OFF, -1);
	}
	if (!m->ret && n != m->all)
		m->ret = n < 0 ? (int)n : -EPROTO;
	sock_set(m->fd, SOL_SOCKET, SO_OOBINLINE, was > 0);
	return false;
}

/* m: what is known before, and after. bytes: where those of its queue go; NULL: nowhere. */
static int ask(struct marked *m, bool (*part)(void *), uint8_t *bytes, struct err *err)
{
	const size_t n = bytes ? (size_t)m->all : 0;
	struct guard *guard = NULL;
	int ret = guard_start(1, part, sizeof(*m) + n, &guard, err);

	if (!ret) {
		struct marked *shared = guard_memory(guard);

		*shared = *m;
		ret = guard_run(guard, "tcp:urgent", err);
		*m = *shared;
		if (n)
			memcpy(bytes, shared->bytes, n);
	}
	guard_stop(guard);
	return ret || !m->ret ? ret : err_set(err, ERR_FAILED, -m->ret, "cannot look for urgent data");
}

bool tcp_urgent_announced(int fd)
{
	char byte;
	const ssize_t n = peek(fd, &byte, 1, MSG_OOB);

	/* Without any it is EINVAL; where nothing can come any more the end, 0 (tcp_recv_urg() in net/ipv4/tcp.c). */
	return n == -EAGAIN || n == 0;
}

/* It counts only when something of it has been said. */
static int announced(struct tcp_urgent **all, int fd, const char *what, TcpStreamEntry *s, struct err *err)
{
	uint32_t n[FIELDS], ahead;
	int ret = read_numbers(all, fd, n, err);

	if (ret < 0)
		return ret;
	if (!ret)
		return err_hint(err, err_refuse(err, "%s: urgent data is announced, and this kernel or these privileges do not tell "
						     "where (%s)", what, (*all)->why.reason),
				"CAP_BPF and CAP_PERFMON let it tell; or let its peer send it");
	ahead = n[URGENT] - n[COPIED] - s->inq_len;
	if (ahead > AHEAD_MAX)
		return err_refuse(err, "%s: urgent data is announced too far ahead", what);
	s->has_urgent = true;
	s->urgent = n[URGENT] - n[COPIED];
	return 0;
}

int tcp_urgent_look(struct tcp_urgent **all, int fd, const char *what, TcpStreamEntry *s, struct err *err)
{
	struct marked m = { .fd = fd };
	const int device = sock_option(fd, SO_BINDTOIFINDEX);
	int ret;

	ret = ask(&m, find_mark, NULL, err);
	if (ret < 0 || (m.before == m.all && m.byte == -EINVAL))
		return ret;
	if (m.before < 0 || (unsigned)m.all < s->inq_len)
		return err_set(err, ERR_FAILED, EPROTO, "its queue has odd lengths: %d, %d, %u", m.before, m.all, s->inq_len);
	if (m.beyond == -EBUSY) /* it would move */
		return err_refuse(err, "%s: urgent data and SO_PEEK_OFF", what);
	/* What is said in the name of its peer comes over the loopback device. */
	if (device > 0 && device != LOOPBACK)
		return err_refuse(err, "%s: urgent data waits to be read, and it is bound to a device", what);
	s->inq_len = (uint32_t)m.all;
	if (m.byte != 1 && m.byte != -EINVAL)
		return all && m.before == m.all && m.byte == -EAGAIN ? announced(all, fd, what, s, err) :
								err_refuse(err, "%s: urgent data that was announced never came", what);
	if (m.before && m.beyond < 0)
		return err_refuse(err, "%s: urgent data waits to be read, and before Linux 6.9 nobody can look behind it", what);
	if (m.before == m.all)
		return err_set(err, ERR_FAILED, EPROTO, "its urgent data is at an odd place: %d", m.before);
	s->has_urgent = true;
	s->urgent = (uint32_t)m.before;
	s->has_urgent_read = s->urgent_read = m.byte != 1;
	return 0;
}

int tcp_urgent_take(int fd, const TcpStreamEntry *s, uint8_t *bytes, struct err *err)
{
	struct marked m = { .fd = fd, .before = (int)tcp_urgent_before(s), .all = (int)s->inq_len };

	return ask(&m, take_bytes, bytes, err);
}

int tcp_urgent_sent(struct tcp_urgent **all, int fd, TcpStreamEntry *s, struct err *err)
{
	uint32_t n[FIELDS], len;
	int ret = s->outq_len ? read_numbers(all, fd, n, err) : 0;

	if (ret <= 0)
		return ret;
	len = n[URGENT_SENT] - n[ACKED];
	if (len > s->outq_len)
		return err_set(err, ERR_FAILED, EPROTO, "what it has sent is urgent up to an odd place: %u of %u", len, s->outq_len);
	s->has_urgent_sent = len;
	s->urgent_sent = len;
	return 0;
}

/* ---- restore ---- */

static bool got_fin(unsigned state)
{
	return state == CLOSE_WAIT || state == LAST_ACK || state == CLOSING;
}

int tcp_urgent_check(const InetSkEntry *e, const TcpStreamEntry *s, struct err *err)
{
	const bool ahead = s->has_urgent && s->urgent >= s->inq_len;

	const bool window = s->has_snd_wl1 && s->has_snd_wnd && s->has_max_window;

	if (s->has_urgent && (e->state == SYN_SENT || (e->state != CLOSED && !window)))
		return err_image(err, "tcp-stream-%x.img: urgent data of a connection that has no window", e->ino);
	if (ahead && (s->urgent - s->inq_len > AHEAD_MAX || s->urgent_read || got_fin(e->state)))
		return err_image(err, "tcp-stream-%x.img: urgent data behind all that can have come", e->ino);
	if (s->has_urgent_sent && (s->urgent_sent > s->outq_len || e->state == SYN_SENT))
		return err_image(err, "tcp-stream-%x.img: more was sent as urgent than was sent", e->ino);
	return 0;
}

uint32_t tcp_urgent_before(const TcpStreamEntry *s)
{
	return s->has_urgent ? MIN(s->urgent, s->inq_len) : s->inq_len;
}

/* What is said to one connection. */
struct speech {
	const struct tcp_restore *r;
	struct tcp_packets packets;
	struct net_connection c;
	int fd;
	bool standard; /* the pointer is that of RFC 793: net.ipv4.tcp_stdurg */
	uint32_t first, ack;
};

static int read_standard(bool *standard, struct err *err)
{
	cleanup_free char *text = NULL;
	size_t n;
	const int ret = read_file_at(AT_FDCWD, "/proc/sys/net/ipv4/tcp_stdurg", 64, &text, &n);

	*standard = !ret && n && text[0] != '0';
	return ret < 0 ? err_set(err, ERR_FAILED, -ret, "cannot read /proc/sys/net/ipv4/tcp_stdurg") : 0;
}

/* How much has come; in repair mode. */
static int come(const struct speech *sp, uint32_t *n)
{
	socklen_t len = sizeof(*n);
	int ret = sock_set(sp->fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);

	if (!ret && getsockopt(sp->fd, IPPROTO_TCP, TCP_QUEUE_SEQ, n, &len) < 0)
		ret = -errno;
	if (!ret)
		ret = sock_set(sp->fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	*n -= sp->first;
	return ret;
}

/* It takes all of it; the windows that it had come later (tcp_run.c). */
static int open_window(const struct speech *sp, uint32_t before)
{
	const TcpStreamEntry *s = sp->r->s;
	const struct tcp_repair_window w = { s->snd_wl1, s->snd_wnd, s->max_window, s->inq_len - before + ROOM, sp->first + before };

	return setsockopt(sp->fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0 ? -errno : 0;
}

static struct tcp_segment segment(const struct speech *sp, uint32_t at, uint32_t size)
{
	const TcpStreamEntry *s = sp->r->s;
	const bool urgent = at == tcp_urgent_before(s);

	return (struct tcp_segment){ .seq = sp->first + at, .ack = sp->ack, .window = UINT16_MAX, .bytes = sp->r->in + at,
				     .len = MIN(size, s->inq_len - at), .urg = urgent,
				     .urgent = urgent ? (uint16_t)(s->urgent - at + !sp->standard) : 0 };
}

static int not_heard(struct err *err)
{
	return err_hint(err, err_set(err, ERR_FAILED, 0, "it does not hear of its urgent data"), SOCK_LOOPBACK_HINT);
}

static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
}

/* From the urgent byte on. */
static int say(struct speech *sp, uint32_t at, struct err *err)
{
	const uint32_t end = sp->r->s->inq_len;
	uint32_t size = TCP_PACKET_BYTES, now;

	for (int tries = 0; at < end;) {
		const struct tcp_segment s = segment(sp, at, size);
		int ret = tcp_packets_send(&sp->packets, &sp->c, &s, err);

		if (ret == -EMSGSIZE && size > SMALL_BYTES) { /* somebody wants small packets on the loopback device */
			size /= 2;
			*err = (struct err)ERR_INIT;
			continue;
		}
		if (ret < 0)
			return ret;
		ret = come(sp, &now);
		if (ret < 0)
			return err_set(err, ERR_FAILED, -ret, "cannot read the number of its receive queue");
		if (now > at && now <= end) {
			at = now;
			tries = 0;
		} else if (tries++ == TRIES)
			return not_heard(err);
		else if (tries > 1)
			wait_a_little();
	}
	return 0;
}

/* Whether its mark is where it was; the byte that the program has read is read. SO_OOBINLINE is off. */
static int has_mark(int fd, const TcpStreamEntry *s, const uint8_t *bytes, bool *found)
{
	const bool ahead = s->urgent >= s->inq_len;
	unsigned char byte = 0;
	int before = 0, got;

	got = (int)recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | (s->urgent_read ? 0 : MSG_PEEK));
	*found = ahead ? got < 0 && errno == EAGAIN : got == 1 && byte == bytes[s->urgent];
	if (*found && ioctl(fd, SIOCINQ, &before) < 0)
		return -errno;
	*found = *found && (uint32_t)before == tcp_urgent_before(s);
	return 0;
}

static int set_mark(struct speech *sp, uint32_t at, struct err *err)
{
	const struct tcp_segment s = segment(sp, at, 0);
	const bool ahead = at == sp->r->s->inq_len;
	bool found = false;
	int ret = 0;

	for (int tries = 0; !found && tries < TRIES; tries++) {
		if (tries)
			wait_a_little();
		if (ahead)
			ret = tcp_packets_send(&sp->packets, &sp->c, &s, err);
		if (ret < 0)
			return ret;
		ret = has_mark(sp->fd, sp->r->s, sp->r->in, &found);
		if (ret < 0)
			return err_set(err, ERR_FAILED, -ret, "cannot read the length of its queue");
		if (!ahead)
			break;
	}
	return found ? 0 : not_heard(err);
}

static int mark_one(struct speech *sp, struct err *err)
{
	const InetSkEntry *e = sp->r->e;
	const TcpStreamEntry *s = sp->r->s;
	const bool sent_fin = e->state == FIN_WAIT1 || e->state == FIN_WAIT2 || e->state == LAST_ACK || e->state == CLOSING;
	const bool inlined = sock_option(sp->fd, SO_OOBINLINE) > 0;
	const uint32_t before = tcp_urgent_before(s);
	int ret;

	tcp_connection_of(e->src_addr, e->src_port, e->dst_addr, e->dst_port, e->family == AF_INET6, &sp->c);
	sp->first = s->inq_seq - s->inq_len - got_fin(e->state);
	sp->ack = s->outq_seq - s->outq_len - sent_fin;
	ret = open_window(sp, before);
	if (!ret && inlined)
		ret = sock_set(sp->fd, SOL_SOCKET, SO_OOBINLINE, 0);
	if (ret < 0)
		return err_set(err, ERR_FAILED, -ret, "cannot prepare it for urgent data");
	ret = say(sp, before, err);
	if (!ret)
		ret = set_mark(sp, before, err);
	if (!ret && inlined && sock_set(sp->fd, SOL_SOCKET, SO_OOBINLINE, 1) < 0)
		ret = err_sys(err, "cannot set SO_OOBINLINE");
	return ret;
}

int tcp_urgent_say(int peer, const TcpStreamEntry *s, const uint8_t *bytes)
{
	const uint32_t rest = s->inq_len - s->urgent;
	int ret = sock_set(peer, SOL_SOCKET, SO_SNDBUFFORCE, tcp_room(rest));

	for (uint32_t done = 0; !ret && done < rest;) {
		const ssize_t n = send(peer, bytes + s->urgent + done, done ? rest - done : 1,
				       MSG_DONTWAIT | MSG_NOSIGNAL | (done ? 0 : MSG_OOB));

		ret = n > 0 ? 0 : n < 0 ? -errno : -ENOBUFS;
		done += (uint32_t)MAX(n, 0);
	}
	return ret;
}

int tcp_urgent_set(int fd, const TcpStreamEntry *s, const uint8_t *bytes)
{
	const bool inlined = sock_option(fd, SO_OOBINLINE) > 0;
	bool found = false;
	int ret = inlined ? sock_set(fd, SOL_SOCKET, SO_OOBINLINE, 0) : 0;

	if (!ret)
		ret = has_mark(fd, s, bytes, &found);
	if (!ret && inlined)
		ret = sock_set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	return ret || found ? ret : -EPROTO;
}

int tcp_urgent_run(const struct plan *plan, const int *fds, struct err *err)
{
	struct speech sp = { 0 };
	bool known = false;
	int ret = 0;

	tcp_packets_init(&sp.packets);
	for (size_t i = 0; plan->tcp && i < plan->tcp->n && !ret; i++) {
		char a[64], b[64];

		sp.r = &plan->tcp->v[i];
		if (!sp.r->s->has_urgent)
			continue;
		sp.fd = fds[sp.r->slot];
		if (!known)
			ret = read_standard(&sp.standard, err);
		known = true;
		if (!ret)
			ret = mark_one(&sp, err);
		inet_address_text(sp.r->e, false, a, sizeof(a));
		inet_address_text(sp.r->e, true, b, sizeof(b));
		err_object(err, ret, "TCP connection %s -> %s", a, b);
	}
	tcp_packets_close(&sp.packets);
	return ret;
}
