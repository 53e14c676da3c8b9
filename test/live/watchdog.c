/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A target for campaigns: it proves its own state all the time, in every thread, so that whatever a dump that died half-way left behind
 * shows at once. The file `beat` holds the number of proven rounds of each thread; the first thing found wrong ends it with a verdict.
 * No memory is mapped and no thread is made once it is ready, so its mappings can be compared from outside.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "test/progs/test.h"

enum { WORKERS = 4, PAGES = 64 };

static volatile unsigned long rounds[WORKERS + 1];
static volatile unsigned long alarms;
static int ping[2], pong[2];
static sigset_t masks[WORKERS + 1];

static void on_alarm(int sig)
{
	alarms++;
}

static void prove_mask(int n)
{
	sigset_t now;
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &now));
	for (int s = 1; s < 65; s++)
		if (sigismember(&now, s) != sigismember(&masks[n], s))
			fail("thread %d: signal %d is %d in the mask", n, s, sigismember(&now, s));
}

/* General and vector registers hold values that depend on n through some thousand turns; nothing but this asm touches them. */
static void prove_registers(int n)
{
	uint64_t seed = 0x0123456789abcdefull * (unsigned)(n + 1), bad = 0;
	for (int i = 0; i < 200; i++) {
		uint64_t count = 500;
		__asm__ volatile("mov %[seed], %%r8\n\t lea 1(%[seed]), %%r9\n\t lea 2(%[seed]), %%r10\n\t lea 3(%[seed]), %%r11\n\t"
				 "lea 4(%[seed]), %%r12\n\t lea 5(%[seed]), %%r13\n\t lea 6(%[seed]), %%r14\n\t lea 7(%[seed]), %%r15\n\t"
				 "movq %[seed], %%xmm0\n\t movq %%r9, %%xmm1\n\t movq %%r14, %%xmm15\n"
				 "1:\t dec %[count]\n\t jnz 1b\n\t"
				 "sub %[seed], %%r15\n\t sub $7, %%r15\n\t or %%r15, %[bad]\n\t"
				 "sub %[seed], %%r14\n\t sub $6, %%r14\n\t or %%r14, %[bad]\n\t"
				 "sub %[seed], %%r13\n\t sub $5, %%r13\n\t or %%r13, %[bad]\n\t"
				 "sub %[seed], %%r12\n\t sub $4, %%r12\n\t or %%r12, %[bad]\n\t"
				 "sub %[seed], %%r11\n\t sub $3, %%r11\n\t or %%r11, %[bad]\n\t"
				 "sub %[seed], %%r10\n\t sub $2, %%r10\n\t or %%r10, %[bad]\n\t"
				 "sub %[seed], %%r9\n\t dec %%r9\n\t or %%r9, %[bad]\n\t"
				 "xor %[seed], %%r8\n\t or %%r8, %[bad]\n\t"
				 "movq %%xmm0, %%r8\n\t xor %[seed], %%r8\n\t or %%r8, %[bad]\n\t"
				 "movq %%xmm1, %%r8\n\t sub %[seed], %%r8\n\t dec %%r8\n\t or %%r8, %[bad]\n\t"
				 "movq %%xmm15, %%r8\n\t sub %[seed], %%r8\n\t sub $6, %%r8\n\t or %%r8, %[bad]\n\t"
				 : [bad] "+r"(bad), [count] "+r"(count)
				 : [seed] "r"(seed)
				 : "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm15", "cc", "memory");
	}
	if (bad)
		fail("thread %d: registers changed: %llx", n, (unsigned long long)bad);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	return x ^ x >> 29;
}

static void prove_memory(uint64_t *mem, uint64_t generation)
{
	for (size_t i = 0; i < PAGES * 512; i++) {
		if (mem[i] != mix(generation + i))
			fail("word %zu of generation %llu is %llx", i, (unsigned long long)generation, (unsigned long long)mem[i]);
		mem[i] = mix(generation + 1 + i);
	}
}

