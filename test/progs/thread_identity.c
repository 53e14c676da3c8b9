/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a thread is known by: id, name, signal mask, TLS, clear_child_tid (join still wakes up), robust list (its
 * death still frees
 * a mutex), alternate stack, in use as well, and the order of creation. */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#define THREADS 8

static pthread_barrier_t all;
static pthread_mutex_t robust;
static volatile int go;
static __thread int tls;
static pid_t tids[THREADS];
static volatile int on_stack;

static void check(long i, pid_t tid, const stack_t *want)
{
	char name[16], expect[16];
	sigset_t set;
	stack_t now;

	CHECK_EQ(gettid(), tid);
	CHECK_EQ(tls, 1000 + i);
	snprintf(expect, sizeof(expect), "thread (%d)\n", (int)(i & 7));
	CHECK(!prctl(PR_GET_NAME, name));
	CHECK(!strcmp(name, expect));
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &set));
	for (int s = 1; s <= 64; s++)
		if (s != SIGKILL && s != SIGSTOP && s != 32 && s != 33)
			CHECK_EQ(sigismember(&set, s), s == SIGUSR1 || s % 16 == (int)i);
	CHECK(!sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags & ~SS_ONSTACK, want->ss_flags);
	CHECK(now.ss_sp == want->ss_sp && now.ss_size == want->ss_size);
}

static void *thread(void *arg)
{
	long i = (long)arg;
	char name[16];
	pid_t tid = gettid();
	sigset_t set;
	stack_t st = { .ss_sp = malloc(65536), .ss_size = 65536 - 16 * (size_t)i };

	tls = 1000 + (int)i;
	tids[i] = tid;
	snprintf(name, sizeof(name), "thread (%d)\n", (int)(i & 7));
	CHECK(!prctl(PR_SET_NAME, name));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	for (int s = 1; s <= 64; s++)
		if (s != 32 && s != 33 && s % 16 == i)
			sigaddset(&set, s);
	CHECK(!pthread_sigmask(SIG_SETMASK, &set, NULL));
	CHECK(st.ss_sp && !sigaltstack(&st, NULL));
	CHECK(!sigaltstack(NULL, &st));
	if (i == 0)
		CHECK(!pthread_mutex_lock(&robust));
	pthread_barrier_wait(&all);
	while (!go)
		test_sleep_ms(2);
	check(i, tid, &st);
	return (void *)(i * 7); /* thread 0 still holds the robust mutex */
}

/* Is on its alternate stack while it is dumped. */
static void handler(int signo)
{
	stack_t now;
	char here;

	CHECK_EQ(signo, SIGUSR2);
	on_stack = 1;
	while (!go)
		test_sleep_ms(2);
	CHECK(!sigaltstack(NULL, &now));
	CHECK(now.ss_flags & SS_ONSTACK);
	CHECK(&here > (char *)now.ss_sp && &here < (char *)now.ss_sp + now.ss_size);
}

static void *handling(void *arg)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t st = { .ss_sp = malloc(65536), .ss_size = 65536 }, now;

	CHECK(st.ss_sp && !sigaltstack(&st, NULL));
	CHECK(!sigaction(SIGUSR2, &sa, NULL));
	CHECK(!pthread_kill(pthread_self(), SIGUSR2));
	CHECK(!sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, 0);
	return arg;
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t t[THREADS], h;
	void *result;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	pthread_barrier_init(&all, NULL, THREADS + 1);
	tls = 5;
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, (void *)i));
	CHECK(!pthread_create(&h, NULL, handling, NULL));
	pthread_barrier_wait(&all);
	while (!on_stack)
		test_sleep_ms(1);
	test_ready();
	CHECK_EQ(pthread_mutex_trylock(&robust), EBUSY);
	go = 1;
	for (long i = 0; i < THREADS; i++) {
		CHECK(!pthread_join(t[i], &result));
		CHECK_EQ((long)result, i * 7);
		/* What join waits for is cleared by the thread that ends, some moments before its number is gone (mm_release() and
		 * release_task() in the kernel). */
		while (!syscall(SYS_tgkill, getpid(), tids[i], 0))
			test_sleep_ms(1);
		CHECK_EQ(errno, ESRCH);
	}
	CHECK(!pthread_join(h, &result));
	CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
	CHECK_EQ(tls, 5);
	pass();
}
