// SPDX-License-Identifier: GPL-2.0-or-later
/* timerfd: time left, interval, unread expirations, absolute timers, clocks. */
#include <poll.h>
#include <sys/timerfd.h>

#include "test.h"

static int made(int clock, int flags, long sec, long nsec, long isec, long insec)
{
	struct itimerspec its = { { isec, insec }, { sec, nsec } };
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);

	CHECK(fd >= 0);
	if (flags & TFD_TIMER_ABSTIME) {
		struct timespec now;
		clock_gettime(clock, &now);
		its.it_value.tv_sec += now.tv_sec;
	}
	CHECK(!timerfd_settime(fd, flags, &its, NULL));
	return fd;
}

static int settime_flags(int fd)
{
	char path[64], text[1024] = "";
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	CHECK(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	close(info);
	const char *p = strstr(text, "settime flags:");
	CHECK(p);
	return (int)strtol(p + 14, NULL, 8);
}

int main(void)
{
	struct itimerspec its;
	uint64_t n;
	int fired = made(CLOCK_MONOTONIC, 0, 0, 1000000, 0, 0);
	int lasting = made(CLOCK_MONOTONIC, 0, 1000, 0, 7, 500);
	int real = made(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 5000, 0, 0, 0);
	int boot = made(CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, 3000, 0, 0, 0);
	int periodic = made(CLOCK_MONOTONIC, 0, 0, 1000000, 0, 20000000);
	int off = timerfd_create(CLOCK_MONOTONIC, 0);

	test_sleep_ms(100);
	test_ready();

	CHECK_EQ(read(fired, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK(read(fired, &n, 8) < 0 && errno == EAGAIN);
	CHECK(!timerfd_gettime(lasting, &its));
	CHECK(its.it_value.tv_sec > 700 && its.it_value.tv_sec < 1000);
	CHECK_EQ(its.it_interval.tv_sec, 7);
	CHECK_EQ(its.it_interval.tv_nsec, 500);
	CHECK(!timerfd_gettime(real, &its));
	CHECK(its.it_value.tv_sec > 4700 && its.it_value.tv_sec < 5000);
	CHECK_EQ(settime_flags(real), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	CHECK(!timerfd_gettime(boot, &its));
	CHECK(its.it_value.tv_sec > 2700 && its.it_value.tv_sec < 3000);
	CHECK_EQ(settime_flags(boot), TFD_TIMER_ABSTIME);
	CHECK_EQ(read(periodic, &n, 8), 8);
	CHECK(n >= 5);
	struct pollfd p = { .fd = periodic, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 5000), 1); /* it goes on */
	CHECK(!timerfd_gettime(off, &its));
	CHECK(!its.it_value.tv_sec && !its.it_value.tv_nsec);
	CHECK_EQ(fcntl(off, F_GETFL) & O_NONBLOCK, 0);
	pass();
}
