// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One ioctl walks the page tables and gives ranges (fs/proc/task_mmu.c, pagemap_scan). Pages that belong to a file,
 * and the zero page, are left out by the kernel; what stays is anonymous, in memory or in swap. Kernels without it
 * have the words of /proc/PID/pagemap, one for each page.
 */
#include "common/mm/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/mm/track.h"

enum { REGIONS = 2048, WORDS = 8192 };
#define ANON_STRETCH (4ul << 20)

/* include/uapi/linux/fs.h of Linux 6.7 and later; the guard category came in 6.15. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof, returned;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
enum { WP_MATCHING = 1 }; /* a flag */
enum {
	CAT_WPALLOWED = 1 << 0,
	CAT_WRITTEN = 1 << 1,
	CAT_FILE = 1 << 2,
	CAT_PRESENT = 1 << 3,
	CAT_SWAPPED = 1 << 4,
	CAT_ZERO = 1 << 5,
	CAT_SOFT_DIRTY = 1 << 7,
	CAT_GUARD = 1 << 8,
};

/* Documentation/admin-guide/mm/pagemap.rst */
#define WORD_PRESENT (1ull << 63)
#define WORD_SWAPPED (1ull << 62)
#define WORD_FILE (1ull << 61)
#define WORD_GUARD (1ull << 58)
#define WORD_SOFT_DIRTY (1ull << 55)

static bool is_plain_anon(const VmaEntry *v)
{
	return v->status & VS_ANON_PRIVATE && !(v->status & (VS_VDSO | VS_VVAR | VS_VSYSCALL)) && !(v->flags & VM_FLAG_HUGETLB);
}

/*
 * Whether a page belongs to a file is written in its struct page, and to look there, a cache miss for each, takes most of the time
 * of a scan (pagemap_page_category()). So where much memory follows that can have no such page, it is scanned without that question.
 */
static void find_stretch(struct scan *s)
{
	const struct mm_dump *mm = s->d->task->mm;
	size_t i = s->stretch_vma, k;

	while (i < mm->nvmas && mm->vmas[i]->end <= s->next)
		i++;
	s->stretch_vma = i;
	s->anon = false;
	for (s->stretch_end = s->end; i < mm->nvmas; i = MAX(k, i + 1)) {
		for (k = i; k < mm->nvmas && is_plain_anon(mm->vmas[k]); k++)
			;
		if (k == i || mm->vmas[k - 1]->end - mm->vmas[i]->start < ANON_STRETCH)
			continue;
		/* From here on, or up to here. */
		s->anon = i == s->stretch_vma;
		s->stretch_end = s->anon ? mm->vmas[k - 1]->end : mm->vmas[i]->start;
		break;
	}
	s->stretch_end = MIN(s->stretch_end, s->end);
}

static int scan_ioctl(struct scan *s, uint64_t vec_len, uint64_t *walk_end)
{
	uint64_t guard = s->guards_known ? CAT_GUARD : 0;

	if (s->next >= s->stretch_end)
		find_stretch(s);
	struct scan_arg a = {
		.size = sizeof(a),
		.start = s->next,
		.end = s->stretch_end,
		.vec = (uint64_t)(uintptr_t)s->v,
		.vec_len = vec_len,
		.inverted = s->anon ? CAT_ZERO : CAT_FILE | CAT_ZERO,
		.mask = s->anon ? CAT_ZERO : CAT_FILE | CAT_ZERO,
		.anyof = CAT_PRESENT | CAT_SWAPPED | guard,
		.returned = CAT_PRESENT | guard | (s->soft ? CAT_SOFT_DIRTY : s->tracked ? CAT_WPALLOWED | CAT_WRITTEN : 0),
	};
	int n = ioctl(s->fd, SCAN_IOCTL, &a);

	*walk_end = a.walk_end;
	return n < 0 ? -errno : n;
}

static bool is_skipped(const VmaEntry *v)
{
	return v->status & (VS_VVAR | VS_VSYSCALL);
}

static bool has_own_pages(const VmaEntry *v)
{
	return v->status & (VS_FILE_PRIVATE | VS_ANON_PRIVATE) && !(v->flags & VM_FLAG_DROPPABLE);
}

