// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large private anonymous memory of a task that is being made is filled by UFFDIO_COPY: a page comes with its content at once, and is
 * neither zeroed before nor looked up again, so it costs two thirds of a page that process_vm_writev has to fault in
 * (test/bench/raw_memory.c).
 *
 * The userfaultfd belongs to the address space of the task, so the task makes it, when its mappings are there; we take it by
 * pidfd_getfd, and register what the plan says. From then on nobody but us may touch a page there that is not present: the task stands
 * still, and what it reads itself is in no mapping that is registered. All descriptors of it are closed before the task goes on, and
 * before any child is a copy of it; with the last one the kernel takes the registration back from all its mappings
 * (userfaultfd_release() in fs/userfaultfd.c). UFFD_USER_MODE_ONLY needs no privilege (vm.unprivileged_userfaultfd, Linux 5.11).
 *
 * Such pages are always small ones. Where a fault brings a huge page, that is faster, and what the task shall have. There, and where
 * anything of all this is refused, process_vm_writev does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/mm/private.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
/* Below so many bytes of pages, of one mapping and of a task, the calls for it cost more than they bring. */
#define MAPPING_LEAST (256ul << 10)
#define TASK_LEAST (2ul << 20)
#define HUGE_PAGE (2ul << 20)
/* The kernel may ask us to come again, while it changes a page table (mm/userfaultfd.c, mfill_atomic_pte_copy()). */
#define TRIES 1000

/* ---- the plan ---- */

static bool has_advice(const VmaEntry *v, int advice)
{
	return v->has_madv && v->madv & 1ull << advice;
}

static bool is_plain(const struct mm_plan *mp, const VmaEntry *v)
{
	return plan_is_mapped(mp, v) && v->status & VS_ANON_PRIVATE && !(v->status & (VS_VDSO | VS_AIO | VS_FILE_PRIVATE | VS_MEMFD)) &&
	       !(v->flags & (VM_FLAG_HUGETLB | VM_FLAG_DROPPABLE | VM_FLAG_GROWSDOWN)) && !has_advice(v, MADV_HUGEPAGE);
}

/* Bytes of the image's pages in a mapping; 0 if any of it comes from somewhere else. The cursor goes up with the mappings. */
static uint64_t bytes_in(const struct model_pages *p, const VmaEntry *v, size_t *cursor)
{
	uint64_t sum = 0;
	bool other = false;

	while (*cursor < p->nentries && p->entries[*cursor]->vaddr + p->entries[*cursor]->nr_pages * PAGE_BYTES <= v->start)
		(*cursor)++;
	for (size_t i = *cursor; i < p->nentries && p->entries[i]->vaddr < v->end; i++) {
		const PagemapEntry *e = p->entries[i];

		sum += MIN(v->end, e->vaddr + e->nr_pages * PAGE_BYTES) - MAX(v->start, e->vaddr);
		other |= e->flags & PAGES_COW;
	}
	return other ? 0 : sum;
}

static bool may_be_huge(const MmEntry *mm, const VmaEntry *v)
{
	uint64_t first = (v->start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);

	return !(mm->has_thp_disabled && mm->thp_disabled) && !has_advice(v, MADV_NOHUGEPAGE) && first + HUGE_PAGE <= v->end;
}

void plan_fills(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm;
	struct plan_task *pt = mp->pt;
	uint64_t sum = 0;
	size_t cursor = 0;

	pt->fills = arena_alloc(mp->plan->arena, (mm->n_vmas + 1) * sizeof(*pt->fills));
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		uint64_t bytes;

		if (mp->kept[i] || !is_plain(mp, v))
			continue;
		bytes = bytes_in(&mp->task->pages, v, &cursor);
		if (bytes < MAPPING_LEAST)
			continue;
		pt->fills[pt->nfills++] = (struct plan_fill){ v->start, v->end, may_be_huge(mm, v) };
		sum += bytes;
	}
	if (sum < TASK_LEAST)
		pt->nfills = 0;
}

void plan_fill_begin(struct mm_plan *mp)
{
	if (mp->pt->nfills)
		mp->pt->uffd = program_try(mp->prog, TASK_MAP, "by which it is filled", SYS_userfaultfd,
					   A(O_CLOEXEC | UFFD_USER_MODE_ONLY));
}

void plan_fill_end(struct plan_task *pt, int phase)
{
	if (pt->nfills)
		program_try(pt->threads[0].prog, phase, "it is filled", SYS_close, A_RESULT(pt->uffd));
}

/* ---- the filling ---- */

/* Then any large mapping gets huge pages where it is not forbidden. What cannot be read is what most kernels have. */
static bool huge_always(void)
{
	cleanup_fd int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	char text[64] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && strstr(text, "[always]");
}

static int take(pid_t pid, int number)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct uffdio_api api = { .api = UFFD_API };
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

void fill_open(struct fill *f, const struct plan_task *pt, pid_t pid, int number)
{
	const bool always = pt->nfills && number >= 0 && huge_always();

	*f = (struct fill){ .uffd = -1, .pid = pid };
	if (!pt->nfills || number < 0)
		return;
	f->uffd = take(pid, number);
	if (f->uffd < 0)
		return;
	f->ours = xzalloc(pt->nfills + 1);
	for (size_t i = 0; i < pt->nfills; i++) {
		const struct plan_fill *p = &pt->fills[i];
		struct uffdio_register reg = { .range = { p->start, p->end - p->start }, .mode = UFFDIO_REGISTER_MODE_MISSING };

		f->ours[i + 1] = !(always && p->huge) && !ioctl(f->uffd, UFFDIO_REGISTER, &reg);
	}
}

void fill_close(struct fill *f)
{
	if (f->uffd >= 0)
		close(f->uffd);
	free(f->ours);
}

/* One that is there already can be written to. */
static int write_present(const struct fill *f, uint64_t addr, const char *from, struct err *err)
{
	const struct iovec local = { (void *)(uintptr_t)from, PAGE_BYTES }, remote = { (void *)(uintptr_t)addr, PAGE_BYTES };

	if (process_vm_writev(f->pid, &local, 1, &remote, 1, 0) == (ssize_t)PAGE_BYTES)
		return 0;
	return err_sys(err, "cannot write memory at 0x%lx (process_vm_writev)", addr);
}

int fill_copy(const struct fill *f, uint64_t addr, const char *from, size_t len, struct err *err)
{
	int tries = 0;

	while (len) {
		struct uffdio_copy c = { .dst = addr, .src = (uint64_t)(uintptr_t)from, .len = len, .mode = UFFDIO_COPY_MODE_DONTWAKE };
		size_t done;
		int ret;

		if (!ioctl(f->uffd, UFFDIO_COPY, &c))
			return 0;
		done = c.copy > 0 ? (size_t)c.copy : 0;
		if (!done && errno == EAGAIN && tries++ < TRIES) {
			sched_yield();
			continue;
		}
		if (!done) {
			ret = errno == EEXIST ? write_present(f, addr, from, err) :
						err_sys(err, "cannot write %zu bytes of memory from 0x%lx on (UFFDIO_COPY)", len, addr);
			if (ret)
				return ret;
			done = PAGE_BYTES;
		}
		tries = 0;
		addr += done;
		from += done;
		len -= done;
	}
	return 0;
}