/* Calls that sleep: none may end early or with EINTR, for this thread has no handler to be interrupted by. */
static void prove_sleep(int n)
{
	struct timespec ts = { .tv_nsec = 3000000 }, a, b;
	static int word;
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (nanosleep(&ts, NULL))
		fail("thread %d: nanosleep: %s", n, strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &b);
	if ((b.tv_sec - a.tv_sec) * 1000000000ll + b.tv_nsec - a.tv_nsec < 3000000)
		fail("thread %d: nanosleep ended early", n);
	if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0) != -1 || errno != ETIMEDOUT)
		fail("thread %d: futex did not time out: %s", n, strerror(errno));
}

static void *worker(void *arg)
{
	int n = (int)(intptr_t)arg;
	uint64_t *mem = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), generation = 0;
	CHECK(mem != MAP_FAILED);
	for (size_t i = 0; i < PAGES * 512; i++)
		mem[i] = mix(i);
	sigfillset(&masks[n]);
	sigdelset(&masks[n], SIGUSR1 + n);
	CHECK(!pthread_sigmask(SIG_SETMASK, &masks[n], NULL));
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &masks[n]));
	rounds[n] = 1;
	for (;;) {
		char c = 0;
		switch (n) {
		case 1: prove_registers(n); break;
		case 2: prove_memory(mem, generation++), test_sleep_ms(1); break;
		case 3: prove_sleep(n); break;
		case 4: /* answers the main thread */
			CHECK_EQ(read(ping[0], &c, 1), 1);
			CHECK_EQ(write(pong[1], &c, 1), 1);
			break;
		}
		prove_mask(n);
		rounds[n]++;
	}
	return NULL;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART | SA_ONSTACK };
	stack_t ss = { .ss_sp = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536 }, now;
	struct itimerval it = { { 0, 7000 }, { 0, 7000 } };

	/* Hundreds of these are watched by scripts on machines with two processors: let the watchers through. */
	CHECK(!setpriority(PRIO_PROCESS, 0, 10));
	CHECK(!pipe2(ping, O_CLOEXEC) && !pipe2(pong, O_CLOEXEC));
	CHECK(!sigaltstack(&ss, NULL) && !sigaction(SIGALRM, &sa, NULL) && !setitimer(ITIMER_REAL, &it, NULL));
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &masks[0]));
	for (int i = 1; i <= WORKERS; i++) {
		pthread_t t;
		CHECK(!pthread_create(&t, NULL, worker, (void *)(intptr_t)i));
	}
	for (int i = 1; i <= WORKERS; i++)
		while (!rounds[i])
			test_sleep_ms(1);
	int beat = open("beat", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(beat >= 0);
	pid_t pid = getpid(), tid = gettid();
	bool said = false;
	for (unsigned long i = 0;; i++) {
		char c = (char)i, d = 0, line[200];
		CHECK_EQ(write(ping[1], &c, 1), 1);
		CHECK_EQ(read(pong[0], &d, 1), 1);
		CHECK_EQ(c, d);
		prove_registers(0);
		prove_mask(0);
		CHECK(!sigaltstack(NULL, &now));
		CHECK(now.ss_sp == ss.ss_sp && now.ss_size == ss.ss_size && !now.ss_flags);
		CHECK_EQ(getpid(), pid);
		CHECK_EQ(gettid(), tid);
		rounds[0]++;
		int n = snprintf(line, sizeof(line), "%020lu %020lu %020lu %020lu %020lu %020lu\n", rounds[0], rounds[1], rounds[2],
				 rounds[3], rounds[4], alarms);
		CHECK_EQ(pwrite(beat, line, (size_t)n, 0), n);
		if (!said && alarms) {
			test_ready_mark();
			said = true;
		}
		if (said && test_told())
			pass();
		test_sleep_ms(1);
	}
}