int scan_open(struct dump *d, struct scan *s, struct err *err)
{
	struct mm_dump *mm = d->task->mm;
	uint64_t walk_end;
	int ret;

	s->d = d;
	s->fd = openat(d->task->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return err_sys(err, "cannot open its page map");
	for (size_t i = 0; i < mm->nvmas; i++)
		if (!(mm->vmas[i]->status & VS_VSYSCALL))
			s->end = mm->vmas[i]->end;
	s->next = mm->nvmas ? mm->vmas[0]->start : 0;
	s->tracked = track_has(d);
	s->soft = track_soft(d, &s->armed);
	s->v = xreallocarray(NULL, REGIONS, sizeof(*s->v));
	s->ioctl = s->guards_known = true;
	/* Two probes at most: an empty range costs nothing. */
	uint64_t end = s->end;
	s->end = s->next;
	ret = scan_ioctl(s, REGIONS, &walk_end);
	if (ret == -EINVAL) {
		s->guards_known = false;
		ret = scan_ioctl(s, REGIONS, &walk_end);
	}
	s->end = end;
	if (ret < 0) {
		s->ioctl = false;
		s->tracked = s->soft;
		s->words = xreallocarray(NULL, WORDS, sizeof(*s->words));
	}
	return 0;
}

/* A second walk protects what the first one found, in mappings where that means anything: with a buffer for results the
 * kernel takes only pages that are there, so that no other entry gets a mark. Those mappings are private and anonymous (track.c), so
 * whose pages they are need not be asked (see find_stretch()). */
static int protect(struct scan *s, uint64_t start, uint64_t end, struct scan_region *v)
{
	while (start < end) {
		struct scan_arg a = {
			.size = sizeof(a),
			.flags = WP_MATCHING,
			.start = start,
			.end = end,
			.vec = (uint64_t)(uintptr_t)v,
			.vec_len = REGIONS,
			.inverted = CAT_ZERO,
			.mask = CAT_ZERO | CAT_WPALLOWED | CAT_WRITTEN | CAT_PRESENT,
			.returned = CAT_PRESENT,
		};

		if (ioctl(s->fd, SCAN_IOCTL, &a) < 0)
			return -errno;
		if (a.walk_end <= start)
			return -EIO;
		start = a.walk_end;
	}
	return 0;
}

/* Pages that bear the mark of not being written in mappings where nothing sets it: see track_register(). */
static bool is_left_mark(const struct scan_region *r)
{
	return !(r->categories & (CAT_WPALLOWED | CAT_WRITTEN | CAT_GUARD));
}

static int begin_anew(const struct scan *s, const struct scan_region *all, size_t n, struct err *err)
{
	cleanup_free struct scan_region *left = NULL;
	size_t nleft = 0, cap = 0;

	for (size_t i = 0; i < n && !s->soft; i++) {
		if (!is_left_mark(&all[i]))
			continue;
		array_reserve(&left, &cap, nleft, sizeof(*left));
		left[nleft++] = all[i];
	}
	return track_register(s->d, left, nleft, err);
}

void scan_close(struct scan *s)
{
	if (s->d && s->fd >= 0)
		close(s->fd);
	free(s->v);
	free(s->words);
	free(s->guards);
}

/* The same regions from words, of the mapping where we are or of the next one. */
static int fill_from_words(struct scan *s, struct err *err)
{
	const struct mm_dump *mm = s->d->task->mm;
	const VmaEntry *v = NULL;
	uint64_t pages;
	ssize_t got;

	for (size_t i = s->vma; i < mm->nvmas; i++) {
		v = mm->vmas[i];
		if (v->end > s->next && !is_skipped(v))
			break;
		v = NULL;
	}
	if (!v) {
		s->next = s->end;
		return 0;
	}
	s->next = MAX(s->next, v->start);
	pages = MIN((v->end - s->next) / PAGE_BYTES, (uint64_t)REGIONS);
	got = pread(s->fd, s->words, pages * sizeof(*s->words), (off_t)(s->next / PAGE_BYTES * sizeof(*s->words)));
	if (got <= 0 || got % (ssize_t)sizeof(*s->words))
		return err_set(err, ERR_FAILED, got < 0 ? errno : EIO, "cannot read its page map");
	for (uint64_t i = 0; i < (uint64_t)got / sizeof(*s->words); i++, s->next += PAGE_BYTES) {
		uint64_t w = s->words[i], cat = w & WORD_GUARD ? CAT_GUARD : 0;

		if (s->soft)
			cat |= (w & WORD_PRESENT ? CAT_PRESENT : 0) | (w & WORD_SOFT_DIRTY ? CAT_SOFT_DIRTY : 0);
		if (!(cat & CAT_GUARD) && (!(w & (WORD_PRESENT | WORD_SWAPPED)) || w & WORD_FILE))
			continue;
		if (s->n && s->v[s->n - 1].end == s->next && s->v[s->n - 1].categories == cat)
			s->v[s->n - 1].end += PAGE_BYTES;
		else
			s->v[s->n++] = (struct scan_region){ s->next, s->next + PAGE_BYTES, cat };
	}
	return 0;
}

/* The next bufferful of regions. */
static int fill(struct scan *s, struct err *err)
{
	uint64_t walk_end;
	int n;

	s->i = s->n = 0;
	if (!s->ioctl)
		return fill_from_words(s, err);
	n = scan_ioctl(s, REGIONS, &walk_end);
	if (n < 0)
		return err_set(err, ERR_FAILED, -n, "cannot scan its page map");
	if (walk_end <= s->next)
		return err_set(err, ERR_FAILED, EIO, "the scan of its page map stands still");
	s->n = (size_t)n;
	s->next = walk_end;
	return 0;
}

int scan_list(struct scan *s, struct err *err)
{
	struct scan_region *all = NULL, *buf = s->v;
	size_t n = 0, cap = 0;
	uint64_t start = s->next;
	int ret = 0, begun = 0;

	if (!s->ioctl && !s->soft)
		return 0;
	while (s->next < s->end) {
		ret = fill(s, err);
		if (ret) {
			free(all);
			return ret;
		}
		for (size_t i = 0; i < s->n; i++) {
			array_reserve(&all, &cap, n, sizeof(*all));
			all[n++] = buf[i];
		}
	}
	if (s->tracked)
		begun = begin_anew(s, all, n, err);
	if (s->tracked && !s->soft && !begun)
		ret = protect(s, start, s->end, buf);
	free(buf);
	s->v = all;
	s->n = n;
	s->listed = true;
	if (begun)
		return begun;
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot protect its memory against being written unseen") : 0;
}

/* 1: s->v[s->i] is a region that ends behind `at`. 0: there are no more. */
static int current_region(struct scan *s, struct err *err)
{
	for (;;) {
		while (s->i < s->n && s->v[s->i].end <= s->at)
			s->i++;
		if (s->i < s->n)
			return 1;
		if (s->next >= s->end)
			return 0;
		int ret = fill(s, err);

		if (ret)
			return ret;
	}
}

static void add_guard(struct scan *s, uint64_t start, uint64_t end)
{
	if (s->nguards && s->guards[s->nguards - 1].end == start) {
		s->guards[s->nguards - 1].end = end;
		return;
	}
	array_reserve(&s->guards, &s->guards_cap, s->nguards, sizeof(*s->guards));
	s->guards[s->nguards++] = (struct scan_guard){ start, end };
}

static int give(struct scan *s, const VmaEntry *v, uint64_t start, uint64_t end, uint64_t max, struct scan_run *run)
{
	run->vma = v;
	run->clean = false;
	run->addr = start;
	run->npages = MIN((end - start) / PAGE_BYTES, max);
	s->at = start + run->npages * PAGE_BYTES;
	return 1;
}

int scan_next(struct scan *s, uint64_t max, struct scan_run *run, struct err *err)
{
	const struct mm_dump *mm = s->d->task->mm;

	while (s->vma < mm->nvmas) {
		const VmaEntry *v = mm->vmas[s->vma];
		const struct scan_region *r;
		uint64_t start, end;
		int ret;

		s->at = MAX(s->at, v->start);
		if (s->at >= v->end || is_skipped(v)) {
			s->vma++;
			continue;
		}
		/* The vdso goes into the image whole: a restorer compares it with its own. So do rings, which are of a file. */
		if (v->status & (VS_VDSO | VS_AIO))
			return give(s, v, s->at, v->end, max, run);
		ret = current_region(s, err);
		if (ret < 0)
			return ret;
		r = &s->v[s->i];
		if (!ret || r->start >= v->end) {
			s->at = v->end;
			continue;
		}
		start = MAX(s->at, r->start);
		end = MIN(r->end, v->end);
		if (r->categories & CAT_GUARD)
			add_guard(s, start, end);
		else if (has_own_pages(v)) {
			const uint64_t both = CAT_WPALLOWED | CAT_PRESENT;
			/* What is in swap may be a mark that the kernel left for a page that is gone. */
			bool clean = s->soft ? s->armed && (r->categories & (CAT_PRESENT | CAT_SOFT_DIRTY)) == CAT_PRESENT :
					       s->tracked && (r->categories & both) == both && !(r->categories & CAT_WRITTEN);

			give(s, v, start, end, max, run);
			run->clean = clean;
			return 1;
		}
		s->at = end;
	}
	return 0;
}

uint64_t scan_pages_ahead(const struct scan *s, const VmaEntry *v, uint64_t most)
{
	uint64_t pages = 0;

	for (size_t i = s->i; i < s->n && s->v[i].start < v->end && pages < most; i++)
		if (!(s->v[i].categories & CAT_GUARD))
			pages += (MIN(s->v[i].end, v->end) - MAX(s->v[i].start, v->start)) / PAGE_BYTES;
	return pages;
}
