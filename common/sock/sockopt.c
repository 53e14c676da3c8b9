// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options of level SOL_SOCKET, which all kinds of sockets have: whatever getsockopt(2) shows and setsockopt(2) takes
 * (net/core/sock.c: sk_getsockopt(), sk_setsockopt()). What v1.1 has no field for is written only where it is not what
 * a new socket has.
 */
#include <linux/capability.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/ahead.h"
#include "sk-opts.pb-c.h"

/* asm-generic/socket.h, where the headers of the build host are older. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#define SO_INQ 84
#endif
#define FILTER_MAX 4096 /* BPF_MAXINSNS */

int sock_option(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

/* Options whose value is one number. */
struct plain_option {
	int option;
	size_t has, value;
	bool boolean;
	bool own;  /* a field of our own: only written when it is not the normal value */
	int phase; /* of the controller */
	int normal; /* of a new socket; -2 when that depends on the kind of socket */
	const char *name;
};
#define ROW(opt, field, boolean, own, phase, normal) \
	{ opt, offsetof(SkOptsEntry, has_##field), offsetof(SkOptsEntry, field), boolean, own, phase, normal, #opt }
#define BOOL(opt, field, phase) ROW(opt, field, true, false, phase, 0)
#define NUMBER(opt, field, phase, normal) ROW(opt, field, false, false, phase, normal)
#define OWN_BOOL(opt, field, phase) ROW(opt, field, true, true, phase, 0)
#define OWN_NUMBER(opt, field, phase, normal) ROW(opt, field, false, true, phase, normal)

/* bind(2), connect(2) and routing look at those of MAKE_OBJECTS. */
static const struct plain_option plain_options[] = {
	ROW(SO_REUSEADDR, reuseaddr, true, false, MAKE_OBJECTS, -2),
	BOOL(SO_REUSEPORT, so_reuseport, MAKE_OBJECTS),
	NUMBER(SO_MARK, so_mark, MAKE_OBJECTS, 0),
	BOOL(SO_BROADCAST, so_broadcast, MAKE_OBJECTS),
	BOOL(SO_DONTROUTE, so_dontroute, MAKE_OBJECTS),
	OWN_NUMBER(SO_INCOMING_CPU, so_incoming_cpu, MAKE_OBJECTS, -1),
	BOOL(SO_PASSCRED, so_passcred, MAKE_CONTENT),
	BOOL(SO_PASSSEC, so_passsec, MAKE_CONTENT),
	BOOL(SO_NO_CHECK, so_no_check, MAKE_CONTENT),
	BOOL(SO_KEEPALIVE, so_keepalive, MAKE_CONTENT),
	NUMBER(SO_OOBINLINE, so_oobinline, MAKE_CONTENT, 0),
	OWN_BOOL(SO_DEBUG, so_debug, MAKE_CONTENT),
	OWN_BOOL(SO_RXQ_OVFL, so_rxq_ovfl, MAKE_CONTENT),
	OWN_BOOL(SO_WIFI_STATUS, so_wifi_status, MAKE_CONTENT),
	OWN_BOOL(SO_NOFCS, so_nofcs, MAKE_CONTENT),
	OWN_BOOL(SO_SELECT_ERR_QUEUE, so_select_err_queue, MAKE_CONTENT),
	OWN_NUMBER(SO_BUSY_POLL, so_busy_poll, MAKE_CONTENT, 0),
	OWN_BOOL(SO_PREFER_BUSY_POLL, so_prefer_busy_poll, MAKE_CONTENT),
	OWN_BOOL(SO_ZEROCOPY, so_zerocopy, MAKE_CONTENT),
	OWN_NUMBER(SO_RESERVE_MEM, so_reserve_mem, MAKE_CONTENT, 0),
	OWN_NUMBER(SO_TXREHASH, so_txrehash, MAKE_CONTENT, 1),
	OWN_BOOL(SO_RCVMARK, so_rcvmark, MAKE_CONTENT),
	OWN_BOOL(SO_PASSPIDFD, so_passpidfd, MAKE_CONTENT),
	OWN_BOOL(SO_RCVPRIORITY, so_rcvpriority, MAKE_CONTENT),
	OWN_BOOL(SO_INQ, so_inq, MAKE_CONTENT),
	/* IP_TOS sets a priority, too. */
	NUMBER(SO_PRIORITY, so_priority, MAKE_LAST, 0),
	/* TCP may make the receive buffer larger for it: before the sizes. */
	NUMBER(SO_RCVLOWAT, so_rcvlowat, MAKE_LAST, 1),
	OWN_NUMBER(SO_PEEK_OFF, so_peek_off, MAKE_LAST, -1),
	OWN_NUMBER(SO_PASSRIGHTS, so_passrights, MAKE_LAST, 1),
};

/* ---- dump ---- */

/* Options that a kind of sockets has not, as the first one of it said. */
struct sock_lacks {
	int domain, type, protocol;
	uint64_t options; /* bits: rows of plain_options */
	struct sock_lacks *next;
};
_Static_assert(ARRAY_SIZE(plain_options) <= 64, "a bit for each option");

static struct sock_lacks *lacks_of(struct dump *d, const struct fd_source *src, bool *fresh)
{
	struct sock_lacks *l = d->sock_lacks;

	while (l && (l->domain != src->domain || l->type != src->type || l->protocol != src->protocol))
		l = l->next;
	*fresh = !l;
	if (l)
		return l;
	l = arena_alloc(d->arena, sizeof(*l));
	*l = (struct sock_lacks){ src->domain, src->type, src->protocol, 0, d->sock_lacks };
	return d->sock_lacks = l;
}

static void dump_plain(struct dump *d, const struct fd_source *src, SkOptsEntry *o)
{
	bool fresh;
	struct sock_lacks *lacks = lacks_of(d, src, &fresh);

	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++) {
		const struct plain_option *p = &plain_options[i];
		int v = 0;
		socklen_t len = sizeof(v);

		if (lacks->options >> i & 1)
			continue;
		if (getsockopt(src->fd, SOL_SOCKET, p->option, &v, &len) < 0) {
			if (fresh && (errno == EOPNOTSUPP || errno == ENOPROTOOPT))
				lacks->options |= 1ull << i;
			continue;
		}
		if (p->own && v == p->normal)
			continue;
		*(protobuf_c_boolean *)((char *)o + p->has) = true;
		if (p->boolean)
			*(protobuf_c_boolean *)((char *)o + p->value) = v != 0;
		else
			*(uint32_t *)(void *)((char *)o + p->value) = (uint32_t)v;
	}
}

static int dump_timestamps(int fd, SkOptsEntry *o, struct err *err)
{
	static const int stamps[] = { SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW };
	struct { uint32_t flags, phc; } ts = { 0 }, newer = { 0 };
	socklen_t len = sizeof(ts);

	for (size_t i = 0; i < ARRAY_SIZE(stamps); i++)
		if (sock_option(fd, stamps[i]) > 0) {
			o->has_so_timestamp = true;
			o->so_timestamp = (uint32_t)stamps[i];
		}
	/* The old one shows what the new one set, but not the other way round. */
	if (getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING_OLD, &ts, &len) < 0)
		return err_sys(err, "cannot read SO_TIMESTAMPING of a socket");
	if (!ts.flags)
		return 0;
	len = sizeof(newer);
	if (getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING_NEW, &newer, &len) == 0 && newer.flags)
		o->has_so_timestamping_new = o->so_timestamping_new = true;
	if (ts.flags & SOF_TIMESTAMPING_OPT_ID)
		return err_refuse(err, "socket with SOF_TIMESTAMPING_OPT_ID, whose counter cannot be read");
	o->has_so_timestamping = true;
	o->so_timestamping = ts.flags;
	o->has_so_timestamping_phc = ts.phc != 0;
	o->so_timestamping_phc = ts.phc;
	return 0;
}

