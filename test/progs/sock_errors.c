// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Errors that wait to be read: of connections that were reset or are not answered any more, of attempts to connect, of datagrams that nobody
 * took. Each comes once, after the bytes that came before it, and the socket is as it was in all else.
 */
/* test: net */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tcp_state.h"
#include "test.h"

enum kind {
	RESET,	    /* the peer resets it */
	RESET_FIN,  /* after it has said its end, */
	RESET_BOTH, /* and we ours */
	ABORT,	    /* somebody destroys it (ss -K) */
	SILENCE,    /* nobody answers */
	SILENCE_FIN,
	TRY_CLOSED, /* nobody listens */
	TRY_DEAF,   /* nobody answers */
	TRY_NOBODY, /* there is no such host */
	TRY_ABORT,
	DATAGRAM,   /* UDP */
	DATAGRAM_LITE,
	DATAGRAM_ABORT,
	ECHO,	    /* ping socket: a message of the peer's refuses it */
};
#define IS_TCP(kind) ((kind) < DATAGRAM)
#define IS_TRY(kind) ((kind) >= TRY_CLOSED && (kind) <= TRY_ABORT)
#define HAS_FIN(kind) ((kind) == RESET_FIN || (kind) == RESET_BOTH || (kind) == SILENCE_FIN)

static struct one {
	const char *what;
	int family;
	bool mapped, local; /* local: link-local */
	enum kind kind;
	size_t unread;
	int error;
	bool eof; /* the end was read already */
	bool bound;
	int fd;
	struct sockaddr_storage name, peer;
	bool has_peer;
	short events;
	int options[9], inq;
} all[] = {
#define ONE(name, ...) { .what = (name), __VA_ARGS__ }
#define BOTH(name, ...) ONE(name ", IPv4", .family = AF_INET, __VA_ARGS__), ONE(name ", IPv6", .family = AF_INET6, __VA_ARGS__)
	BOTH("reset", .kind = RESET, .error = ECONNRESET),
	BOTH("reset, unread", .kind = RESET, .unread = 70000, .error = ECONNRESET),
	ONE("reset, IPv4 in IPv6", .family = AF_INET6, .mapped = true, .kind = RESET, .unread = 3, .error = ECONNRESET),
	BOTH("reset behind the end", .kind = RESET_FIN, .error = EPIPE),
	BOTH("reset behind the end, unread", .kind = RESET_FIN, .unread = 12, .error = EPIPE),
	ONE("reset behind the end that was read", .family = AF_INET, .kind = RESET_FIN, .error = EPIPE, .eof = true),
	BOTH("reset behind both ends", .kind = RESET_BOTH, .error = ECONNRESET),
	ONE("reset behind both ends, unread", .family = AF_INET, .kind = RESET_BOTH, .unread = 5, .error = ECONNRESET),
	ONE("reset behind both ends, read", .family = AF_INET6, .kind = RESET_BOTH, .error = ECONNRESET, .eof = true),
	BOTH("no answer", .kind = SILENCE, .error = ETIMEDOUT),
	BOTH("no answer, unread", .kind = SILENCE, .unread = 1000, .error = ETIMEDOUT),
	ONE("no answer behind the end", .family = AF_INET, .kind = SILENCE_FIN, .unread = 7, .error = ETIMEDOUT),
	ONE("no answer behind the end that was read", .family = AF_INET6, .kind = SILENCE_FIN, .error = ETIMEDOUT, .eof = true),
	BOTH("destroyed", .kind = ABORT, .unread = 4, .error = ECONNABORTED),
	ONE("destroyed, nothing unread", .family = AF_INET, .kind = ABORT, .error = ECONNABORTED),
	BOTH("destroyed attempt", .kind = TRY_ABORT, .error = ECONNABORTED),
	BOTH("destroyed datagram socket", .kind = DATAGRAM_ABORT, .error = ECONNABORTED),
	ONE("destroyed datagram socket with a port", .family = AF_INET, .kind = DATAGRAM_ABORT, .bound = true, .error = ECONNABORTED),
	BOTH("refused", .kind = TRY_CLOSED, .error = ECONNREFUSED),
	ONE("no host behind what was sent", .family = AF_INET, .kind = SILENCE, .unread = 9, .error = EHOSTUNREACH),
	ONE("reset, link-local", .family = AF_INET6, .local = true, .kind = RESET, .unread = 2, .error = ECONNRESET),
	ONE("no answer, link-local", .family = AF_INET6, .local = true, .kind = SILENCE, .error = ETIMEDOUT),
	ONE("refused, link-local", .family = AF_INET6, .local = true, .kind = TRY_CLOSED, .error = ECONNREFUSED),
	ONE("datagram, link-local", .family = AF_INET6, .local = true, .kind = DATAGRAM, .error = ECONNREFUSED),
	ONE("refused, IPv4 in IPv6", .family = AF_INET6, .mapped = true, .kind = TRY_CLOSED, .error = ECONNREFUSED),
	BOTH("attempt without answer", .kind = TRY_DEAF, .error = ETIMEDOUT),
	BOTH("no such host", .kind = TRY_NOBODY, .error = EHOSTUNREACH),
	BOTH("datagram", .kind = DATAGRAM, .error = ECONNREFUSED),
	ONE("datagram, IPv4 in IPv6", .family = AF_INET6, .mapped = true, .kind = DATAGRAM, .error = ECONNREFUSED),
	BOTH("UDP-Lite", .kind = DATAGRAM_LITE, .error = ECONNREFUSED),
	ONE("echo", .family = AF_INET, .kind = ECHO, .error = EHOSTUNREACH),
};
#define N (sizeof(all) / sizeof(*all))

