// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/sockerr.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/bpf/btf.h"
#include "common/bpf/iter.h"
#include "common/sock/icmp.h"

enum { STATE_CONNECTED = 1, STATE_CLOSED = 7 }; /* TCP_ESTABLISHED, TCP_CLOSE */
#define HEAR_TRIES 400
#define HEAR_PAUSE_NS 5000000
#define HEARD_MAX (1u << 20) /* what others send meanwhile does not keep us */

/* ---- dump: what the kernel has ---- */

enum field { INO, F_OP, ERROR, FLAGS, QUEUE, STAGE, RECEIVED, RECEIVED_FIRST, COME, READ, LAST, FIELDS };
#define SK "private_data->(socket)sk->"
static const char *const paths[FIELDS] = {
	[INO] = "f_inode->i_ino",
	[F_OP] = "f_op",
	[ERROR] = SK "sk_err",
	[FLAGS] = SK "__sk_common.skc_flags",
	[QUEUE] = SK "sk_error_queue.qlen",
	[STAGE] = "private_data->(socket)state",
	[RECEIVED] = SK "sk_receive_queue.qlen",
	[RECEIVED_FIRST] = SK "(udp_sock)reader_queue.qlen",
	[COME] = SK "(tcp_sock)rcv_nxt",
	[READ] = SK "(tcp_sock)copied_seq",
	[LAST] = ITER_FD, /* no row ends with all bits set */
};

/* Rows of descriptors of our own: duplicates of theirs. */
struct sock_errors {
	struct iter iter;
	int done; /* the bit of sk_flags for the peer's end */
	struct iter_rows rows;
	uint64_t op; /* file operations of sockets; 0: not yet known */
	bool ready;
	struct err why;
};

void sock_errors_free(struct sock_errors *all)
{
	if (!all)
		return;
	iter_rows_free(&all->rows);
	iter_close(&all->iter);
	free(all);
}

/* Among sockets, which have one inode number each; files of other kinds may have the same. */
static const uint64_t *find_row(const struct sock_errors *all, uint64_t ino)
{
	for (size_t i = 0; i < all->rows.n; i++)
		if (all->rows.v[i * FIELDS + INO] == ino && (!all->op || all->rows.v[i * FIELDS + F_OP] == all->op))
			return all->rows.v + i * FIELDS;
	return NULL;
}

static int read_rows(struct sock_errors *all, struct err *err)
{
	iter_rows_free(&all->rows);
	return iter_read(&all->iter, getpid(), &all->rows, err);
}

static void close_both(int (*fds)[2])
{
	for (int i = 0; i < 2; i++)
		if ((*fds)[i] >= 0)
			close((*fds)[i]);
}

/* A unix socket whose peer left without having read all has a reset (unix_release_sock() in net/unix/af_unix.c); another has not. */
static int try_ours(struct sock_errors *all, struct err *err)
{
	int fds[2] cleanup(close_both) = { -1, -1 }, other[2] cleanup(close_both) = { -1, -1 };
	const uint64_t *with, *without;
	struct stat st[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other) < 0 ||
	    write(fds[0], "", 1) != 1 || fstat(fds[0], &st[0]) < 0 || fstat(other[0], &st[1]) < 0)
		return err_sys(err, "cannot make sockets");
	close(fds[1]);
	fds[1] = -1;
	ret = read_rows(all, err);
	if (ret < 0)
		return ret;
	with = find_row(all, st[0].st_ino);
	all->op = with ? with[F_OP] : 0;
	without = find_row(all, st[1].st_ino);
	if (!with || !all->op || !without || (int)with[ERROR] != ECONNRESET || without[ERROR] || with[QUEUE] ||
	    with[STAGE] != SOCK_CONNECTED)
		return err_set(err, ERR_FEATURE, 0, "fields of struct sock are not what they are taken for");
	return 0;
}

