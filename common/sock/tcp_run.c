// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The last acts of restored connections. Until all tasks are made, every socket is in repair mode and silent, so that a restore
 * that fails, or is killed, closes them without a word and can be tried again. Then, still under the network lock, each comes to
 * its state of closing, leaves repair mode and gets its unsent data. The lock goes when nothing can fail any more.
 */
#include "common/sock/tcp.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/halves.h"
#include "common/net/guard.h"
#include "common/net/handshake.h"
#include "common/net/iptables.h"
#include "common/net/newcomers.h"
#include "common/sock/accept_queue.h"

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };
#define STATE_TRIES 200
#define STATE_PAUSE_NS 5000000
/* So many of them one of two threads takes at a time. */
#define AT_ONCE 16

struct tcp_run {
	const struct plan *all;
	const struct tcp_plan *plan;
	const struct log *log;
	const int *fds;
	struct net_lock *lock;
	struct guard *guard;
	int root; /* pidfd of the root task */
	struct handshake *handshake; /* NULL: no connections wait to be accepted */
	struct newcomers *newcomers; /* are to come behind those; NULL: as they like */
	struct net_connection *conns; /* of the checkpoint, restored or not */
	size_t nconns;
	bool released, done;
	bool iptables; /* rules of another dumper hold the connections, too */
	bool unasked;  /* --network-lock skip: what is left of the dump's lock goes, and nothing is locked */
};

/* What a thread needs that brings connections to their end states. */
struct side { struct tcp_run *run; struct tcp_packets packets; };

void tcp_connection_of(const uint32_t *own, uint32_t port, const uint32_t *peer, uint32_t peer_port, bool v6, struct net_connection *c)
{
	static const uint32_t mapped = 0xffff0000; /* the third word of ::ffff:0:0, as it lies in memory */
	const bool is_mapped = v6 && !own[0] && !own[1] && own[2] == mapped;
	const size_t first = is_mapped ? 3 : 0;

	v6 &= !is_mapped;
	*c = (struct net_connection){ .v6 = v6, .local_port = htons((uint16_t)port), .remote_port = htons((uint16_t)peer_port) };
	memcpy(c->local, own + first, v6 ? 16 : 4);
	memcpy(c->remote, peer + first, v6 ? 16 : 4);
}

static int sys(struct err *err, int ret, const char *what)
{
	return ret < 0 ? err_set(err, ERR_FAILED, -ret, "%s", what) : 0;
}

static void connection_of(const InetSkEntry *e, struct net_connection *c)
{
	tcp_connection_of(e->src_addr, e->src_port, e->dst_addr, e->dst_port, e->family == AF_INET6, c);
}

/*
 * On another host than the dump's nothing is locked yet. Such a lock is ours, and goes with us. Whether it is there is asked first:
 * a transaction that is refused costs a grace period of the kernel (nf_tables_abort() in net/netfilter/nf_tables_api.c).
 */
static int lock(struct tcp_run *run, const char *id, struct err *err)
{
	int ret = net_lock_find(id, &run->lock, err);

	if (ret < 0 || run->lock)
		return ret;
	return net_lock(id, run->conns, run->nconns, &run->lock, err);
}

/*
 * Connections that are not restored (--tcp-close), or that the caller does not want locked: the lock of the dump goes all the same
 * when the tasks are there, or their peers would never hear anything again. A kernel without nftables has none.
 */
static void find_lock(struct tcp_run *run, const char *id)
{
	struct err ignore = ERR_INIT;

	if (net_lock_find(id, &run->lock, &ignore) < 0)
		log_debug(run->log, "no lock of the network can be looked for: %s", ignore.reason);
}

static bool is_connection(const FileEntry *f)
{
	const InetSkEntry *e = f->isk;

	return e && e->type == SOCK_STREAM && e->proto == IPPROTO_TCP && e->dst_port && e->state != LISTEN &&
	       e->n_dst_addr == e->n_src_addr;
}

