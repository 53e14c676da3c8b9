// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A userfaultfd belongs to the address space of the task that made it, so the task makes it, and we take it (pidfd_getfd):
 * all calls on it work from outside. Registered for write protection in the asynchronous way (Linux 6.7), a write clears a
 * bit of the page table entry and goes on: nobody is asked, nothing waits. When our descriptor goes, by our death too,
 * the kernel takes all of it back (fs/userfaultfd.c, userfaultfd_release()).
 *
 * Only private anonymous memory is registered: entries that the kernel leaves in place of dropped pages of files
 * (PTE_MARKER_UFFD_WP) look like pages in swap. A page counts as unchanged only while it is in memory, protected, and in a
 * mapping that is registered: moved, new and copied mappings are not (mremap_userfaultfd_prep(), dup_userfaultfd()).
 */
#include "common/mm/track.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/feature/feature.h"
#include "common/image/file.h"
#include "common/mm/private.h"
#include "common/mm/scan.h"
#include "common/mm/sent.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC (1ull << 15)
/* How long the task keeps the descriptor for us to take it; on a busy machine our thread may come later. */
static const long hand_over_ns[] = { 4000000, 50000000, 500000000 };

void tracker_close(struct tracker *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].uffd >= 0)
			close(t->v[i].uffd);
	free(t->v);
	sent_free(t->sent);
	*t = (struct tracker){ 0 };
}

static struct tracked *find(const struct dump *d)
{
	struct tracker *t = d->tracker;

	for (size_t i = 0; t && i < t->n; i++)
		if (t->v[i].pid == d->task->pid && t->v[i].start_time == d->task->stat.start_time)
			return &t->v[i];
	return NULL;
}

bool track_has(const struct dump *d)
{
	return find(d) != NULL;
}

bool track_soft(const struct dump *d, bool *armed)
{
	const struct tracked *t = find(d);

	*armed = t && t->armed;
	return t && t->uffd < 0;
}

void track_doubt(struct dump *d)
{
	struct tracked *t = find(d);

	if (t)
		__atomic_store_n(&t->doubt, true, __ATOMIC_RELAXED);
}

bool track_doubted(const struct dump *d)
{
	const struct tracked *t = find(d);

	return t && __atomic_load_n(&t->doubt, __ATOMIC_RELAXED);
}

/* The number that the next descriptor of the task gets. */
static int lowest_free(struct dump *d, struct err *err)
{
	cleanup_free bool *used = xzalloc(65536);
	cleanup_fd int dirfd = openat(d->task->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *e;
	DIR *dir;
	int ret, n = 0;

	if (dirfd < 0)
		return err_sys(err, "cannot list its descriptors");
	ret = open_listing(dirfd, &dir, err);
	if (ret)
		return ret;
	while ((e = readdir(dir))) {
		uint64_t fd;

		if (!parse_u64(e->d_name, 10, &fd) && fd < 65536)
			used[fd] = true;
	}
	closedir(dir);
	while (n < 65535 && used[n])
		n++;
	return n;
}

struct take { int pidfd, number, got; bool stop; };

static int take_work(void *arg, struct err *err)
{
	struct take *t = arg;
	const struct timespec pause = { 0, 50000 };
	uint64_t end = now_ns() + 1000000000;

	while (t->got < 0 && !__atomic_load_n(&t->stop, __ATOMIC_RELAXED) && now_ns() < end) {
		t->got = (int)syscall(SYS_pidfd_getfd, t->pidfd, t->number, 0);
		if (t->got < 0)
			nanosleep(&pause, NULL);
	}
	return 0;
}

/*
 * One program makes it, waits a moment, and closes it again: should we die meanwhile, the task walks to the end of it by
 * itself and nothing stays. Meanwhile a thread of ours takes the descriptor, whose number is known: the task stands still.
 */
static int make_once(struct dump *d, long wait_ns, int *uffd, bool *missed, struct err *err)
{
	cleanup_program struct program *p = program_new();
	const struct timespec wait = { 0, wait_ns };
	struct take take = { .got = -1 };
	struct err ignore = ERR_INIT;
	struct aside beside;
	struct step_ref fd;
	struct data_ref t;
	int ret, back;

	take.number = lowest_free(d, err);
	if (take.number < 0)
		return take.number;
	take.pidfd = dump_task_pidfd(d->task);
	if (take.pidfd < 0)
		return err_sys(err, "pidfd_open");
	t = program_data(p, &wait, sizeof(wait));
	fd = program_call(p, 0, "userfaultfd", SYS_userfaultfd, A(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY));
	/* Not nanosleep(2): it would take the thread's restart block, in which the program's own sleep may be (kernel/time/hrtimer.c). */
	program_try(p, 0, "somebody takes it", SYS_ppoll, A(0), A(0), A_DATA(t), A(0));
	program_try(p, 0, "its own goes", SYS_close, A_RESULT(fd));
	ret = remote_open(&d->task->fz, &(struct remote_needs){ .size = program_size(p) }, d->log, &d->task->remote, err);
	d->task->left_busy = ret == -EBUSY;
	if (!ret) {
		remote_prepare(d->task->remote, p, true);
		aside_start(&beside, take_work, &take);
		ret = remote_run(d->task->remote, p, &ignore); /* refused: not tracked */
		__atomic_store_n(&take.stop, true, __ATOMIC_RELAXED);
		aside_join(&beside, &ignore);
		back = remote_close(take_ptr(d->task->remote), err);
		*missed = !ret && !back && take.got < 0;
		if (ret && take.got >= 0) {
			close(take.got);
			take.got = -1;
		}
		ret = back;
	}
	close(take.pidfd);
	*uffd = take.got;
	return ret;
}

static int make(struct dump *d, int *uffd, struct err *err)
{
	bool missed = true;
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hand_over_ns) && missed && !ret; i++) {
		missed = false;
		ret = make_once(d, hand_over_ns[i], uffd, &missed, err);
	}
	return ret;
}

