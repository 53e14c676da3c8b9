/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address spaces: mappings, their references, and that every stored page lies in one. */
#include <errno.h>
#include <string.h>

#include "common/restore/verify.h"

#define PAGE 4096u
/* Where user addresses end on every 64-bit kernel; the exact end is known to mmap(2) only. */
#define USER_END (1ull << 63)

enum {
	ST_REGULAR = 0x1, ST_VSYSCALL = 0x4, ST_VDSO = 0x8, ST_FILE_PRIVATE = 0x40, ST_FILE_SHARED = 0x80,
	ST_ANON_SHARED = 0x100, ST_ANON_PRIVATE = 0x200, ST_SOCKET = 0x800, ST_VVAR = 0x1000,
	ST_AIO = 0x2000, ST_MEMFD = 0x4000, ST_SHSTK = 0x8000, ST_GUARD = 0x10000, ST_PLUGIN = 0x8000000,
};
enum { VMA_SHARED = 1, VMA_PRIVATE = 2, VMA_DROPPABLE = 8, VMA_HUGETLB = 0x40000, VMA_HUGE_SHIFT = 26 };

static int refuse_special(const VmaEntry *v, const struct where *at, struct err *err)
{
	static const struct { uint32_t bit; const char *what; } special[] = {
		{ ST_SOCKET, "a packet socket's ring" },
		{ ST_SHSTK, "a shadow stack" },
		{ ST_PLUGIN, "a device mapping of a plugin" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (v->status & special[i].bit)
			return cannot_restore(err, at, "mapping %lx-%lx is %s", v->start, v->end, special[i].what);
	return 0;
}

/* Huge pages are whole: 2 MiB unless the flags tell another power of two. */
static int check_huge(const VmaEntry *v, const struct where *at, struct err *err)
{
	unsigned shift = v->flags >> VMA_HUGE_SHIFT ? v->flags >> VMA_HUGE_SHIFT : 21;

	if (!(v->flags & VMA_HUGETLB))
		return 0;
	if (shift < 12 || shift > 40 || (v->start | v->end) & ((1ull << shift) - 1))
		return bad_image(err, at, "mapping %lx-%lx: not of huge pages of 2^%u bytes", v->start, v->end, shift);
	return 0;
}

/* The reference to a file, and that it agrees with the kind of mapping. */
static int check_backing(const struct model *m, const VmaEntry *v, const struct where *at, struct err *err)
{
	bool file = v->status & (ST_FILE_PRIVATE | ST_FILE_SHARED | ST_MEMFD);
	uint32_t how = v->flags & (VMA_SHARED | VMA_PRIVATE | VMA_DROPPABLE);
	bool shared = v->status & (ST_FILE_SHARED | ST_ANON_SHARED);
	uint32_t kinds = v->status & (ST_FILE_PRIVATE | ST_FILE_SHARED | ST_ANON_SHARED | ST_ANON_PRIVATE);
	FdTypes type = v->status & ST_MEMFD ? FD_TYPES__MEMFD : FD_TYPES__REG;

	if (!kinds || kinds & (kinds - 1))
		return bad_image(err, at, "mapping %lx-%lx: status 0x%x is no single kind of mapping", v->start, v->end,
				 v->status);
	if (how == 0 || how & (how - 1) || shared != (how == VMA_SHARED))
		return bad_image(err, at, "mapping %lx-%lx: flags 0x%x and status 0x%x do not agree", v->start, v->end,
				 v->flags, v->status);
	if (!file)
		return 0;
	if (v->pgoff % PAGE || v->pgoff > INT64_MAX - (v->end - v->start))
		return bad_image(err, at, "mapping %lx-%lx: file offset 0x%lx", v->start, v->end, v->pgoff);
	if (v->shmid > UINT32_MAX || !model_file(m, type, (uint32_t)v->shmid))
		return bad_image(err, at, "mapping %lx-%lx: no %s with id %lu in files.img", v->start, v->end,
				 type == FD_TYPES__REG ? "REG" : "MEMFD", v->shmid);
	return 0;
}

/* Rings and contexts are in the same order and as many as each other. */
static int check_aios(const MmEntry *mm, const struct where *at, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (v->status != ST_AIO)
			continue;
		if (n == mm->n_aios || mm->aios[n]->id != v->start || mm->aios[n]->ring_len != v->end - v->start)
			return bad_image(err, at, "mapping %lx-%lx is an AIO ring without a context", v->start, v->end);
		n++;
	}
	if (n < mm->n_aios)
		return bad_image(err, at, "AIO context %lx has no ring", mm->aios[n]->id);
	return 0;
}

static int check_guard(const MmEntry *mm, const VmaEntry *v, const struct where *at, struct err *err)
{
	uint64_t addr = v->start;

	for (size_t i = 0; i < mm->n_vmas && addr < v->end; i++)
		if (!(mm->vmas[i]->status & ST_GUARD) && mm->vmas[i]->start <= addr && addr < mm->vmas[i]->end)
			addr = mm->vmas[i]->end;
	if (addr < v->end)
		return bad_image(err, at, "guard range %lx-%lx lies outside of every mapping", v->start, v->end);
	return 0;
}

static int check_vmas(const struct model *m, const struct model_task *t, struct err *err)
{
	const MmEntry *mm = t->mm;
	bool guards = false;
	uint64_t end = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		const struct where *at = AT(MM, t->pstree->pid, 0);
		int ret;

		if (v->status & ST_VSYSCALL)
			continue;
		if (v->start >= v->end || v->start % PAGE || v->end % PAGE || v->end > USER_END)
			return bad_image(err, at, "mapping %zu: %lx-%lx is no range of user memory", i, v->start,
					 v->end);
		if (v->status & ST_GUARD) {
			guards = true;
			ret = check_guard(mm, v, at, err);
			if (ret)
				return ret;
			continue;
		}
		if (guards || v->start < end)
			return bad_image(err, at, "mapping %zu: %lx-%lx is out of order or overlaps the one before", i,
					 v->start, v->end);
		end = v->end;
		ret = refuse_special(v, at, err);
		if (!ret && v->prot & ~7u)
			ret = bad_image(err, at, "mapping %lx-%lx: protection 0x%x", v->start, v->end, v->prot);
		if (!ret)
			ret = check_huge(v, at, err);
		if (!ret && v->status & ST_REGULAR && !(v->status & ST_VVAR))
			ret = check_backing(m, v, at, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Both lists are sorted: one walk. A run of pages may go over several mappings that touch each other. */
static int check_pages(const struct model_task *t, struct err *err)
{
	const MmEntry *mm = t->mm;
	size_t k = 0;

	for (size_t i = 0; i < t->pages.nentries; i++) {
		const PagemapEntry *e = t->pages.entries[i];
		uint64_t addr = e->vaddr, end = addr + e->nr_pages * PAGE;

		while (addr < end) {
			const VmaEntry *v;

			while (k < mm->n_vmas &&
			       (mm->vmas[k]->end <= addr || mm->vmas[k]->status & (ST_GUARD | ST_VSYSCALL)))
				k++;
			v = k < mm->n_vmas ? mm->vmas[k] : NULL;
			if (!v || v->start > addr)
				return bad_image(err, AT(PAGEMAP, t->pstree->pid, (long)i + 1),
						 "page 0x%lx lies outside of every mapping", addr);
			if ((!(v->status & ST_REGULAR) && v->status != ST_AIO) || v->status & ST_VVAR ||
			    (v->status & (ST_FILE_SHARED | ST_ANON_SHARED)))
				return bad_image(err, AT(PAGEMAP, t->pstree->pid, (long)i + 1),
						 "page 0x%lx lies in a mapping that has no pages of its own", addr);
			addr = v->end;
		}
	}
	return 0;
}

/*
 * Pages that are not stored because they are a file's: within the mapping, ascending, and in no page set. Who finds pages of his
 * parent's among the parent's pages does not look for them here.
 */
static int check_copies(const struct model *m, const struct model_task *t, const VmaEntry *v, size_t *cursor, struct err *err)
{
	const struct where *at = AT(MM, t->pstree->pid, 0);
	const VmaCopiesEntry *e = v->copies;
	const struct model_pages *p = &t->pages;
	uint64_t left = (v->end - v->start) / PAGE, addr = v->start;

	if (m->inventory->img_version == 3 || !(v->status & ST_REGULAR) || !(v->status & ST_FILE_PRIVATE) ||
	    v->status & (ST_MEMFD | ST_GUARD | ST_VSYSCALL | ST_VVAR | ST_VDSO) || v->flags & VMA_HUGETLB)
		return bad_image(err, at, "mapping %lx-%lx cannot have copies of pages of a file", v->start, v->end);
	if (!e->n_runs || e->n_runs % 2)
		return bad_image(err, at, "mapping %lx-%lx: copies with %zu numbers", v->start, v->end, e->n_runs);
	for (size_t i = 0; i < e->n_runs; i += 2) {
		uint64_t skip = e->runs[i], n = e->runs[i + 1];

		if ((i && !skip) || !n || skip > left || n > left - skip)
			return bad_image(err, at, "mapping %lx-%lx: copies of %lu pages behind %lu others", v->start, v->end, n, skip);
		left -= skip + n;
		addr += skip * PAGE;
		while (*cursor < p->nentries && p->entries[*cursor]->vaddr + p->entries[*cursor]->nr_pages * PAGE <= addr)
			++*cursor;
		if (*cursor < p->nentries && p->entries[*cursor]->vaddr < addr + n * PAGE)
			return bad_image(err, at, "mapping %lx-%lx: copies of pages that are stored too", v->start, v->end);
		addr += n * PAGE;
	}
	return 0;
}

static int check_all_copies(const struct model *m, const struct model_task *t, struct err *err)
{
	size_t cursor = 0;
	int ret = 0;

	for (size_t i = 0; i < t->mm->n_vmas && !ret; i++)
		ret = t->mm->vmas[i]->copies ? check_copies(m, t, t->mm->vmas[i], &cursor, err) : 0;
	return ret;
}

int verify_fs(const struct model *m, const struct model_task *t, struct err *err)
{
	if (!model_reg(m, t->fs->cwd_id))
		return bad_image(err, AT(FS, t->pstree->pid, 0),
				 "the working directory is file %u, which files.img does not have", t->fs->cwd_id);
	if (!model_reg(m, t->fs->root_id))
		return bad_image(err, AT(FS, t->pstree->pid, 0), "the root is file %u, which files.img does not have",
				 t->fs->root_id);
	return 0;
}

int verify_mm(const struct model *m, const struct model_task *t, struct err *err)
{
	const struct where *at = AT(MM, t->pstree->pid, 0);
	const MmEntry *mm = t->mm;
	int ret;

	/* AT_VECTOR_SIZE of any kernel so far is below this; the exact bound is the kernel's to tell. */
	if (mm->n_mm_saved_auxv > 128)
		return bad_image(err, at, "%zu words of auxiliary vector", mm->n_mm_saved_auxv);
	if (mm->mm_arg_start > mm->mm_arg_end || mm->mm_env_start > mm->mm_env_end || mm->mm_arg_end > USER_END ||
	    mm->mm_env_end > USER_END || mm->mm_start_code > mm->mm_end_code || mm->mm_start_data > mm->mm_end_data)
		return bad_image(err, at, "an address range of mm_* is reversed or outside of user memory");
	if (!model_reg(m, mm->exe_file_id))
		return bad_image(err, at, "the executable is file %u, which files.img does not have", mm->exe_file_id);
	ret = check_vmas(m, t, err);
	if (!ret)
		ret = check_aios(mm, at, err);
	if (!ret)
		ret = check_pages(t, err);
	return ret ? ret : check_all_copies(m, t, err);
}
