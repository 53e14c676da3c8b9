// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sock/sock.h"

struct listeners {
	struct pollfd *v; /* descriptors of our own */
	size_t n, cap;
};

void listeners_watch(struct dump *d, int fd)
{
	struct pollfd now = { fd, POLLIN, 0 };
	struct listeners *l;

	if (d->found || d->opts->pre_dump || d->opts->leave_running || d->opts->leave_stopped)
		return;
	/* Who waits already was looked at by the caller. */
	if (poll(&now, 1, 0))
		return;
	/* Thousands of them may be more than we may have: the rest is as if nobody came. */
	now.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (now.fd < 0)
		return;
	l = d->listeners = d->listeners ?: xzalloc(sizeof(*l));
	array_reserve(&l->v, &l->cap, l->n, sizeof(*l->v));
	l->v[l->n++] = now;
}

int listeners_quiet(const struct dump *d, struct err *err)
{
	struct listeners *l = d->listeners;
	char what[300];
	size_t i = 0;

	if (!l || poll(l->v, l->n, 0) <= 0)
		return 0;
	while (!l->v[i].revents)
		i++;
	sock_describe(l->v[i].fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s: a connection came while the program stood still, and would be cut off", what),
			sock_option(l->v[i].fd, SO_DOMAIN) == AF_UNIX ? "try again" :
									"try again, or use --skip-in-flight to drop such connections");
}

void listeners_free(struct dump *d)
{
	struct listeners *l = d->listeners;

	for (size_t i = 0; l && i < l->n; i++)
		close(l->v[i].fd);
	if (l)
		free(l->v);
	free(l);
	d->listeners = NULL;
}
