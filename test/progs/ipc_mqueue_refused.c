/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is to be told of the next message of a POSIX message queue in the tree's own IPC namespace is known, but not how: refused by the
 * name of the queue. Its messages are not touched, for the first one that is sent again would be the one to be told of.
 * test: refused=POSIX_message_queue_/cr-test_is_to_notify_pid_[0-9]+ */
#include <mqueue.h>
#include <sched.h>

#include "test.h"

static bool told(void)
{
	sigset_t set;

	CHECK(!sigpending(&set));
	return sigismember(&set, SIGUSR1);
}

int main(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	struct sigevent tell = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	char buf[16] = "";
	sigset_t set;
	mqd_t q;

	if (unshare(CLONE_NEWIPC))
		TEST_SKIP("no IPC namespace can be made: %s", strerror(errno));
	q = mq_open("/cr-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q == (mqd_t)-1 && (errno == ENOSYS || errno == EMFILE))
		TEST_SKIP("no POSIX message queues");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(q != (mqd_t)-1 && !mq_send(q, "one", 4, 1) && !mq_notify(q, &tell));
	test_ready();
	CHECK(mq_receive(q, buf, sizeof(buf), NULL) == 4 && !strcmp(buf, "one"));
	CHECK(!told());
	CHECK(!mq_send(q, "two", 4, 1));
	CHECK(told());
	pass();
}
