/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which thread a POSIX timer counts the processor time of, where its clock says no more than "the thread that made it": timer_create(2)
 * takes CLOCK_THREAD_CPUTIME_ID for that, and /proc/PID/timers shows it of every thread's timer alike.
 */
#ifndef CR_TASK_POSIX_TIMER_H
#define CR_TASK_POSIX_TIMER_H

#include <time.h>

#include "common/task/task.h"

struct kernel_itimerspec { int64_t isec, insec, vsec, vnsec; };

/* The lowest bits of a negative id of a clock; what is above them is the complement of a pid (include/linux/posix-timers_types.h). */
enum { CLOCK_WHICH = 3, CLOCK_OF_SCHEDULER = 2, CLOCK_OF_THREAD = 4, CLOCK_KIND = 7, CLOCK_OF_DEVICE = 3 };
static inline pid_t clock_pid(int clock)
{
	return (pid_t) ~((uint32_t)clock >> 3 | 0xe0000000u);
}
static inline int clock_of_thread(pid_t tid)
{
	return (int)(~(uint32_t)tid << 3 | CLOCK_OF_THREAD | CLOCK_OF_SCHEDULER);
}
/* Whether it counts for a thread of the process that the clock does not name. */
static inline bool clock_is_makers(int clock)
{
	return clock == CLOCK_THREAD_CPUTIME_ID || (clock < 0 && (clock & CLOCK_KIND) != CLOCK_OF_DEVICE && clock & CLOCK_OF_THREAD &&
						     !clock_pid(clock));
}

struct timer_clocks;

/* Adds what has to be asked of timers of d->task with such clocks, if it has several threads. *out is arena memory. */
int timer_clocks_ask(struct dump *d, struct program *prog, struct timer_clocks **out, struct err *err);
/* When prog has run: finds out, by further questions to the first thread. Refuses what cannot be told. */
int timer_clocks_find(struct dump *d, const struct program *prog, struct timer_clocks *c, struct err *err);
/* The clock of a timer of d->task, by its index: an id that means the same to whichever thread makes a timer on it; as it was where the
 * first thread counts itself. */
int timer_clocks_name(const struct dump *d, const struct timer_clocks *c, size_t timer);

/* How far a thread's own clock has come: for timer_clock_owner(). */
struct thread_clock { pid_t tid; uint64_t ns; };
/* The one thread whose clock stands at ns. NULL: there is none; or another one stands there, too, which *second is then. */
const struct thread_clock *timer_clock_owner(const struct thread_clock *v, size_t n, uint64_t ns, const struct thread_clock **second);

#endif
