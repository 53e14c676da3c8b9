// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies of pages of files (file_copy.c) are made again by the controller, from the description that they are mapped from. What it
 * writes into the task is what it takes the sum of: no page that was not the task's gets by, whoever changes the file at that moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/base/aside.h"
#include "common/base/io.h"
#include "common/file/file.h"
#include "common/file/table.h"
#include "common/image/xxh64.h"
#include "common/mm/private.h"

enum { PART_PAGES = 64, TWO_FROM_PAGES = (8 << 20) / PAGE_BYTES };

void copies_begin(struct copies_walk *w, const VmaEntry *v)
{
	*w = (struct copies_walk){ v, 0, v->start };
}

bool copies_next(struct copies_walk *w, uint64_t *start, uint64_t *end)
{
	const VmaCopiesEntry *e = w->vma->copies;

	if (w->i + 1 >= e->n_runs)
		return false;
	*start = w->at + e->runs[w->i] * PAGE_BYTES;
	*end = w->at = *start + e->runs[w->i + 1] * PAGE_BYTES;
	w->i += 2;
	return true;
}

int plan_copies(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	struct plan_task *pt = mp->pt;
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		n += mm->vmas[i]->copies && plan_is_mapped(mp, mm->vmas[i]);
	pt->copies = arena_alloc(mp->plan->arena, n * sizeof(*pt->copies));
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		uint32_t slot;
		int ret;

		if (!v->copies || !plan_is_mapped(mp, v))
			continue;
		ret = plan_file_slot(mp->m, mp->plan, FD_TYPES__REG, (uint32_t)v->shmid, O_RDONLY, &slot, err);
		if (ret)
			return err_object(err, ret, "mapping %lx-%lx", v->start, v->end);
		pt->copies[pt->ncopies++] = (struct plan_copies){ i, slot };
	}
	return 0;
}

/* What the threads share, under lock. */
struct work {
	pthread_mutex_t lock;
	const struct model *m;
	const struct plan_task *pt;
	pid_t pid;
	const int *slots;
	size_t i; /* in pt->copies, where the walk is; and what is left of the run that it gave last */
	struct copies_walk walk;
	uint64_t at, end;
	uint64_t *sums; /* of each of pt->copies */
};

/* Some pages of one mapping. */
struct part {
	size_t i;
	struct iovec to[PART_PAGES];
	size_t n, len;
};

static const VmaEntry *mapping(const struct work *w, size_t i)
{
	return w->m->tasks[w->pt->index].mm->vmas[w->pt->copies[i].vma];
}

/* Under lock: false at the end. */
static bool take(struct work *w, struct part *p)
{
	p->n = p->len = 0;
	while (p->len < PART_PAGES * PAGE_BYTES && w->i < w->pt->ncopies) {
		size_t n;

		if (w->at == w->end && !copies_next(&w->walk, &w->at, &w->end)) {
			if (p->n) /* of another mapping is another part */
				break;
			if (++w->i < w->pt->ncopies)
				copies_begin(&w->walk, mapping(w, w->i));
			continue;
		}
		n = (size_t)MIN(w->end - w->at, (uint64_t)(PART_PAGES * PAGE_BYTES - p->len));
		p->to[p->n++] = (struct iovec){ (void *)(uintptr_t)w->at, n };
		p->len += n;
		w->at += n;
	}
	p->i = w->i;
	return p->n;
}

static int has_changed(const struct work *w, const VmaEntry *v, struct err *err)
{
	const RegFileEntry *reg = model_reg(w->m, (uint32_t)v->shmid);

	return err_object(err, err_hint(err, err_set(err, ERR_FAILED, 0, "has changed in a page that the task has a copy of"),
					"put back the file as it was at the dump"), "%s", reg ? reg->name : "a file");
}

/* Reads the part into buf. 0, -ENODATA where the file ends before, or another errno. */
static int read_part(int fd, const VmaEntry *v, const struct part *p, char *buf, uint64_t *sum)
{
	int ret = 0;

	for (size_t i = 0; i < p->n && !ret; i++) {
		uint64_t off = v->pgoff + ((uint64_t)(uintptr_t)p->to[i].iov_base - v->start);

		ret = pread_full(fd, buf, p->to[i].iov_len, (off_t)off);
		if (!ret)
			*sum += xxh64_blocks(buf, PAGE_BYTES, p->to[i].iov_len / PAGE_BYTES, off / PAGE_BYTES);
		buf += p->to[i].iov_len;
	}
	return ret;
}

