// SPDX-License-Identifier: GPL-2.0-or-later
/* NUMA policies of threads and mappings: modes, flags, nodes; and what has none has none. One node is enough for it. */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "test.h"

#define LEN (16ul << 12)
enum { MAPS = 6 };

static const struct { int mode; unsigned long nodes; } policies[MAPS] = {
	{ MPOL_BIND, 1 },
	{ MPOL_PREFERRED, 1 },
	{ MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1 },
	{ MPOL_DEFAULT, 0 },
	{ MPOL_LOCAL, 0 },
	{ MPOL_BIND | MPOL_F_RELATIVE_NODES, 1 },
};

static char *area[MAPS];
static pthread_barrier_t barrier;

static void policy_is(const void *addr, int mode, unsigned long nodes)
{
	unsigned long got[16] = { 0 };
	int is = -1;

	CHECK(!syscall(SYS_get_mempolicy, &is, got, 1024ul, addr, addr ? MPOL_F_ADDR : 0));
	CHECK_EQ(is, mode);
	CHECK_EQ(got[0], nodes);
}

static void *other(void *arg)
{
	unsigned long nodes = 1;

	CHECK(!syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 65ul));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	policy_is(NULL, MPOL_BIND, 1);
	return arg;
}

int main(void)
{
	pthread_t thread;
	unsigned long nodes = 1;
	char *shared, *view;

	if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, &nodes, 65ul) && errno == ENOSYS)
		TEST_SKIP("no NUMA");
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK(!pthread_create(&thread, NULL, other, NULL));
	for (int i = 0; i < MAPS; i++) {
		area[i] = mmap(NULL, 2 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(area[i] != MAP_FAILED && !munmap(area[i] + LEN, LEN));
		CHECK(!syscall(SYS_mbind, area[i], LEN, policies[i].mode, policies[i].nodes ? &policies[i].nodes : NULL,
			       policies[i].nodes ? 65ul : 0ul, 0));
		memset(area[i], i + 1, LEN);
	}
	shared = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	view = mremap(shared, 0, LEN, MREMAP_MAYMOVE);
	CHECK(view != MAP_FAILED && !syscall(SYS_mbind, shared, LEN, MPOL_PREFERRED, &nodes, 65ul, 0));
	pthread_barrier_wait(&barrier);

	test_ready();

	policy_is(NULL, MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
	for (int i = 0; i < MAPS; i++) {
		policy_is(area[i], policies[i].mode, policies[i].nodes);
		for (size_t k = 0; k < LEN; k++)
			CHECK_EQ(area[i][k], i + 1);
	}
	policy_is(shared, MPOL_PREFERRED, 1);
	policy_is(view, MPOL_PREFERRED, 1); /* it is the object's */
	policy_is(&barrier, MPOL_DEFAULT, 0);
	pthread_barrier_wait(&barrier);
	CHECK(!pthread_join(thread, NULL));
	pass();
}