static int prepare(struct sock_errors *all, struct err *err)
{
	cleanup_btf struct btf *b = NULL;
	int ret = iter_load(ITER_FILE, paths, FIELDS, (1ull << FIELDS) - 1, &all->iter, err);

	if (!ret)
		ret = btf_open(&b, err);
	if (ret)
		return ret;
	all->done = btf_enumerator(b, "sock_flags", "SOCK_DONE");
	if (all->done < 0 || all->done > 63)
		return err_set(err, ERR_FEATURE, 0, "struct sock of this kernel has other flags");
	return try_ours(all, err);
}

static struct sock_errors *all_of(struct dump *d)
{
	struct sock_errors *all = d->files->errors;

	if (all)
		return all;
	all = d->files->errors = xzalloc(sizeof(*all));
	all->iter.prog = -1;
	all->ready = !prepare(all, &all->why);
	if (!all->ready)
		log_debug(d->log, "errors of sockets cannot be told: %s", all->why.reason);
	return all;
}

static const char hint[] = "let the program read it (SO_ERROR or MSG_ERRQUEUE), or try again";

/* Fields of struct udp_sock and struct tcp_sock mean something in these only. */
static int take(const struct sock_errors *all, const uint64_t *row, const struct fd_source *src, const char *what, struct sock_error *out,
		struct err *err)
{
	const bool tcp = src->protocol == IPPROTO_TCP, udp = src->protocol == IPPROTO_UDP || src->protocol == IPPROTO_UDPLITE;
	/* A message that ends an attempt to connect is reported, whether the program wants that or not (tcp_v4_err()). */
	const bool attempt = tcp && row[ERROR] && row[STAGE] == SOCK_CONNECTING && row[QUEUE] == 1;

	if (row[QUEUE] && !attempt)
		return err_hint(err, err_refuse(err, "%s: an error that waits to be read (MSG_ERRQUEUE)", what), "%s", hint);
	*out = (struct sock_error){ .error = (int)row[ERROR], .stage = (enum sock_stage)row[STAGE],
				    .queued = (uint32_t)row[RECEIVED] + (udp ? (uint32_t)row[RECEIVED_FIRST] : 0), .report = attempt };
	if (!tcp)
		return 0;
	out->fin = row[FLAGS] >> all->done & 1;
	out->unread = (uint32_t)row[COME] - (uint32_t)row[READ];
	/* The end counts as one byte until it is read. */
	out->unread -= out->fin && out->unread;
	return 0;
}

int sock_error_look(struct dump *d, const struct fd_source *src, const char *what, struct sock_error *out, struct err *err)
{
	struct pollfd p = { src->fd, 0, 0 };
	struct sock_errors *all;
	const uint64_t *row;
	int ret;

	*out = (struct sock_error){ 0 };
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	if (!(p.revents & POLLERR))
		return 0;
	all = all_of(d);
	if (!all->ready)
		return err_hint(err, err_refuse(err, "%s: an error that waits to be read, and this kernel or these privileges do not tell "
						     "which (%s)", what, all->why.reason),
				"CAP_BPF and CAP_PERFMON let it tell; or %s", hint);
	/* The rows may be older than its error, or than our duplicate of it. */
	for (int tries = 0; tries < 2; tries++) {
		ret = tries ? read_rows(all, err) : 0;
		if (ret < 0)
			return ret;
		row = find_row(all, src->st.st_ino);
		if (row && (row[ERROR] || row[QUEUE]))
			return take(all, row, src, what, out, err);
	}
	return err_hint(err, err_refuse(err, "%s: an error that waits to be read, and is not told of", what), "%s", hint);
}

int sock_error_refuse(const char *what, const struct sock_error *e, struct err *err)
{
	return err_hint(err, err_refuse(err, "%s: an error that waits to be read (%s), and cannot be made again", what, strerror(e->error)),
			"%s", hint);
}

/* A UDP socket that was destroyed is connected to nobody since (udp_abort() in net/ipv4/udp.c). */
static bool is_aborted(const InetSkEntry *e, int error)
{
	return error == ECONNABORTED && e->state == STATE_CLOSED && (e->proto == IPPROTO_UDP || e->proto == IPPROTO_UDPLITE);
}