static void collect(const struct model *m, struct tcp_run *run)
{
	for (size_t i = 0; i < m->nfiles; i++)
		run->nconns += is_connection(m->files[i]);
	for (const struct accept_queue *q = run->all->accept_queues; q; q = q->next)
		run->nconns += q->e->n_waiting;
	run->conns = xreallocarray(NULL, run->nconns, sizeof(*run->conns));
	run->nconns = 0;
	for (size_t i = 0; i < m->nfiles; i++)
		if (is_connection(m->files[i]))
			connection_of(m->files[i]->isk, &run->conns[run->nconns++]);
	for (const struct accept_queue *q = run->all->accept_queues; q; q = q->next)
		for (size_t i = 0; i < q->e->n_waiting; i++)
			accept_queue_connection(q->e, q->e->waiting[i], &run->conns[run->nconns++]);
}

/* Where nftables cannot, they come as they like. */
static void stop_newcomers(struct tcp_run *run, const char *id)
{
	struct err ignore = ERR_INIT;
	struct net_listener *v = NULL;
	size_t n = 0, cap = 0;

	for (const struct accept_queue *q = run->all->accept_queues; q; q = q->next) {
		const InetSkEntry *e = q->e;

		array_reserve(&v, &cap, n + 2, sizeof(*v));
		n += net_listeners_of((int)e->family, e->src_addr, htons((uint16_t)e->src_port), e->has_v6only && e->v6only, v + n);
	}
	if (n)
		newcomers_stop("cr-restore", id, v, n, &run->newcomers, &ignore);
	free(v);
}

int tcp_run_begin(const struct model *m, const struct plan *plan, const struct log *log, struct tcp_run **out,
		  struct err *err)
{
	static const struct tcp_plan none;
	const uint32_t method = m->inventory->network_lock_method;
	const char *id = m->inventory->dump_criu_run_id;
	const bool any = plan->tcp || plan->accept_queues;
	struct tcp_run *run;
	char pid[16];
	int ret = 0;

	*out = NULL;
	if (!id) { /* before CRIU 4.0 */
		snprintf(pid, sizeof(pid), "%d", (int)m->tasks[0].pstree->pid);
		id = pid;
	}
	if (!any && (!m->inventory->has_network_lock_method || method == NET_LOCK_SKIP))
		return 0;
	run = *out = xzalloc(sizeof(*run));
	run->all = plan;
	run->plan = plan->tcp ? plan->tcp : &none;
	run->log = log;
	run->root = -1;
	if (plan->accept_queues)
		ret = handshake_open(&run->handshake, err);
	if (ret < 0)
		tcp_run_free(take_ptr(*out));
	if (ret < 0 || method == NET_LOCK_SKIP)
		return ret;
	collect(m, run);
	run->iptables = method == NET_LOCK_IPTABLES && run->nconns;
	run->unasked = !plan->network_lock;
	if (plan->network_lock && (any || run->iptables))
		ret = lock(run, id, err);
	else if (run->nconns || !image_dir_sealed(m->dir)) /* CRIU makes a table also where nothing is to be locked */
		find_lock(run, id);
	if (!ret && run->lock)
		stop_newcomers(run, id);
	if (ret < 0 || (!any && !run->lock && !run->iptables))
		tcp_run_free(take_ptr(*out));
	return ret;
}

/* ---- one connection ---- */

/*
 * Nothing but a segment of the peer brings a socket into most states of closing. So it gets one, made here and marked to pass
 * the lock. fin: the peer's last word; else an acknowledgement of ours.
 */
static int hear_peer(struct side *side, const struct tcp_restore *r, int fd, bool fin, uint32_t ack, int want,
		     struct err *err)
{
	const struct timespec pause = { 0, STATE_PAUSE_NS };
	const struct tcp_segment s = { .seq = r->s->inq_seq - fin, .ack = ack, .fin = fin, .window = UINT16_MAX };
	struct net_connection c;
	int ret;

	connection_of(r->e, &c);
	for (int tries = 0; tries < STATE_TRIES; tries++) {
		ret = tcp_packets_send(&side->packets, &c, &s, err);
		if (ret < 0)
			return ret;
		/* Over the loopback device it is there when the call returns, as a rule. */
		if (tcp_state(fd) == want)
			return 0;
		nanosleep(&pause, NULL);
		if (tcp_state(fd) == want)
			return 0;
	}
	return err_hint(err, err_set(err, ERR_FAILED, 0, "it stays in state %d and should be in %d", tcp_state(fd), want),
			"does a packet filter of this host drop packets on the loopback device?");
}

