// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/alike.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "common/base/aside.h"
#include "common/sock/inet.h"
#include "common/sock/tcp.h"

/* From so many sockets on a second thread is worth its start, and to find out which are alike. */
#define MANY 16
#define MANY_ALIKE 256

struct sock_ahead {
	struct socks_ahead *all;
	int fd;
	enum { FREE, TAKEN, DONE } state;
	bool known;
	struct sock_told told;
};

struct socks_ahead {
	struct dump view; /* with an arena of its own */
	struct sock_ahead *v;
	size_t n, next; /* those before next are taken */
	struct sock_alike *alike; /* NULL: not (yet) known */
	struct aside beside;
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned waiting;
	bool stop;
};

/* A failure is found again, and told, by who asks for what is not there. */
static bool read_one(struct dump *view, struct sock_ahead *a)
{
	const struct fd_source src = { .fd = a->fd, .domain = sock_option(a->fd, SO_DOMAIN), .type = sock_option(a->fd, SO_TYPE),
				       .protocol = sock_option(a->fd, SO_PROTOCOL) };
	const bool inet = src.domain == AF_INET || src.domain == AF_INET6;
	struct err ignore = ERR_INIT;

	if (src.domain != AF_UNIX && !(inet && src.type == SOCK_STREAM && src.protocol == IPPROTO_TCP))
		return false;
	if (sock_options_dump(view, &src, &a->told.opts, &ignore))
		return false;
	if (src.domain == AF_INET) {
		a->told.ip = inet_ip_options(view, a->fd, AF_INET);
		a->told.tcp = tcp_options(view, a->fd);
	}
	return !inet || !inetopt_dump(view, &src, false, &a->told.more, &a->told.nmore, &ignore);
}

/* One with the numbers of another that was read. */
static bool read_like(struct dump *view, const struct sock_ahead *a, const struct sock_like *like, struct sock_told *out)
{
	const struct fd_source src = { .fd = a->fd, .domain = AF_INET, .type = SOCK_STREAM, .protocol = IPPROTO_TCP };
	const struct sock_asked *asked = sock_alike_asked(a->all->alike);
	struct err ignore = ERR_INIT;

	*out = (struct sock_told){ .opts = arena_dup(view->arena, like->told.opts, sizeof(*like->told.opts)),
				   .ip = asked->fields ? NULL : like->told.ip, .tcp = asked->fields ? NULL : like->told.tcp };
	return !sock_options_ask(view, &src, asked->options, out->opts, &ignore) &&
	       !inetopt_ask(view, &src, false, asked->rows, &like->told, &out->more, &out->nmore, &ignore);
}

/* The second of those that are alike is read both ways; that also the fields are the same is asked of it. */
static bool is_like(struct dump *view, const struct sock_ahead *a, const struct sock_like *like)
{
	struct sock_told as;

	if (!read_like(view, a, like, &as))
		return false;
	as.ip = like->told.ip;
	as.tcp = like->told.tcp;
	return sock_told_same(&as, &a->told);
}

/* Under the lock, which is open meanwhile. */
static void read_this(struct socks_ahead *all, struct dump *view, struct sock_ahead *a)
{
	struct sock_like *like = sock_alike_of(all->alike, a->fd);
	const bool trusted = like && like->state == LIKE_TRUSTED, second = like && like->state == LIKE_ONE;
	bool same = false;

	a->state = TAKEN;
	pthread_mutex_unlock(&all->lock);
	a->known = trusted ? read_like(view, a, like, &a->told) : read_one(view, a);
	if (a->known && second)
		same = is_like(view, a, like);
	pthread_mutex_lock(&all->lock);
	if (like && a->known && like->state == LIKE_NEW) {
		like->told = a->told;
		like->state = LIKE_ONE;
	} else if (like && a->known && second && like->state != LIKE_WRONG) {
		like->state = same ? LIKE_TRUSTED : LIKE_WRONG;
	}
	a->state = DONE;
	if (all->waiting)
		pthread_cond_broadcast(&all->done);
}

/* The next one that nobody has taken. */
static bool read_next(struct socks_ahead *all, struct dump *view)
{
	while (all->next < all->n && all->v[all->next].state != FREE)
		all->next++;
	if (all->stop || all->next == all->n)
		return false;
	read_this(all, view, &all->v[all->next]);
	return true;
}

static int work(void *arg, struct err *err)
{
	struct socks_ahead *all = arg;
	struct sock_alike *alike = NULL;
	struct err why = ERR_INIT;

	(void)err;
	if (all->n >= MANY_ALIKE && sock_alike_open(&alike, &why))
		log_debug(all->view.log, "which sockets are alike cannot be told: %s", why.reason);
	pthread_mutex_lock(&all->lock);
	all->alike = alike;
	while (read_next(all, &all->view))
		;
	pthread_mutex_unlock(&all->lock);
	return 0;
}

/* One that a description will be written of, with the duplicate that is at hand. */
static bool is_one(const struct file_fd *f)
{
	return S_ISSOCK(f->st.st_mode) && !f->duplicate && !(f->flags & O_PATH) && f->origin && f->origin->dup >= 0;
}

struct socks_ahead *socks_ahead_start(struct dump *d)
{
	const struct file_table *t = d->files;
	struct socks_ahead *all;
	size_t n = 0;

	for (size_t i = 0; i < t->nfds; i++)
		n += is_one(&t->fds[i]);
	if (n < MANY || d->found)
		return NULL;
	all = xzalloc(sizeof(*all));
	all->view = *d;
	all->view.arena = arena_new();
	all->v = arena_alloc(all->view.arena, n * sizeof(*all->v));
	for (size_t i = 0; i < t->nfds; i++) {
		struct file_fd *f = t->fds[i].origin;

		if (!is_one(&t->fds[i]))
			continue;
		all->v[all->n] = (struct sock_ahead){ .all = all, .fd = f->dup };
		f->ahead = &all->v[all->n++];
	}
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->done, NULL);
	aside_start(&all->beside, work, all);
	return all;
}

void socks_ahead_end(struct socks_ahead *all)
{
	struct err ignore = ERR_INIT;

	if (!all)
		return;
	pthread_mutex_lock(&all->lock);
	all->stop = true;
	pthread_mutex_unlock(&all->lock);
	aside_join(&all->beside, &ignore);
}

void socks_ahead_free(struct socks_ahead *all)
{
	if (!all)
		return;
	socks_ahead_end(all);
	pthread_cond_destroy(&all->done);
	pthread_mutex_destroy(&all->lock);
	arena_free(all->view.arena);
	sock_alike_free(all->alike);
	free(all);
}

static void wait_for(struct sock_ahead *a)
{
	a->all->waiting++;
	while (a->state == TAKEN)
		pthread_cond_wait(&a->all->done, &a->all->lock);
	a->all->waiting--;
}

const struct sock_told *sock_ahead_get(struct dump *d, struct sock_ahead *a)
{
	if (!a)
		return NULL;
	pthread_mutex_lock(&a->all->lock);
	if (a->state == FREE)
		read_this(a->all, d, a);
	while (a->state == TAKEN && read_next(a->all, d))
		;
	wait_for(a);
	pthread_mutex_unlock(&a->all->lock);
	return a->known ? &a->told : NULL;
}

void sock_ahead_leave(struct sock_ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->all->lock);
	if (a->state == FREE)
		a->state = DONE;
	wait_for(a);
	pthread_mutex_unlock(&a->all->lock);
}
