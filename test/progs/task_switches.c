/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Switches of prctl(2): of one thread and not the other, and of the whole address space. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "test.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

static pthread_barrier_t made, told;

static int tsc(void)
{
	int v = -1;

	CHECK(!prctl(PR_GET_TSC, &v));
	return v;
}

static void *thread(void *arg)
{
	CHECK(!prctl(PR_SET_TSC, PR_TSC_SIGSEGV) && !prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&told);
	CHECK_EQ(tsc(), PR_TSC_SIGSEGV);
	CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
	return arg;
}

int main(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool mdwe;
	pthread_t t;

	CHECK(page != MAP_FAILED);
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&told, NULL, 2);
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	pthread_barrier_wait(&made);
	mdwe = !prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	test_ready();
	CHECK_EQ(tsc(), PR_TSC_ENABLE);
	CHECK_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
	if (mdwe) {
		CHECK_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), PR_MDWE_REFUSE_EXEC_GAIN);
		CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) && errno == EACCES);
	}
	pthread_barrier_wait(&told);
	CHECK(!pthread_join(t, NULL));
	pass();
}