int sock_error_dump(struct dump *d, const struct fd_source *src, InetSkEntry *e, const char *what, struct err *err)
{
	union inet_address own;
	struct sock_error w;
	int ret = sock_error_look(d, src, what, &w, err);

	if (ret < 0 || !w.error)
		return ret;
	inet_address_of(e, false, &own);
	/* What a raw socket hears, all of them do that have its addresses. */
	if (e->type == SOCK_RAW || (!is_aborted(e, w.error) &&
				    (e->state != STATE_CONNECTED || !icmp_means(inet_is_v6(&own), w.error, true))))
		return sock_error_refuse(what, &w, err);
	/* A look into the queue would take it. */
	if (w.queued)
		return err_hint(err, err_refuse(err, "%s: an error that waits to be read (%s), and datagrams in its queue", what,
						strerror(w.error)),
				"let the program read them, or try again");
	e->has_error = true;
	e->error = (uint32_t)w.error;
	return 0;
}

/* ---- restore ---- */

struct sock_raise {
	uint32_t slot, raw; /* raw: where an ICMP message tells it */
	const InetSkEntry *e; /* NULL: its queue is to be emptied */
	struct sock_raise *next;
};

uint32_t sock_error_raw(struct plan *plan, bool v6)
{
	struct file_plan *fp = file_plan_of(plan);
	uint32_t *slot = &fp->icmp[v6];

	if (!fp->has_icmp[v6]) {
		*slot = plan_slot(plan, v6 ? "raw socket for ICMPv6" : "raw socket for ICMP");
		plan_slot_is(plan, *slot, program_call(plan->controller, MAKE_OBJECTS, "errors of sockets are said again", SYS_socket,
						       A(v6 ? AF_INET6 : AF_INET), A(SOCK_RAW | SOCK_CLOEXEC),
						       A(v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)));
	}
	fp->has_icmp[v6] = true;
	return *slot;
}

static void note(struct plan *plan, struct sock_raise r)
{
	r.next = plan->sock_errors;
	plan->sock_errors = arena_dup(plan->arena, &r, sizeof(r));
}

void sock_error_plan_deaf(struct plan *plan, uint32_t slot)
{
	note(plan, (struct sock_raise){ .slot = slot });
}

int sock_error_plan(const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	union inet_address peer;

	if (!e->has_error)
		return 0;
	if (is_aborted(e, (int)e->error)) {
		note(plan, (struct sock_raise){ .slot = slot, .e = e });
		return 0;
	}
	inet_address_of(e, true, &peer);
	if (e->state != STATE_CONNECTED || !e->error || e->error > SOCK_ERRNO_MAX ||
	    !icmp_means(inet_is_v6(&peer), (int)e->error, true))
		return err_image(err, "files.img: internet socket %u: an error that it cannot have: %u", e->id, e->error);
	note(plan, (struct sock_raise){ .slot = slot, .raw = sock_error_raw(plan, inet_is_v6(&peer)), .e = e });
	return 0;
}

static const struct { int level, name; } quiet[] = {
	{ IPPROTO_IP, IP_RECVERR }, { IPPROTO_IPV6, IPV6_RECVERR }, { IPPROTO_TCP, TCP_CORK }, { IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT }, { SOL_SOCKET, SO_BINDTOIFINDEX },
};
_Static_assert(ARRAY_SIZE(quiet) == ARRAY_SIZE(((struct sock_quiet *)0)->was), "one value each");

static bool is_of(int fd, int level)
{
	return level != IPPROTO_TCP || sock_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

void sock_quiet_begin(int fd, const union inet_address *own, struct sock_quiet *q)
{
	const bool local = own->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&own->in6.sin6_addr);
	const int off = 0;

	for (size_t i = 0; i < ARRAY_SIZE(quiet); i++) {
		socklen_t len = sizeof(q->was[i]);

		q->was[i] = 0;
		if (!is_of(fd, quiet[i].level) || getsockopt(fd, quiet[i].level, quiet[i].name, &q->was[i], &len) < 0)
			q->was[i] = 0;
		if (q->was[i] && !(local && quiet[i].name == SO_BINDTOIFINDEX))
			setsockopt(fd, quiet[i].level, quiet[i].name, &off, sizeof(off));
	}
}