static bool by_read(size_t i)
{
	return i % 2 || all[i].unread;
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static socklen_t address(const struct one *o, const char *four, const char *six, struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	char text[64];

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)o->family;
	if (o->family == AF_INET) {
		CHECK_EQ(inet_pton(AF_INET, four, &in->sin_addr), 1);
		return sizeof(*in);
	}
	snprintf(text, sizeof(text), o->local ? "fe80%s" : "::ffff:%s", o->local ? strrchr(six, ':') - 1 : four);
	CHECK_EQ(inet_pton(AF_INET6, o->mapped || o->local ? text : six, &in6->sin6_addr), 1);
	if (o->local)
		in6->sin6_scope_id = if_nametoindex("d0");
	return sizeof(*in6);
}

static socklen_t loopback(const struct one *o, struct sockaddr_storage *out)
{
	return address(o, "127.0.0.1", "::1", out);
}

static int inq(int fd)
{
	int n = -1;

	CHECK(!ioctl(fd, FIONREAD, &n));
	return n;
}

static void deafen(int fd)
{
	struct sock_filter drop = { BPF_RET | BPF_K, 0, 0, 0 };
	const struct sock_fprog f = { 1, &drop };

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof(f)));
}

static void wait_error(const struct one *o)
{
	struct pollfd p = { o->fd, 0, 0 };

	if (poll(&p, 1, 30000) != 1 || !(p.revents & POLLERR))
		fail("%s: no error comes", o->what);
}

/* Destination unreachable of IPv4, as a packet filter says it: about a packet from and to 127.0.0.1 that begins with these bytes. */
static void say_unreachable(int protocol, const void *head)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct { uint8_t type, code; uint16_t sum; uint32_t none; struct iphdr ip; uint8_t head[8]; } p = {
		.type = 3, .code = 13, .ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = (uint8_t)protocol,
					       .saddr = to.sin_addr.s_addr, .daddr = to.sin_addr.s_addr } };
	uint32_t sum = 0;
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	memcpy(p.head, head, sizeof(p.head));
	for (size_t i = 0; i < sizeof(p); i += 2)
		sum += *(const uint16_t *)(const void *)((const char *)&p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	p.sum = (uint16_t)~sum;
	CHECK_EQ(sendto(raw, &p, sizeof(p), 0, (const struct sockaddr *)&to, sizeof(to)), (ssize_t)sizeof(p));
	CHECK(!close(raw));
}

/* What it sends goes to nobody, says somebody. */
static void hear_unreachable(int fd)
{
	const int on = 1, off = -1, queue = TCP_SEND_QUEUE;
	struct { uint16_t from, to; uint32_t seq; } head;
	struct sockaddr_in own, peer;
	socklen_t len = sizeof(own), slen = sizeof(head.seq);

	CHECK(!getsockname(fd, (struct sockaddr *)&own, &len) && !getpeername(fd, (struct sockaddr *)&peer, &len));
	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)));
	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)));
	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &head.seq, &slen));
	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)));
	head.from = own.sin_port;
	head.to = peer.sin_port;
	head.seq = htonl(head.seq - 1);
	say_unreachable(IPPROTO_TCP, &head);
}

