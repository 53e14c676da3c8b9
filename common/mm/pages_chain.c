// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page sets of a chain of checkpoints that the controller writes into the task: what pages_restore.c does with one file, from many. The
 * ranges are sorted by file and place (plan_content.c); each of two threads takes the next of them. Sums were looked at when the files
 * were opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/mm/private.h"

enum { PART = 256 << 10, RANGES = PART / PAGE_BYTES };

/* Ranges of one file, one behind the other in buf. */
struct load { struct iovec from[RANGES], to[RANGES]; uint64_t off[RANGES]; size_t n, bytes; int fd; };

/* What the threads share, under lock. */
struct work {
	pthread_mutex_t lock;
	const struct plan_task *pt;
	pid_t pid;
	size_t i; /* the next range, and how much of it is given out */
	uint64_t at, done;
	bool frees, freed; /* what is written; something was */
	int ret;
	struct err *err;
};

/* Under lock: false when there is no more, or somebody failed. */
static bool load_take(struct work *w, struct load *l, char *buf)
{
	const struct plan_task *pt = w->pt;

	l->n = l->bytes = 0;
	while (!w->ret && w->i < pt->npages && l->bytes < PART && l->n < RANGES) {
		const struct plan_pages *p = &pt->pages[w->i];
		size_t n = (size_t)MIN(p->len - w->at, (uint64_t)PART - l->bytes);

		if (l->n && p->fd != l->fd)
			break;
		l->fd = p->fd;
		l->from[l->n] = (struct iovec){ buf + l->bytes, n };
		l->to[l->n] = (struct iovec){ (void *)(uintptr_t)(p->addr + w->at), n };
		l->off[l->n++] = p->off + w->at;
		l->bytes += n;
		w->at += n;
		if (w->at < p->len)
			continue;
		w->i++;
		w->at = 0;
	}
	return l->n;
}

/* From range i on, those that lie together in the file: the first that does not, and their bytes. */
static size_t together(const struct load *l, size_t i, size_t *len)
{
	size_t next = i + 1;

	*len = l->from[i].iov_len;
	for (; next < l->n && l->off[next] == l->off[i] + *len; next++)
		*len += l->from[next].iov_len;
	return next;
}

static int load_move(const struct load *l, pid_t pid, struct err *err)
{
	ssize_t done;

	for (size_t i = 0, len; i < l->n;) {
		size_t next = together(l, i, &len);
		int ret = pread_full(l->fd, l->from[i].iov_base, len, (off_t)l->off[i]);

		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read %zu bytes of pages", len);
		i = next;
	}
	done = process_vm_writev(pid, l->from, l->n, l->to, l->n, 0);
	if (done == (ssize_t)l->bytes)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %zu bytes of memory from %p on (process_vm_writev)", l->bytes, l->to[0].iov_base);
}

/* What was kept in memory until now is in its place: it is not needed twice. */
static bool load_free(const struct load *l)
{
	bool freed = false;

	for (size_t i = 0, len; i < l->n;) {
		size_t next = together(l, i, &len);

		freed |= !fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)l->off[i], (off_t)len);
		i = next;
	}
	return freed;
}

static void work(struct work *w, void (*tick)(void *ctx, uint64_t done), void *ctx)
{
	cleanup_free struct load *l = xmalloc(sizeof(*l));
	cleanup_free char *buf = xmalloc(PART);

	pthread_mutex_lock(&w->lock);
	while (load_take(w, l, buf)) {
		struct err err = ERR_INIT;
		uint64_t done;
		bool freed;
		int ret;

		pthread_mutex_unlock(&w->lock);
		ret = load_move(l, w->pid, &err);
		freed = !ret && w->frees && load_free(l);
		pthread_mutex_lock(&w->lock);
		if (ret && !w->ret) {
			w->ret = ret;
			*w->err = err;
		}
		w->freed |= freed;
		done = w->done += l->bytes;
		if (!tick)
			continue;
		pthread_mutex_unlock(&w->lock);
		tick(ctx, done);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

static void *second_thread(void *arg)
{
	work(arg, NULL, NULL);
	return NULL;
}

int pages_chain_restore(struct model *m, const struct plan_task *pt, pid_t pid, void (*tick)(void *ctx, uint64_t done), void *ctx,
			struct err *err)
{
	struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .pt = pt, .pid = pid, .i = pt->nown, .err = err };
	pthread_t second;
	bool two;

	w.frees = image_dir_source(m->dir) && !pt->nown;
	two = pt->set->size > 2 * PART && !pthread_create(&second, NULL, second_thread, &w); /* without it all takes longer, no more */
	work(&w, tick, ctx);
	if (two)
		pthread_join(second, NULL);
	m->consumed |= w.freed;
	return w.ret;
}
