// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/file/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sk-opts.pb-c.h"
#include "sk-packet.pb-c.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define PACKETS_MAX (1u << 22)

int sock_option(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

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
		snprintf(out, n, "%s%s %s socket%s%s%s%s", state, family_name(family, fam, sizeof(fam)), word,
			 *a ? " " : "", a, *b ? " connected to " : "", b);
	}
}

/* ---- options ---- */

/* Plain integer options that the format has as optional fields. */
struct plain_option { int option; size_t has, value; bool boolean; int normal; const char *name; };
#define FIELD(opt, field, boolean, normal) \
	{ opt, offsetof(SkOptsEntry, has_##field), offsetof(SkOptsEntry, field), boolean, normal, #opt }
static const struct plain_option plain_options[] = {
	FIELD(SO_REUSEADDR, reuseaddr, true, 0),
	FIELD(SO_PRIORITY, so_priority, false, 0),
	FIELD(SO_RCVLOWAT, so_rcvlowat, false, 1),
	FIELD(SO_MARK, so_mark, false, 0),
	FIELD(SO_PASSCRED, so_passcred, true, 0),
	FIELD(SO_PASSSEC, so_passsec, true, 0),
	FIELD(SO_DONTROUTE, so_dontroute, true, 0),
	FIELD(SO_NO_CHECK, so_no_check, true, 0),
	FIELD(SO_REUSEPORT, so_reuseport, true, 0),
	FIELD(SO_BROADCAST, so_broadcast, true, 0),
	FIELD(SO_KEEPALIVE, so_keepalive, true, 0),
	FIELD(SO_OOBINLINE, so_oobinline, false, 0),
};

static int dump_plain(int fd, SkOptsEntry *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++) {
		const struct plain_option *p = &plain_options[i];
		int v = sock_option(fd, p->option);
		if (v < 0)
			continue; /* not every family has every option */
		*(protobuf_c_boolean *)((char *)o + p->has) = true;
		if (p->boolean)
			*(protobuf_c_boolean *)((char *)o + p->value) = v != 0;
		else
			*(uint32_t *)(void *)((char *)o + p->value) = (uint32_t)v;
	}
	return 0;
}

int sock_options_dump(struct dump *d, int fd, SkOptsEntry **out, struct err *err)
{
	SkOptsEntry *o = *out = arena_msg(d->arena, SkOptsEntry, sk_opts_entry__init);
	struct timeval snd = { 0 }, rcv = { 0 };
	struct linger linger = { 0 };
	socklen_t len = sizeof(snd);
	int sndbuf = sock_option(fd, SO_SNDBUF), rcvbuf = sock_option(fd, SO_RCVBUF),
	    lock = sock_option(fd, SO_BUF_LOCK);

	if (sndbuf < 0 || rcvbuf < 0 || getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &snd, &len) < 0)
		return err_sys(err, "cannot read the options of a socket");
	len = sizeof(rcv);
	if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &rcv, &len) < 0)
		return err_sys(err, "cannot read the options of a socket");
	o->so_sndbuf = (uint32_t)sndbuf;
	o->so_rcvbuf = (uint32_t)rcvbuf;
	o->so_snd_tmo_sec = (uint64_t)snd.tv_sec;
	o->so_snd_tmo_usec = (uint64_t)snd.tv_usec;
	o->so_rcv_tmo_sec = (uint64_t)rcv.tv_sec;
	o->so_rcv_tmo_usec = (uint64_t)rcv.tv_usec;
	dump_plain(fd, o);
	len = sizeof(linger);
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff) {
		o->has_so_linger = true;
		o->so_linger = (uint32_t)linger.l_linger;
	}
	if (lock >= 0) {
		o->has_so_buf_lock = true;
		o->so_buf_lock = (uint32_t)lock;
	}
	len = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == 0 && len)
		return err_refuse(err, "socket with a packet filter");
	return 0;
}

static void set_option(struct plan *plan, uint32_t slot, const char *note, int option, const void *value, size_t len)
{
	struct program *c = plan->controller;

	program_call(c, MAKE_CONTENT, note, SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET), A((uint64_t)option),
		     A_DATA(program_data(c, value, len)), A(len));
}

void sock_options_plan(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	const uint64_t tmo[2][2] = { { o->so_snd_tmo_sec, o->so_snd_tmo_usec },
				     { o->so_rcv_tmo_sec, o->so_rcv_tmo_usec } };
	uint32_t lock = o->has_so_buf_lock ? o->so_buf_lock : 3;
	/* The kernel keeps twice what it is given, and a size that nobody set is this host's default. */
	const int size[2] = { (int)(o->so_sndbuf / 2), (int)(o->so_rcvbuf / 2) };

	if (lock & 1)
		set_option(plan, slot, "SO_SNDBUFFORCE", SO_SNDBUFFORCE, &size[0], sizeof(int));
	if (lock & 2)
		set_option(plan, slot, "SO_RCVBUFFORCE", SO_RCVBUFFORCE, &size[1], sizeof(int));
	for (int i = 0; i < 2; i++) {
		struct timeval tv = { (time_t)tmo[i][0], (suseconds_t)tmo[i][1] };
		if (tmo[i][0] || tmo[i][1])
			set_option(plan, slot, i ? "SO_RCVTIMEO" : "SO_SNDTIMEO", i ? SO_RCVTIMEO : SO_SNDTIMEO, &tv,
				   sizeof(tv));
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++) {
		const struct plain_option *p = &plain_options[i];
		if (!*(const protobuf_c_boolean *)((const char *)o + p->has))
			continue;
		int v = p->boolean ? *(const protobuf_c_boolean *)((const char *)o + p->value) :
				     (int)*(const uint32_t *)(const void *)((const char *)o + p->value);
		if (v != p->normal)
			set_option(plan, slot, p->name, p->option, &v, sizeof(v));
	}
	if (o->has_so_linger) {
		struct linger linger = { 1, (int)o->so_linger };
		set_option(plan, slot, "SO_LINGER", SO_LINGER, &linger, sizeof(linger));
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
		if (n >= PACKETS_MAX || e->n_scm || len != e->length)
			ret = e->n_scm ? err_refuse(err, "sk-queues.img: descriptors on their way to socket %u",
						    e->id_for)
				       : err_image(err, "sk-queues.img: cut off or too long");
		bytes = ret < 0 ? NULL : arena_alloc(plan->arena, (size_t)len + 1);
		if (ret >= 0)
			ret = image_reader_payload(rd, bytes, (size_t)len, err);
		if (ret < 0)
			break;
		array_reserve(&v, &cap, n, sizeof(*v));
		v[n] = (struct sock_packet){ e->id_for, (uint32_t)n, (uint32_t)len, bytes };
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