static void destroy(int fd, const char *which)
{
	struct sockaddr_in own; /* its port is where that of IPv6 is */
	socklen_t len = sizeof(own);
	char command[100];

	getsockname(fd, (struct sockaddr *)&own, &len);
	snprintf(command, sizeof(command), "exec ss -HKna %s sport = :%u >/dev/null", which, ntohs(own.sin_port));
	CHECK(!system(command));
}

static void make_connected(struct one *o)
{
	const struct linger now = { 1, 0 };
	const int soon = 1, never = 0;
	struct sockaddr_storage ss;
	socklen_t len = loopback(o, &ss), rlen = sizeof(ss);
	int l = socket(o->family, SOCK_STREAM, 0), peer;
	unsigned char *bytes = calloc(1, o->unread + 1);

	o->fd = socket(o->family, SOCK_STREAM, 0);
	CHECK(!bind(l, (struct sockaddr *)&ss, len) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&ss, &rlen));
	CHECK(!connect(o->fd, (struct sockaddr *)&ss, len));
	peer = accept(l, NULL, NULL);
	CHECK(peer >= 0 && !close(l));
	for (size_t i = 0; i < o->unread; i++)
		bytes[i] = byte_at(i);
	CHECK_EQ(write(peer, bytes, o->unread), (ssize_t)o->unread);
	free(bytes);
	for (int k = 0; k < 6000 && inq(o->fd) != (int)o->unread; k++)
		usleep(5000);
	if (HAS_FIN(o->kind)) {
		char byte;
		CHECK(!shutdown(peer, SHUT_WR));
		wait_state(o->fd, CLOSE_WAIT);
		CHECK(!o->eof || read(o->fd, &byte, 1) == 0);
	}
	if (o->kind == SILENCE || o->kind == SILENCE_FIN) {
		CHECK_EQ(write(o->fd, "a", 1), 1);
		usleep(100000);
		deafen(peer);
		CHECK(!setsockopt(o->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &soon, sizeof(soon)));
		CHECK_EQ(write(o->fd, "b", 1), 1);
		if (o->error == EHOSTUNREACH)
			hear_unreachable(o->fd);
		wait_error(o);
		CHECK(!setsockopt(o->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &never, sizeof(never)));
		CHECK(!setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(peer));
		return;
	}
	if (o->kind == ABORT) {
		destroy(o->fd, "-t");
	} else if (o->kind == RESET_BOTH) {
		/* A peer that is gone without a word. */
		const int on = 1;
		CHECK(!setsockopt(peer, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) && !close(peer));
		CHECK(!shutdown(o->fd, SHUT_WR));
	} else {
		CHECK(!setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(peer));
	}
	wait_error(o);
}

