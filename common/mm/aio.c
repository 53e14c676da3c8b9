// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contexts of asynchronous I/O (io_setup(2), fs/aio.c). A context is named by the address of its ring of completed
 * requests. The kernel keeps its own count of where it writes next, and of the places that are taken, so a restored
 * context is brought to the same place by as many empty requests as it takes, half of which are taken out again; then the
 * events of the image are put where those of the last ones are.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/io.h"
#include "common/mm/private.h"

#define RING_MAGIC 0xa10a10a1u
/* How long no completion must have come for a dump to believe that none is under way, and how long it waits for that. */
#define QUIET_MS 20
#define WAIT_MS 2000
/* Requests of one io_submit(2). */
#define BATCH 512u

/* struct aio_ring without its events, of 32 bytes each. */
struct ring { uint32_t id, nr, head, tail, magic, compat, incompat, header_length; };
_Static_assert(sizeof(struct ring) == AIO_RING_HEAD, "the kernel's layout");

static bool is_sound(const struct ring *r, uint64_t len)
{
	return r->magic == RING_MAGIC && !r->incompat && r->header_length == sizeof(*r) && r->nr >= 4 &&
	       r->nr <= (len - sizeof(*r)) / sizeof(struct io_event) && r->head < r->nr && r->tail < r->nr;
}

/* ---- dump ---- */

int aio_dump(struct dump *d, MmEntry *mm, struct err *err)
{
	const struct mm_dump *md = d->task->mm;
	size_t n = 0;

	for (size_t i = 0; i < md->nvmas; i++)
		n += md->vmas[i]->status == VS_AIO;
	if (!n)
		return 0;
	mm->aios = arena_alloc(d->arena, n * sizeof(*mm->aios));
	for (size_t i = 0; i < md->nvmas; i++) {
		const VmaEntry *v = md->vmas[i];
		AioRingEntry *e;
		struct ring r;
		int ret;

		if (v->status != VS_AIO)
			continue;
		ret = pread_full(d->task->fz.mem_fd, &r, sizeof(r), (off_t)v->start);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read the AIO ring at 0x%lx", v->start);
		if (!is_sound(&r, v->end - v->start))
			return err_object(err, err_refuse(err, "a ring of AIO that the process has overwritten"),
					  "mapping %lx-%lx", v->start, v->end);
		e = mm->aios[mm->n_aios++] = arena_msg(d->arena, AioRingEntry, aio_ring_entry__init);
		e->id = v->start;
		e->nr_req = (r.nr - 2) / 2;
		e->ring_len = (uint32_t)(v->end - v->start);
	}
	return 0;
}

int aio_tell(struct dump *d, struct err *err)
{
	const MmEntry *mm = d->task->mm->entry;

	for (size_t i = 0; mm && i < mm->n_aios; i++) {
		AioRingEntry *a = mm->aios[i];
		struct ring r;

		if (pread_full(d->task->fz.mem_fd, &r, sizeof(r), (off_t)a->id))
			return err_set(err, ERR_FAILED, EIO, "cannot read the AIO ring at 0x%lx", a->id);
		if (!is_sound(&r, a->ring_len))
			return err_refuse(err, "a ring of AIO that the process has overwritten");
		if (a->has_tail && (a->tail != r.tail || a->head != r.head))
			return err_refuse(err, "requests of AIO go on completing: they would be lost");
		a->has_nr = a->has_head = a->has_tail = true;
		a->nr = r.nr;
		a->head = r.head;
		a->tail = r.tail;
	}
	return 0;
}

