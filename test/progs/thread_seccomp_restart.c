/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * A filter that kills for restart_syscall(2), by which the kernel goes on with a sleep after a stop: threads in such sleeps live on
 * all the same, and sleep.
 */
#include "test.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static volatile int up, awake;
static int never;

static void *sleeper(void *arg)
{
	const struct timespec hour = { 3600, 0 };

	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	switch ((long)arg) {
	case 0:
		syscall(SYS_nanosleep, &hour, NULL);
		break;
	case 1:
		syscall(SYS_futex, &never, FUTEX_WAIT, 0, &hour, NULL, 0);
		break;
	default:
		poll(NULL, 0, 3600000);
	}
	__atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);
	return arg;
}

int main(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, insns };
	pthread_t t;

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		TEST_SKIP("no seccomp filters here: %s", strerror(errno));
	for (long i = 0; i < 3; i++)
		CHECK(!pthread_create(&t, NULL, sleeper, (void *)i));
	while (up != 3)
		test_sleep_ms(1);
	test_sleep_ms(20); /* not needed for the proof, only for its worth */
	test_ready();
	test_sleep_ms(20);
	CHECK_EQ(awake, 0);
	pass();
}