static void dump_wide(int fd, SkOptsEntry *o)
{
	struct { int32_t clock; uint32_t flags; } txtime = { 0 };
	struct linger linger = { 0 };
	socklen_t len = sizeof(linger);
	uint64_t rate = UINT64_MAX;

	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff) {
		o->has_so_linger = true;
		o->so_linger = (uint32_t)linger.l_linger;
	}
	len = sizeof(rate);
	if (getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len) == 0 && len == sizeof(rate) &&
	    rate != UINT64_MAX) {
		o->has_so_max_pacing_rate = true;
		o->so_max_pacing_rate = rate;
	}
	/* The clock and the flags that are shown are 0 when the option was never set, and then it is off; a program that sets
	 * exactly that gets CLOCK_REALTIME, which differs. There is no telling apart, and no user of that clock. */
	len = sizeof(txtime);
	if (getsockopt(fd, SOL_SOCKET, SO_TXTIME, &txtime, &len) == 0 && (txtime.clock || txtime.flags)) {
		o->has_so_txtime_clock = o->has_so_txtime_flags = true;
		o->so_txtime_clock = txtime.clock;
		o->so_txtime_flags = txtime.flags;
	}
}

static int dump_device(struct dump *d, int fd, SkOptsEntry *o, struct err *err)
{
	char name[IFNAMSIZ + 1] = "";
	socklen_t len = IFNAMSIZ;

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) < 0) {
		if (errno == ENODEV)
			return err_refuse(err, "socket bound to a network interface that is gone (SO_BINDTODEVICE)");
		return err_sys(err, "cannot read SO_BINDTODEVICE of a socket");
	}
	if (len && *name)
		o->so_bound_dev = arena_strdup(d->arena, name);
	return 0;
}

