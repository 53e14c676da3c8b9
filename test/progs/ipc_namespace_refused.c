/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message in a POSIX message queue of the tree's own IPC namespace can be read only by taking it: refused by the name of the queue.
 * test: refused=POSIX_message_queue_/cr-test_holds_1_messages */
#include <mqueue.h>
#include <sched.h>

#include "test.h"

int main(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	char buf[16] = "";
	mqd_t q;

	if (unshare(CLONE_NEWIPC))
		TEST_SKIP("no IPC namespace can be made: %s", strerror(errno));
	q = mq_open("/cr-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q == (mqd_t)-1 && (errno == ENOSYS || errno == EMFILE))
		TEST_SKIP("no POSIX message queues");
	CHECK(q != (mqd_t)-1 && !mq_send(q, "one", 4, 1));
	test_ready();
	CHECK(mq_receive(q, buf, sizeof(buf), NULL) == 4 && !strcmp(buf, "one"));
	pass();
}
