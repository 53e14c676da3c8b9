// SPDX-License-Identifier: GPL-2.0-or-later
/* A timer that nothing but a message holds, while the number that it has in cr-dump is another timer's: only a task could arm it.
 * test: refused=a_timer_is_nowhere_but_in_a_message */
#include <sys/timerfd.h>

#include "unix.h"

int main(void)
{
	const struct itimerspec far = { .it_value = { 1000, 0 } };
	struct itimerspec now;
	int s[2], fd = timerfd_create(CLOCK_MONOTONIC, 0);

	CHECK(fd >= 0 && !timerfd_settime(fd, 0, &far, NULL));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "it", 2, &fd, 1);
	close(fd);
	for (int i = 0; i < 100; i++)
		CHECK(timerfd_create(CLOCK_MONOTONIC, 0) >= 0);
	test_ready();
	check_fds(s[1], 2, "it", &fd, 1, "message");
	CHECK(!timerfd_gettime(fd, &now) && now.it_value.tv_sec > 0);
	pass();
}
