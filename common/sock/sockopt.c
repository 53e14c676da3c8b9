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
#include <time.h>

#include "common/sock/ahead.h"
#include "common/sock/alike.h"
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

/* What is asked besides: bits behind those of the rows above. */
enum { SEND_TIME, RECEIVE_TIME, SIZES, SIZE_LOCK, LINGER, RATE, TXTIME, STAMPS, STAMPING, DEVICE, FILTER, PARTS };
#define PART(part) (1ull << (ARRAY_SIZE(plain_options) + (part)))
_Static_assert(ARRAY_SIZE(plain_options) + PARTS <= 64, "a bit for each option");

/* Options that a kind of sockets has not, as the first one of it said. */
struct sock_lacks {
	int domain, type, protocol;
	uint64_t options; /* bits: rows of plain_options */
	struct sock_lacks *next;
};

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

static void dump_plain(struct dump *d, const struct fd_source *src, uint64_t asked, SkOptsEntry *o)
{
	bool fresh;
	struct sock_lacks *lacks = lacks_of(d, src, &fresh);

	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++) {
		const struct plain_option *p = &plain_options[i];
		int v = 0;
		socklen_t len = sizeof(v);

		if ((lacks->options | ~asked) >> i & 1)
			continue;
		*(protobuf_c_boolean *)((char *)o + p->has) = false;
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

static void dump_stamps(int fd, SkOptsEntry *o)
{
	static const int stamps[] = { SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW };

	o->has_so_timestamp = false;
	for (size_t i = 0; i < ARRAY_SIZE(stamps); i++)
		if (sock_option(fd, stamps[i]) > 0) {
			o->has_so_timestamp = true;
			o->so_timestamp = (uint32_t)stamps[i];
		}
}

static int dump_stamping(int fd, SkOptsEntry *o, struct err *err)
{
	struct { uint32_t flags, phc; } ts = { 0 }, newer = { 0 };
	socklen_t len = sizeof(ts);

	o->has_so_timestamping = o->has_so_timestamping_phc = o->has_so_timestamping_new = o->so_timestamping_new = false;
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

static void dump_wide(int fd, uint64_t asked, SkOptsEntry *o)
{
	struct { int32_t clock; uint32_t flags; } txtime = { 0 };
	struct linger linger = { 0 };
	socklen_t len = sizeof(linger);
	uint64_t rate = UINT64_MAX;

	if (asked & PART(LINGER)) {
		o->has_so_linger = getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff;
		o->so_linger = (uint32_t)linger.l_linger;
	}
	len = sizeof(rate);
	if (asked & PART(RATE)) {
		o->has_so_max_pacing_rate = getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &len) == 0 && len == sizeof(rate) &&
					    rate != UINT64_MAX;
		o->so_max_pacing_rate = o->has_so_max_pacing_rate ? rate : 0;
	}
	if (!(asked & PART(TXTIME)))
		return;
	/* The clock and the flags that are shown are 0 when the option was never set, and then it is off; a program that sets
	 * exactly that gets CLOCK_REALTIME, which differs. There is no telling apart, and no user of that clock. */
	len = sizeof(txtime);
	o->has_so_txtime_clock = o->has_so_txtime_flags =
		getsockopt(fd, SOL_SOCKET, SO_TXTIME, &txtime, &len) == 0 && (txtime.clock || txtime.flags);
	o->so_txtime_clock = txtime.clock;
	o->so_txtime_flags = txtime.flags;
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
	o->so_bound_dev = len && *name ? arena_strdup(d->arena, name) : NULL;
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
	o->n_so_filter = 0;
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

static int dump_time(int fd, int option, uint64_t *sec, uint64_t *usec, struct err *err)
{
	struct timeval t = { 0 };
	socklen_t len = sizeof(t);

	if (getsockopt(fd, SOL_SOCKET, option, &t, &len) < 0)
		return err_sys(err, "cannot read the options of a socket");
	*sec = (uint64_t)t.tv_sec;
	*usec = (uint64_t)t.tv_usec;
	return 0;
}

static int dump_sizes(int fd, SkOptsEntry *o, struct err *err)
{
	const int sndbuf = sock_option(fd, SO_SNDBUF), rcvbuf = sndbuf < 0 ? sndbuf : sock_option(fd, SO_RCVBUF);

	if (rcvbuf < 0)
		return err_set(err, ERR_FAILED, -rcvbuf, "cannot read the options of a socket");
	o->so_sndbuf = (uint32_t)sndbuf;
	o->so_rcvbuf = (uint32_t)rcvbuf;
	return 0;
}

int sock_options_ask(struct dump *d, const struct fd_source *src, uint64_t asked, SkOptsEntry *o, struct err *err)
{
	const int fd = src->fd;
	int ret = asked & PART(SIZES) ? dump_sizes(fd, o, err) : 0;

	if (!ret && asked & PART(SEND_TIME))
		ret = dump_time(fd, SO_SNDTIMEO, &o->so_snd_tmo_sec, &o->so_snd_tmo_usec, err);
	if (!ret && asked & PART(RECEIVE_TIME))
		ret = dump_time(fd, SO_RCVTIMEO, &o->so_rcv_tmo_sec, &o->so_rcv_tmo_usec, err);
	if (ret)
		return ret;
	if (asked & PART(SIZE_LOCK)) {
		const int lock = sock_option(fd, SO_BUF_LOCK);

		o->has_so_buf_lock = lock >= 0;
		o->so_buf_lock = lock >= 0 ? (uint32_t)lock : 0;
	}
	dump_plain(d, src, asked, o);
	dump_wide(fd, asked, o);
	if (asked & PART(STAMPS))
		dump_stamps(fd, o);
	if (asked & PART(STAMPING))
		ret = dump_stamping(fd, o, err);
	if (!ret && asked & PART(DEVICE))
		ret = dump_device(d, fd, o, err);
	if (!ret && asked & PART(FILTER))
		ret = dump_filter(d, fd, o, err);
	return ret;
}

/* Two values of each field of what is more than one number; of STAMPS none, for time stamps cost the whole host something. */
static const struct linger lingers[] = { { 1, 7 }, { 1, 9 } };
static const struct timeval times[] = { { 3, 0 }, { 5, 0 } };
static const uint64_t rates[] = { 1u << 20, 1ull << 36 | 1u << 20 };
static const struct { int32_t clock; uint32_t flags; } txtimes[] = { { CLOCK_MONOTONIC, 0 }, { CLOCK_MONOTONIC, 2 }, { CLOCK_TAI, 0 } };
static const uint32_t stampings[][2] = { { SOF_TIMESTAMPING_SOFTWARE, 0 }, { SOF_TIMESTAMPING_RAW_HARDWARE, 0 } };
static const struct sock_filter all_of_it[] = { { BPF_RET | BPF_K, 0, 0, 65535 } };
static const struct sock_fprog filter = { 1, (struct sock_filter *)(uintptr_t)all_of_it };
static const int on = 1;
#define CHANGE(part, name, value) { PART(part), SOL_SOCKET, name, &(value), sizeof(value) }
static const struct sock_change wide_changes[] = {
	CHANGE(LINGER, SO_LINGER, lingers[0]), CHANGE(LINGER, SO_LINGER, lingers[1]),
	CHANGE(SEND_TIME, SO_SNDTIMEO, times[0]), CHANGE(SEND_TIME, SO_SNDTIMEO, times[1]),
	CHANGE(RECEIVE_TIME, SO_RCVTIMEO, times[0]), CHANGE(RECEIVE_TIME, SO_RCVTIMEO, times[1]),
	CHANGE(RATE, SO_MAX_PACING_RATE, rates[0]), CHANGE(RATE, SO_MAX_PACING_RATE, rates[1]),
	CHANGE(TXTIME, SO_TXTIME, txtimes[0]), CHANGE(TXTIME, SO_TXTIME, txtimes[1]), CHANGE(TXTIME, SO_TXTIME, txtimes[2]),
	CHANGE(STAMPING, SO_TIMESTAMPING_OLD, stampings[0]), CHANGE(STAMPING, SO_TIMESTAMPING_OLD, stampings[1]),
	CHANGE(STAMPING, SO_TIMESTAMPING_NEW, stampings[0]),
	{ PART(DEVICE), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3 },
	CHANGE(FILTER, SO_ATTACH_FILTER, filter), CHANGE(FILTER, SO_LOCK_FILTER, on),
	{ PART(SIZE_LOCK), SOL_SOCKET, SO_BUF_LOCK, NULL, 0 },
};
#undef CHANGE

bool sock_option_change(size_t i, struct sock_change *c)
{
	const size_t plain = ARRAY_SIZE(plain_options);

	if (i >= plain + ARRAY_SIZE(wide_changes))
		return false;
	*c = i < plain ? (struct sock_change){ 1ull << i, SOL_SOCKET, plain_options[i].option, NULL, 0 } : wide_changes[i - plain];
	return true;
}

static int read_options(struct dump *d, const struct fd_source *src, SkOptsEntry **out, struct err *err)
{
	*out = arena_msg(d->arena, SkOptsEntry, sk_opts_entry__init);
	return sock_options_ask(d, src, UINT64_MAX, *out, err);
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