static int dump_filter(struct dump *d, int fd, SkOptsEntry *o, struct err *err)
{
	struct sock_filter code[FILTER_MAX];
	int locked = sock_option(fd, SO_LOCK_FILTER);
	socklen_t n = 0; /* instructions */

	o->has_so_lock_filter = o->so_lock_filter = locked > 0;
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0) {
		if (errno == EACCES)
			return err_refuse(err, "socket with an eBPF filter (SO_ATTACH_BPF)");
		return err_sys(err, "cannot read the filter of a socket");
	}
	if (!n)
		return 0;
	if (n > FILTER_MAX || getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code, &n) < 0)
		return err_sys(err, "cannot read the filter of a socket");
	o->n_so_filter = n;
	o->so_filter = arena_alloc(d->arena, n * sizeof(*o->so_filter));
	for (size_t i = 0; i < n; i++)
		o->so_filter[i] = (uint64_t)code[i].code << 48 | (uint64_t)code[i].jt << 40 |
				  (uint64_t)code[i].jf << 32 | code[i].k;
	return 0;
}

static int read_options(struct dump *d, const struct fd_source *src, SkOptsEntry **out, struct err *err)
{
	const int fd = src->fd;
	SkOptsEntry *o = *out = arena_msg(d->arena, SkOptsEntry, sk_opts_entry__init);
	struct timeval snd = { 0 }, rcv = { 0 };
	socklen_t snd_len = sizeof(snd), rcv_len = sizeof(rcv);
	int sndbuf = sock_option(fd, SO_SNDBUF), rcvbuf = sock_option(fd, SO_RCVBUF),
	    lock = sock_option(fd, SO_BUF_LOCK);

	if (sndbuf < 0 || rcvbuf < 0 || getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &snd, &snd_len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &rcv, &rcv_len) < 0)
		return err_sys(err, "cannot read the options of a socket");
	o->so_sndbuf = (uint32_t)sndbuf;
	o->so_rcvbuf = (uint32_t)rcvbuf;
	o->so_snd_tmo_sec = (uint64_t)snd.tv_sec;
	o->so_snd_tmo_usec = (uint64_t)snd.tv_usec;
	o->so_rcv_tmo_sec = (uint64_t)rcv.tv_sec;
	o->so_rcv_tmo_usec = (uint64_t)rcv.tv_usec;
	if (lock >= 0) {
		o->has_so_buf_lock = true;
		o->so_buf_lock = (uint32_t)lock;
	}
	dump_plain(d, src, o);
	dump_wide(fd, o);
	int ret = dump_timestamps(fd, o, err);
	if (!ret)
		ret = dump_device(d, fd, o, err);
	if (!ret)
		ret = dump_filter(d, fd, o, err);
	return ret;
}

