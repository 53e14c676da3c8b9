// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of /dev/net/tun: one without a device, one with a device that stays. What is written there comes out of the device. */
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "test.h"

int main(void)
{
	int idle = open("/dev/net/tun", O_RDWR), fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), sndbuf = 70000;
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR }, now = { 0 };

	if (idle < 0 || fd < 0)
		TEST_SKIP("no /dev/net/tun here: %s", strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "crt%d", (int)(time(NULL) % 100000000));
	if (ioctl(fd, TUNSETIFF, &ifr))
		TEST_SKIP("no tap device can be made: %s", strerror(errno));
	CHECK(!ioctl(fd, TUNSETPERSIST, 1) && !ioctl(fd, TUNSETSNDBUF, &sndbuf));
	test_ready();
	CHECK(!ioctl(fd, TUNGETIFF, &now) && ioctl(fd, TUNSETPERSIST, 0) == 0);
	CHECK(!strcmp(now.ifr_name, ifr.ifr_name));
	CHECK_EQ(now.ifr_flags & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK(!ioctl(fd, TUNGETSNDBUF, &sndbuf));
	CHECK_EQ(sndbuf, 70000);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(ioctl(idle, TUNGETIFF, &now) < 0 && errno == EBADFD);
	pass();
}
