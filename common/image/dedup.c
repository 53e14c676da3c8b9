// SPDX-License-Identifier: GPL-2.0-or-later
/* The room of older pages that a newer checkpoint has anew: in files of directories, and in memory, for a stream. */
#include <errno.h>
#include <fcntl.h>

#include "common/image/chain.h"

struct hole { int fd; uint64_t off, len; };

static int punch(struct hole *h, struct err *err)
{
	if (h->len && fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)h->off, (off_t)h->len) < 0)
		return err_sys(err, "cannot give back the room of older pages");
	h->len = 0;
	return 0;
}

int chain_dedup(const struct chain *c, enum image_kind kind, unsigned long id, bool *touched, struct err *err)
{
	cleanup(chain_set_close) struct chain_set s;
	struct hole hole = { .fd = -1 };
	int ret = chain_set_open(c, 1, kind, id, &s, err);
	cleanup_free int *fds = xreallocarray(NULL, c->n, sizeof(*fds));

	for (size_t i = 0; i < c->n; i++)
		fds[i] = -1;
	if (!ret)
		ret = page_set_load(c->dirs[0], kind, id, &s.sets[0], err);
	for (size_t i = 0; !ret && i < s.sets[0].n; i++) {
		const struct page_run *r = &s.sets[0].runs[i];

		for (uint64_t k = 0, n = 0; !ret && r->flags & RUN_PRESENT && k < r->pages; k += n) {
			uint64_t off;
			size_t in;

			n = 1;
			if (chain_find(&s, 1, r->vaddr + k * IMAGE_PAGE, r->pages - k, &in, &off, &n)) {
				n = 1;
				continue;
			}
			if (s.pages[in].table) /* compressed: its pages have no place of their own */
				continue;
			if (fds[in] < 0) {
				char path[64];

				snprintf(path, sizeof(path), "/proc/self/fd/%d", s.pages[in].fd);
				fds[in] = open(path, O_WRONLY | O_CLOEXEC);
				if (fds[in] < 0)
					ret = err_sys(err, "cannot open older pages for writing");
				touched[in] = true;
			}
			if (!ret && (hole.fd != fds[in] || hole.off + hole.len != off)) {
				ret = punch(&hole, err);
				hole = (struct hole){ fds[in], off, 0 };
			}
			hole.len += n * IMAGE_PAGE;
		}
	}
	if (!ret)
		ret = punch(&hole, err);
	for (size_t i = 0; i < c->n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ret;
}
