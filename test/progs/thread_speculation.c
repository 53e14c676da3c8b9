/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Speculation switches (PR_SET_SPECULATION_CTRL): one thread has switched off what may be, another one for ever, the third nothing. */
#include <linux/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>

#include "test.h"

static const unsigned long features[] = { PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_L1D_FLUSH };
enum { N = sizeof(features) / sizeof(*features) };
static pthread_barrier_t made, told;
static int usual[N];

static int now(size_t i)
{
	return prctl(PR_GET_SPECULATION_CTRL, features[i], 0, 0, 0);
}

static void *thread(void *arg)
{
	unsigned long how = *(unsigned long *)arg;
	int set[N];

	for (size_t i = 0; i < N; i++) {
		if (usual[i] & PR_SPEC_PRCTL && usual[i] > 0)
			prctl(PR_SET_SPECULATION_CTRL, features[i], how, 0, 0); /* not each one knows each way */
		set[i] = now(i);
	}
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&told);
	for (size_t i = 0; i < N; i++)
		CHECK_EQ(now(i), set[i]);
	return set[0] == usual[0] && set[1] == usual[1] && set[2] == usual[2] ? NULL : arg;
}

int main(void)
{
	unsigned long how[2] = { PR_SPEC_DISABLE, PR_SPEC_FORCE_DISABLE };
	pthread_t t[2];
	bool any = false;
	void *changed;

	for (size_t i = 0; i < N; i++) {
		usual[i] = now(i);
		any |= usual[i] > 0 && usual[i] & PR_SPEC_PRCTL;
	}
	if (!any)
		TEST_SKIP("this processor has no speculation that a thread may switch: %d %d %d", usual[0], usual[1], usual[2]);
	pthread_barrier_init(&made, NULL, 3);
	pthread_barrier_init(&told, NULL, 3);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, &how[i]));
	pthread_barrier_wait(&made);
	test_ready();
	for (size_t i = 0; i < N; i++)
		CHECK_EQ(now(i), usual[i]);
	pthread_barrier_wait(&told);
	CHECK(!pthread_join(t[0], &changed));
	CHECK(changed);
	CHECK(!pthread_join(t[1], &changed));
	CHECK(changed);
	pass();
}
