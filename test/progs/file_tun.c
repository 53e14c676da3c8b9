// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of /dev/net/tun: one without a device, one with a device that stays. What is written there comes out of the device. */
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "test.h"

/* What TUNGETIFF says of IFF_NO_PI means something else; the device in /sys of this network namespace knows. */
static void flags_of(const char *device, char *out, int size)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", device);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, out, (size_t)size) > 2);
	close(fd);
}

int main(void)
{
	char before[32] = "", after[32] = "", with_pi[2][32] = { "" };
	int idle = open("/dev/net/tun", O_RDWR), fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), sndbuf = 70000;
	int other = open("/dev/net/tun", O_RDWR);
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR }, now = { 0 }, pi = { .ifr_flags = IFF_TUN };

	if (idle < 0 || fd < 0)
		TEST_SKIP("no /dev/net/tun here: %s", strerror(errno));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "crt%d", (int)(time(NULL) % 100000000));
	if (ioctl(fd, TUNSETIFF, &ifr))
		TEST_SKIP("no tap device can be made: %s", strerror(errno));
	CHECK(!ioctl(fd, TUNSETPERSIST, 1) && !ioctl(fd, TUNSETSNDBUF, &sndbuf));
	snprintf(pi.ifr_name, sizeof(pi.ifr_name), "crp%d", (int)(time(NULL) % 100000000));
	CHECK(!ioctl(other, TUNSETIFF, &pi) && !ioctl(other, TUNSETPERSIST, 1));
	flags_of(ifr.ifr_name, before, sizeof(before));
	flags_of(pi.ifr_name, with_pi[0], sizeof(with_pi[0]));
	CHECK(strtol(before, NULL, 16) & IFF_NO_PI);
	CHECK(!(strtol(with_pi[0], NULL, 16) & IFF_NO_PI));
	test_ready();
	flags_of(ifr.ifr_name, after, sizeof(after));
	flags_of(pi.ifr_name, with_pi[1], sizeof(with_pi[1]));
	CHECK(!ioctl(other, TUNSETPERSIST, 0));
	CHECK(!strcmp(after, before));
	CHECK(!strcmp(with_pi[1], with_pi[0]));
	CHECK(!ioctl(fd, TUNGETIFF, &now) && ioctl(fd, TUNSETPERSIST, 0) == 0);
	CHECK(!strcmp(now.ifr_name, ifr.ifr_name));
	CHECK_EQ(now.ifr_flags & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	CHECK(!ioctl(fd, TUNGETSNDBUF, &sndbuf));
	CHECK_EQ(sndbuf, 70000);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(ioctl(idle, TUNGETIFF, &now) < 0 && errno == EBADFD);
	pass();
}
