// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sock/sock.h"

struct listeners {
	struct pollfd *v; /* descriptors of our own */
	size_t n, cap;
	struct crowded { int fd; unsigned waiting; } *crowded; /* those that poll(2) tells nothing of */
	size_t ncrowded, crowded_cap;
};

static unsigned waiting_at(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? 0 : info.tcpi_unacked;
}

void listeners_watch(struct dump *d, int fd, unsigned waiting)
{
	struct pollfd now = { fd, POLLIN, 0 };
	struct listeners *l;

	if (d->found || d->opts->pre_dump || d->opts->leave_running || d->opts->leave_stopped)
		return;
	/* Who waits already was looked at by the caller. */
	if (!waiting && poll(&now, 1, 0))
		return;
	/* Thousands of them may be more than we may have: the rest is as if nobody came. */
	now.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (now.fd < 0)
		return;
	l = d->listeners = d->listeners ?: xzalloc(sizeof(*l));
	if (waiting) {
		array_reserve(&l->crowded, &l->crowded_cap, l->ncrowded, sizeof(*l->crowded));
		l->crowded[l->ncrowded++] = (struct crowded){ now.fd, waiting };
		return;
	}
	array_reserve(&l->v, &l->cap, l->n, sizeof(*l->v));
	l->v[l->n++] = now;
}

/* One to which somebody has come; -1: none. */
static int find_visited(const struct listeners *l)
{
	const int n = l->n ? poll(l->v, l->n, 0) : 0;

	for (size_t i = 0; n > 0 && i < l->n; i++)
		if (l->v[i].revents)
			return l->v[i].fd;
	for (size_t i = 0; i < l->ncrowded; i++)
		if (waiting_at(l->crowded[i].fd) > l->crowded[i].waiting)
			return l->crowded[i].fd;
	return -1;
}

int listeners_quiet(const struct dump *d, struct err *err)
{
	const int fd = d->listeners ? find_visited(d->listeners) : -1;
	char what[300];

	if (fd < 0)
		return 0;
	sock_describe(fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s: a connection came while the program stood still, and would be cut off", what),
			sock_option(fd, SO_DOMAIN) == AF_UNIX ? "try again" :
								"try again, or use --skip-in-flight to drop such connections");
}

void listeners_free(struct dump *d)
{
	struct listeners *l = d->listeners;

	for (size_t i = 0; l && i < l->n; i++)
		close(l->v[i].fd);
	for (size_t i = 0; l && i < l->ncrowded; i++)
		close(l->crowded[i].fd);
	if (l) {
		free(l->v);
		free(l->crowded);
	}
	free(l);
	d->listeners = NULL;
}