int sock_options_dump(struct dump *d, const struct fd_source *src, SkOptsEntry **out, struct err *err)
{
	const struct sock_told *told = sock_ahead_get(d, src->ahead);

	if (!told)
		return read_options(d, src, out, err);
	*out = told->opts;
	return 0;
}
int sock_refuse_errors(int fd, const char *what, struct err *err)
{
	struct pollfd p = { fd, 0, 0 };

	/* Reading the error would take it; POLLERR stands for it and for a queue of them (IP_RECVERR, time stamps). */
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	if (p.revents & POLLERR)
		return err_hint(err, err_refuse(err, "%s: an error that waits to be read", what),
				"let the program read it (SO_ERROR or MSG_ERRQUEUE), or try again");
	return 0;
}

int sock_dump_silent(struct dump *d, const struct fd_source *src, const char *what, FownEntry **fown, SkOptsEntry **opts,
		     struct err *err)
{
	int ret = sock_refuse_errors(src->fd, what, err);

	if (!ret)
		ret = sock_refuse_queue(src->fd, what, err);
	if (!ret)
		ret = fown_dump(d, src, fown, err);
	if (!ret)
		ret = sock_options_dump(d, src, opts, err);
	return ret;
}

/* ---- restore ---- */

static void set_option(struct plan *plan, int phase, uint32_t slot, const char *note, int option, const void *value,
		       size_t len)
{
	struct program *c = plan->controller;

	program_call(c, phase, note, SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET), A((uint64_t)option),
		     A_DATA(program_data(c, value, len)), A(len));
}

static void plan_plain(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++) {
		const struct plain_option *p = &plain_options[i];
		if (!*(const protobuf_c_boolean *)((const char *)o + p->has))
			continue;
		int v = p->boolean ? *(const protobuf_c_boolean *)((const char *)o + p->value) :
				     (int)*(const uint32_t *)(const void *)((const char *)o + p->value);
		if (v != p->normal)
			set_option(plan, p->phase, slot, p->name, p->option, &v, sizeof(v));
	}
}

#ifndef SOCK_SNDBUF_LOCK
#define SOCK_SNDBUF_LOCK 1 /* linux/socket.h */
#define SOCK_RCVBUF_LOCK 2
#endif

static void plan_buffers(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	const uint32_t lock = o->has_so_buf_lock ? o->so_buf_lock & 3 : 3;
	/* The kernel keeps twice what it is given. */
	const int size[2] = { (int)(o->so_sndbuf / 2), (int)(o->so_rcvbuf / 2) };
	/* Sizes that the kernel chose, it may change again; and who may not set any leaves them to it. */
	const uint32_t left = plan->lacks >> CAP_NET_ADMIN & 1 ? ~lock & 3 : 0;

	if (!(left & SOCK_SNDBUF_LOCK))
		set_option(plan, MAKE_CONTENT, slot, "SO_SNDBUFFORCE", SO_SNDBUFFORCE, &size[0], sizeof(int));
	if (!(left & SOCK_RCVBUF_LOCK))
		set_option(plan, MAKE_CONTENT, slot, "SO_RCVBUFFORCE", SO_RCVBUFFORCE, &size[1], sizeof(int));
	if (lock != 3 && left != 3)
		set_option(plan, MAKE_CONTENT, slot, "SO_BUF_LOCK", SO_BUF_LOCK, &lock, sizeof(lock));
}

static void plan_timestamps(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	const struct { uint32_t flags, phc; } ts = { o->so_timestamping,
						     o->has_so_timestamping_phc ? o->so_timestamping_phc : 0 };
	const int one = 1;

	if (o->has_so_timestamping && ts.flags)
		set_option(plan, MAKE_LAST, slot, "SO_TIMESTAMPING",
			   o->has_so_timestamping_new && o->so_timestamping_new ? SO_TIMESTAMPING_NEW :
										  SO_TIMESTAMPING_OLD,
			   &ts, sizeof(ts));
	if (o->has_so_timestamp)
		set_option(plan, MAKE_CONTENT, slot, "SO_TIMESTAMP", (int)o->so_timestamp, &one, sizeof(one));
}

