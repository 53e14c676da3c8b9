// SPDX-License-Identifier: GPL-2.0-or-later
/* test: net refused=packet_socket_with_a_ring */
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct tpacket_req req = { 4096, 4, 2048, 8 };
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	char c;

	CHECK(!setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)));
	test_ready();
	CHECK(recv(s, &c, 1, MSG_DONTWAIT) < 0);
	pass();
}
