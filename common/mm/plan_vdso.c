// SPDX-License-Identifier: GPL-2.0-or-later
/* The vdso of a restored task: the running one under the old address, or the old one redirected to the running one. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "common/arch/vdso.h"
#include "common/base/io.h"
#include "common/mm/private.h"

static uint64_t vvar_len(const struct vdso_here *h)
{
	uint64_t len = 0;

	for (size_t i = 0; i < h->nvvar; i++)
		len += h->vvar[i].len;
	return len;
}

/* The pages come later: the mm image has it. */
static int streamed_vdso(const struct mm_plan *mp, uint64_t len, const unsigned char **out, struct err *err)
{
	const MmEntry *mm = mp->task->mm->has_vdso ? mp->task->mm : mp->m->tasks[0].mm;

	if (!mm || !mm->has_vdso || mm->vdso.len != len)
		return err_image(err, "the stream does not tell what is in the vdso");
	*out = mm->vdso.data;
	return 0;
}

/* The dumped vdso, from the pages image; arena memory. */
static int read_dumped(struct mm_plan *mp, const unsigned char **out, struct err *err)
{
	const VmaEntry *v = mp->vdso;
	uint64_t len = v->end - v->start, off = 0, got = 0;
	cleanup_image_file struct image_file file = IMAGE_FILE_INIT;
	unsigned char *bytes;

	image_file_share(&mp->task->pages.file, &file);
	if (len > VDSO_BYTES_MAX)
		return err_image(err, "a vdso of %lu bytes", len);
	if (mp->task->pages.streamed)
		return streamed_vdso(mp, len, out, err);
	bytes = arena_alloc(mp->plan->arena, len);
	for (size_t i = 0; i < mp->task->pages.nentries; i++) {
		const PagemapEntry *e = mp->task->pages.entries[i];
		uint64_t end = e->vaddr + e->nr_pages * PAGE_BYTES, from = MAX(e->vaddr, v->start),
			 to = MIN(end, v->end);

		if (e->flags & PAGES_COW)
			continue;
		if (from < to) {
			uint64_t at = off;
			int fd = model_source(&mp->task->pages, i, &at), ret;

			at += from - e->vaddr;
			if (mp->task->pages.src)
				ret = pread_full(fd, bytes + (from - v->start), to - from, (off_t)at) ?
					      err_image(err, "its pages end too early") : 0;
			else
				ret = image_file_pread(&file, bytes + (from - v->start), to - from, at, err);

			if (ret)
				return err_object(err, ret, "the dumped vdso");
			got += to - from;
		}
		off += e->nr_pages * PAGE_BYTES;
	}
	if (got != len)
		return err_image(err, "the vdso is mapped at 0x%lx, but its content is not whole", v->start);
	*out = bytes;
	return 0;
}

/* The same distance between vvar and vdso, and the same lengths. */
static bool same_geometry(const struct mm_plan *mp)
{
	const struct vdso_here *h = mp->here;

	if (!h->vdso.len || h->vdso.len != mp->vdso->end - mp->vdso->start)
		return false;
	if (!mp->vvar)
		return !h->nvvar;
	return h->nvvar && vvar_len(h) == mp->vvar->end - mp->vvar->start &&
	       h->vdso.start - h->vvar[0].start == mp->vdso->start - mp->vvar->start;
}

/* A thread that stands inside code that differs cannot go on there. */
static int check_threads(const struct mm_plan *mp, struct err *err)
{
	for (size_t i = 0; i < mp->pt->nthreads; i++) {
		uint64_t ip = arch_ip(&mp->pt->threads[i].regs);

		if (ip >= mp->vdso->start && ip < mp->vdso->end)
			return err_set(err, ERR_FEATURE, 0,
				       "thread %d was dumped inside the vdso, and this kernel has another vdso",
				       mp->pt->threads[i].tid);
	}
	return 0;
}

/* The same parts, one behind the other from vvar on, and the vdso at its own place. */
static struct vdso_here placed(const struct vdso_here *h, uint64_t vvar, uint64_t vdso)
{
	struct vdso_here at = *h;

	for (size_t i = 0; i < at.nvvar; i++) {
		at.vvar[i].start = vvar;
		vvar += at.vvar[i].len;
	}
	at.vdso.start = vdso;
	return at;
}

static bool overlaps(const struct vdso_area *a, const struct vdso_area *b)
{
	return a->start < b->start + b->len && b->start < a->start + a->len;
}

/* Can each part go to its new place, or is it there, without hitting one that has not gone yet? */
static bool free_of(const struct vdso_here *to, const struct vdso_here *from)
{
	struct vdso_area old[ARRAY_SIZE(from->vvar) + 1], new[ARRAY_SIZE(to->vvar) + 1];
	const size_t n = from->nvvar + 1;
	bool same = true;

	memcpy(old, from->vvar, sizeof(from->vvar));
	memcpy(new, to->vvar, sizeof(to->vvar));
	old[n - 1] = from->vdso;
	new[n - 1] = to->vdso;
	for (size_t i = 0; i < n; i++)
		same &= old[i].start == new[i].start;
	for (size_t i = 0; i < n && !same; i++)
		for (size_t k = 0; k < n; k++)
			if (overlaps(&new[i], &old[k]))
				return false;
	return true;
}

static uint64_t place_of(const VmaEntry *vvar, const VmaEntry *vdso)
{
	return vvar ? vvar->start : vdso->start;
}

