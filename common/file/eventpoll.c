// SPDX-License-Identifier: GPL-2.0-or-later
/* epoll: which descriptors of the task are watched for what. */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "common/file/file.h"

/* struct epoll_params of <linux/eventpoll.h>, since Linux 6.9: busy polling of network queues. */
struct busy_poll { uint32_t usecs; uint16_t budget; uint8_t prefer, pad; };
#define GET_PARAMS _IOR(0x8a, 2, struct busy_poll) /* EPIOCGPARAMS */

static bool eventpoll_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[eventpoll]");
}

/* " 5 events: 19 data: 5 ..." behind "tfd:". Numbers: decimal, then hexadecimal. */
static int parse_target(const char *p, EventpollTfdEntry *t)
{
	uint64_t tfd, events;

	if (fdinfo_number(&p, 10, &tfd) < 0 || tfd > INT32_MAX)
		return -EINVAL;
	p += strspn(p, " ");
	if (strncmp(p, "events:", 7) || (p += 7, fdinfo_number(&p, 16, &events) < 0) || events > UINT32_MAX)
		return -EINVAL;
	p += strspn(p, " ");
	if (strncmp(p, "data:", 5) || (p += 5, fdinfo_number(&p, 16, &t->data) < 0))
		return -EINVAL;
	t->tfd = (uint32_t)tfd;
	t->events = (uint32_t)events;
	return 0;
}

/* The text of a watch, as fdinfo has it. */
static const char *watch_text(const struct fd_source *src, size_t i)
{
	const char *p = strstr(src->info->text, "tfd:");

	while (p && i--)
		p = strstr(p + 4, "tfd:");
	return p;
}

/* A task, its number of the set, what is watched, and which of all watches of its number each one is. */
struct holder {
	pid_t pid;
	int efd;
	EventpollFileEntry *e;
	const uint32_t *order;
};

static int by_number(const void *va, const void *vb)
{
	const uint64_t *a = va, *b = vb;

	return (*a > *b) - (*a < *b);
}

static const uint32_t *orders(struct dump *d, const EventpollFileEntry *e)
{
	uint32_t *order = arena_alloc(d->arena, (e->n_tfd + 1) * sizeof(*order));
	cleanup_free uint64_t *v = xreallocarray(NULL, e->n_tfd + 1, sizeof(*v)); /* number, place */

	for (size_t i = 0; i < e->n_tfd; i++)
		v[i] = (uint64_t)e->tfd[i]->tfd << 32 | i;
	qsort(v, e->n_tfd, sizeof(*v), by_number);
	for (size_t i = 1; i < e->n_tfd; i++)
		if (v[i] >> 32 == v[i - 1] >> 32)
			order[(uint32_t)v[i]] = order[(uint32_t)v[i - 1]] + 1;
	return order;
}

/*
 * A watch belongs to a file and the number that it had. The number may have been closed, or given to another file,
 * while a duplicate keeps the watch alive: then no EPOLL_CTL_ADD by number makes it again. Several watches of one number are told
 * from each other by their order. kcmp(2) of number f of a task with the file of the i-th watch: 0 when it is that one, -EBADF when
 * there is no such number.
 */
static int compare(pid_t pid, uint32_t number, const struct holder *h, size_t i, struct err *err)
{
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)h->efd, .tfd = h->e->tfd[i]->tfd, .toff = h->order[i] };
	long r = syscall(SYS_kcmp, pid, h->pid, KCMP_EPOLL_TFD, (unsigned long)number, &slot);

	if (r < 0 && errno == EBADF)
		return -EBADF;
	return r < 0 ? err_sys(err, "cannot compare the target %u of an epoll (kcmp)", slot.tfd) : (int)r;
}

/* How many numbers are not there in the task, and how many lead to another file than is watched. */
struct odd { size_t closed, other; };

static int find_odd(const struct holder *h, struct odd *odd, struct err *err)
{
	*odd = (struct odd){ 0, 0 };
	for (size_t i = 0; i < h->e->n_tfd; i++) {
		int r = compare(h->pid, h->e->tfd[i]->tfd, h, i, err);

		if (r < 0 && r != -EBADF)
			return r;
		odd->closed += r == -EBADF;
		odd->other += r > 0;
	}
	return 0;
}