static bool handshake(int fd)
{
	struct uffdio_api api = { .api = UFFD_API };

	api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;
	return !ioctl(fd, UFFDIO_API, &api);
}

/* "4" clears the bits of all pages and protects them (fs/proc/task_mmu.c, clear_refs_write()). */
static int clear_soft_dirty(const struct dump *d, struct tracked *t, struct err *err)
{
	cleanup_fd int fd = openat(d->task->proc_fd, "clear_refs", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "4", 1) != 1)
		return err_sys(err, "cannot clear its soft-dirty bits");
	t->armed = true;
	return 0;
}

/*
 * A mark in a mapping that is not registered stays when the page is written to, and would say of it that it is not, once the mapping
 * is registered again. Moved pages kept theirs before Linux 6.13 (mm/mremap.c); and where a mapping without pages is moved beside another
 * one, both become one, and the kernel takes the registration from all of it and the marks from none (mremap_userfaultfd_prep(),
 * with copy_vma() before it). Who takes a registration back takes the marks, too (fs/userfaultfd.c, userfaultfd_unregister()).
 */
static int take_marks(const struct tracked *t, struct uffdio_register *reg, struct err *err)
{
	if (ioctl(t->uffd, UFFDIO_UNREGISTER, &reg->range))
		return err_sys(err, "cannot take old marks from its memory");
	ioctl(t->uffd, UFFDIO_REGISTER, reg);
	return 0;
}

int track_register(const struct dump *d, const struct scan_region *left, size_t nleft, struct err *err)
{
	const struct mm_dump *mm = d->task->mm;
	struct tracked *t = find(d);
	int ret = 0;

	if (t && t->uffd < 0)
		return clear_soft_dirty(d, t, err);

	for (size_t i = 0, k = 0; t && i < mm->nvmas && !ret; i++) {
		const VmaEntry *v = mm->vmas[i];
		struct uffdio_register reg = { .range = { v->start, v->end - v->start }, .mode = UFFDIO_REGISTER_MODE_WP };

		if (!(v->status & VS_ANON_PRIVATE) || v->status & (VS_VDSO | VS_VVAR | VS_VSYSCALL | VS_AIO) ||
		    v->flags & (VM_FLAG_DROPPABLE | VM_FLAG_HUGETLB))
			continue;
		if (ioctl(t->uffd, UFFDIO_REGISTER, &reg)) /* it always counts as written */
			continue;
		while (k < nleft && left[k].end <= v->start)
			k++;
		if (k < nleft && left[k].start < v->end)
			ret = take_marks(t, &reg, err);
	}
	return ret;
}

/* Requests of AIO write to memory when no thread of the task does: pages that they hold are written without being touched. */
static bool has_rings(const struct dump *d)
{
	for (size_t i = 0; i < d->task->mm->nvmas; i++)
		if (d->task->mm->vmas[i]->status & VS_AIO)
			return true;
	return false;
}

/* Of its first thread. Filters may forbid the call, and end the task for it. */
static bool is_filtered(struct dump *d)
{
	struct err ignore = ERR_INIT;
	struct proc_status st;

	return proc_status(d->task->proc_fd, "status", d->arena, &st, &ignore) || st.seccomp;
}

static int add(struct dump *d, int uffd)
{
	struct tracker *all = d->tracker;

	array_reserve(&all->v, &all->cap, all->n, sizeof(*all->v));
	all->v[all->n++] = (struct tracked){ .pid = d->task->pid, .start_time = d->task->stat.start_time, .uffd = uffd };
	return 0;
}

int track_check(const struct dump_opts *opts, struct err *err)
{
	static const char *const feature[] = { [TRACK_SOFT_DIRTY] = "mem_dirty_track", [TRACK_USERFAULTFD] = "uffd-wp-async",
					       [TRACK_CONTENT] = NULL };

	if (!feature[opts->track])
		return 0;
	return err_hint(err, feature_need(feature[opts->track], err), "without --track the way is chosen by what is there");
}

/* Without the better way, the other one. */
static int begin_soft(struct dump *d)
{
	struct tracker *all = d->tracker;
	struct err ignore = ERR_INIT;

	if (all->soft == SOFT_UNKNOWN)
		all->soft = feature_need("mem_dirty_track", &ignore) ? SOFT_ABSENT : SOFT_THERE;
	return all->soft == SOFT_THERE ? add(d, -1) : 0;
}

int track_begin(struct dump *d, struct err *err)
{
	struct tracked *t = find(d);
	struct tracker *all = d->tracker;
	int uffd = -1, ret;

	if (!all || d->task->vm_shared || d->opts->track == TRACK_CONTENT)
		return 0;
	if (t || has_rings(d))
		return 0;
	if (d->opts->track == TRACK_SOFT_DIRTY)
		return begin_soft(d);
	if (is_filtered(d) || !arch_is_native(&d->task->fz.threads[0].regs))
		return 0;
	ret = make(d, &uffd, err);
	if (ret || (uffd >= 0 && handshake(uffd)))
		return ret ? ret : add(d, uffd);
	if (uffd >= 0)
		close(uffd);
	return d->opts->track == TRACK_AUTO ? begin_soft(d) : 0;
}
