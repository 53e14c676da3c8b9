// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP connections, dump side. TCP_REPAIR (tcp_repair_*() and do_tcp_getsockopt() in net/ipv4/tcp.c) shows queues and sequence
 * numbers. The mode is the socket's, so it lasts as short as can be, under the network lock, and a guard watches that it ends
 * whatever becomes of us.
 */
#include "common/sock/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/base/action.h"
#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/halves.h"
#include "common/net/guard.h"
#include "common/sock/accept_queue.h"
#include "common/sock/ahead.h"
#include "common/sock/tcp_ended.h"
#include "common/sock/tcp_urgent.h"
#include "tcp-stream.pb-c.h"

/* include/net/tcp_states.h; <netinet/tcp.h> has them, but clashes with <linux/tcp.h>. */
enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };
#define QUEUE_MAX (1u << 30)
/* The guard reads so many at once: to be through, however we end, before our targets run on. */
#define AT_ONCE 8
#define BYTES_AT_ONCE (1u << 20)
/* From so many on, a thread of its own reads their options. */
#define ASIDE_FROM 16
#define CLOSE_AT_ONCE 64

struct connection {
	struct dump_task *task;
	struct fd_source src; /* fd is ours until the end */
	FileEntry *entry;
	int reuse;
	unsigned state;
	bool ended; /* meanwhile */
	int unread; /* then: tcp_unread() of it */
	bool shut_in; /* nothing more comes than what waits to be read */
	TcpStreamEntry stream;
};

struct tcp_dump {
	struct connection *v;
	size_t n, cap;
	struct accept_queues *waiting; /* NULL: none */
	struct tcp_urgent *urgent;
	struct net_lock *lock;
	bool told; /* the scripts know that they are locked */
	struct guard *guard;
	int root; /* pidfd of the root task */
	size_t room; /* for send queues in the guard's memory */
};

