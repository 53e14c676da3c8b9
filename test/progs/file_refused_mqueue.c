// SPDX-License-Identifier: GPL-2.0-or-later
/* A POSIX message queue belongs to the IPC namespace of the host: refused by its name.
 * test: refused=POSIX_message_queue_/cr-test */
#include <mqueue.h>

#include "test.h"

int main(void)
{
	char name[64];
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	mqd_t q;

	snprintf(name, sizeof(name), "/cr-test.%lu", test_unique());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (q == (mqd_t)-1 && (errno == ENOSYS || errno == EMFILE))
		TEST_SKIP("no POSIX message queues");
	CHECK(q != (mqd_t)-1);
	CHECK(!mq_unlink(name));
	CHECK(!mq_send(q, "one", 4, 1));
	test_ready();
	char buf[16] = "";
	CHECK(mq_receive(q, buf, sizeof(buf), NULL) == 4 && !strcmp(buf, "one"));
	pass();
}
