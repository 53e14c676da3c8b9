/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters of three threads: one that all share, two more that one of them has beside it. Each is proven by what it
 * forbids. Who has filters is not asked for his personality, and whether new memory is locked: both come from /proc. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

static pthread_barrier_t made, told;

/* The call answers with this errno from now on. */
static void forbid(long nr, int errnum, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	CHECK(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog));
}

static int says(long nr)
{
	errno = 0;
	syscall(nr, -1, -1, -1, -1, -1, -1);
	return errno;
}

static int filters(void)
{
	char path[64], line[256];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/status", syscall(SYS_gettid));
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Seccomp_filters: %d", &n);
	fclose(f);
	return n;
}

static void *more(void *arg)
{
	forbid(SYS_getpriority, 71, SECCOMP_FILTER_FLAG_LOG);
	forbid(SYS_sched_yield, 72, 0);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&told);
	CHECK_EQ(filters(), 3);
	CHECK_EQ(says(SYS_acct), 70);
	CHECK_EQ(says(SYS_getpriority), 71);
	CHECK_EQ(says(SYS_sched_yield), 72);
	/* Its own chain ends where all others' do, so this may come over all: shared filters are shared again. */
	forbid(SYS_getcpu, 73, SECCOMP_FILTER_FLAG_TSYNC);
	return NULL;
}

static void *plain(void *arg)
{
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&told);
	CHECK_EQ(says(SYS_acct), 70);
	return NULL;
}

int main(void)
{
	pthread_t a, b;
	unsigned char in[4];
	void *p;

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	forbid(SYS_acct, 70, 0);
	pthread_barrier_init(&made, NULL, 3);
	pthread_barrier_init(&told, NULL, 3);
	CHECK(!pthread_create(&a, NULL, more, NULL) && !pthread_create(&b, NULL, plain, NULL));
	pthread_barrier_wait(&made);
	CHECK(personality(ADDR_COMPAT_LAYOUT) >= 0);
	CHECK(!mlockall(MCL_FUTURE));
	test_ready();
	CHECK_EQ(personality(0xffffffff), ADDR_COMPAT_LAYOUT);
	p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && !mincore(p, 4 * 4096, in) && in[0] & in[3] & 1);
	CHECK(!munlockall());
	CHECK_EQ(filters(), 1);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	CHECK_EQ(says(SYS_acct), 70);
	CHECK_EQ(says(SYS_sched_yield), 0);
	pthread_barrier_wait(&told);
	CHECK(!pthread_join(a, NULL) && !pthread_join(b, NULL));
	CHECK_EQ(filters(), 4); /* brought here by the other thread */
	CHECK_EQ(says(SYS_getcpu), 73);
	pass();
}