/* Whoever of the tree has the file of the watch under any number; it must be one that the controller makes. */
static int find_target(struct dump *d, const struct fd_source *src, const struct holder *h, size_t i, struct err *err)
{
	EventpollTfdEntry *t = h->e->tfd[i];
	const char *text = watch_text(src, i), *ino = text ? strstr(text, " ino:") : NULL, *dev = ino ? strstr(ino, " sdev:") : NULL;
	uint64_t inode = 0, sdev = 0;
	struct stat st = { 0 };
	struct file_fd *f;
	size_t n = 0;

	if (ino && dev) {
		ino += strlen(" ino:");
		dev += strlen(" sdev:");
		if (fdinfo_number(&ino, 16, &inode) < 0 || fdinfo_number(&dev, 16, &sdev) < 0)
			return err_set(err, ERR_FEATURE, 0, "this kernel shows the targets of an epoll in another way");
		st.st_dev = file_kernel_dev(sdev);
		st.st_ino = inode;
	}
	for (f = file_same_inode(d, &st, &n); n; n--, f++) {
		int r;

		if (f->sent || strstr(f->link, "pidfd") || reg_proc_pid(f->link))
			continue;
		r = compare(f->task->tid, (uint32_t)f->number, h, i, err);
		if (r < 0 && r != -EBADF)
			return r;
		if (r)
			continue;
		t->has_holder = t->has_held_as = true;
		t->holder = (uint32_t)f->task->pid;
		t->held_as = (uint32_t)f->number;
		return 0;
	}
	return err_refuse(err, "epoll watches a file as number %u that no task has under this number", t->tfd);
}

/*
 * Who has all numbers makes the watches again (plan.c takes the first one, too): often the child of who made the set. If nobody
 * has, it is the first holder, who is lent what it has not (or not any more).
 */
static int find_holder(struct dump *d, const struct fd_source *src, EventpollFileEntry *e, struct err *err)
{
	struct holder h = { d->task->tid, src->number, e, orders(d, e) }, other = h;
	struct odd odd, its;
	int ret = find_odd(&h, &odd, err);

	for (const struct file_fd *f = NULL; !ret && odd.closed && !odd.other && (f = file_next_holder(d, e->id, f));) {
		other.pid = f->task->tid;
		other.efd = f->number;
		ret = find_odd(&other, &its, err);
		if (!ret && !its.closed && !its.other)
			return 0;
	}
	for (size_t i = 0; !ret && (odd.closed || odd.other) && i < e->n_tfd; i++) {
		int r = compare(h.pid, e->tfd[i]->tfd, &h, i, err);

		ret = r < 0 && r != -EBADF ? r : r ? find_target(d, src, &h, i, err) : 0;
	}
	return ret;
}

static int eventpoll_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	EventpollFileEntry *e = arena_msg(d->arena, EventpollFileEntry, eventpoll_file_entry__init);
	struct busy_poll params = { 0 };
	size_t n = 0;

	entry->epfd = e;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	if (ioctl(src->fd, GET_PARAMS, &params) == 0 && (params.usecs || params.budget || params.prefer))
		return err_refuse(err, "epoll with busy polling parameters");
	for (const char *p = src->info->text; (p = strstr(p, "tfd:")); p += 4)
		n++;
	e->tfd = arena_alloc(d->arena, (n + 1) * sizeof(*e->tfd));
	for (const char *p = src->info->text; (p = strstr(p, "tfd:")); p += 4) {
		EventpollTfdEntry *t = arena_msg(d->arena, EventpollTfdEntry, eventpoll_tfd_entry__init);
		if (parse_target(p + 4, t) < 0)
			return err_set(err, ERR_FEATURE, 0, "this kernel shows the targets of an epoll in another way");
		e->tfd[e->n_tfd++] = t;
	}
	int ret = find_holder(d, src, e, err);

	if (ret < 0)
		return ret;
	return fown_dump(d, src, &e->fown, err);
}

static int eventpoll_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			  struct err *err)
{
	plan_slot_is(plan, slot,
		     program_call(plan->controller, MAKE_OBJECTS, "epoll", SYS_epoll_create1, A(EPOLL_CLOEXEC)));
	plan_setfl(plan, slot, 0, entry->epfd->flags);
	return 0;
}

/* What the kernel keeps of a one-shot watch that has fired (fs/eventpoll.c, EP_PRIVATE_BITS). */
#define QUIET (EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE)

static bool has_fired(const EventpollTfdEntry *t)
{
	return t->events & EPOLLONESHOT && !(t->events & ~QUIET);
}

/*
 * A one-shot watch that has fired waits for nothing, not even a hang-up, which every call of epoll_ctl adds. So it is made to fire
 * once more, before any other is there that could be taken for it. Where its target is not ready for anything, the buffer
 * still holds EPOLL_CTL_MOD as its events, and the watch is left with what cannot be helped; else that is no operation, or
 * EPOLL_CTL_ADD, for which it is too late.
 */
static void plan_fired(struct program *prog, int phase, int fd, const EventpollTfdEntry *t)
{
	struct epoll_event all = { .events = t->events | EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.u64 = t->data };
	struct epoll_event none = { .events = t->events, .data.u64 = t->data }, got[2] = { { .events = EPOLL_CTL_MOD } };
	struct data_ref buf = program_data(prog, got, sizeof(got));

	program_call(prog, phase, "epoll target", SYS_epoll_ctl, A((uint64_t)fd), A(EPOLL_CTL_ADD), A(t->tfd),
		     A_DATA(program_data(prog, &all, sizeof(all))));
	program_call(prog, phase, "its one shot", SYS_epoll_wait, A((uint64_t)fd), A_DATA(buf), A(1), A(0));
	program_try(prog, phase, "or as it can be", SYS_epoll_ctl, A((uint64_t)fd), A_LOAD(buf), A(t->tfd),
		    A_DATA(program_data(prog, &none, sizeof(none))));
}