/* As if a FIN had been sent: in repair mode it counts as sent, and nothing leaves. */
static int silent_fin(int fd, struct err *err)
{
	int ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);

	if (!ret && shutdown(fd, SHUT_WR) < 0)
		ret = -errno;
	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	return sys(err, ret, "cannot shut it down");
}

static int reach_state(struct side *side, const struct tcp_restore *r, int fd, struct err *err)
{
	const uint32_t una = r->s->outq_seq - r->s->outq_len; /* of the data; one less before a FIN of ours */
	int ret = 0;

	switch (r->e->state) {
	case CLOSE_WAIT:
		return hear_peer(side, r, fd, true, una, CLOSE_WAIT, err);
	case LAST_ACK:
		ret = hear_peer(side, r, fd, true, una - 1, CLOSE_WAIT, err);
		break;
	case FIN_WAIT1:
	case FIN_WAIT2:
	case CLOSING:
		break;
	default:
		return 0;
	}
	if (!ret && !r->nunsent)
		ret = silent_fin(fd, err);
	if (!ret && r->e->state == FIN_WAIT2)
		ret = hear_peer(side, r, fd, false, r->s->outq_seq, FIN_WAIT2, err);
	if (!ret && r->e->state == CLOSING)
		ret = hear_peer(side, r, fd, true, una - 1, CLOSING, err);
	return ret;
}

static int set_window(const struct tcp_restore *r, int fd, struct err *err)
{
	const TcpStreamEntry *s = r->s;
	struct tcp_repair_window w = { s->snd_wl1, s->snd_wnd, s->max_window, s->rcv_wnd, s->rcv_wup };

	if (!s->has_snd_wl1 || !s->has_snd_wnd || !s->has_max_window || !s->has_rcv_wnd || !s->has_rcv_wup)
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0)
		return err_sys(err, "cannot set its windows");
	return 0;
}

/* Its SYN goes out again, with the same number; under the lock it is lost, and the kernel repeats it. */
static int open_again(const struct tcp_restore *r, int fd, struct err *err)
{
	union inet_address a;
	socklen_t len = inet_address_of(r->e, true, &a);
	int flags = fcntl(fd, F_GETFL), ret = 0;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, &a.sa, len) < 0 && errno != EINPROGRESS)
		ret = err_sys(err, "cannot open it again");
	fcntl(fd, F_SETFL, flags);
	return ret;
}

/*
 * How much may wait that is not sent (TCP_NOTSENT_LOWAT, or net.ipv4.tcp_notsent_lowat of this host) is looked at whenever a new
 * buffer begins (tcp_stream_memory_free() in include/net/tcp.h): the same bytes in other buffers, or an older limit, may be more.
 */
static ssize_t send_rest(int fd, const uint8_t *bytes, size_t len, int flags)
{
	int limit = 0;
	socklen_t size = sizeof(limit);
	ssize_t n;

	getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, &size);
	sock_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1);
	n = send(fd, bytes, len, flags);
	sock_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, limit);
	return MAX(n, 0);
}

/* urgent: MSG_OOB, the last byte is; or 0. */
static int send_part(int fd, const uint8_t *bytes, size_t len, int urgent, struct err *err)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | urgent;
	ssize_t n = len ? send(fd, bytes, len, flags) : 0;

	if (n >= 0 && (size_t)n < len)
		n += send_rest(fd, bytes + n, len - (size_t)n, flags);
	if (n < 0)
		return err_sys(err, "cannot fill the send queue");
	if ((size_t)n != len)
		return err_set(err, ERR_FAILED, ENOBUFS, "the send queue takes %zd of %zu bytes", n, len);
	return 0;
}

static int send_unsent(const struct tcp_restore *r, int fd, struct err *err)
{
	const bool fin = r->e->state == FIN_WAIT1 || r->e->state == LAST_ACK;
	const uint32_t sent = r->s->outq_len - r->nunsent, urgent = MAX(r->s->urgent_sent, sent) - sent;
	int ret = send_part(fd, r->unsent, urgent, MSG_OOB, err);

	if (!ret)
		ret = send_part(fd, r->unsent + urgent, r->nunsent - urgent, 0, err);
	if (!ret && fin && shutdown(fd, SHUT_WR) < 0)
		ret = err_sys(err, "cannot shut it down");
	return ret;
}