/* Duplicates of all connections stay open until the end. */
static void raise_limit(void)
{
	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static struct tcp_dump *tcp_of(struct dump *d)
{
	if (!d->tcp) {
		d->tcp = xzalloc(sizeof(*d->tcp));
		d->tcp->root = -1;
		raise_limit();
	}
	return d->tcp;
}

/* The descriptor, or a duplicate, is ours from now on. */
static int keep(const struct fd_source *src, struct err *err)
{
	int fd = src->fd;

	if (src->kept)
		*src->kept = true;
	else
		fd = fcntl(src->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? err_sys(err, "cannot keep a duplicate of a connection") : fd;
}

int tcp_collect_waiting(struct dump *d, const struct fd_source *src, FileEntry *entry, unsigned n, bool deferred, const char *what,
			struct err *err)
{
	struct tcp_dump *t = tcp_of(d);
	int ret = accept_queues_open(&t->waiting, what, err), fd;

	if (ret < 0)
		return ret;
	fd = keep(src, err);
	if (fd < 0)
		return fd;
	accept_queues_add(t->waiting, d->task, src, fd, entry, n, deferred);
	return 1;
}

int tcp_collect(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	struct tcp_dump *t = tcp_of(d);
	struct connection c = { .task = d->task, .src = *src, .entry = entry };

	c.src.fd = keep(src, err);
	c.src.kept = NULL;
	if (c.src.fd < 0)
		return c.src.fd;
	c.reuse = sock_option(src->fd, SO_REUSEADDR) > 0;
	array_reserve(&t->v, &t->cap, t->n, sizeof(*t->v));
	t->v[t->n++] = c;
	return 1;
}

/* ---- what is read of one ---- */

static int get(int fd, int name, void *value, socklen_t len)
{
	return getsockopt(fd, IPPROTO_TCP, name, value, &len) < 0 ? -errno : 0;
}

static int set(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int peek(int fd, void *out, uint32_t len)
{
	ssize_t n = len ? recv(fd, out, len, MSG_PEEK | MSG_DONTWAIT) : 0;

	return n < 0 ? -errno : n == (ssize_t)len ? 0 : -EPROTO;
}

static bool sent_fin(unsigned state)
{
	return state == FIN_WAIT1 || state == FIN_WAIT2 || state == CLOSING || state == LAST_ACK;
}

/* How much is queued; the FIN counts in the kernel's numbers and not in ours. */
static int queue_lengths(int fd, const struct tcp_info *info, TcpStreamEntry *s, struct err *err)
{
	int in = 0, out = 0, unsent = (int)info->tcpi_notsent_bytes;

	if (ioctl(fd, SIOCINQ, &in) < 0 || ioctl(fd, SIOCOUTQ, &out) < 0)
		return err_sys(err, "cannot read the length of its queues");
	if (sent_fin(info->tcpi_state)) {
		out -= out > 0;
		unsent -= unsent > 0;
	}
	if (in < 0 || out < 0 || unsent < 0 || (unsigned)in > QUEUE_MAX || (unsigned)out > QUEUE_MAX || unsent > out)
		return err_set(err, ERR_FAILED, EPROTO, "its queues have odd lengths: %d, %d, %d", in, out, unsent);
	s->inq_len = (uint32_t)in;
	s->outq_len = (uint32_t)out;
	s->has_unsq_len = true;
	s->unsq_len = (uint32_t)unsent;
	return 0;
}

/* What is asked of the guard, and its answer. */
struct request {
	int fd, reuse;
	uint32_t out_len;
	bool ended; /* nothing but the length of its queue */
	int ret; /* 0 or -errno; that length */
	enum { ENTER, SEND_QUEUE, SEND_SEQ, SEND_BYTES, RECV_QUEUE, RECV_SEQ, NO_QUEUE, SEGMENT, CLOCK, WINDOWS, LEAVE } at;
	uint32_t out_seq, in_seq, mss, clock;
	struct tcp_repair_window w;
	size_t bytes; /* where those of the send queue go, in the job's */
};

struct job {
	size_t n, done;
	struct request v[AT_ONCE];
	unsigned char bytes[];
};
static const char *const acts[] = { "enter repair mode (TCP_REPAIR)", "choose the send queue", "read the number of the send queue",
				    "read the send queue", "choose the receive queue", "read the number of the receive queue",
				    "choose no queue", "read the segment size", "read the clock", "read the windows",
				    "leave repair mode (TCP_REPAIR)" };

static int peek_sent(const struct request *r, unsigned char *bytes)
{
	ssize_t n = r->out_len ? recv(r->fd, bytes, r->out_len, MSG_PEEK | MSG_DONTWAIT) : 0;

	return n < 0 ? -errno : n == (ssize_t)r->out_len ? 0 : -EPROTO;
}

static int read_repaired(struct request *r, unsigned char *bytes)
{
	int ret;

#define STEP(what, call)        \
	do {                    \
		r->at = what;   \
		ret = (call);   \
		if (ret < 0)    \
			return ret; \
	} while (0)
	STEP(SEND_QUEUE, set(r->fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE));
	STEP(SEND_SEQ, get(r->fd, TCP_QUEUE_SEQ, &r->out_seq, sizeof(r->out_seq)));
	STEP(SEND_BYTES, peek_sent(r, bytes + r->bytes));
	STEP(RECV_QUEUE, set(r->fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE));
	STEP(RECV_SEQ, get(r->fd, TCP_QUEUE_SEQ, &r->in_seq, sizeof(r->in_seq)));
	STEP(NO_QUEUE, set(r->fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE));
	STEP(SEGMENT, get(r->fd, TCP_MAXSEG, &r->mss, sizeof(r->mss)));
	STEP(CLOCK, get(r->fd, TCP_TIMESTAMP, &r->clock, sizeof(r->clock)));
	STEP(WINDOWS, get(r->fd, TCP_REPAIR_WINDOW, &r->w, sizeof(r->w)));
#undef STEP
	return 0;
}

static void read_one(struct request *r, unsigned char *bytes)
{
	int back;

	if (r->ended) {
		r->ret = tcp_unread(r->fd);
		return;
	}
	r->at = ENTER;
	r->ret = repair_enter(r->fd);
	if (r->ret < 0)
		return;
	r->ret = read_repaired(r, bytes);
	back = repair_leave(r->fd, r->reuse);
	if (!r->ret && back < 0) {
		r->at = LEAVE;
		r->ret = back;
	}
}

/* In the guard: one socket at a time. */
static bool repair_next(void *memory)
{
	struct job *job = memory;

	if (job->done < job->n)
		read_one(&job->v[job->done++], job->bytes);
	return job->done < job->n;
}

static void take_answer(const struct request *r, TcpStreamEntry *s)
{
	s->outq_seq = r->out_seq;
	s->inq_seq = r->in_seq;
	s->mss_clamp = r->mss;
	s->timestamp = r->clock;
	s->has_snd_wl1 = s->has_snd_wnd = s->has_max_window = s->has_rcv_wnd = s->has_rcv_wup = true;
	s->snd_wl1 = r->w.snd_wl1;
	s->snd_wnd = r->w.snd_wnd;
	s->max_window = r->w.max_window;
	s->rcv_wnd = r->w.rcv_wnd;
	s->rcv_wup = r->w.rcv_wup;
}

static bool got_fin(unsigned state)
{
	return state == CLOSE_WAIT || state == CLOSING || state == LAST_ACK;
}

/* What a repaired connection would not have. */
static int refuse_odd(struct dump *d, struct connection *c, short events, struct err *err)
{
	TcpStreamEntry *s = &c->stream;
	char what[300];
	bool mark;
	int ret = inet_hidden_mark(d, &c->src, s->inq_len + got_fin(c->state), &mark, err);

	/* Without them it is told by POLLPRI or by what it hides. */
	if (!mark)
		mark = events & POLLPRI || tcp_urgent_announced(c->src.fd) || sock_option(c->src.fd, SO_OOBINLINE) > 0;

	/* A description takes a dozen questions, and nearly always nobody will read it. */
	if (ret < 0 || !(events & POLLERR || mark))
		return ret;
	sock_describe(c->src.fd, what, sizeof(what));
	if (mark)
		ret = tcp_urgent_look(&d->tcp->urgent, c->src.fd, what, s, err);
	return ret || !(events & POLLERR) ? ret : sock_refuse_errors(c->src.fd, what, err);
}

/* What changes until the network is locked, and needs no repair mode. */
static int look_at(struct dump *d, struct connection *c, struct err *err)
{
	struct pollfd p = { c->src.fd, POLLRDHUP | POLLPRI, 0 };
	TcpStreamEntry *s = &c->stream;
	struct tcp_info info = { 0 };
	int ret = get(c->src.fd, TCP_INFO, &info, sizeof(info));

	if (ret < 0)
		return err_set(err, ERR_FAILED, -ret, "cannot read the state of a connection");
	c->state = info.tcpi_state;
	c->ended = c->state == CLOSED; /* a moment ago */
	c->unread = -1;
	if (c->ended)
		return 0;
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a connection");
	c->shut_in = p.revents & POLLRDHUP;
	*s = (TcpStreamEntry)TCP_STREAM_ENTRY__INIT;
	ret = queue_lengths(c->src.fd, &info, s, err);
	if (!ret)
		ret = refuse_odd(d, c, p.revents, err);
	if (!ret && c->state != SYN_SENT)
		ret = tcp_urgent_sent(&d->tcp->urgent, c->src.fd, s, err);
	if (ret < 0)
		return ret;
	s->opt_mask = info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	s->snd_wscale = info.tcpi_snd_wscale;
	s->has_rcv_wscale = true;
	s->rcv_wscale = info.tcpi_rcv_wscale;
	s->has_timestamp = true;
	return 0;
}

static int put_connection(struct dump *d, struct connection *c, const struct job *job, const struct request *r,
			  struct err *err)
{
	TcpStreamEntry *s = &c->stream;
	cleanup_free uint8_t *in = xmalloc(s->inq_len + 1);
	uint32_t ino = (uint32_t)c->src.st.st_ino;
	int ret;

	if (r->ended) {
		c->unread = r->ret;
		return r->ret < 0 ? err_set(err, ERR_FAILED, -r->ret, "cannot read the length of its queue") : 0;
	}
	if (r->ret < 0)
		return err_set(err, ERR_FAILED, -r->ret, "cannot %s", acts[r->at]);
	take_answer(r, s);
	ret = s->has_urgent ? tcp_urgent_take(c->src.fd, s, in, err) : peek(c->src.fd, in, s->inq_len);
	if (ret < 0)
		return s->has_urgent ? ret : err_set(err, ERR_FAILED, -ret, "cannot read what waits to be read");
	image_store_put(d->store, IMG_TCP_STREAM, ino, &s->base);
	image_store_payload(d->store, IMG_TCP_STREAM, ino, in, s->inq_len);
	image_store_payload(d->store, IMG_TCP_STREAM, ino, job->bytes + r->bytes, s->outq_len);
	return 0;
}

static int blame_connection(const struct connection *c, int ret, struct err *err);

/* ---- what does not change any more ---- */

/*
 * Two threads take the connections from each other: the first one when it is through with the queues. Each has a view of the dump
 * with an arena of its own.
 */
struct settings { struct dump view; struct tcp_dump *t; _Atomic size_t *next; };

/* Addresses and options, but for SO_REUSEADDR, which repair mode changes. */
static int read_settings(void *arg, struct err *err)
{
	struct settings *s = arg;
	int ret = 0;

	for (size_t i; !ret && (i = atomic_fetch_add(s->next, 1)) < s->t->n;) {
		struct connection *c = &s->t->v[i];
		InetSkEntry *e = c->entry->isk;

		s->view.task = c->task;
		ret = inet_fill(&s->view, &c->src, e, true, err);
		if (!ret)
			tcp_fill_options(&s->view, &c->src, e);
		if (ret < 0)
			ret = blame_connection(c, ret, err);
	}
	return ret;
}

/* Both threads are through. */
static int complete(struct dump *d, const struct connection *c, struct err *err)
{
	InetSkEntry *e = c->entry->isk;
	const bool out = sent_fin(c->state);
	char what[300];

	if (c->ended) {
		int ret = tcp_end_entry(d, &c->src, e, c->unread, err);

		if (ret < 0)
			return ret;
		file_put(d, c->entry);
		return 0;
	}
	e->state = c->state;
	e->opts->reuseaddr = c->reuse;
	if (c->shut_in || out) {
		e->has_shutdown = true;
		e->shutdown = c->shut_in && out ? SK_SHUTDOWN__BOTH : c->shut_in ? SK_SHUTDOWN__READ : SK_SHUTDOWN__WRITE;
	}
	if (c->stream.inq_len && e->opts->has_so_peek_off) {
		sock_describe(c->src.fd, what, sizeof(what));
		return err_refuse(err, "%s: unread data and SO_PEEK_OFF", what);
	}
	file_put(d, c->entry);
	return 0;
}

static int blame_connection(const struct connection *c, int ret, struct err *err)
{
	return err_task(err, c->task->pid, c->task->stat.comm, file_blame(c->src.number, ret, err));
}

/* Some connections from `from` on, together; gives how many. */
static int dump_some(struct dump *d, size_t from, size_t *done, struct err *err)
{
	struct tcp_dump *t = d->tcp;
	struct job *job = guard_memory(t->guard);
	size_t bytes = 0;
	int ret;

	job->n = job->done = 0;
	for (size_t i = from; i < t->n && job->n < AT_ONCE; i++) {
		struct connection *c = &t->v[i];

		d->task = c->task;
		ret = look_at(d, c, err);
		if (ret < 0)
			return blame_connection(c, ret, err);
		if (job->n && bytes + c->stream.outq_len > t->room)
			break; /* looked at again, alone */
		job->v[job->n++] = (struct request){ .fd = c->src.fd, .reuse = c->reuse, .out_len = c->stream.outq_len,
						     .bytes = bytes, .ended = c->ended };
		bytes += c->stream.outq_len;
	}
	ret = guard_run(t->guard, "tcp:repair", err);
	for (size_t i = 0; !ret && i < job->n; i++) {
		struct connection *c = &t->v[from + i];

		d->task = c->task;
		ret = put_connection(d, c, job, &job->v[i], err);
		if (ret < 0)
			return blame_connection(c, ret, err);
	}
	*done += job->n;
	return ret;
}

/* ---- all of them ---- */

static void connection_of(int fd, struct net_connection *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	union inet_address a[2] = { 0 };
	socklen_t len = sizeof(a[0]);
	uint8_t *to[2] = { out->local, out->remote };

	*out = (struct net_connection){ 0 };
	if (getsockname(fd, &a[0].sa, &len) < 0)
		return;
	inet_peer(fd, a[0].sa.sa_family, true, &a[1]);
	out->v6 = a[0].sa.sa_family == AF_INET6 && memcmp(&a[0].in6.sin6_addr, mapped, sizeof(mapped)) != 0;
	out->local_port = a[0].in.sin_port; /* at the same place in both */
	out->remote_port = a[1].in.sin_port;
	for (int i = 0; i < 2; i++) {
		if (out->v6)
			memcpy(to[i], &a[i].in6.sin6_addr, 16);
		else if (a[i].sa.sa_family == AF_INET6)
			memcpy(to[i], (const char *)&a[i].in6.sin6_addr + 12, 4);
		else
			memcpy(to[i], &a[i].in.sin_addr, 4);
	}
}

static int lock_all(struct dump *d, struct err *err)
{
	struct tcp_dump *t = d->tcp;
	cleanup_free struct net_connection *conns = NULL;
	const uint64_t start = now_us();
	size_t n = t->n;
	int ret;

	if (d->opts->network_lock == NET_LOCK_SKIP)
		return 0;
	conns = xreallocarray(NULL, t->n, sizeof(*conns));
	for (size_t i = 0; i < t->n; i++)
		connection_of(t->v[i].src.fd, &conns[i]);
	ret = accept_queues_look(d, t->waiting, &conns, &n, err);
	if (!ret)
		ret = net_lock(dump_run_id(d), conns, n, &t->lock, err);
	log_debug(d->log, "network locked for %zu connections in %lu us", n, (unsigned long)(now_us() - start));
	return ret;
}

static int start_guard(struct tcp_dump *t, struct err *err)
{
	int longest = BYTES_AT_ONCE, ret;

	for (size_t i = 0; i < t->n; i++) {
		int out = 0;

		if (ioctl(t->v[i].src.fd, SIOCOUTQ, &out) < 0)
			return err_sys(err, "cannot read the length of a send queue");
		longest = MAX(longest, out);
	}
	t->room = (size_t)longest;
	ret = guard_start(t->n + accept_queues_n(t->waiting), repair_next, sizeof(struct job) + (size_t)longest, &t->guard, err);
	for (size_t i = 0; !ret && i < t->n; i++)
		guard_add(t->guard, t->v[i].src.fd);
	if (!ret)
		accept_queues_guard(t->waiting, t->guard);
	return ret;
}

static int dump_locked(struct dump *d, struct err *err)
{
	struct tcp_dump *t = d->tcp;
	int ret = lock_all(d, err);

	if (!ret)
		ret = start_guard(t, err);
	fault("tcp:locked");
	for (size_t i = 0; !ret && i < t->n;)
		ret = dump_some(d, i, &i, err);
	return ret ? ret : accept_queues_dump(d, t->waiting, err);
}

int tcp_dump_connections(struct dump *d, struct err *err)
{
	struct tcp_dump *t = d->tcp;
	struct dump_task *was = d->task;
	_Atomic size_t next = 0;
	struct settings mine, others;
	struct aside beside = { 0 };
	struct err other = ERR_INIT;
	int ret, back;

	if (!t)
		return 0;
	ret = actions_run(d->opts->actions, ACTION_NETWORK_LOCK, d->tasks[0]->pid, d->log, err);
	t->told = true;
	mine = others = (struct settings){ .view = *d, .t = t, .next = &next };
	others.view.arena = d->beside;
	/* One thread beside the guard is enough: where one reads ahead already, what it leaves comes behind. */
	if (!ret && t->n >= ASIDE_FROM && !d->files->ahead)
		aside_start(&beside, read_settings, &others);
	if (!ret)
		ret = dump_locked(d, err);
	if (!ret && t->n >= ASIDE_FROM && d->files->ahead)
		aside_start(&beside, read_settings, &others);
	if (!ret)
		ret = read_settings(&mine, err);
	back = aside_join(&beside, ret < 0 ? &other : err);
	ret = ret < 0 ? ret : back;
	for (size_t i = 0; !ret && i < t->n; i++)
		ret = blame_connection(&t->v[i], complete(d, &t->v[i], err), err);
	d->task = was;
	if (!ret)
		log_debug(d->log, "%zu TCP connections", t->n);
	if (ret < 0 || d->opts->leave_running || d->opts->leave_stopped)
		tcp_dump_end(d);
	return ret;
}

int tcp_check_connections(struct dump *d, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; d->tcp && i < d->tcp->n && !ret; i++) {
		struct connection *c = &d->tcp->v[i];
		struct tcp_dump alone = { .v = c, .n = 1 };
		_Atomic size_t next = 0;
		struct settings settings = { .view = *d, .t = &alone, .next = &next };

		d->task = c->task;
		ret = read_settings(&settings, err);
		if (!ret)
			ret = blame_connection(c, look_at(d, c, err), err);
		if (!ret)
			ret = blame_connection(c, complete(d, c, err), err);
		ret = dump_note(d, ret, err);
	}
	if (d->tcp && !ret)
		ret = accept_queues_dump(d, d->tcp->waiting, err);
	d->task = d->tasks[0];
	return ret;
}

int tcp_before_kill(struct dump *d, struct err *err)
{
	struct tcp_dump *t = d->tcp;
	unsigned char undo[512];
	int ret = 0;

	if (!t)
		return 0;
	t->root = (int)syscall(SYS_pidfd_open, d->tasks[0]->pid, 0);
	if (t->root < 0)
		return err_sys(err, "cannot open a pidfd");
	guard_watch(t->guard, t->root);
	if (t->lock)
		guard_unlock(t->guard, net_lock_socket(t->lock), undo, net_lock_undo(t->lock, undo, sizeof(undo)));
	guard_act(t->guard, GUARD_KILLING);
	if (t->lock)
		ret = net_lock_keep(t->lock, err);
	fault("tcp:lock-kept");
	if (ret < 0)
		tcp_dump_end(d);
	return ret;
}

void tcp_after_kill(struct dump *d)
{
	struct tcp_dump *t = d->tcp;

	if (!t)
		return;
	fault("tcp:killed");
	t->told = false; /* they stay locked */
	/* Nobody else uses them any more; closed in this mode, they send nothing (tcp_close() in net/ipv4/tcp.c). */
	for (size_t i = 0; i < t->n; i++)
		repair_enter(t->v[i].src.fd);
	accept_queues_silence(t->waiting);
	guard_act(t->guard, GUARD_NOTHING);
}

static int close_one(void *view, size_t i, struct err *err)
{
	const struct tcp_dump *t = view;

	(void)err;
	close(t->v[i].src.fd);
	return 0;
}

void tcp_dump_end(struct dump *d)
{
	struct tcp_dump *t = d->tcp;
	struct err ignore = ERR_INIT;

	if (!t)
		return;
	socks_ahead_end(d->files->ahead);
	guard_stop(t->guard);
	/* A lock that stays was made in the place of another one, and to close its socket waits until the kernel is through with
	 * that: as late as can be. */
	if (!net_lock_is_kept(t->lock))
		net_lock_free(take_ptr(t->lock));
	if (t->told)
		actions_tell(d->opts->actions, ACTION_NETWORK_UNLOCK, d->tasks[0]->pid, d->log);
	/* After a kill they are the last ones, and it is here that the kernel ends the connections. */
	halves_run(&(struct halves){ .n = t->n, .at_once = CLOSE_AT_ONCE, .one = close_one, .mine = t, .other = t }, &ignore);
	accept_queues_close(t->waiting);
	tcp_urgent_close(t->urgent);
	net_lock_free(t->lock);
	if (t->root >= 0)
		close(t->root);
	free(t->v);
	free(t);
	d->tcp = NULL;
}

enum net_lock_method tcp_lock_method(const struct dump *d)
{
	return d->tcp && d->tcp->lock ? NET_LOCK_NFTABLES : NET_LOCK_SKIP;
}
