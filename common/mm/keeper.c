// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keeper listens on one abstract unix socket for each task, named after its pid and when it started, so that any dump that meets
 * the task finds it; both sides look at the other's credentials. A dump for which the tracking is no use must be able to end it, too:
 * memory that is registered with a userfaultfd could be the program's own business.
 */
#include "common/mm/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/mm/previous.h"

enum { CHUNK = 64, ANSWER_S = 5 };
/* With less memory it is as quick to end the tracking as to make a process for it. */
#define END_BYTES (128ul << 20)
enum { ASK_TAKE = 't', ASK_LOOK = 'l' };

struct hello { char run_id[37]; uint32_t n; };
struct item { int32_t pid; uint32_t doubt; uint64_t start_time; };

static socklen_t name_of(struct sockaddr_un *a, pid_t pid, uint64_t start_time)
{
	struct stat ns = { 0 };

	/* Pids are those of our own namespace. */
	stat("/proc/self/ns/pid", &ns);
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "cr-utils/tracker/%lu/%d/%lu",
					    (unsigned long)ns.st_ino, pid, (unsigned long)start_time));
}

static bool is_trusted(int s)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return !getsockopt(s, SOL_SOCKET, SO_PEERCRED, &c, &len) && (c.uid == 0 || c.uid == geteuid());
}

/* ---- taking ---- */

/* Up to CHUNK trackers with their descriptors. How many, or -1. */
static int receive(int s, struct item *items, int *fds)
{
	union { struct cmsghdr align; char room[CMSG_SPACE(CHUNK * sizeof(int))]; } control;
	struct iovec v = { items, CHUNK * sizeof(*items) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	size_t n = got > 0 ? (size_t)got / sizeof(*items) : 0, nfds = 0;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), nfds * sizeof(int));
	}
	if (n && nfds == n && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return (int)n;
	while (nfds--)
		close(fds[nfds]);
	return -1;
}

static void add(struct tracker *t, struct tracked new)
{
	array_reserve(&t->v, &t->cap, t->n, sizeof(*t->v));
	t->v[t->n++] = new;
}

static void take_all(struct dump *d, int s)
{
	struct hello h = { .n = 0 };
	struct item items[CHUNK];
	int fds[CHUNK], n;
	bool ours;
	char end;

	if (recv(s, &h, sizeof(h), 0) != sizeof(h))
		return;
	ours = d->previous && d->previous->run_id[0] && !strncmp(d->previous->run_id, h.run_id, sizeof(h.run_id));
	for (uint32_t got = 0; got < h.n; got += (uint32_t)n) {
		n = receive(s, items, fds);
		if (n < 0)
			break;
		for (int i = 0; i < n; i++) {
			struct tracked t = { .pid = items[i].pid, .start_time = items[i].start_time, .uffd = fds[i],
					     .doubt = items[i].doubt };

			if (ours)
				add(d->tracker, t);
			else
				close(fds[i]);
		}
	}
	/* Its own descriptors are closed when it ends: then nothing of the tracking is left that we do not have. */
	while (recv(s, &end, 1, 0) > 0)
		;
	log_info(d->log, "pages of pid %d were tracked since dump %.36s%s", d->task->pid, h.run_id,
		 ours ? "" : ", which is not the parent");
}

static void visit(struct dump *d)
{
	const struct timeval limit = { ANSWER_S, 0 };
	cleanup_fd int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;
	socklen_t len = name_of(&a, d->task->pid, d->task->stat.start_time);
	char what = d->found ? ASK_LOOK : ASK_TAKE;

	if (s < 0 || connect(s, (struct sockaddr *)&a, len) || !is_trusted(s))
		return;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(s, &what, 1, MSG_NOSIGNAL) != 1)
		return;
	if (d->found)
		add(d->tracker, (struct tracked){ .pid = d->task->pid, .start_time = d->task->stat.start_time, .uffd = -1 });
	else
		take_all(d, s);
}

void keeper_take(struct dump *d)
{
	for (size_t i = 0; i < d->ntasks; i++) {
		d->task = d->tasks[i];
		if (!d->task->zombie && !track_has(d))
			visit(d);
	}
	d->task = d->tasks[0];
}

/* ---- keeping ---- */

struct kept { struct tracked t; int listener, pidfd; };
struct keeper { struct kept *v; size_t n; struct hello hello; };

static void drop(struct kept *k)
{
	if (k->t.uffd >= 0)
		close(k->t.uffd);
	if (k->listener >= 0)
		close(k->listener);
	if (k->pidfd >= 0)
		close(k->pidfd);
	k->t.uffd = k->listener = k->pidfd = -1;
}