static int write_part(const struct work *w, const struct part *p, char *buf, uint64_t *sum, struct err *err)
{
	const VmaEntry *v = mapping(w, p->i);
	struct iovec from = { buf, p->len };
	int ret = read_part(w->slots[w->pt->copies[p->i].slot], v, p, buf, sum);
	ssize_t done;

	if (ret == -ENODATA)
		return has_changed(w, v, err);
	if (ret)
		return err_object(err, err_set(err, ERR_FAILED, -ret, "cannot read"), "%s", model_reg(w->m, (uint32_t)v->shmid)->name);
	done = process_vm_writev(w->pid, &from, 1, p->to, p->n, 0);
	if (done == (ssize_t)p->len)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %zu bytes of memory from %p on (process_vm_writev)", p->len, p->to[0].iov_base);
}

static int work(void *arg, struct err *err)
{
	struct work *w = arg;
	cleanup_free char *buf = xmalloc(PART_PAGES * PAGE_BYTES);
	struct part p;
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	while (!ret && take(w, &p)) {
		uint64_t sum = 0;

		pthread_mutex_unlock(&w->lock);
		ret = write_part(w, &p, buf, &sum, err);
		pthread_mutex_lock(&w->lock);
		w->sums[p.i] += sum;
	}
	if (ret)
		w->i = w->pt->ncopies;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static uint64_t count_pages(const VmaEntry *v)
{
	struct copies_walk walk;
	uint64_t start, end, pages = 0;

	for (copies_begin(&walk, v); copies_next(&walk, &start, &end);)
		pages += (end - start) / PAGE_BYTES;
	return pages;
}

int file_copies_restore(const struct model *m, const struct plan_task *pt, pid_t pid, const int *slots, struct err *err)
{
	struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .m = m, .pt = pt, .pid = pid, .slots = slots };
	cleanup_free uint64_t *sums = w.sums = xzalloc((pt->ncopies + 1) * sizeof(*sums));
	struct aside beside = { 0 };
	uint64_t pages = 0;
	int ret, back;

	if (!pt->ncopies)
		return 0;
	for (size_t i = 0; i < pt->ncopies; i++)
		pages += count_pages(mapping(&w, i));
	copies_begin(&w.walk, mapping(&w, 0));
	if (pages >= TWO_FROM_PAGES)
		aside_start(&beside, work, &w);
	ret = work(&w, err);
	back = aside_join(&beside, err);
	ret = ret ? ret : back;
	for (size_t i = 0; i < pt->ncopies && !ret; i++)
		if (sums[i] != mapping(&w, i)->copies->sum)
			ret = has_changed(&w, mapping(&w, i), err);
	return ret;
}

/* ---- before there is a task ---- */

/* As far as a file can be read here: that it is there at all, and what it is, others ask. */
static bool is_same(const char *name, const VmaEntry *v)
{
	cleanup_fd int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_free char *buf = xmalloc(PART_PAGES * PAGE_BYTES);
	struct copies_walk walk;
	uint64_t start, end, sum = 0;
	struct stat st;
	int ret = 0;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return true;
	for (copies_begin(&walk, v); !ret && copies_next(&walk, &start, &end);)
		for (uint64_t at = start, n; at < end && !ret; at += n) {
			n = MIN(end - at, (uint64_t)PART_PAGES * PAGE_BYTES);
			ret = read_part(fd, v, &(struct part){ .to[0] = { (void *)(uintptr_t)at, n }, .n = 1 }, buf, &sum);
		}
	return !ret && sum == v->copies->sum;
}

void file_copies_preflight(const struct model *m, const struct plan *plan, finding_fn report, void *ctx)
{
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; m->tasks[i].mm && k < m->tasks[i].mm->n_vmas; k++) {
			const VmaEntry *v = m->tasks[i].mm->vmas[k];
			const RegFileEntry *reg = v->copies ? model_reg(m, (uint32_t)v->shmid) : NULL;
			char line[80];

			if (!reg || reg->name[0] != '/' || model_remap(m, reg->id) || (plan && reg_inherited(plan, reg) >= 0) ||
			    is_same(reg->name, v))
				continue;
			snprintf(line, sizeof(line), "has changed in a page that task %u has a copy of", m->tasks[i].pstree->pid);
			report(ctx, reg->name, line);
		}
}