static void make_try(struct one *o)
{
	const int soon = 1, never = 0;
	struct sockaddr_storage ss;
	socklen_t len = loopback(o, &ss), rlen = sizeof(ss);
	int l = socket(o->family, SOCK_STREAM, 0);

	o->fd = socket(o->family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK(!bind(l, (struct sockaddr *)&ss, len));
	if (o->kind == TRY_ABORT) {
		deafen(l);
		CHECK(!listen(l, 1));
	}
	if (o->kind == TRY_DEAF) {
		deafen(l);
		CHECK(!listen(l, 1) && !setsockopt(o->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &soon, sizeof(soon)));
	}
	CHECK(!getsockname(l, (struct sockaddr *)&ss, &rlen));
	if (o->kind == TRY_NOBODY) {
		len = address(o, "198.51.100.77", "2001:db8::77", &ss);
		((struct sockaddr_in *)&ss)->sin_port = htons(4200);
	}
	CHECK(connect(o->fd, (struct sockaddr *)&ss, len) == -1);
	if (errno != EINPROGRESS)
		fail("%s: %s", o->what, strerror(errno));
	if (o->kind == TRY_ABORT)
		destroy(o->fd, "-t");
	wait_error(o);
	CHECK(!setsockopt(o->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &never, sizeof(never)));
	CHECK(!close(l));
}

static void make_datagram(struct one *o)
{
	struct sockaddr_storage ss;
	socklen_t len = loopback(o, &ss), rlen = sizeof(ss);
	const int protocol = o->kind == DATAGRAM_LITE ? IPPROTO_UDPLITE : IPPROTO_UDP;
	int other = socket(o->family, SOCK_DGRAM, protocol);

	o->fd = socket(o->family, SOCK_DGRAM, protocol);
	CHECK(!bind(other, (struct sockaddr *)&ss, len) && !getsockname(other, (struct sockaddr *)&ss, &rlen));
	if (o->bound) {
		struct sockaddr_storage own;
		CHECK(!bind(o->fd, (struct sockaddr *)&own, loopback(o, &own)));
	}
	CHECK(!connect(o->fd, (struct sockaddr *)&ss, len) && !close(other));
	if (o->kind == DATAGRAM_ABORT)
		destroy(o->fd, "-u");
	else
		CHECK_EQ(send(o->fd, "hello", 5, 0), 5);
	wait_error(o);
}

static void make_echo(struct one *o)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, own;
	struct { uint8_t type[4]; uint16_t id, seq; } echo = { .type = { 8 } };
	socklen_t len = sizeof(own);

	o->fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	CHECK(o->fd >= 0 && !bind(o->fd, (struct sockaddr *)&to, sizeof(to)) && !connect(o->fd, (struct sockaddr *)&to, sizeof(to)));
	CHECK(!getsockname(o->fd, (struct sockaddr *)&own, &len));
	echo.id = own.sin_port;
	say_unreachable(IPPROTO_ICMP, &echo);
	wait_error(o);
}

static void look(const struct one *o, struct one *out)
{
	static const struct { int level, name; } asked[] = {
		{ SOL_SOCKET, SO_RCVBUF }, { SOL_SOCKET, SO_SNDBUF }, { SOL_SOCKET, SO_REUSEADDR }, { SOL_SOCKET, SO_BINDTOIFINDEX },
		{ SOL_SOCKET, SO_BUF_LOCK }, { IPPROTO_IP, IP_RECVERR }, { IPPROTO_TCP, TCP_USER_TIMEOUT }, { IPPROTO_TCP, TCP_CORK },
		{ IPPROTO_TCP, TCP_NODELAY },
	};
	struct pollfd p = { o->fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
	socklen_t len = sizeof(out->name);

	memset(&out->name, 0, sizeof(out->name));
	memset(&out->peer, 0, sizeof(out->peer));
	CHECK(!getsockname(o->fd, (struct sockaddr *)&out->name, &len));
	len = sizeof(out->peer);
	out->has_peer = getpeername(o->fd, (struct sockaddr *)&out->peer, &len) == 0;
	CHECK_EQ(poll(&p, 1, 0), 1);
	out->events = p.revents;
	out->inq = o->kind == ECHO ? 0 : inq(o->fd);
	for (size_t k = 0; k < sizeof(asked) / sizeof(*asked); k++) {
		len = sizeof(int);
		out->options[k] = 0;
		if (IS_TCP(o->kind) || asked[k].level != IPPROTO_TCP)
			CHECK(!getsockopt(o->fd, asked[k].level, asked[k].name, &out->options[k], &len) || asked[k].level == IPPROTO_IP);
	}
	CHECK(!IS_TCP(o->kind) || state(o->fd) == CLOSED);
}

static int error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	return error;
}

static void read_bytes(const struct one *o)
{
	unsigned char buf[4096];
	size_t done = 0;

	while (done < o->unread) {
		ssize_t n = read(o->fd, buf, sizeof(buf));
		if (n <= 0)
			fail("%s: %zu of %zu bytes, then %zd (%s)", o->what, done, o->unread, n, strerror(errno));
		for (ssize_t k = 0; k < n; k++, done++)
			if (buf[k] != byte_at(done))
				fail("%s: byte %zu is wrong", o->what, done);
	}
}

