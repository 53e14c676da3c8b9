// SPDX-License-Identifier: GPL-2.0-or-later
/* Huge pages of hugetlbfs: whether this host has those that a checkpoint needs. */
#include <fcntl.h>
#include <string.h>

#include "common/base/io.h"
#include "common/mm/private.h"

/* Sizes of pages are powers of two. */
struct need { uint64_t pages[64]; };

static uint64_t pool(uint64_t page, const char *name)
{
	cleanup_free char *text = NULL;
	char path[128];
	uint64_t n = 0;
	size_t len;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/%s", page / 1024, name);
	if (read_file_at(AT_FDCWD, path, 64, &text, &len))
		return 0;
	if (len && text[len - 1] == '\n')
		text[len - 1] = 0;
	return parse_u64(text, 10, &n) ? 0 : n;
}

static void add(struct need *need, uint64_t flags, uint64_t bytes)
{
	uint64_t page = huge_page_bytes(flags);

	need->pages[__builtin_ctzll(page)] += (bytes + page - 1) / page;
}

/* A page set in huge pages: those that have any content. */
static uint64_t content(const struct model_pages *p, uint64_t from, uint64_t to, uint64_t page)
{
	uint64_t n = 0, end = from;

	for (size_t i = 0; i < p->nentries; i++) {
		uint64_t a = MAX(p->entries[i]->vaddr, end);
		uint64_t b = MIN(p->entries[i]->vaddr + p->entries[i]->nr_pages * PAGE_BYTES, to);

		if (a >= b)
			continue;
		a &= ~(page - 1);
		end = (b + page - 1) & ~(page - 1);
		n += (end - a) / page;
	}
	return n * page;
}

/* The kernel sets pages aside when it maps (mm/hugetlb.c, hugetlb_reserve_pages()), unless it is told not to. */
static void count_task(const struct model *m, const struct model_task *t, struct need *need)
{
	for (size_t i = 0; t->mm && i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];
		const struct model_shmem *s;
		uint64_t page = huge_page_bytes(v->flags), len = v->end - v->start;

		if (!(v->flags & VM_FLAG_HUGETLB) || !(v->status & VS_REGULAR))
			continue;
		if (v->status & (VS_ANON_PRIVATE | VS_FILE_PRIVATE))
			add(need, v->flags,
			    v->flags & VM_FLAG_NORESERVE ? content(&t->pages, v->start, v->end, page) : len);
		s = v->status & VS_ANON_SHARED ? model_shmem(m, v->shmid) : NULL;
		if (s && s->first == v)
			add(need, v->flags,
			    v->flags & VM_FLAG_NORESERVE ? content(&s->pages, 0, s->size, page) : s->size);
	}
}

void mm_preflight(const struct model *m, finding_fn report, void *ctx)
{
	struct need need = { 0 };
	char line[256];

	sysv_preflight(m, report, ctx);
	for (size_t t = 0; t < m->ntasks; t++)
		count_task(m, &m->tasks[t], &need);
	for (size_t i = 0; i < m->nshmem; i++) {
		const MemfdInodeEntry *e = m->shmem[i].memfd;

		if (e && e->has_hugetlb_flag && e->hugetlb_flag >> VM_FLAG_HUGE_SHIFT <= 40)
			add(&need, VM_FLAG_HUGETLB | (uint64_t)e->hugetlb_flag, e->size);
	}
	for (unsigned shift = 13; shift < 64; shift++) {
		uint64_t page = 1ull << shift, have;

		if (!need.pages[shift])
			continue;
		have = pool(page, "free_hugepages") + pool(page, "nr_overcommit_hugepages");
		have -= MIN(have, pool(page, "resv_hugepages") + pool(page, "surplus_hugepages"));
		if (have >= need.pages[shift])
			continue;
		snprintf(line, sizeof(line),
			 "%lu huge pages of %lu kB are needed, %lu are free here: raise"
			 " /sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages",
			 need.pages[shift], page / 1024, have, page / 1024);
		report(ctx, NULL, line);
	}
}
