// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/alike.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "common/bpf/iter.h"

/* Who has so many kinds of sockets gains nothing. */
#define LIKES_MAX 64
/* Sockets of ours at a time. */
#define TRIED_MAX 512

/*
 * Not there: what changes by itself (sizes that the kernel chooses, the processor that received last, the window's clamp). Those options
 * are asked.
 */
#define SK "private_data->(socket)sk->"
#define INET SK "(inet_sock)"
#define CONN SK "(inet_connection_sock)"
#define TCP SK "(tcp_sock)"
static const char *const paths[] = {
	ITER_FD,
	SK "__sk_common.skc_family",
	SK "sk_protocol",
	SK "sk_type",
	/* From here on they are compared; what this kernel has not is 0 of all. */
	SK "__sk_common.skc_reuse:1",
	SK "__sk_common.skc_bound_dev_if",
	SK "__sk_common.skc_flags",
	SK "sk_userlocks:1",
	SK "sk_no_check_tx:1",
	SK "sk_mark",
	SK "sk_priority",
	SK "sk_lingertime",
	SK "sk_rcvlowat",
	SK "sk_rcvtimeo",
	SK "sk_sndtimeo",
	SK "sk_peek_off",
	SK "sk_tsflags",
	SK "sk_bind_phc",
	SK "sk_ll_usec",
	SK "sk_prefer_busy_poll",
	SK "sk_max_pacing_rate",
	SK "sk_clockid",
	SK "sk_txtime_deadline_mode:1",
	SK "sk_reserved_mem",
	SK "sk_txrehash",
	SK "sk_filter",
	INET "inet_flags",
	INET "tos",
	INET "min_ttl",
	INET "pmtudisc",
	INET "uc_ttl",
	INET "inet_opt",
	INET "uc_index",
	INET "local_port_range",
	CONN "icsk_syn_retries",
	CONN "icsk_user_timeout",
	CONN "icsk_accept_queue.rskq_defer_accept",
	CONN "icsk_accept_queue.fastopenq.max_qlen",
	CONN "icsk_accept_queue.fastopenq.ctx",
	CONN "icsk_ca_ops",
	CONN "icsk_ack.pingpong",
	CONN "icsk_rto_min",
	CONN "icsk_rto_max",
	CONN "icsk_delack_max",
	TCP "nonagle:1",
	TCP "thin_lto:1",
	TCP "recvmsg_inq:1",
	TCP "save_syn:1",
	TCP "fastopen_connect:1",
	TCP "keepalive_time",
	TCP "keepalive_intvl",
	TCP "keepalive_probes",
	TCP "notsent_lowat",
	TCP "linger2",
};
#define FIELDS ARRAY_SIZE(paths)
enum { NUMBER, FAMILY, PROTOCOL, TYPE, FIRST };
_Static_assert(FIELDS <= ITER_FIELDS_MAX, "a row has room for all");

struct sock_alike {
	struct iter_rows rows;
	uint32_t *at; /* of each descriptor: one more than its row, or 0 */
	size_t nat;
	struct sock_asked asked;
	struct sock_like likes[LIKES_MAX];
	size_t n;
};

/* ---- which options they tell ---- */

/* A socket of ours, with one option that is not as it was. */
struct tried { int fd; size_t option; };
/* Options: those of SOL_SOCKET by bit, behind them rows of inetopt.c, behind those the ones with fields. */
enum { ROWS = 64, OWN_FIELDS = ROWS + 64 * INETOPT_WORDS };

struct trial {
	int fresh; /* nothing was changed in it */
	struct tried v[TRIED_MAX];
	size_t n;
	bool told[OWN_FIELDS + 1], untold[OWN_FIELDS + 1];
};

static void trial_end(struct trial *t)
{
	for (size_t i = 0; i < t->n; i++)
		close(t->v[i].fd);
	if (t->fresh >= 0)
		close(t->fresh);
}

static int fresh_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
}

