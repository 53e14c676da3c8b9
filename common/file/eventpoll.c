// SPDX-License-Identifier: GPL-2.0-or-later
/* epoll: which descriptors of the task are watched for what. */
#include <errno.h>
#include <linux/kcmp.h>
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

/*
 * A watch belongs to a file and the number that it had. The number may have been closed, or given to another file,
 * while a duplicate keeps the watch alive: then no EPOLL_CTL_ADD by number makes it again. 1: the task has no such number.
 */
static int check_target(pid_t pid, int efd, const EventpollTfdEntry *t, struct err *err)
{
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)efd, .tfd = t->tfd, .toff = 0 };
	long r = syscall(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, (unsigned long)t->tfd, &slot);

	if (r == 0)
		return 0;
	if (r < 0 && errno == EBADF)
		return 1;
	if (r < 0 && errno != ENOENT)
		return err_sys(err, "cannot compare the target %u of an epoll (kcmp)", t->tfd);
	return err_refuse(err, "epoll watches a file as number %u that the task no longer has under this number",
			  t->tfd);
}

/* 1: some number is not there at all. */
static int check_targets(pid_t pid, int efd, const EventpollFileEntry *e, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < e->n_tfd && !ret; i++)
		ret = check_target(pid, efd, e->tfd[i], err);
	return ret;
}

/* Who has all numbers makes the watches again (plan.c takes the first one, too): often the child of who made the set. */
static int find_holder(struct dump *d, const struct fd_source *src, const EventpollFileEntry *e, struct err *err)
{
	int ret = check_targets(d->task->tid, src->number, e, err);

	for (const struct file_fd *f = NULL; ret == 1 && (f = file_next_holder(d, e->id, f));)
		ret = check_targets(f->task->tid, f->number, e, err);
	if (ret == 1)
		ret = err_refuse(err, "epoll watches a file under a number that the task no longer has");
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
static void plan_fired(struct program *prog, int fd, const EventpollTfdEntry *t)
{
	struct epoll_event all = { .events = t->events | EPOLLIN | EPOLLOUT | EPOLLRDHUP, .data.u64 = t->data };
	struct epoll_event none = { .events = t->events, .data.u64 = t->data }, got[2] = { { .events = EPOLL_CTL_MOD } };
	struct data_ref buf = program_data(prog, got, sizeof(got));

	program_call(prog, TASK_LOCKS, "epoll target", SYS_epoll_ctl, A((uint64_t)fd), A(EPOLL_CTL_ADD), A(t->tfd),
		     A_DATA(program_data(prog, &all, sizeof(all))));
	program_call(prog, TASK_LOCKS, "its one shot", SYS_epoll_wait, A((uint64_t)fd), A_DATA(buf), A(1), A(0));
	program_try(prog, TASK_LOCKS, "or as it can be", SYS_epoll_ctl, A((uint64_t)fd), A_LOAD(buf), A(t->tfd),
		    A_DATA(program_data(prog, &none, sizeof(none))));
}

/* In the task: a watch remembers the number of its target there. Late, because pidfds come late. */
static int eventpoll_plan_task(const struct model *m, const FileEntry *entry, int fd, struct plan *plan,
			       struct plan_task *pt, struct err *err)
{
	const EventpollFileEntry *e = entry->epfd;
	struct program *prog = pt->threads[0].prog;

	for (size_t i = 0; i < e->n_tfd; i++)
		if (has_fired(e->tfd[i]))
			plan_fired(prog, fd, e->tfd[i]);
	for (size_t i = 0; i < e->n_tfd; i++) {
		if (has_fired(e->tfd[i]))
			continue;
		struct epoll_event ev = { .events = e->tfd[i]->events, .data.u64 = e->tfd[i]->data };
		if (ev.events & EPOLLEXCLUSIVE) /* the kernel adds others, which it would not take beside this one */
			ev.events &= EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
		program_call(prog, TASK_LOCKS, "epoll target", SYS_epoll_ctl, A((uint64_t)fd), A(EPOLL_CTL_ADD),
			     A(e->tfd[i]->tfd), A_DATA(program_data(prog, &ev, sizeof(ev))));
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
