/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernels number these flags as they like, and have changed it; what the words mean is their interface. So the numbers are learnt:
 * from mappings that differ in one flag each, as smaps shows them with words and the kernel has them with bits. smaps shows a word
 * exactly when one certain bit is set (fs/proc/task_mmu.c, show_smap_vma_flags()), so the bit of a word is among those that are set
 * in the same mappings as the word is shown for. A bit that is in none of them stays unknown.
 */
#include "common/mm/vmflags.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/mm/private.h"

/* They say what one might do with memory, or how it is counted; none of them is restored. */
#define UNUSED_WORDS (VMF(sh) | VMF(mr) | VMF(me) | VMF(ms) | VMF(ac) | VMF(de) | VMF(sf) | VMF(sd) | VMF(mm))

/* In which of the mappings: bit i is mapping i. */
static uint64_t where(const struct vmflags_seen *seen, size_t n, uint64_t bit, bool word)
{
	uint64_t set = 0;

	for (size_t i = 0; i < n; i++)
		if ((word ? seen[i].words : seen[i].bits) & bit)
			set |= 1ull << i;
	return set;
}

void vmflags_learn(const struct vmflags_seen *seen, size_t n, struct vmflags *out)
{
	uint64_t done = 0;

	out->n = 0;
	for (unsigned b = 0; b < 64; b++) {
		const uint64_t set = where(seen, n, 1ull << b, false);
		struct vmflags_group g = { 0 };

		if (!set || done & 1ull << b)
			continue;
		for (unsigned i = 0; i < 64; i++) {
			if (where(seen, n, 1ull << i, false) == set)
				g.bits |= 1ull << i;
			if (i <= VMF_unknown && where(seen, n, 1ull << i, true) == set)
				g.words |= 1ull << i;
		}
		done |= g.bits;
		out->v[out->n++] = g;
	}
}

bool vmflags_words(const struct vmflags *f, uint64_t bits, uint64_t *words)
{
	uint64_t known = 0;

	*words = 0;
	for (size_t i = 0; i < f->n; i++) {
		const struct vmflags_group *g = &f->v[i];

		known |= g->bits;
		if ((bits & g->bits) == g->bits)
			*words |= g->words;
		else if (bits & g->bits && g->words & ~UNUSED_WORDS)
			return false; /* which of the words, cannot be told */
	}
	return !(bits & ~known);
}

/* ---- mappings that differ ---- */

/* Pages between them have no access and no advice, so that no two of them merge. */
enum { PLACES = 24 };
#define ROOM (2ul * PLACES * PAGE_BYTES)
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

struct places { char *base; size_t n; };

static char *next_place(struct places *p)
{
	return p->base + (2 * p->n++ + 1) * PAGE_BYTES;
}

/* None of these has to work: what did not is in none of the mappings, and stays unknown. */
static void make_places(struct places *p)
{
	static const int protections[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
	static const int advice[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK, MADV_HUGEPAGE,
				      MADV_NOHUGEPAGE };
	static const int flags[] = { MAP_PRIVATE | MAP_NORESERVE, MAP_PRIVATE | MAP_GROWSDOWN, MAP_SHARED, MAP_DROPPABLE };
	cleanup_fd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(protections); i++)
		mprotect(next_place(p), PAGE_BYTES, protections[i]);
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		madvise(next_place(p), PAGE_BYTES, advice[i]);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		mmap(next_place(p), PAGE_BYTES, PROT_READ | PROT_WRITE, flags[i] | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mlock(next_place(p), PAGE_BYTES);
	syscall(SYS_mlock2, next_place(p), PAGE_BYTES, MLOCK_ONFAULT);
	mmap(next_place(p), PAGE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, self, 0); /* may never be written to */
}

/* As track.c registers what it protects. The descriptor, as long as it is open; or -1. */
static int protect_place(struct places *p)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .range = { (uintptr_t)next_place(p), PAGE_BYTES }, .mode = UFFDIO_REGISTER_MODE_WP };

	if (fd >= 0 && !ioctl(fd, UFFDIO_API, &api))
		ioctl(fd, UFFDIO_REGISTER, &reg);
	return fd;
}

static const struct proc_map *map_at(const struct proc_maps *maps, uint64_t addr)
{
	for (size_t i = 0; i < maps->n; i++)
		if (maps->v[i].start <= addr && addr < maps->v[i].end)
			return &maps->v[i];
	return NULL;
}

/* Rows ascend: the last one that does not begin behind addr. */
static const uint64_t *row_at(const struct iter_rows *rows, size_t width, size_t start, uint64_t addr)
{
	const uint64_t *row = NULL;

	for (size_t i = 0; i < rows->n && rows->v[i * width + start] <= addr; i++)
		row = rows->v + i * width;
	return row;
}

static int compare(const struct places *p, const struct iter *it, size_t start, size_t flags, const struct proc_maps *maps,
		   struct vmflags *out, struct err *err)
{
	struct vmflags_seen seen[2 * PLACES + 8];
	uint64_t at[ARRAY_SIZE(seen)];
	struct iter_rows rows;
	size_t n = 0, found = 0;
	int ret = iter_read(it, getpid(), &rows, err);

	if (ret)
		return ret;
	at[n++] = (uintptr_t)p->base;
	for (size_t i = 0; i < p->n; i++)
		at[n++] = (uintptr_t)p->base + (2 * i + 1) * PAGE_BYTES;
	for (size_t i = 0; i < maps->n && n < ARRAY_SIZE(at); i++)
		if (!strcmp(maps->v[i].name, "[vdso]") || !strncmp(maps->v[i].name, "[vvar", 5))
			at[n++] = maps->v[i].start;
	for (size_t i = 0; i < n; i++) {
		const struct proc_map *m = map_at(maps, at[i]);
		const uint64_t *row = row_at(&rows, it->n, start, at[i]);

		if (m && row)
			seen[found++] = (struct vmflags_seen){ row[flags], m->vmflags };
	}
	vmflags_learn(seen, found, out);
	iter_rows_free(&rows);
	return 0;
}

bool vmflags_is_gate(const struct proc_map *m)
{
	return *m->name == '[' && !strcmp(m->name, "[vsyscall]");
}

/* It outlives the arena of what it is from. */
static struct proc_map gate_of(const struct proc_maps *maps)
{
	const struct proc_map *last = maps->n ? &maps->v[maps->n - 1] : NULL;

	if (!last || !vmflags_is_gate(last))
		return (struct proc_map){ .name = "" };
	return (struct proc_map){ .start = last->start, .end = last->end, .read = last->read, .write = last->write, .exec = last->exec,
				  .shared = last->shared, .has_flags = true, .name = "[vsyscall]" };
}

int vmflags_probe(const struct iter *it, size_t start, size_t flags, struct vmflags *out, struct proc_map *gate, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int self = -1, uffd = -1;
	struct places p = { .base = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
	struct proc_maps maps;
	int ret;
	bool more;

	if (p.base == MAP_FAILED)
		return err_sys(err, "cannot map memory");
	make_places(&p);
	uffd = protect_place(&p);
	ret = proc_open(getpid(), &self, err);
	if (!ret)
		ret = proc_smaps(self, arena, &maps, SIZE_MAX, &more, err);
	if (!ret)
		ret = compare(&p, it, start, flags, &maps, out, err);
	if (!ret)
		*gate = gate_of(&maps);
	munmap(p.base, ROOM);
	return ret;
}