static bool number_of(int fd, const struct sock_change *c, int *value)
{
	socklen_t len = sizeof(*value);

	*value = 0;
	return !getsockopt(fd, c->level, c->name, value, &len);
}

static void keep(struct trial *t, int fd, size_t option)
{
	t->v[t->n++] = (struct tried){ fd, option };
}

/* Gives it another number than `before`, and than that of another socket, which may be NULL. */
static bool change_number(int fd, const struct sock_change *c, int before, const int *another, int *now)
{
	static const int numbers[] = { 1, 0, 2, 3, 60, 1000, 1000000 };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!setsockopt(fd, c->level, c->name, &numbers[i], sizeof(int)) && number_of(fd, c, now) && *now != before &&
		    (!another || *now != *another))
			return true;
	return false;
}

/* Another number than it has by itself, and a second other one where it takes more than two. */
static void try_numbers(struct trial *t, const struct sock_change *c, size_t option)
{
	int before, first, second, fd;
	bool done = false;

	if (number_of(t->fresh, c, &before) && t->n + 2 < TRIED_MAX) {
		fd = fresh_socket();
		done = fd >= 0 && change_number(fd, c, before, NULL, &first);
		if (done)
			keep(t, fd, option);
		else if (fd >= 0)
			close(fd);
	}
	t->untold[option] |= !done;
	fd = done ? fresh_socket() : -1;
	if (fd >= 0 && change_number(fd, c, before, &first, &second))
		keep(t, fd, option);
	else if (fd >= 0)
		close(fd);
}

static void try_change(struct trial *t, const struct sock_change *c, size_t option)
{
	int fd;

	t->told[option] = true;
	if (!c->value && !c->len) {
		try_numbers(t, c, option);
		return;
	}
	fd = c->value && t->n < TRIED_MAX ? fresh_socket() : -1;
	if (fd >= 0 && !setsockopt(fd, c->level, c->name, c->value, c->len)) {
		keep(t, fd, option);
		return;
	}
	t->untold[option] = true;
	if (fd >= 0)
		close(fd);
}

static void try_all(struct trial *t)
{
	static const struct { int level, name; } fields[] = {
		{ IPPROTO_TCP, TCP_CORK },	{ IPPROTO_TCP, TCP_NODELAY },	{ IPPROTO_TCP, TCP_KEEPCNT }, { IPPROTO_TCP, TCP_KEEPIDLE },
		{ IPPROTO_TCP, TCP_KEEPINTVL }, { IPPROTO_IP, IP_FREEBIND }, { IPPROTO_IP, IP_PKTINFO },  { IPPROTO_IP, IP_TOS },
		{ IPPROTO_IP, IP_TTL },
	};
	struct sock_change c;

	t->fresh = fresh_socket();
	for (size_t i = 0; sock_option_change(i, &c); i++)
		try_change(t, &c, (size_t)__builtin_ctzll(c.bit));
	for (size_t i = 0; inetopt_change(i, &c); i++)
		try_change(t, &c, ROWS + i);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		try_change(t, &(struct sock_change){ .level = fields[i].level, .name = fields[i].name }, OWN_FIELDS);
}

/* ---- rows ---- */

static const uint64_t *row_of(const struct sock_alike *all, int fd)
{
	return fd >= 0 && (size_t)fd < all->nat && all->at[fd] ? all->rows.v + (all->at[fd] - 1) * FIELDS : NULL;
}

static bool same_numbers(const uint64_t *a, const uint64_t *b)
{
	return !memcmp(a + FIRST, b + FIRST, (FIELDS - FIRST) * sizeof(*a));
}

static void index_rows(struct sock_alike *all)
{
	for (size_t i = 0; i < all->rows.n; i++)
		all->nat = MAX(all->nat, (size_t)all->rows.v[i * FIELDS + NUMBER] + 1);
	all->at = xzalloc((all->nat + 1) * sizeof(*all->at));
	for (size_t i = 0; i < all->rows.n; i++)
		all->at[all->rows.v[i * FIELDS + NUMBER]] = (uint32_t)i + 1;
}

