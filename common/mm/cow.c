/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that a process still has in common with its parent since fork(2): at the same address both page tables lead to
 * the same frame, or to the same place in swap. Such a page is anonymous and in a private mapping of the parent too, so
 * it is dumped there.
 *
 * Whether it is left to the parent or not, it must not be read by process_vm_readv(2): that pins pages, and for a pin the
 * kernel first gives the process a copy of its own of each page that others map too (mm/gup.c, gup_must_unshare()). A dump
 * would take apart what fork has shared. /proc/PID/mem does not pin.
 */
#include "common/mm/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define WORD_PLACE ((1ull << 55) - 1)	/* frame, or type and offset of swap; 0 for who may not see it */
#define WORD_EXCLUSIVE (1ull << 56)
#define WORD_FILE (1ull << 61)
#define WORD_THERE (3ull << 62)		/* present, swapped */

/*
 * A parent of many children is compared with each of them: the words of its first GiB or so stay here. Which part that is does
 * not change until another parent comes: going through more memory than there is room for, one after the other, nothing would ever
 * be found again of what was kept last.
 */
enum { BLOCK_WORDS = 512, BLOCKS = 512, PLACES = 2 * BLOCKS };
struct cow_parent {
	const struct dump_task *of;
	size_t n;
	struct { uint64_t number; uint32_t block; } places[PLACES]; /* block: from 1 on; 0 is a free place */
	uint64_t (*words)[BLOCK_WORDS];
};

static struct cow_parent *known_parent(struct dump *d, const struct dump_task *parent)
{
	static const char key;
	bool fresh;
	struct cow_parent *k = dump_recall(d, &key, sizeof(*k), &fresh);

	if (fresh)
		k->words = arena_alloc(d->arena, BLOCKS * sizeof(*k->words));
	if (k->of != parent) {
		memset(k->places, 0, sizeof(k->places));
		k->n = 0;
		k->of = parent;
	}
	return k;
}

int cow_open(struct dump *d, int own, struct cow *c, struct err *err)
{
	*c = (struct cow){ .own = own, .parents = -1, .maps = &d->task->maps };
	/* A parent that lives in its own parent's memory has no pages in the images. */
	const struct dump_task *parent = d->opts->cow_pages && d->task->parent && !d->task->parent->vm_shared ?
						 d->task->parent : NULL;

	if (parent) {
		c->parents = openat(parent->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
		c->known = known_parent(d, parent);
	}
	if (parent && c->parents < 0)
		return err_sys(err, "cannot open its page map");
	return 0;
}

void cow_close(struct cow *c)
{
	if (c->parents >= 0)
		close(c->parents);
}

/* Words of n pages from addr on; what lies behind the end of the address space is not there. */
static int read_words(int fd, uint64_t addr, size_t n, uint64_t *words, struct err *err)
{
	ssize_t got = pread(fd, words, n * sizeof(*words), (off_t)(addr / PAGE_BYTES * sizeof(*words)));

	if (got < 0 || got % (ssize_t)sizeof(*words))
		return err_set(err, ERR_FAILED, got < 0 ? errno : EIO, "cannot read a page map");
	for (size_t i = (size_t)got / sizeof(*words); i < n; i++)
		words[i] = 0;
	return 0;
}

/* The words of a block of the parent's: NULL when there is no more room for it. */
static int parents_block(struct cow *c, uint64_t number, const uint64_t **words, struct err *err)
{
	struct cow_parent *k = c->known;
	size_t at = number * 0x9e3779b97f4a7c15ull >> 32;
	int ret;

	for (at %= PLACES; k->places[at].block; at = (at + 1) % PLACES)
		if (k->places[at].number == number) {
			*words = k->words[k->places[at].block - 1];
			return 0;
		}
	*words = NULL;
	if (k->n == BLOCKS)
		return 0;
	ret = read_words(c->parents, number * BLOCK_WORDS * PAGE_BYTES, BLOCK_WORDS, k->words[k->n], err);
	if (ret)
		return ret;
	*words = k->words[k->n];
	k->places[at].number = number;
	k->places[at].block = (uint32_t)++k->n;
	return 0;
}

static int read_parents(struct cow *c, uint64_t addr, size_t n, struct err *err)
{
	for (size_t done = 0, part; done < n; done += part) {
		uint64_t page = addr / PAGE_BYTES + done;
		const uint64_t *words;
		int ret = parents_block(c, page / BLOCK_WORDS, &words, err);

		part = MIN(n - done, (size_t)(BLOCK_WORDS - page % BLOCK_WORDS));
		if (!ret && words)
			memcpy(c->theirs + done, words + page % BLOCK_WORDS, part * sizeof(*words));
		else if (!ret)
			ret = read_words(c->parents, page * PAGE_BYTES, part, c->theirs + done, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Most mappings share nothing, which is known of each as a whole. */
static bool may_share(struct cow *c, const struct scan_run *run)
{
	const struct proc_maps *maps = c->maps;

	while (c->at < maps->n && maps->v[c->at].end <= run->addr)
		c->at++;
	return run->vma->status & (VS_ANON_PRIVATE | VS_FILE_PRIVATE) &&
	       !(run->vma->status & VS_VDSO) && !(run->vma->flags & VM_FLAG_HUGETLB) && c->at < maps->n &&
	       maps->v[c->at].may_share;
}

int cow_compare(struct cow *c, const struct scan_run *run, enum cow_page pages[COW_PAGES], struct err *err)
{
	size_t n = (size_t)run->npages;
	bool any = false;
	int ret;

	for (size_t i = 0; i < n; i++)
		pages[i] = COW_OWN;
	if (!may_share(c, run))
		return 0;
	ret = read_words(c->own, run->addr, n, c->words, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++) {
		uint64_t w = c->words[i];

		if (w & WORD_THERE && !(w & (WORD_EXCLUSIVE | WORD_FILE)))
			pages[i] = COW_SHARED;
		any |= pages[i] && w & WORD_PLACE;
	}
	if (!any || c->parents < 0)
		return 0;
	ret = read_parents(c, run->addr, n, err);
	for (size_t i = 0; i < n && !ret; i++)
		if (pages[i] && c->words[i] & WORD_PLACE &&
		    !((c->words[i] ^ c->theirs[i]) & (WORD_THERE | WORD_PLACE | WORD_FILE)))
			pages[i] = COW_PARENTS;
	return ret;
}
