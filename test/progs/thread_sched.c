/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scheduling of each thread: policy, priority, nice, reset on fork, CPU affinity, I/O priority, timer slack. */
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

static const struct want {
	int policy, prio, nice, cpu, ioprio;
	unsigned long slack;
} wants[] = {
	{ SCHED_OTHER, 0, 0, -1, 0, 50000 },
	{ SCHED_OTHER, 0, 7, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 2), 123456 },
	{ SCHED_OTHER, 0, -9, 1, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0), 1 },
	{ SCHED_BATCH, 0, 3, -1, 0, 50000 },
	{ SCHED_IDLE, 0, 3, 0, 0, 50000 },
	{ SCHED_FIFO, 5, 4, 1, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 3), 0 },
	{ SCHED_RR, 1, 0, -1, 0, 0 },
	{ SCHED_FIFO | SCHED_RESET_ON_FORK, 2, 0, -1, 0, 0 },
	{ SCHED_OTHER | SCHED_RESET_ON_FORK, 0, -2, -1, 0, 77777 },
};
#define THREADS (sizeof(wants) / sizeof(wants[0]))

static pthread_barrier_t all;
static volatile int go;
static int cpus;

static void make(const struct want *w)
{
	struct sched_param p = { .sched_priority = w->prio };
	cpu_set_t set;

	CHECK(!setpriority(PRIO_PROCESS, 0, w->nice));
	CHECK(!sched_setscheduler(0, w->policy, &p));
	if (w->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(w->cpu % cpus, &set);
		CHECK(!sched_setaffinity(0, sizeof(set), &set));
	}
	if (w->ioprio)
		CHECK(!syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, w->ioprio));
	CHECK(!prctl(PR_SET_TIMERSLACK, w->slack));
}

static void check(const struct want *w, unsigned long slack)
{
	struct sched_param p;
	cpu_set_t set;
	int io;

	CHECK_EQ(sched_getscheduler(0), w->policy);
	CHECK(!sched_getparam(0, &p));
	CHECK_EQ(p.sched_priority, w->prio);
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), w->nice);
	CHECK(!sched_getaffinity(0, sizeof(set), &set));
	CHECK_EQ(CPU_COUNT(&set), w->cpu < 0 ? cpus : 1);
	if (w->cpu >= 0)
		CHECK(CPU_ISSET(w->cpu % cpus, &set));
	io = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	if (w->ioprio)
		CHECK_EQ(io, w->ioprio);
	else
		CHECK_EQ(IOPRIO_PRIO_CLASS(io), IOPRIO_CLASS_NONE);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), slack);
}

static void *thread(void *arg)
{
	const struct want *w = arg;
	unsigned long slack;

	make(w);
	slack = (unsigned long)prctl(PR_GET_TIMERSLACK);
	check(w, slack);
	pthread_barrier_wait(&all);
	while (!go)
		test_sleep_ms(5);
	check(w, slack);
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	CHECK(!setpriority(PRIO_PROCESS, 0, 0)); /* whatever the tests are run with */
	pthread_barrier_init(&all, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, (void *)&wants[i]));
	pthread_barrier_wait(&all);
	test_ready();
	go = 1;
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	pass();
}