int tcp_sizes_back(const SkOptsEntry *o, int fd, struct err *err)
{
	const int locked = o->has_so_buf_lock ? (int)(o->so_buf_lock & 3) : 3;
	int ret = sock_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)(o->so_sndbuf / 2));

	if (!ret)
		ret = sock_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)(o->so_rcvbuf / 2));
	if (!ret && locked != 3)
		ret = sock_set(fd, SOL_SOCKET, SO_BUF_LOCK, locked);
	return sys(err, ret, "cannot set the sizes of its buffers");
}

static int release(struct side *side, const struct tcp_restore *r, int fd, struct err *err)
{
	const bool reuse = r->e->opts->has_reuseaddr && r->e->opts->reuseaddr;
	int ret = reach_state(side, r, fd, err);

	if (!ret && r->e->state != SYN_SENT)
		ret = set_window(r, fd, err);
	if (!ret)
		ret = sys(err, repair_leave(fd, reuse), "cannot leave repair mode (TCP_REPAIR)");
	if (!ret && r->e->state == SYN_SENT)
		ret = open_again(r, fd, err);
	if (!ret && r->nunsent)
		ret = send_unsent(r, fd, err);
	if (!ret && r->sizes)
		ret = tcp_sizes_back(r->e->opts, fd, err);
	/* The program's own shutdown of reading; what the peer has closed is closed by now. */
	if (!ret && r->e->has_shutdown && r->e->shutdown & SK_SHUTDOWN__READ && shutdown(fd, SHUT_RD) < 0 && errno != ENOTCONN)
		ret = err_sys(err, "cannot shut it down");
	return ret;
}

/* ---- all ---- */

/* From here on it is our lock, if any, that stays while the checkpoint is all there is. */
static int take_over(struct tcp_run *run, struct err *err)
{
	size_t n = 0;
	int ret = run->lock ? net_lock_keep(run->lock, err) : 0;

	if (!ret)
		ret = iptables_unlock(run->conns, run->nconns, &n, err);
	log_debug(run->log, "%zu rules of iptables taken away", n);
	/* Who wants no lock can do without the programs that it takes to remove one. */
	if (ret < 0 && run->unasked) {
		log_warn(run->log, "rules of iptables that may hold the connections stay: %s", err->reason);
		*err = (struct err)ERR_INIT;
		return 0;
	}
	return ret;
}

static int release_one(void *view, size_t i, struct err *err)
{
	struct side *side = view;
	const struct tcp_restore *r = &side->run->plan->v[i];
	int ret = release(side, r, side->run->fds[r->slot], err);
	char a[64], b[64];

	if (ret >= 0)
		return 0;
	inet_address_text(r->e, false, a, sizeof(a));
	inet_address_text(r->e, true, b, sizeof(b));
	return err_object(err, ret, "TCP connection %s -> %s", a, b);
}

static int release_all(struct tcp_run *run, struct err *err)
{
	struct side mine = { .run = run }, other = { .run = run };
	int ret;

	tcp_packets_init(&mine.packets);
	tcp_packets_init(&other.packets);
	ret = halves_run(&(struct halves){ .n = run->plan->n, .at_once = AT_ONCE, .one = release_one, .mine = &mine, .other = &other },
			 err);
	tcp_packets_close(&mine.packets);
	tcp_packets_close(&other.packets);
	return ret;
}

/* Those that wait to be accepted: their peers in the checkpoint are still silent. */
static int wait_again(struct tcp_run *run, struct err *err)
{
	struct tcp_packets packets;
	int ret;

	tcp_packets_init(&packets);
	ret = accept_queues_run(run->all, run->handshake, &packets, run->fds, err);
	tcp_packets_close(&packets);
	handshake_close(take_ptr(run->handshake));
	return ret;
}