static int send_chunk(int s, const struct kept *const *v, size_t n)
{
	union { struct cmsghdr align; char room[CMSG_SPACE(CHUNK * sizeof(int))]; } control = { 0 };
	struct item items[CHUNK];
	struct iovec iov = { items, n * sizeof(*items) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fds[CHUNK];

	for (size_t i = 0; i < n; i++) {
		items[i] = (struct item){ v[i]->t.pid, v[i]->t.doubt, v[i]->t.start_time };
		fds[i] = v[i]->t.uffd;
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(s, &m, MSG_NOSIGNAL) == (ssize_t)iov.iov_len ? 0 : -1;
}

/* All of them go to whoever asks for one: then there is nothing left to do here. */
static void give(struct keeper *k, int s)
{
	const struct kept *part[CHUNK];
	size_t n = 0;

	k->hello.n = 0;
	for (size_t i = 0; i < k->n; i++)
		k->hello.n += k->v[i].t.uffd >= 0;
	if (send(s, &k->hello, sizeof(k->hello), MSG_NOSIGNAL) == sizeof(k->hello))
		for (size_t i = 0; i <= k->n; i++) {
			if (n == CHUNK || (i == k->n && n)) {
				if (send_chunk(s, part, n))
					break;
				n = 0;
			}
			if (i < k->n && k->v[i].t.uffd >= 0)
				part[n++] = &k->v[i];
		}
	for (size_t i = 0; i < k->n; i++)
		drop(&k->v[i]);
	_exit(0);
}

static void answer(struct keeper *k, int listener)
{
	const struct timeval limit = { ANSWER_S, 0 };
	int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char what = 0;

	if (s < 0)
		return;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (is_trusted(s) && recv(s, &what, 1, 0) == 1 && what == ASK_TAKE)
		give(k, s);
	close(s);
}

/* ---- leaving ---- */

/* Everything that came with cr-dump goes: pipes whose readers wait for their end, among others. */
static void let_go(const struct keeper *k)
{
	cleanup_free bool *keep = NULL;
	int max = 2;

	for (size_t i = 0; i < k->n; i++)
		max = MAX(max, MAX(k->v[i].t.uffd, MAX(k->v[i].listener, k->v[i].pidfd)));
	keep = xzalloc((size_t)max + 1);
	for (size_t i = 0; i < k->n; i++)
		keep[k->v[i].t.uffd] = keep[k->v[i].listener] = keep[k->v[i].pidfd] = true;
	for (int fd = 0; fd <= max; fd++)
		if (!keep[fd])
			close(fd);
	syscall(SYS_close_range, (unsigned)max + 1, ~0u, 0);
}

static void keep_on(struct keeper *k)
{
	struct pollfd *p = xreallocarray(NULL, k->n * 2, sizeof(*p));
	size_t left = k->n;

	setsid();
	let_go(k);
	if (chdir("/"))
		_exit(1);
	prctl(PR_SET_NAME, "cr-tracker");
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < k->n; i++) {
		p[2 * i] = (struct pollfd){ k->v[i].listener, POLLIN, 0 };
		p[2 * i + 1] = (struct pollfd){ k->v[i].pidfd, POLLIN, 0 };
	}
	while (left) {
		if (poll(p, k->n * 2, -1) < 0 && errno != EINTR)
			break;
		for (size_t i = 0; i < k->n; i++) {
			if (p[2 * i].revents)
				answer(k, k->v[i].listener);
			if (!p[2 * i + 1].revents)
				continue;
			drop(&k->v[i]); /* it has ended */
			p[2 * i].fd = p[2 * i + 1].fd = -1;
			p[2 * i].revents = p[2 * i + 1].revents = 0;
			left--;
		}
	}
	_exit(0);
}

/* Before the fork: so the next dump finds it however soon it comes. */
static int prepare(struct kept *k)
{
	struct sockaddr_un a;
	socklen_t len = name_of(&a, k->t.pid, k->t.start_time);

	k->pidfd = (int)syscall(SYS_pidfd_open, k->t.pid, 0);
	k->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return k->pidfd < 0 || k->listener < 0 || bind(k->listener, (struct sockaddr *)&a, len) || listen(k->listener, 4) ? -errno : 0;
}

static struct keeper *keeper_new(const struct tracker *t)
{
	struct keeper *k = xzalloc(sizeof(*k));
	struct rlimit lim;

	k->v = xzalloc((t->n + 1) * sizeof(*k->v));
	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	return k;
}

static void keeper_free(struct keeper *k)
{
	for (size_t i = 0; i < k->n; i++)
		drop(&k->v[i]);
	free(k->v);
	free(k);
}

void keeper_leave(struct tracker *t, const char *run_id, const struct log *log)
{
	struct keeper *k = keeper_new(t);
	pid_t pid = 0;

	snprintf(k->hello.run_id, sizeof(k->hello.run_id), "%s", run_id);
	for (size_t i = 0; i < t->n; i++) {
		struct kept *new = &k->v[k->n];
		int ret;

		*new = (struct kept){ t->v[i], -1, -1 };
		if (t->v[i].uffd < 0)
			continue;
		t->v[i].uffd = -1;
		ret = prepare(new);
		if (!ret)
			k->n++;
		else
			drop(new);
		if (ret)
			log_info(log, "pages of pid %d are not tracked any more: %s", t->v[i].pid, strerror(-ret));
	}
	if (k->n)
		pid = fork();
	if (k->n && !pid)
		keep_on(k);
	if (pid < 0)
		log_info(log, "pages are not tracked any more: %s", strerror(errno));
	if (pid > 0)
		log_info(log, "pid %d keeps track of what is written from now on", pid);
	keeper_free(k);
}

/* Whoever asks meanwhile has his answer when the listeners go. */
_Noreturn static void end_all(struct keeper *k)
{
	setsid();
	let_go(k);
	prctl(PR_SET_NAME, "cr-tracker");
	for (size_t i = 0; i < k->n; i++)
		close(k->v[i].t.uffd);
	_exit(0);
}

void keeper_end(struct tracker *t, uint64_t bytes)
{
	struct keeper *k;

	if (!t->n || bytes < END_BYTES)
		return;
	k = keeper_new(t);
	for (size_t i = 0; i < t->n; i++) {
		struct kept *new = &k->v[k->n];

		if (t->v[i].uffd < 0)
			continue;
		*new = (struct kept){ t->v[i], -1, -1 };
		t->v[i].uffd = -1;
		if (prepare(new))
			drop(new); /* at once, then */
		else
			k->n++;
	}
	if (k->n && !fork())
		end_all(k);
	keeper_free(k);
}