static void check(size_t i)
{
	const struct one *o = &all[i];
	struct sockaddr_storage to;
	struct one now = { 0 };
	char byte;

	look(o, &now);
	if (memcmp(&now.name, &o->name, sizeof(now.name)) || now.has_peer != o->has_peer || memcmp(&now.peer, &o->peer, sizeof(now.peer)))
		fail("%s: other names", o->what);
	if (now.events != o->events || now.inq != o->inq)
		fail("%s: events %x, were %x; %d bytes, were %d", o->what, now.events, o->events, now.inq, o->inq);
	for (size_t k = 0; k < sizeof(o->options) / sizeof(int); k++)
		if (now.options[k] != o->options[k])
			fail("%s: option %zu is %d, was %d", o->what, k, now.options[k], o->options[k]);
	if (by_read(i)) {
		read_bytes(o);
		/* Where the peer has said its end, reading gives that, and the error stays. */
		if (HAS_FIN(o->kind)) {
			CHECK(read(o->fd, &byte, 1) == 0);
			if (error_of(o->fd) != o->error)
				fail("%s: the error is gone", o->what);
		} else if (recv(o->fd, &byte, 1, MSG_DONTWAIT) != -1 || errno != o->error) {
			fail("%s: read gives %s, not %s", o->what, strerror(errno), strerror(o->error));
		}
	} else {
		int error = error_of(o->fd);
		if (error != o->error)
			fail("%s: the error is %s, not %s", o->what, strerror(error), strerror(o->error));
	}
	/* What was said before the time was out is kept beside (sk_err_soft). */
	if (o->kind == SILENCE && o->error == EHOSTUNREACH)
		CHECK_EQ(error_of(o->fd), EHOSTUNREACH);
	if (error_of(o->fd))
		fail("%s: the error comes again", o->what);
	if (IS_TCP(o->kind)) {
		CHECK(read(o->fd, &byte, 1) == 0);
		CHECK(write(o->fd, "x", 1) == -1 && errno == EPIPE);
		socklen_t len = loopback(o, &to);
		((struct sockaddr_in *)&to)->sin_port = htons(9);
		if (connect(o->fd, (struct sockaddr *)&to, len) != -1 || errno != (IS_TRY(o->kind) ? ECONNABORTED : EISCONN))
			fail("%s: another connect(2) says %s", o->what, strerror(errno));
	} else {
		CHECK(recv(o->fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	}
	CHECK(!close(o->fd));
}

int main(void)
{
	const int one = 1;
	/* They hear packets of the whole host, and must have nothing of what others do here. */
	int watchers[] = { socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), socket(AF_INET, SOCK_RAW, IPPROTO_TCP),
			   socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)) };
	char packet[256];

	signal(SIGPIPE, SIG_IGN);
	if (system("ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up && "
		   "ip addr add 198.51.100.1/24 dev d0 && ip addr add 2001:db8::1/64 dev d0 nodad && ip addr add fe80::1/64 dev d0 nodad && "
		   "echo 20 >/proc/sys/net/ipv4/neigh/d0/retrans_time_ms && echo 20 >/proc/sys/net/ipv6/neigh/d0/retrans_time_ms && "
		   "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range"))
		TEST_SKIP("no device can be made");
	for (size_t i = 0; i < N; i++) {
		if (IS_TRY(all[i].kind))
			make_try(&all[i]);
		else if (IS_TCP(all[i].kind))
			make_connected(&all[i]);
		else if (all[i].kind == ECHO)
			make_echo(&all[i]);
		else
			make_datagram(&all[i]);
		if (i % 3 == 0 && IS_TCP(all[i].kind))
			CHECK(!setsockopt(all[i].fd, SOL_SOCKET, SO_BINDTODEVICE, "d0", 3));
		if (i % 4 == 0 && IS_TCP(all[i].kind))
			CHECK(!setsockopt(all[i].fd, IPPROTO_TCP, TCP_CORK, &one, sizeof(one)) &&
			      !setsockopt(all[i].fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(int){ 77000 }, sizeof(int)));
		if (i % 5 == 0)
			CHECK(!setsockopt(all[i].fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)) || all[i].family == AF_INET6);
		look(&all[i], &all[i]);
	}
	for (size_t k = 0; k < sizeof(watchers) / sizeof(int); k++)
		while (recv(watchers[k], packet, sizeof(packet), MSG_DONTWAIT) > 0)
			;

	test_ready();

	for (size_t k = 0; k < sizeof(watchers) / sizeof(int); k++)
		CHECK(recv(watchers[k], packet, sizeof(packet), MSG_DONTWAIT) == -1 && errno == EAGAIN && !close(watchers[k]));
	for (size_t i = 0; i < N; i++)
		check(i);
	pass();
}