static void find_areas(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm;

	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		if (mm->vmas[i]->status & VS_VDSO)
			mp->vdso = mm->vmas[i];
		else if (mm->vmas[i]->status & VS_VVAR)
			mp->vvar = mm->vmas[i];
	}
}

int plan_vdso_choose(struct mm_plan *mp, struct err *err)
{
	const unsigned char *dumped;
	uint64_t len;
	int ret;

	find_areas(mp);
	if (!mp->vdso)
		return 0;
	ret = read_dumped(mp, &dumped, err);
	if (ret)
		return ret;
	len = mp->vdso->end - mp->vdso->start;
	mp->keep_vdso = same_geometry(mp) && vdso_same_symbols(dumped, len, mp->here->image, mp->here->vdso.len);
	if (mp->keep_vdso) {
		struct vdso_here to = placed(mp->here, place_of(mp->vvar, mp->vdso), mp->vdso->start);

		mp->direct = free_of(&to, mp->here);
	}
	if (mp->keep_vdso && !memcmp(dumped, mp->here->image, len))
		return 0;
	return check_threads(mp, err);
}

static void move(struct program *p, int phase, const char *note, const struct vdso_area *a, uint64_t to)
{
	if (a->start != to)
		program_call_eq(p, phase, note, (int64_t)to, SYS_mremap, A(a->start), A(a->len), A(a->len),
				A(MREMAP_MAYMOVE | MREMAP_FIXED), A(to));
}

/* Each mapping by itself: mremap moves several at once only since Linux 6.17. */
void plan_vdso_move(struct program *p, int phase, const struct vdso_here *from, const struct vdso_here *to)
{
	for (size_t i = 0; i < from->nvvar; i++)
		move(p, phase, "vvar", &from->vvar[i], to->vvar[i].start);
	if (from->vdso.len)
		move(p, phase, "vdso", &from->vdso, to->vdso.start);
}

void plan_vdso_bare(const struct model *m, const struct vdso_here *here, uint64_t park, struct vdso_here *bare)
{
	struct mm_plan root = { .m = m, .task = &m->tasks[0], .here = here };

	find_areas(&root);
	*bare = placed(here, park, park + vvar_len(here));
	if (root.vdso && same_geometry(&root)) {
		struct vdso_here there = placed(here, place_of(root.vvar, root.vdso), root.vdso->start);

		if (free_of(&there, here))
			*bare = there;
	}
	bare->nmaps = 0;
}

/* To the old place at once, or to where no mapping will be. */
void plan_vdso_away(struct mm_plan *mp)
{
	struct vdso_here to = mp->direct ? placed(mp->here, place_of(mp->vvar, mp->vdso), mp->vdso->start) :
					   placed(mp->here, mp->park, mp->park + vvar_len(mp->here));

	plan_vdso_move(mp->prog, TASK_UNMAP, mp->here, &to);
}

static int plan_redirect(struct mm_plan *mp, uint64_t now_at, struct err *err)
{
	struct vdso_patch patches[VDSO_SYMBOLS_MAX];
	const unsigned char *dumped;
	int n, ret = read_dumped(mp, &dumped, err);

	if (ret)
		return ret;
	n = vdso_redirect(dumped, mp->vdso->end - mp->vdso->start, mp->here->image, mp->here->vdso.len, now_at, patches,
			  err);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		struct iovec to = { (void *)(uintptr_t)(mp->vdso->start + patches[i].off), patches[i].len };
		struct iovec from = { NULL, patches[i].len };
		struct data_ref code = program_data(mp->prog, patches[i].code, patches[i].len);
		struct data_ref local = program_data(mp->prog, &from, sizeof(from));
		struct data_ref remote = program_data(mp->prog, &to, sizeof(to));

		program_data_pointer(mp->prog, local, offsetof(struct iovec, iov_base), code, 0);
		program_call_eq(mp->prog, TASK_CONTENT, "old vdso jumps to the new", (int64_t)patches[i].len,
				SYS_process_vm_writev, A((uint64_t)mp->pt->pid), A_DATA(local), A(1), A_DATA(remote),
				A(1), A(0));
	}
	return 0;
}

int plan_vdso_place(struct mm_plan *mp, struct err *err)
{
	const struct vdso_here *h = mp->here;
	uint64_t at = mp->park, to = mp->vvar ? mp->vvar->start : 0;
	uint64_t vdso_at = mp->park + vvar_len(h);
	struct vdso_area parked;

	if (!h->vdso.len)
		return mp->vdso ? err_set(err, ERR_FEATURE, 0, "the task used a vdso, and this kernel has none") : 0;
	if (!mp->vdso) {
		program_call(mp->prog, TASK_MAP, "no vdso, as before", SYS_munmap, A(mp->park),
			     A(vvar_len(h) + h->vdso.len));
		return 0;
	}
	if (!mp->keep_vdso)
		return plan_redirect(mp, vdso_at, err); /* the running one stays where it is parked */
	if (mp->direct)
		return 0;
	for (size_t i = 0; i < h->nvvar; i++) {
		parked = (struct vdso_area){ at, h->vvar[i].len };
		move(mp->prog, TASK_MAP, "vvar to its place", &parked, to);
		at += parked.len;
		to += parked.len;
	}
	parked = (struct vdso_area){ vdso_at, h->vdso.len };
	move(mp->prog, TASK_MAP, "vdso to its place", &parked, mp->vdso->start);
	return 0;
}
