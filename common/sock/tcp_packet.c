// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/tcp_packet.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

void tcp_packets_init(struct tcp_packets *p)
{
	p->fd[0] = p->fd[1] = -1;
}

void tcp_packets_close(struct tcp_packets *p)
{
	for (int i = 0; i < 2; i++)
		if (p->fd[i] >= 0)
			close(p->fd[i]);
	tcp_packets_init(p);
}

/* Ones' complement sum of big-endian words, the last one filled up. 64 KiB do not overflow. */
static uint32_t sum(uint32_t acc, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i + 1 < n; i += 2)
		acc += (uint32_t)b[i] << 8 | b[i + 1];
	return n % 2 ? acc + ((uint32_t)b[n - 1] << 8) : acc;
}

static uint16_t checksum(const struct net_connection *c, const struct tcphdr *th, const struct tcp_segment *s)
{
	size_t a = c->v6 ? 16 : 4;
	uint32_t acc = IPPROTO_TCP + sizeof(*th) + (uint32_t)s->len;

	acc = sum(acc, c->remote, a);
	acc = sum(acc, c->local, a);
	acc = sum(acc, th, sizeof(*th));
	acc = sum(acc, s->bytes, s->len);
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return htons((uint16_t)~acc);
}

static int open_raw(struct tcp_packets *p, bool v6, struct err *err)
{
	const int mark = NET_LOCK_MARK;

	if (p->fd[v6] >= 0)
		return 0;
	p->fd[v6] = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (p->fd[v6] < 0 || setsockopt(p->fd[v6], SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return err_hint(err, err_sys(err, "cannot make a raw socket"), "half-closed connections and urgent data need CAP_NET_RAW");
	return 0;
}

int tcp_packets_send(struct tcp_packets *p, const struct net_connection *c, const struct tcp_segment *s, struct err *err)
{
	struct tcphdr th = { .source = c->remote_port, .dest = c->local_port, .seq = htonl(s->seq), .ack_seq = htonl(s->ack),
			     .doff = sizeof(th) / 4, .ack = 1, .fin = s->fin, .rst = s->rst, .psh = s->len > 0,
			     .urg = s->urg, .window = htons(s->window), .urg_ptr = htons(s->urgent) };
	const size_t payload = sizeof(th) + s->len;
	union { struct iphdr v4; struct ip6_hdr v6; } ip = { 0 };
	union { struct sockaddr sa; struct sockaddr_in in; struct sockaddr_in6 in6; } to = { 0 };
	struct iovec parts[] = { { &ip, c->v6 ? sizeof(ip.v6) : sizeof(ip.v4) }, { &th, sizeof(th) }, { (void *)s->bytes, s->len } };
	const struct msghdr msg = { .msg_name = &to, .msg_namelen = c->v6 ? sizeof(to.in6) : sizeof(to.in), .msg_iov = parts,
				    .msg_iovlen = ARRAY_SIZE(parts) };
	int ret = open_raw(p, c->v6, err);

	if (ret < 0)
		return ret;
	th.check = checksum(c, &th, s);
	/* From near by, for some want nothing that has come from afar (IP_MINTTL). */
	if (c->v6) {
		ip.v6.ip6_flow = htonl(6u << 28);
		ip.v6.ip6_plen = htons((uint16_t)payload);
		ip.v6.ip6_nxt = IPPROTO_TCP;
		ip.v6.ip6_hlim = UINT8_MAX;
		memcpy(&ip.v6.ip6_src, c->remote, 16);
		memcpy(&ip.v6.ip6_dst, c->local, 16);
		to.in6.sin6_family = AF_INET6;
		memcpy(&to.in6.sin6_addr, c->local, 16);
	} else { /* the kernel fills the checksum and, where it is zero, the id */
		ip.v4.version = 4;
		ip.v4.ihl = sizeof(ip.v4) / 4;
		ip.v4.tot_len = htons((uint16_t)(sizeof(ip.v4) + payload));
		ip.v4.ttl = UINT8_MAX;
		ip.v4.protocol = IPPROTO_TCP;
		memcpy(&ip.v4.saddr, c->remote, 4);
		memcpy(&ip.v4.daddr, c->local, 4);
		to.in.sin_family = AF_INET;
		memcpy(&to.in.sin_addr, c->local, 4);
	}
	/* What a packet filter drops (EPERM) or a queue of the device, is lost, as any may be: the caller looks, and tries again. */
	if (sendmsg(p->fd[c->v6], &msg, 0) < 0 && errno != EPERM && errno != ENOBUFS)
		return err_sys(err, "cannot speak for the peer of a connection");
	return 0;
}