static void plan_wide(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	const uint64_t tmo[2][2] = { { o->so_snd_tmo_sec, o->so_snd_tmo_usec },
				     { o->so_rcv_tmo_sec, o->so_rcv_tmo_usec } };

	for (int i = 0; i < 2; i++) {
		struct timeval tv = { (time_t)tmo[i][0], (suseconds_t)tmo[i][1] };
		if (tmo[i][0] || tmo[i][1])
			set_option(plan, MAKE_LAST, slot, i ? "SO_RCVTIMEO" : "SO_SNDTIMEO",
				   i ? SO_RCVTIMEO : SO_SNDTIMEO, &tv, sizeof(tv));
	}
	if (o->has_so_linger) {
		struct linger linger = { 1, (int)o->so_linger };
		set_option(plan, MAKE_LAST, slot, "SO_LINGER", SO_LINGER, &linger, sizeof(linger));
	}
	if (o->has_so_max_pacing_rate)
		set_option(plan, MAKE_CONTENT, slot, "SO_MAX_PACING_RATE", SO_MAX_PACING_RATE, &o->so_max_pacing_rate,
			   sizeof(uint64_t));
	if (o->has_so_txtime_clock) {
		struct { int32_t clock; uint32_t flags; } txtime = { o->so_txtime_clock,
								     o->has_so_txtime_flags ? o->so_txtime_flags : 0 };
		set_option(plan, MAKE_CONTENT, slot, "SO_TXTIME", SO_TXTIME, &txtime, sizeof(txtime));
	}
}

static void plan_filter(struct plan *plan, uint32_t slot, const SkOptsEntry *o)
{
	struct program *c = plan->controller;
	const size_t n = o->n_so_filter;
	const int one = 1;

	if (n) {
		struct sock_filter *code = arena_alloc(plan->arena, n * sizeof(*code));
		for (size_t i = 0; i < n; i++)
			code[i] = (struct sock_filter){ (uint16_t)(o->so_filter[i] >> 48),
							(uint8_t)(o->so_filter[i] >> 40),
							(uint8_t)(o->so_filter[i] >> 32), (uint32_t)o->so_filter[i] };
		struct data_ref bytes = program_data(c, code, n * sizeof(*code));
		struct sock_fprog prog = { .len = (unsigned short)n };
		struct data_ref head = program_data(c, &prog, sizeof(prog));
		program_data_pointer(c, head, offsetof(struct sock_fprog, filter), bytes, 0);
		program_call(c, MAKE_LAST, "SO_ATTACH_FILTER", SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET),
			     A(SO_ATTACH_FILTER), A_DATA(head), A(sizeof(prog)));
	}
	if (o->has_so_lock_filter && o->so_lock_filter)
		set_option(plan, MAKE_LAST, slot, "SO_LOCK_FILTER", SO_LOCK_FILTER, &one, sizeof(one));
}

int sock_options_plan(struct plan *plan, uint32_t slot, const SkOptsEntry *o, struct err *err)
{
	if (o->n_so_filter > FILTER_MAX)
		return err_image(err, "files.img: a socket filter of %zu instructions", o->n_so_filter);
	if (o->so_bound_dev && (!*o->so_bound_dev || strlen(o->so_bound_dev) >= IFNAMSIZ))
		return err_image(err, "files.img: a socket bound to an interface whose name cannot be");
	if (o->has_so_timestamp && o->so_timestamp != SO_TIMESTAMP_OLD && o->so_timestamp != SO_TIMESTAMPNS_OLD &&
	    o->so_timestamp != SO_TIMESTAMP_NEW && o->so_timestamp != SO_TIMESTAMPNS_NEW)
		return err_image(err, "files.img: socket option %u is none for time stamps", o->so_timestamp);
	if (o->so_bound_dev) {
		char note[64];
		snprintf(note, sizeof(note), "SO_BINDTODEVICE %s", o->so_bound_dev);
		set_option(plan, MAKE_OBJECTS, slot, arena_strdup(plan->arena, note), SO_BINDTODEVICE, o->so_bound_dev,
			   strlen(o->so_bound_dev) + 1);
	}
	plan_plain(plan, slot, o);
	plan_buffers(plan, slot, o);
	plan_timestamps(plan, slot, o);
	plan_wide(plan, slot, o);
	plan_filter(plan, slot, o);
	return 0;
}
