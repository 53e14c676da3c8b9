// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large page sets, written into the task by two threads of the controller through small buffers that stay in the
 * cache: test/bench/raw_memory.c shows no faster way in. Faults that process_vm_writev resolves cost less than the
 * exceptions of a task that reads by itself.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/mm/private.h"

enum { BUFFER = 256 << 10, PIECES = 64 };

/* What fits into a buffer: ranges of the task, in one piece of the image. */
struct load { struct iovec to[PIECES]; size_t n, len; uint64_t off; };

/* What the threads share, under lock. */
struct work {
	pthread_mutex_t lock;
	const struct plan_task *pt;
	pid_t pid;
	size_t i;    /* the range that comes next, */
	uint64_t at; /* and how much of it is given out */
	uint64_t done;
	int ret;
	struct err *err;
};

/* Under lock: false when there is no more, or somebody failed. */
static bool load_take(struct work *w, struct load *l)
{
	l->n = l->len = 0;
	while (!w->ret && w->i < w->pt->npages && l->len < BUFFER && l->n < PIECES) {
		const struct plan_pages *p = &w->pt->pages[w->i];
		uint64_t n = MIN(p->len - w->at, (uint64_t)BUFFER - l->len);

		if (l->n && l->off + l->len != p->off + w->at)
			break;
		if (!l->n)
			l->off = p->off + w->at;
		l->to[l->n++] = (struct iovec){ (void *)(uintptr_t)(p->addr + w->at), n };
		l->len += n;
		w->at += n;
		if (w->at == p->len) {
			w->i++;
			w->at = 0;
		}
	}
	return !w->ret && l->n;
}

static int load_write(const struct work *w, struct load *l, char *buf, struct err *err)
{
	struct iovec from = { buf, l->len };
	uint64_t addr = (uint64_t)(uintptr_t)l->to[0].iov_base;
	ssize_t done;
	int ret = pread_full(w->pt->pages_fd, buf, l->len, (off_t)l->off);

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the page image at offset %lu", l->off);
	done = process_vm_writev(w->pid, &from, 1, l->to, l->n, 0);
	if (done == (ssize_t)l->len)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %zu bytes of memory from 0x%lx on (process_vm_writev)", l->len, addr);
}

static void work(struct work *w, void (*tick)(void *ctx, uint64_t done), void *ctx)
{
	cleanup_free char *buf = xmalloc(BUFFER);
	struct load l;

	pthread_mutex_lock(&w->lock);
	while (load_take(w, &l)) {
		struct err err = ERR_INIT;
		uint64_t done;
		int ret;

		pthread_mutex_unlock(&w->lock);
		ret = load_write(w, &l, buf, &err);
		pthread_mutex_lock(&w->lock);
		if (ret && !w->ret) {
			w->ret = ret;
			*w->err = err;
		}
		done = w->done += l.len;
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

int pages_restore(const struct plan_task *pt, pid_t pid, void (*tick)(void *ctx, uint64_t done), void *ctx,
		  struct err *err)
{
	struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .pt = pt, .pid = pid, .i = pt->nown, .err = err };
	pthread_t second;
	bool two = !pthread_create(&second, NULL, second_thread, &w); /* without it all takes longer, no more */

	work(&w, tick, ctx);
	if (two)
		pthread_join(second, NULL);
	return w.ret;
}
