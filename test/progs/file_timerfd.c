// SPDX-License-Identifier: GPL-2.0-or-later
/* timerfd: time left, interval, unread expirations, absolute timers, clocks. */
#include <linux/capability.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "test.h"

static int made(int clock, int flags, long sec, long nsec, long isec, long insec)
{
	struct itimerspec its = { { isec, insec }, { sec, nsec } };
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);

	CHECK(fd >= 0);
	if (flags & TFD_TIMER_ABSTIME) {
		struct timespec now;
		/* A machine without a clock that wakes it cannot tell the time of an alarm clock. */
		CHECK(!clock_gettime(clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : clock, &now));
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

/* Clocks whose timers wake the machine: who makes and sets one has CAP_WAKE_ALARM; we give it away then. */
static const int alarm_clocks[2] = { CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM };

static bool make_alarms(int fds[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];
	int probe = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);

	if (probe < 0 && (errno == EPERM || errno == EINVAL))
		return false;
	CHECK(probe >= 0 && !close(probe));
	for (int i = 0; i < 2; i++)
		fds[i] = made(alarm_clocks[i], i ? 0 : TFD_TIMER_ABSTIME, 4000, 0, 11, 12);
	CHECK(!syscall(SYS_capget, &head, caps));
	caps[CAP_WAKE_ALARM / 32].effective = caps[CAP_WAKE_ALARM / 32].permitted &= ~(1u << CAP_WAKE_ALARM % 32);
	CHECK(!syscall(SYS_capset, &head, caps));
	return true;
}

static void check_alarm(int fd, int clock, int flags)
{
	char path[64], text[1024] = "";
	const char *p;
	struct itimerspec its;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY);
	CHECK(info >= 0 && read(info, text, sizeof(text) - 1) > 0);
	close(info);
	p = strstr(text, "clockid:");
	CHECK(p);
	CHECK_EQ(strtol(p + 8, NULL, 10), clock);
	CHECK_EQ(settime_flags(fd), flags);
	CHECK(!timerfd_gettime(fd, &its));
	CHECK(its.it_value.tv_sec > 3000 && its.it_value.tv_sec < 4000);
	CHECK_EQ(its.it_interval.tv_sec, 11);
	CHECK_EQ(its.it_interval.tv_nsec, 12);
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
	int off = timerfd_create(CLOCK_MONOTONIC, 0), alarms[2];
	bool has_alarms = make_alarms(alarms);

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
	for (int i = 0; has_alarms && i < 2; i++)
		check_alarm(alarms[i], alarm_clocks[i], i ? 0 : TFD_TIMER_ABSTIME);
	pass();
}