int tcp_run_release(struct tcp_run *run, const int *fds, pid_t root, struct err *err)
{
	size_t waiting = 0;
	int ret;

	if (!run)
		return 0;
	run->fds = fds;
	run->root = (int)syscall(SYS_pidfd_open, root, 0);
	if (run->root < 0)
		return err_sys(err, "cannot open a pidfd");
	for (const struct accept_queue *q = run->all->accept_queues; q; q = q->next)
		waiting++;
	ret = guard_start(run->plan->n + waiting, NULL, 0, &run->guard, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < run->plan->n; i++)
		guard_add(run->guard, fds[run->plan->v[i].slot]);
	for (const struct accept_queue *q = run->all->accept_queues; q; q = q->next)
		guard_add_listening(run->guard, fds[q->slot], (unsigned)q->e->n_waiting);
	if (run->lock) {
		unsigned char undo[512];

		guard_unlock(run->guard, net_lock_socket(run->lock), undo, net_lock_undo(run->lock, undo, sizeof(undo)));
	}
	/* The tasks die with us, or stay: the moment between is theirs, not ours (common/restore/commit.c). */
	guard_watch(run->guard, run->root);
	guard_act(run->guard, GUARD_KILLING);
	run->released = true;
	ret = wait_again(run, err);
	if (!ret)
		ret = release_all(run, err);
	if (!ret && run->iptables)
		ret = take_over(run, err);
	fault("tcp:released");
	return ret;
}

void tcp_run_done(struct tcp_run *run)
{
	struct err err = ERR_INIT;

	if (!run)
		return;
	run->done = true;
	if (run->guard)
		guard_act(run->guard, GUARD_UNLOCK);
	newcomers_let(take_ptr(run->newcomers));
	fault("tcp:restored");
	const uint64_t start = now_us();
	if (run->lock && net_unlock(run->lock, &err) < 0)
		log_warn(run->log, "%s", err.reason);
	log_debug(run->log, "network unlocked in %lu us", (unsigned long)(now_us() - start));
	/* The first try of what was not sent met the lock; this is another. */
	for (size_t i = 0; i < run->plan->n; i++) {
		const struct tcp_restore *r = &run->plan->v[i];

		if (r->nunsent && !(r->e->tcp_opts && r->e->tcp_opts->has_cork && r->e->tcp_opts->cork))
			sock_set(run->fds[r->slot], IPPROTO_TCP, TCP_CORK, 0);
	}
}

void tcp_run_free(struct tcp_run *run)
{
	if (!run)
		return;
	/* They are about to be closed: silently. */
	for (size_t i = 0; run->released && !run->done && i < run->plan->n; i++)
		repair_enter(run->fds[run->plan->v[i].slot]);
	if (run->released && !run->done)
		accept_queues_undo(run->all, run->fds);
	handshake_close(run->handshake);
	newcomers_let(run->newcomers);
	guard_stop(run->guard);
	if (run->root >= 0)
		close(run->root);
	net_lock_free(run->lock);
	free(run->conns);
	free(run);
}

/* ---- preflight ---- */

/* Whether bind(2) takes the address, without options that make it take any. */
bool tcp_address_is_here(const InetSkEntry *e)
{
	union inet_address a;
	socklen_t len = inet_address_of(e, false, &a);
	cleanup_fd int fd = socket((int)e->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *device = e->opts->so_bound_dev ?: e->ifname;

	if (fd < 0)
		return true; /* the restore will tell why */
	if (device)
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1);
	a.in.sin_port = 0;
	return bind(fd, &a.sa, len) == 0 || errno != EADDRNOTAVAIL;
}

void tcp_preflight(const struct model *m, const struct plan *plan, finding_fn report, void *ctx)
{
	const InetSkEntry *last = NULL;

	for (size_t i = 0; plan->tcp && i < plan->tcp->n; i++) {
		const InetSkEntry *e = plan->tcp->v[i].e;
		char a[64], b[64], object[160], line[128];

		/* Thousands of connections have the same address. */
		if (last && last->family == e->family && !memcmp(last->src_addr, e->src_addr, 4 * e->n_src_addr))
			continue;
		last = e;
		if (inet_any_address(e) || tcp_address_is_here(e))
			continue;
		inet_address_text(e, false, a, sizeof(a));
		inet_address_text(e, true, b, sizeof(b));
		snprintf(object, sizeof(object), "TCP connection %s -> %s", a, b);
		snprintf(line, sizeof(line), "the address of %s is not on this host", a);
		report(ctx, object, line);
	}
}