void sock_quiet_end(int fd, const struct sock_quiet *q)
{
	for (size_t i = 0; i < ARRAY_SIZE(quiet); i++)
		if (q->was[i])
			setsockopt(fd, quiet[i].level, quiet[i].name, &q->was[i], sizeof(q->was[i]));
}

/* The packet that it has sent, as far as it is looked at: ports, or type and number of an echo. */
static void packet_of(const InetSkEntry *e, const union inet_address *own, const union inet_address *peer, struct icmp_answered *p)
{
	const bool ping = e->proto == IPPROTO_ICMP || e->proto == IPPROTO_ICMPV6;
	const uint16_t length = htons(8);

	*p = (struct icmp_answered){ .own = own, .peer = peer, .protocol = (int)e->proto, .len = 8 };
	if (ping) {
		p->head[0] = e->proto == IPPROTO_ICMP ? 8 : 128; /* ICMP_ECHO, ICMPV6_ECHO_REQUEST */
		memcpy(p->head + 4, &own->in.sin_port, 2);
		return;
	}
	memcpy(p->head, &own->in.sin_port, 2); /* at the same place in both */
	memcpy(p->head + 2, &peer->in.sin_port, 2);
	memcpy(p->head + 4, &length, 2);
}

static int say(const struct sock_raise *r, int fd, int raw, const union inet_address *own, const union inet_address *peer, struct err *err)
{
	const struct timespec pause = { 0, HEAR_PAUSE_NS };
	struct pollfd p = { fd, 0, 0 };
	struct icmp_answered packet;
	int ret;

	packet_of(r->e, own, peer, &packet);
	for (int tries = 0; tries < HEAR_TRIES; tries++) {
		ret = icmp_answer(raw, &packet, (int)r->e->error, err);
		if (ret < 0)
			return ret;
		/* Over the loopback device it is there already, as a rule. */
		if (poll(&p, 1, 0) == 1 && p.revents & POLLERR)
			return 0;
		nanosleep(&pause, NULL);
	}
	return err_hint(err, err_set(err, ERR_FAILED, 0, "it does not hear of its error"), SOCK_LOOPBACK_HINT);
}

/* Without a port nobody finds it; it loses that with its peer. */
static int abort_it(const InetSkEntry *e, int fd, union inet_address *own, struct err *err)
{
	union inet_address peer = { .sa.sa_family = (sa_family_t)e->family };
	const socklen_t len = e->family == AF_INET ? sizeof(peer.in) : sizeof(peer.in6);

	peer.in.sin_port = htons(9); /* at the same place in both */
	if (e->family == AF_INET)
		peer.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		peer.in6.sin6_addr = in6addr_loopback;
	if (!own->in.sin_port && connect(fd, &peer.sa, len) < 0)
		return err_sys(err, "cannot connect a socket");
	return sock_destroy(fd, err);
}

static int raise_error(const struct sock_raise *r, int fd, int raw, struct err *err)
{
	union inet_address own = { 0 }, peer;
	socklen_t len = sizeof(own);
	struct sock_quiet q;
	char a[64];
	int ret;

	inet_address_of(r->e, true, &peer);
	inet_address_text(r->e, false, a, sizeof(a));
	if (getsockname(fd, &own.sa, &len) < 0)
		return err_sys(err, "cannot read the address of a socket");
	sock_quiet_begin(fd, &own, &q);
	ret = is_aborted(r->e, (int)r->e->error) ? abort_it(r->e, fd, &own, err) : say(r, fd, raw, &own, &peer, err);
	sock_quiet_end(fd, &q);
	return err_object(err, ret, "socket %s", a);
}

int sock_errors_run(const struct plan *plan, const int *fds, struct err *err)
{
	int ret = 0;

	for (const struct sock_raise *r = plan->sock_errors; r && !ret; r = r->next)
		if (r->e)
			ret = raise_error(r, fds[r->slot], fds[r->raw], err);
	for (const struct sock_raise *r = plan->sock_errors; r && !ret; r = r->next)
		for (size_t n = 0; !r->e && n < HEARD_MAX && recv(fds[r->slot], NULL, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0; n++)
			;
	return ret;
}
