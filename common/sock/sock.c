// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "sk-packet.pb-c.h"

#define PACKETS_MAX (1u << 22)

void sock_unix_name(const struct sockaddr_un *sun, socklen_t len, char *out, size_t n)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t left = len > head ? MIN((size_t)len - head, sizeof(sun->sun_path)) : 0;

	*out = 0;
	if (left && !sun->sun_path[0])
		snprintf(out, n, "@%.*s", (int)left - 1, sun->sun_path + 1);
	else if (left)
		snprintf(out, n, "%.*s", (int)left, sun->sun_path);
}

static void address(const struct sockaddr_storage *ss, socklen_t len, char *out, size_t n)
{
	char text[INET6_ADDRSTRLEN] = "";

	*out = 0;
	if (ss->ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)ss;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(out, n, "%s:%u", text, ntohs(in->sin_port));
	} else if (ss->ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in = (const void *)ss;
		inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
		snprintf(out, n, "[%s]:%u", text, ntohs(in->sin6_port));
	} else if (ss->ss_family == AF_UNIX) {
		sock_unix_name((const void *)ss, len, out, n);
	}
}

static const char *family_name(int family, char *buf, size_t n)
{
	switch (family) {
	case AF_UNIX: return "unix";
	case AF_INET: return "IPv4";
	case AF_INET6: return "IPv6";
	case AF_NETLINK: return "netlink";
	case AF_PACKET: return "packet";
	case AF_VSOCK: return "vsock";
	case AF_ALG: return "crypto (AF_ALG)";
	case AF_BLUETOOTH: return "bluetooth";
	case AF_CAN: return "CAN";
	case AF_XDP: return "XDP";
	}
	snprintf(buf, n, "family %d", family);
	return buf;
}

/* " of protocol 132 (SCTP)" */
static void protocol_name(int family, int protocol, char *buf, size_t n)
{
	static const struct { int protocol; const char *name; } names[] = {
		{ IPPROTO_ICMP, "ICMP" }, { IPPROTO_IGMP, "IGMP" }, { IPPROTO_DCCP, "DCCP" }, { IPPROTO_GRE, "GRE" },
		{ IPPROTO_ICMPV6, "ICMPv6" }, { IPPROTO_SCTP, "SCTP" }, { IPPROTO_UDPLITE, "UDP-Lite" },
		{ IPPROTO_RAW, "RAW" }, { 256 /* IPPROTO_SMC */, "SMC" }, { 262 /* IPPROTO_MPTCP */, "MPTCP" },
	};
	const char *name = NULL;

	for (size_t i = 0; (family == AF_INET || family == AF_INET6) && i < ARRAY_SIZE(names); i++)
		if (names[i].protocol == protocol)
			name = names[i].name;
	if (name)
		snprintf(buf, n, " of protocol %d (%s)", protocol, name);
	else
		snprintf(buf, n, " of protocol %d", protocol);
}

void sock_describe(int fd, char *out, size_t n)
{
	static const char *const types[] = { [SOCK_STREAM] = "stream", [SOCK_DGRAM] = "datagram", [SOCK_RAW] = "raw",
					     [SOCK_SEQPACKET] = "seqpacket" };
	int family = sock_option(fd, SO_DOMAIN), type = sock_option(fd, SO_TYPE), proto = sock_option(fd, SO_PROTOCOL);
	struct sockaddr_storage own = { 0 }, other = { 0 };
	socklen_t own_len = sizeof(own), other_len = sizeof(other);
	char a[128] = "", b[128] = "", fam[32];
	bool connected = getpeername(fd, (struct sockaddr *)&other, &other_len) == 0;
	const char *state = sock_option(fd, SO_ACCEPTCONN) > 0 ? "listening " : "";
	const char *word = type > 0 && type < (int)ARRAY_SIZE(types) && types[type] ? types[type] : "";

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) == 0)
		address(&own, own_len, a, sizeof(a));
	if (connected)
		address(&other, other_len, b, sizeof(b));
	if ((family == AF_INET || family == AF_INET6) && proto == IPPROTO_TCP) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof(info);
		bool tcp = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
		if (connected && tcp && info.tcpi_state == TCP_ESTABLISHED)
			snprintf(out, n, "established TCP connection %s -> %s", a, b);
		else if (connected)
			snprintf(out, n, "TCP connection %s -> %s that is being closed or opened", a, b);
		else
			snprintf(out, n, "%sTCP socket %s", state, a);
	} else if ((family == AF_INET || family == AF_INET6) && proto == IPPROTO_UDP) {
		snprintf(out, n, "UDP socket %s%s%s", a, connected ? " -> " : "", b);
	} else {
		char by[48] = "";
		if (proto > 0 || (family != AF_UNIX && family != AF_PACKET))
			protocol_name(family, proto, by, sizeof(by));
		snprintf(out, n, "%s%s %s socket%s%s%s%s%s", state, family_name(family, fam, sizeof(fam)), word, by,
			 *a ? " " : "", a, *b ? " connected to " : "", b);
	}
}

/* ---- queues ---- */

static int by_receiver(const void *va, const void *vb)
{
	const struct sock_packet *a = va, *b = vb;

	if (a->id_for != b->id_for)
		return a->id_for < b->id_for ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static int load_packets(const struct model *m, struct plan *plan, struct file_plan *fp, struct err *err)
{
	struct image_reader cleanup(image_reader_closep) *rd = NULL;
	ProtobufCMessage *msg;
	struct sock_packet *v = NULL;
	size_t cap = 0, n = 0;
	int ret = m->dir ? image_reader_open(m->dir, IMG_SK_QUEUES, 0, &rd, err) : 0;

	if (ret < 0 || !rd)
		return ret;
	while ((ret = image_reader_next(rd, plan->arena, &msg, err)) > 0) {
		const SkPacketEntry *e = (const SkPacketEntry *)msg;
		uint64_t len = image_reader_payload_left(rd);
		char *bytes;
		if (n >= PACKETS_MAX || len != e->length)
			ret = err_image(err, "sk-queues.img: cut off or too long");
		bytes = ret < 0 ? NULL : arena_alloc(plan->arena, (size_t)len + 1);
		if (ret >= 0)
			ret = image_reader_payload(rd, bytes, (size_t)len, err);
		if (ret < 0)
			break;
		array_reserve(&v, &cap, n, sizeof(*v));
		v[n] = (struct sock_packet){ e->id_for, (uint32_t)n, (uint32_t)len, bytes, e };
		n++;
	}
	if (ret >= 0 && n) {
		qsort(v, n, sizeof(*v), by_receiver);
		fp->packets = arena_dup(plan->arena, v, n * sizeof(*v));
		fp->npackets = n;
	}
	free(v);
	return ret;
}

int sock_packets(const struct model *m, struct plan *plan, uint32_t id, const struct sock_packet **v, size_t *n,
		 struct err *err)
{
	struct file_plan *fp = file_plan_of(plan);
	size_t lo = 0, hi, end;

	if (!fp->packets_loaded) {
		int ret = load_packets(m, plan, fp, err);
		if (ret < 0)
			return ret;
		fp->packets_loaded = true;
	}
	for (hi = fp->npackets; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (fp->packets[mid].id_for < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < fp->npackets && fp->packets[end].id_for == id; end++)
		;
	*v = fp->packets + lo;
	*n = end - lo;
	return 0;
}
