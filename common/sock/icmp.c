// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

/* For each errno one that is final, where there is one. */
static const struct meaning { bool v6; int error; uint8_t type, code; bool hard; } meanings[] = {
	{ false, ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, true },
	{ false, EHOSTUNREACH, ICMP_DEST_UNREACH, ICMP_HOST_ANO, true },
	{ false, ENETUNREACH, ICMP_DEST_UNREACH, ICMP_NET_UNKNOWN, true },
	{ false, ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, true },
	{ false, EHOSTDOWN, ICMP_DEST_UNREACH, ICMP_HOST_UNKNOWN, true },
	{ false, ENONET, ICMP_DEST_UNREACH, ICMP_HOST_ISOLATED, true },
	{ false, EPROTO, ICMP_PARAMETERPROB, 0, true },
	{ false, EOPNOTSUPP, ICMP_DEST_UNREACH, ICMP_SR_FAILED, false },
	{ true, ECONNREFUSED, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, true },
	{ true, EACCES, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, true },
	{ true, EPROTO, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_HEADER, true },
	{ true, EHOSTUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, false },
	{ true, ENETUNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, false },
};

static const struct meaning *find(bool v6, int error)
{
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].v6 == v6 && meanings[i].error == error)
			return &meanings[i];
	return NULL;
}

bool icmp_means(bool v6, int error, bool hard)
{
	const struct meaning *m = find(v6, error);

	return m && (m->hard || !hard);
}

bool inet_is_v6(const union inet_address *a)
{
	return a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
}

/* Of IPv4 as four bytes, also within IPv6. */
static const void *bytes_of(const union inet_address *a)
{
	return a->sa.sa_family == AF_INET ? (const char *)&a->in.sin_addr : (const char *)&a->in6.sin6_addr + (inet_is_v6(a) ? 0 : 12);
}

static uint16_t checksum(const unsigned char *bytes, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The header of the packet, as its sender sent it: a high time to live, for a socket may ask for one (IP_MINTTL). */
static size_t put_header(unsigned char *out, const struct icmp_answered *p, bool v6)
{
	struct ip6_hdr six = { .ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)p->len), .ip6_nxt = (uint8_t)p->protocol,
			       .ip6_hlim = 255 };
	struct iphdr four = { .version = 4, .ihl = 5, .tot_len = htons((uint16_t)(sizeof(four) + p->len)), .ttl = 255,
			      .protocol = (uint8_t)p->protocol };

	if (v6) {
		memcpy(&six.ip6_src, bytes_of(p->own), 16);
		memcpy(&six.ip6_dst, bytes_of(p->peer), 16);
		memcpy(out, &six, sizeof(six));
		return sizeof(six);
	}
	memcpy(&four.saddr, bytes_of(p->own), 4);
	memcpy(&four.daddr, bytes_of(p->peer), 4);
	four.check = checksum((const unsigned char *)&four, sizeof(four));
	memcpy(out, &four, sizeof(four));
	return sizeof(four);
}

int icmp_answer(int raw, const struct icmp_answered *packet, int error, struct err *err)
{
	const bool v6 = inet_is_v6(packet->own);
	const struct meaning *m = find(v6, error);
	unsigned char out[8 + sizeof(struct ip6_hdr) + sizeof(packet->head)] = { 0 };
	union inet_address to = { 0 };
	socklen_t tolen = v6 ? sizeof(to.in6) : sizeof(to.in);
	int device = 0;
	size_t len = 8;
	uint16_t sum;

	if (!m || packet->len > sizeof(packet->head) || inet_is_v6(packet->peer) != v6)
		return err_set(err, ERR_FAILED, EINVAL, "no ICMP message means: %s", strerror(error));
	out[0] = m->type;
	out[1] = m->code;
	len += put_header(out + len, packet, v6);
	memcpy(out + len, packet->head, packet->len);
	len += packet->len;
	if (v6) {
		to.in6 = packet->own->in6;
		to.in6.sin6_port = 0;
		device = (int)to.in6.sin6_scope_id;
	} else { /* of ICMPv6 the kernel fills it */
		to.in.sin_family = AF_INET;
		memcpy(&to.in.sin_addr, bytes_of(packet->own), 4);
		sum = checksum(out, len);
		memcpy(out + 2, &sum, sizeof(sum));
	}
	/* It has that of an earlier one, where that was link-local. */
	if (setsockopt(raw, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof(device)) < 0 || bind(raw, &to.sa, tolen) < 0)
		return err_sys(err, "cannot bind a raw socket to its address");
	if (sendto(raw, out, len, MSG_DONTWAIT, &to.sa, tolen) < 0 && errno != EPERM && errno != ENOBUFS && errno != EAGAIN)
		return err_sys(err, "cannot send an ICMP message over the loopback device");
	return 0;
}