static void plan_watch(struct program *prog, int phase, int fd, const EventpollTfdEntry *t)
{
	struct epoll_event ev = { .events = t->events, .data.u64 = t->data };

	if (ev.events & EPOLLEXCLUSIVE) /* the kernel adds others, which it would not take beside this one */
		ev.events &= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
	program_call(prog, phase, "epoll target", SYS_epoll_ctl, A((uint64_t)fd), A(EPOLL_CTL_ADD), A(t->tfd),
		     A_DATA(program_data(prog, &ev, sizeof(ev))));
}

/*
 * A watch of a number that the task has not, or has for another file: it gets the file there for as long as that takes. What else
 * may be under this number meanwhile comes back; locks of files, which a close takes away, are not there yet.
 */
static int plan_lent(const struct model *m, const EventpollFileEntry *e, int fd, const EventpollTfdEntry *t, struct plan *plan,
		     struct plan_task *pt, struct err *err)
{
	struct program *prog = pt->threads[0].prog;
	const FdinfoEntry *target = NULL;
	struct step_ref saved, had;
	uint32_t slot;
	int ret;

	for (size_t i = 0; i < m->ntasks && !target; i++)
		for (size_t k = 0; k < m->tasks[i].nfds && m->tasks[i].pstree->pid == t->holder && !target; k++)
			if (m->tasks[i].fds[k]->fd == t->held_as)
				target = m->tasks[i].fds[k];
	if (!target || t->tfd == (uint32_t)fd)
		return err_image(err, "files.img: epoll %u: task %u has no descriptor %u that is watched", e->id, t->holder, t->held_as);
	ret = file_slot(m, plan, target->type, target->id, &slot, err);
	if (ret)
		return ret;
	had = program_try(prog, TASK_REAP, "who has the number", SYS_fcntl, A(t->tfd), A(F_GETFD));
	saved = program_try(prog, TASK_REAP, "makes room", SYS_fcntl, A(t->tfd), A(F_DUPFD_CLOEXEC), A(0));
	program_call_eq(prog, TASK_REAP, "a file for its watch", t->tfd, SYS_dup3, A_SLOT(slot), A(t->tfd), A(O_CLOEXEC));
	if (has_fired(t))
		plan_fired(prog, TASK_REAP, fd, t);
	else
		plan_watch(prog, TASK_REAP, fd, t);
	program_call(prog, TASK_REAP, "a file for its watch", SYS_close, A(t->tfd));
	program_try(prog, TASK_REAP, "who has the number", SYS_dup3, A_RESULT(saved), A(t->tfd), A(0));
	program_try(prog, TASK_REAP, "who has the number", SYS_fcntl, A(t->tfd), A(F_SETFD), A_RESULT(had));
	program_try(prog, TASK_REAP, "makes room", SYS_close, A_RESULT(saved));
	return 0;
}

/* When its target is there. A watch of what only stands in for it could not be made. */
static int comes(struct plan *plan, const struct plan_task *pt, const EventpollTfdEntry *t)
{
	return MAX(file_comes(plan, pt, t->tfd), TASK_LOCKS);
}

/*
 * In the task: a watch remembers the number of its target there. Late, because pidfds come late; and some targets come later still.
 * No watch comes before one that has fired.
 */
static int eventpoll_plan_task(const struct model *m, const FileEntry *entry, int fd, struct plan *plan,
			       struct plan_task *pt, struct err *err)
{
	const EventpollFileEntry *e = entry->epfd;
	int first = TASK_LOCKS;

	for (size_t i = 0; i < e->n_tfd; i++) {
		int ret = e->tfd[i]->has_holder ? plan_lent(m, e, fd, e->tfd[i], plan, pt, err) : 0;

		if (ret)
			return ret;
		if (!e->tfd[i]->has_holder && has_fired(e->tfd[i]))
			first = MAX(first, comes(plan, pt, e->tfd[i]));
	}
	for (int fired = 1; fired >= 0; fired--)
		for (size_t i = 0; i < e->n_tfd; i++) {
			int phase = MAX(comes(plan, pt, e->tfd[i]), first);
			bool late = phase == FILE_LATE;

			if (e->tfd[i]->has_holder || has_fired(e->tfd[i]) != fired)
				continue;
			(fired ? plan_fired : plan_watch)(late ? pt->threads[0].late : pt->threads[0].prog, late ? 0 : phase, fd,
							  e->tfd[i]);
		}
	return 0;
}

const struct file_kind eventpoll_kind = {
	.name = "epoll",
	.type = FD_TYPES__EVENTPOLL,
	.match = eventpoll_match,
	.dump = eventpoll_dump,
	.plan = eventpoll_plan,
	.plan_task = eventpoll_plan_task,
};
