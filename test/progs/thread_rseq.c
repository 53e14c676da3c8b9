/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Restartable sequences: the registration of the C library lives on, and a thread stopped inside a sequence goes
 * to its abort
 * handler.
 * test: once */
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "test.h"

static volatile int inside, go;

static struct rseq *area(void) { return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset); }

/* Spins inside a sequence for ever: only an abort leads out. *aborts counts them. */
__attribute__((noinline)) static void spin(long *aborts)
{
	uint64_t *cs = (uint64_t *)&area()->rseq_cs;

	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n\t"
			 "3: .long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
			 "5: lea 3b(%%rip), %%rax\n\tmov %%rax, (%[cs])\n\t"
			 "1: movl $1, %[inside]\n\tpause\n\tjmp 1b\n\t"
			 "2: ud2\n\t"
			 ".long 0x53053053\n\t"
			 "4: incq (%[aborts])\n\tcmpl $0, %[go]\n\tje 5b\n\t"
			 : [inside] "=m"(inside)
			 : [cs] "r"(cs), [aborts] "r"(aborts), [go] "m"(go)
			 : "rax", "memory", "cc");
}

static void *thread(void *arg)
{
	spin(arg);
	return NULL;
}

int main(void)
{
	cpu_set_t one, before;
	long aborts = 0;
	pthread_t t;

	if (!__rseq_size)
		TEST_SKIP("the C library did not register an rseq area");
	CHECK(!pthread_create(&t, NULL, thread, &aborts));
	while (!inside)
		test_sleep_ms(1);
	test_ready();
	CHECK(!sched_getaffinity(0, sizeof(before), &before));
	for (int c = 0; c < CPU_SETSIZE; c++) {
		if (!CPU_ISSET(c, &before))
			continue;
		CPU_ZERO(&one);
		CPU_SET(c, &one);
		CHECK(!sched_setaffinity(0, sizeof(one), &one));
		CHECK_EQ(((volatile struct rseq *)area())->cpu_id, c);
	}
	/* Registered already, with these very values. */
	CHECK_EQ(syscall(SYS_rseq, area(), 32, 0, RSEQ_SIG), -1);
	CHECK_EQ(errno, EBUSY);
	/* A move to another CPU aborts the sequence: the kernel still knows it. */
	go = 1;
	CHECK(!pthread_setaffinity_np(t, sizeof(before), &before));
	struct timespec end;
	for (int i = 0; i < 1000; i++) {
		CHECK(!clock_gettime(CLOCK_REALTIME, &end));
		end.tv_nsec += 10000000;
		if (end.tv_nsec >= 1000000000) {
			end.tv_sec++;
			end.tv_nsec -= 1000000000;
		}
		CPU_ZERO(&one);
		CPU_SET(i % CPU_COUNT(&before), &one);
		pthread_setaffinity_np(t, sizeof(one), &one);
		if (!pthread_timedjoin_np(t, NULL, &end)) {
			CHECK(aborts > 0);
			pass();
		}
	}
	fail("the thread never left its sequence (%ld aborts)", aborts);
}
