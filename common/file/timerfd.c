// SPDX-License-Identifier: GPL-2.0-or-later
/* timerfd: clock, time left, interval, expirations that were not read yet. Armed last, in the task. */
#include <errno.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "common/base/io.h"
#include "common/file/file.h"

#define SET_TICKS _IOW('T', 0, __u64) /* TFD_IOC_SET_TICKS: with CONFIG_CHECKPOINT_RESTORE */
#define TRIES 8

static bool timerfd_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[timerfd]");
}

/* "it_value: (1, 500)" */
static int read_pair(const char *text, const char *key, uint64_t *sec, uint64_t *nsec)
{
	const char *p = strstr(text, key);

	if (!p)
		return -ENOENT;
	p += strlen(key);
	p += strspn(p, ": \t");
	if (*p++ != '(' || fdinfo_number(&p, 10, sec) < 0 || *p++ != ',' || fdinfo_number(&p, 10, nsec) < 0 ||
	    *p != ')')
		return -EINVAL;
	return *nsec > 999999999 ? -EINVAL : 0;
}

static int parse(const char *text, TimerfdEntry *e)
{
	uint64_t clock, flags;

	if (fdinfo_value(text, "clockid", 10, &clock) < 0 || clock > UINT32_MAX ||
	    fdinfo_value(text, "ticks", 10, &e->ticks) < 0 || fdinfo_value(text, "settime flags", 8, &flags) < 0 ||
	    read_pair(text, "it_value", &e->vsec, &e->vnsec) < 0 ||
	    read_pair(text, "it_interval", &e->isec, &e->insec) < 0)
		return -EINVAL;
	e->clockid = (uint32_t)clock;
	e->settime_flags = (uint32_t)flags;
	return 0;
}

static int timerfd_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	TimerfdEntry *e = arena_msg(d->arena, TimerfdEntry, timerfd_entry__init);
	struct proc_fdinfo info = *src->info;
	struct itimerspec now;

	entry->tfd = e;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	/*
	 * A periodic timer stands still after it expired, until somebody reads it or asks for its time: then the kernel
	 * counts what was missed and starts it again (fs/timerfd.c, do_timerfd_gettime). So we ask first, and again
	 * should it expire between asking and looking.
	 */
	for (int i = 0; i < TRIES; i++) {
		if (timerfd_gettime(src->fd, &now) < 0)
			return err_sys(err, "cannot read the time of a timerfd");
		int ret = proc_fdinfo(d->task->proc_fd, src->number, d->arena, &info, err);
		if (ret < 0)
			return ret;
		if (parse(info.text, e) < 0)
			return err_set(err, ERR_FEATURE, 0, "this kernel does not show the state of a timerfd");
		if (e->vsec || e->vnsec || !(e->isec || e->insec))
			break;
	}
	/* Expires faster than one can look: due at once. (A disarmed timer shows no interval.) */
	if (!e->vsec && !e->vnsec && (now.it_value.tv_sec || now.it_value.tv_nsec))
		e->vnsec = e->isec || e->insec ? 1 : 0;
	return fown_dump(d, src, &e->fown, err);
}

static int timerfd_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			struct err *err)
{
	const TimerfdEntry *e = entry->tfd;

	plan_slot_is(plan, slot,
		     program_call(plan->controller, MAKE_OBJECTS, "timerfd", SYS_timerfd_create, A(e->clockid),
				  A(TFD_CLOEXEC)));
	plan_setfl(plan, slot, 0, e->flags);
	return 0;
}

/* The alarm clocks are these ones, and can be read as themselves only where the machine has a clock that wakes it (kernel/time/
 * alarmtimer.c, alarm_clock_get_timespec()). */
static clockid_t read_as(clockid_t clock)
{
	return clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock;
}

static int timerfd_plan_task(const struct model *m, const FileEntry *entry, int fd, struct plan *plan,
			     struct plan_task *pt, struct err *err)
{
	const TimerfdEntry *e = entry->tfd;
	struct program *prog = pt->threads[0].prog;
	uint32_t flags = e->settime_flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	/* Who holds the timer need not have CAP_WAKE_ALARM any more. */
	int phase = read_as((clockid_t)e->clockid) == (clockid_t)e->clockid ? TASK_TIMERS : THREAD_SELF;

	if (e->vsec > INT32_MAX * 1000ull || e->isec > INT32_MAX * 1000ull || e->vnsec > 999999999 ||
	    e->insec > 999999999)
		return err_image(err, "files.img: timerfd %u: times out of range", e->id);
	struct itimerspec its = {
		.it_value = { (time_t)e->vsec, (long)e->vnsec },
		.it_interval = { (time_t)e->isec, (long)e->insec },
	};
	bool armed = e->vsec || e->vnsec;
	if (armed && flags & TFD_TIMER_ABSTIME) {
		/* The image holds the time that is left, also for absolute timers. Reading a clock is all that this
		 * plan asks of the host. */
		struct timespec now;
		if (clock_gettime(read_as((clockid_t)e->clockid), &now) < 0)
			return err_image(err, "files.img: timerfd %u: no clock %u", e->id, e->clockid);
		its.it_value.tv_sec += now.tv_sec;
		its.it_value.tv_nsec += now.tv_nsec;
		if (its.it_value.tv_nsec > 999999999) {
			its.it_value.tv_sec++;
			its.it_value.tv_nsec -= 1000000000;
		}
	}
	if (armed || flags)
		program_call(prog, phase, "timerfd", SYS_timerfd_settime, A((uint64_t)fd), A(flags),
			     A_DATA(program_data(prog, &its, sizeof(its))), A(0));
	if (e->ticks)
		program_call(prog, phase, "expirations not read", SYS_ioctl, A((uint64_t)fd), A(SET_TICKS),
			     A_DATA(program_data(prog, &e->ticks, sizeof(e->ticks))));
	return 0;
}

const struct file_kind timerfd_kind = {
	.name = "timerfd",
	.type = FD_TYPES__TIMERFD,
	.match = timerfd_match,
	.dump = timerfd_dump,
	.plan = timerfd_plan,
	.plan_task = timerfd_plan_task,
};
