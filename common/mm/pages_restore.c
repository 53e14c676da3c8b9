// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The controller's half of a large page set. Through a small buffer that stays in the cache: test/bench/raw_memory.c
 * shows that this is no slower than process_vm_writev from a mapped image, and it needs no page tables for the image.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/mm/private.h"

enum { BUFFER = 256 << 10, PIECES = 64 };

/* What fits into the buffer: ranges of the task, in one piece of the image. */
struct load { struct iovec to[PIECES]; size_t n, len; uint64_t off; };

static int load_write(const struct plan_task *pt, pid_t pid, struct load *l, char *buf, struct err *err)
{
	struct iovec from = { buf, l->len };
	uint64_t addr = (uint64_t)(uintptr_t)l->to[0].iov_base;
	ssize_t done;
	int ret = pread_full(pt->pages_fd, buf, l->len, (off_t)l->off);

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the page image at offset %lu", l->off);
	done = process_vm_writev(pid, &from, 1, l->to, l->n, 0);
	if (done == (ssize_t)l->len)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %zu bytes of memory from 0x%lx on (process_vm_writev)", l->len, addr);
}

int pages_restore(const struct plan_task *pt, pid_t pid, void (*tick)(void *ctx, uint64_t bytes), void *ctx,
		  struct err *err)
{
	cleanup_free char *buf = xmalloc(BUFFER);
	struct load l = { .n = 0 };
	int ret = 0;

	for (size_t i = pt->nown; i < pt->npages && !ret; i++) {
		const struct plan_pages *p = &pt->pages[i];

		for (uint64_t at = 0, n; at < p->len && !ret; at += n) {
			if (l.len == BUFFER || l.n == PIECES || (l.n && l.off + l.len != p->off + at)) {
				ret = load_write(pt, pid, &l, buf, err);
				tick(ctx, l.len);
				l = (struct load){ .n = 0 };
			}
			if (!l.n)
				l.off = p->off + at;
			n = MIN(p->len - at, (uint64_t)BUFFER - l.len);
			l.to[l.n++] = (struct iovec){ (void *)(uintptr_t)(p->addr + at), n };
			l.len += n;
		}
	}
	if (!ret && l.n) {
		ret = load_write(pt, pid, &l, buf, err);
		tick(ctx, l.len);
	}
	return ret;
}