/* An option is told when all sockets that differ in it alone, from each other and from the fresh one, have different numbers. */
static void learn(struct sock_alike *all, struct trial *t)
{
	const uint64_t *fresh = row_of(all, t->fresh), *row, *other;

	for (size_t i = 0; i < t->n; i++) {
		row = row_of(all, t->v[i].fd);
		t->untold[t->v[i].option] |= !fresh || !row || same_numbers(row, fresh);
		/* Those of one option are neighbours. */
		for (size_t k = i; row && k-- > 0 && t->v[k].option == t->v[i].option;) {
			other = row_of(all, t->v[k].fd);
			t->untold[t->v[i].option] |= !other || same_numbers(row, other);
		}
	}
	for (size_t i = 0; i < ROWS; i++)
		all->asked.options |= (uint64_t)!(t->told[i] && !t->untold[i]) << i;
	for (size_t i = ROWS; i < OWN_FIELDS; i++)
		all->asked.rows[(i - ROWS) / 64] |= (uint64_t)!(t->told[i] && !t->untold[i]) << i % 64;
	all->asked.fields = t->untold[OWN_FIELDS];
}

int sock_alike_open(struct sock_alike **out, struct err *err)
{
	struct sock_alike *all = *out = xzalloc(sizeof(*all));
	cleanup_free struct trial *t = xzalloc(sizeof(*t));
	const uint64_t needed = 1ull << NUMBER | 1ull << FAMILY | 1ull << PROTOCOL | 1ull << TYPE;
	struct iter iter;
	int ret = iter_load(ITER_FILE, paths, FIELDS, needed, &iter, err);

	if (!ret) {
		try_all(t);
		ret = iter_read(&iter, getpid(), &all->rows, err);
		if (!ret) {
			index_rows(all);
			learn(all, t);
		}
		trial_end(t);
	}
	iter_close(&iter);
	if (ret < 0)
		sock_alike_free(take_ptr(*out));
	return ret;
}

void sock_alike_free(struct sock_alike *all)
{
	if (!all)
		return;
	iter_rows_free(&all->rows);
	free(all->at);
	free(all);
}

struct sock_like *sock_alike_of(struct sock_alike *all, int fd)
{
	const uint64_t *row = all ? row_of(all, fd) : NULL;

	if (!row || row[FAMILY] != AF_INET || row[TYPE] != SOCK_STREAM || row[PROTOCOL] != IPPROTO_TCP)
		return NULL;
	for (size_t i = 0; i < all->n; i++)
		if (same_numbers(all->likes[i].numbers, row))
			return &all->likes[i];
	if (all->n == LIKES_MAX)
		return NULL;
	all->likes[all->n].numbers = row;
	return &all->likes[all->n++];
}

const struct sock_asked *sock_alike_asked(const struct sock_alike *all)
{
	return &all->asked;
}

static bool same_message(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
	const size_t n = a && b ? protobuf_c_message_get_packed_size(a) : 0;
	cleanup_free uint8_t *bytes = NULL;

	if (!a || !b)
		return a == b;
	if (n != protobuf_c_message_get_packed_size(b))
		return false;
	bytes = xmalloc(2 * n + 1);
	protobuf_c_message_pack(a, bytes);
	protobuf_c_message_pack(b, bytes + n);
	return !memcmp(bytes, bytes + n, n);
}

bool sock_told_same(const struct sock_told *a, const struct sock_told *b)
{
	if (a->nmore != b->nmore || !same_message(&a->opts->base, &b->opts->base) ||
	    !same_message(a->ip ? &a->ip->base : NULL, b->ip ? &b->ip->base : NULL) ||
	    !same_message(a->tcp ? &a->tcp->base : NULL, b->tcp ? &b->tcp->base : NULL))
		return false;
	for (size_t i = 0; i < a->nmore; i++)
		if (!same_message(&a->more[i]->base, &b->more[i]->base))
			return false;
	return true;
}
