/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Credentials, different in every thread: four user and group ids, groups, five capability sets, securebits,
 * no_new_privs. */
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#define THREADS 7
#define BIT(c) (1ull << (c))

static pthread_barrier_t all;
static volatile int go;

static void caps(uint64_t eff, uint64_t prm, uint64_t inh)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = {
		{ (uint32_t)eff, (uint32_t)prm, (uint32_t)inh },
		{ (uint32_t)(eff >> 32), (uint32_t)(prm >> 32), (uint32_t)(inh >> 32) },
	};

	CHECK(!syscall(SYS_capset, &h, d));
}

/* Raw calls: the C library would change all threads. */
static void make(long i)
{
	gid_t groups[] = { 5, 4000000000u, 77 };

	if (i == 0)
		return; /* stays as it was born */
	if (i >= 2)
		CHECK(!prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | (i == 3 ? SECBIT_KEEP_CAPS : 0)));
	if (i == 4)
		for (int c = 0; c < 40; c += 3)
			if (c != CAP_SETPCAP && prctl(PR_CAPBSET_READ, c) == 1)
				CHECK(!prctl(PR_CAPBSET_DROP, c));
	CHECK(!syscall(SYS_setgroups, i % 4, groups));
	CHECK(!syscall(SYS_setresgid, 100 + i, 200 + i, 300 + i));
	syscall(SYS_setfsgid, 400 + i);
	if (i == 5) {
		caps(BIT(CAP_SETUID) | BIT(CAP_NET_RAW), BIT(CAP_SETUID) | BIT(CAP_NET_RAW) | BIT(CAP_KILL),
		     BIT(CAP_NET_RAW) | BIT(CAP_CHOWN));
		CHECK(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	}
	CHECK(!syscall(SYS_setresuid, 1000 + i, 2000 + i, 3000 + i));
	if (i != 1)
		syscall(SYS_setfsuid, i == 5 ? 1000 + i : 4000 + i);
	if (i == 6)
		caps(BIT(CAP_CHOWN), BIT(CAP_CHOWN) | BIT(40), 0);
	if (i >= 5)
		CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* All that /proc tells of the calling thread's credentials, and what only it knows. */
static void picture(char *out, size_t n)
{
	char path[64], line[1024];
	size_t at = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", gettid());
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6) ||
		    !strncmp(line, "Cap", 3) || !strncmp(line, "NoNew", 5))
			at += (size_t)snprintf(out + at, n - at, "%s", line);
	fclose(f);
	snprintf(out + at, n - at, "securebits %x", prctl(PR_GET_SECUREBITS));
}

static void *thread(void *arg)
{
	char before[4096], now[4096];

	make((long)arg);
	picture(before, sizeof(before));
	pthread_barrier_wait(&all);
	while (!go)
		test_sleep_ms(5);
	picture(now, sizeof(now));
	if (strcmp(before, now))
		fail("thread %ld had\n%s\nand now has\n%s", (long)arg, before, now);
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	char before[4096], now[4096];

	picture(before, sizeof(before));
	pthread_barrier_init(&all, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, (void *)i));
	pthread_barrier_wait(&all);
	test_ready();
	picture(now, sizeof(now));
	CHECK(!strcmp(before, now));
	go = 1;
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	pass();
}