/* Requests under way are seen by nobody but the kernel. Those that end soon leave their events before we read. */
int aio_settle(struct dump *d, struct err *err)
{
	const MmEntry *mm = d->task->mm->entry;
	const struct timespec pause = { 0, 1000000 };
	int quiet = 0;

	if (!mm || !mm->n_aios) /* a check may have found what kept it from being filled */
		return 0;
	cleanup_free uint32_t *tails = xzalloc(mm->n_aios * sizeof(*tails));
	for (int ms = 0; quiet <= QUIET_MS; ms++) {
		if (ms > WAIT_MS)
			return err_refuse(err, "requests of AIO go on completing: they would be lost");
		quiet++;
		for (size_t i = 0; i < mm->n_aios; i++) {
			struct ring r;

			if (pread_full(d->task->fz.mem_fd, &r, sizeof(r), (off_t)mm->aios[i]->id))
				return err_set(err, ERR_FAILED, EIO, "cannot read the AIO ring at 0x%lx", mm->aios[i]->id);
			if (r.tail != tails[i])
				quiet = 0;
			tails[i] = r.tail;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* ---- restore ---- */

/* From whatever has the content of entry i, whose pages are behind `before` bytes of others. */
static int read_head(const struct model_pages *p, size_t i, uint64_t before, uint64_t off, struct ring *r, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	uint64_t at = before;
	int fd = model_source(p, i, &at), ret;

	if (fd >= 0) {
		ret = pread_full(fd, r, sizeof(*r), (off_t)(at + off));
		return ret ? err_set(err, ERR_FAILED, -ret, "cannot read the page image") : 0;
	}
	if (p->file.fd < 0) /* a stream without our fields, or what a plan does not have */
		return err_image(err, "the page image cannot be read yet, and nothing else tells of its AIO rings");
	image_file_share(&p->file, &f);
	return image_file_pread(&f, r, sizeof(*r), at + off, err);
}

/* What the image has of the ring; all of it must be there. */
static int read_ring(const struct model_pages *p, const AioRingEntry *a, struct ring *r, struct err *err)
{
	const bool told = a->has_nr && a->has_head && a->has_tail && p->streamed;

	uint64_t off = 0, have = 0;

	for (size_t i = 0; i < p->nentries; i++) {
		uint64_t start = p->entries[i]->vaddr, len = p->entries[i]->nr_pages * PAGE_BYTES;
		uint64_t from = MAX(start, a->id), to = MIN(start + len, a->id + a->ring_len);

		if (from < to) {
			int ret = from == a->id && !told ? read_head(p, i, off, from - start, r, err) : 0;

			if (ret)
				return ret;
			have += to - from;
		}
		off += len;
	}
	if (told)
		*r = (struct ring){ .nr = a->nr, .head = a->head, .tail = a->tail, .magic = RING_MAGIC, .header_length = sizeof(*r) };
	if (have != a->ring_len || !is_sound(r, a->ring_len) || a->nr_req != (r->nr - 2) / 2)
		return err_image(err, "AIO context 0x%lx: its ring is not in the page set, or is damaged", a->id);
	return 0;
}

/* The pieces that all contexts of a task use: empty requests, and room for what io_getevents(2) says of them. */
struct filler { struct program *prog; uint32_t null; struct data_ref requests, events; bool made; };

static void make_filler(struct mm_plan *mp, struct filler *f)
{
	struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PREAD };
	struct program *c = mp->plan->controller;
	struct data_ref one;

	f->prog = mp->prog;
	f->null = plan_slot(mp->plan, "/dev/null for AIO");
	plan_slot_is(mp->plan, f->null,
		     program_call(c, MAKE_OBJECTS, "", SYS_openat, A((uint64_t)AT_FDCWD),
				  A_DATA(program_string(c, "/dev/null")), A(O_RDONLY | O_CLOEXEC)));
	one = program_data(f->prog, &iocb, sizeof(iocb));
	program_data_slot(f->prog, one, offsetof(struct iocb, aio_fildes), f->null);
	f->requests = program_data(f->prog, NULL, BATCH * sizeof(uint64_t));
	for (uint32_t i = 0; i < BATCH; i++)
		program_data_pointer(f->prog, f->requests, i * (uint32_t)sizeof(uint64_t), one, 0);
	f->events = program_data(f->prog, NULL, BATCH * sizeof(struct io_event));
	f->made = true;
}

/* n requests, which are complete at once: /dev/null reads as nothing. */
static void pass(const struct filler *f, uint64_t ctx, uint32_t n, uint32_t batch, bool taken_out)
{
	while (n) {
		uint32_t now = MIN(n, batch);

		program_call_eq(f->prog, TASK_MAP, "empty requests", now, SYS_io_submit, A(ctx), A(now),
				A_DATA(f->requests));
		if (taken_out)
			program_call_eq(f->prog, TASK_MAP, "out again", now, SYS_io_getevents, A(ctx), A(now), A(now),
					A_DATA(f->events), A(0));
		n -= now;
	}
}

/* The kernel chooses where a ring is; the place might be that of another mapping, or overlap its own. */
static int plan_ring(struct mm_plan *mp, const AioRingEntry *a, const struct ring *r, struct err *err)
{
	struct program *p = mp->prog;
	struct data_ref ctx = program_data(p, NULL, sizeof(uint64_t)), now = program_data(p, NULL, sizeof(struct timespec));
	uint64_t room, aside = ranges_gap(&mp->used, a->ring_len, &room);

	if (!aside)
		return err_set(err, ERR_FEATURE, 0, "no room for an AIO ring while it is restored");
	program_call(p, TASK_MAP, "AIO context", SYS_io_setup, A(a->nr_req), A_DATA(ctx));
	program_call_eq(p, TASK_MAP, "its ring, aside", (int64_t)aside, SYS_mremap, A_LOAD(ctx), A(a->ring_len),
			A(a->ring_len), A(MREMAP_MAYMOVE | MREMAP_FIXED), A(aside));
	program_call_eq(p, TASK_MAP, "its ring", (int64_t)a->id, SYS_mremap, A(aside), A(a->ring_len), A(a->ring_len),
			A(MREMAP_MAYMOVE | MREMAP_FIXED), A(a->id));
	/* The size depends on the number of CPUs. Nobody wakes us: this compares, and says so by timing out. */
	program_call_eq(p, TASK_MAP, "its ring has the old size", -ETIMEDOUT, SYS_futex,
			A(a->id + offsetof(struct ring, nr)), A(FUTEX_WAIT_PRIVATE), A(r->nr), A_DATA(now));
	return 0;
}

int plan_aio(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	struct filler f = { 0 };

	for (size_t i = 0; i < mm->n_aios; i++) {
		const AioRingEntry *a = mm->aios[i];
		struct ring r = { 0 };
		int ret = read_ring(&mp->task->pages, a, &r, err);

		if (!ret)
			ret = plan_ring(mp, a, &r, err);
		if (ret)
			return ret;
		if (!f.made)
			make_filler(mp, &f);
		pass(&f, a->id, r.head, MIN(BATCH, (r.nr - 1) / 2), true);
		pass(&f, a->id, (r.tail + r.nr - r.head) % r.nr, BATCH, false);
	}
	return 0;
}
