// SPDX-License-Identifier: GPL-2.0-or-later
/* Packet sockets: protocol, interface, memberships, fanout, filter and options; what the filter lets through is captured afterwards. */
/* test: net */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

/* Of this test only, so that nobody else is captured. */
#define PROTOCOL 0x88b5

static int option(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	CHECK(!getsockopt(fd, SOL_PACKET, name, &v, &len));
	return v;
}

/* Index, users, type of the memberships of all packet sockets on lo are not shown: promiscuity is what counts. */
static int promiscuity(void)
{
	char line[256], *p;
	int n = -1;
	FILE *f = popen("ip -d link show lo", "r");
	while (f && fgets(line, sizeof(line), f))
		if ((p = strstr(line, "promiscuity ")))
			n = atoi(p + 12);
	if (f)
		pclose(f);
	return n;
}

static void send_frame(const char *text)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL), .sll_ifindex = (int)if_nametoindex("lo"),
				  .sll_halen = 6 };
	int s = socket(AF_PACKET, SOCK_DGRAM, 0);
	CHECK_EQ(sendto(s, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)), strlen(text));
	close(s);
}

int main(void)
{
	struct sockaddr_ll lo = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL), .sll_ifindex = (int)if_nametoindex("lo") };
	struct sockaddr_ll back = { 0 };
	struct packet_mreq mr = { .mr_ifindex = lo.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 5, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog prog = { 4, code };
	socklen_t len = sizeof(back);
	int one = 1, v2 = TPACKET_V2, reserve = 32, thresh = 77, fan = 4711 | PACKET_FANOUT_LB << 16, readable;
	char buf[256];

	int cooked = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0), raw = socket(AF_PACKET, SOCK_RAW, 0);
	int idle = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	int f1 = socket(AF_PACKET, SOCK_RAW, 0), f2 = socket(AF_PACKET, SOCK_RAW, 0);
	CHECK(cooked >= 0 && raw >= 0 && idle >= 0 && f1 >= 0 && f2 >= 0);
	CHECK(!setsockopt(cooked, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	CHECK(!bind(cooked, (struct sockaddr *)&lo, sizeof(lo)));
	CHECK(!setsockopt(cooked, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)));
	CHECK(!setsockopt(cooked, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_VERSION, &v2, sizeof(v2)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof(reserve)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_COPY_THRESH, &thresh, sizeof(thresh)));
	readable = !getsockopt(raw, SOL_PACKET, PACKET_COPY_THRESH, &thresh, &(socklen_t){ sizeof(thresh) });
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_ORIGDEV, &one, sizeof(one)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_LOSS, &one, sizeof(one)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)));
	int was = promiscuity();
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof(mr)));
	lo.sll_protocol = htons(PROTOCOL + 1);
	CHECK(!bind(f1, (struct sockaddr *)&lo, sizeof(lo)) && !bind(f2, (struct sockaddr *)&lo, sizeof(lo)));
	CHECK(!setsockopt(f1, SOL_PACKET, PACKET_FANOUT, &fan, sizeof(fan)));
	CHECK(!setsockopt(f2, SOL_PACKET, PACKET_FANOUT, &fan, sizeof(fan)));
	if (was >= 0)
		CHECK_EQ(promiscuity(), was + 1);

	test_ready();

	send_frame("nay");
	send_frame("hello");
	CHECK_EQ(recvfrom(cooked, buf, sizeof(buf), 0, (struct sockaddr *)&back, &len), 5);
	CHECK(!memcmp(buf, "hello", 5));
	CHECK_EQ(back.sll_ifindex, lo.sll_ifindex);
	CHECK_EQ(back.sll_pkttype, PACKET_HOST);
	CHECK(recv(cooked, buf, sizeof(buf), 0) < 0 && errno == EAGAIN);
	CHECK_EQ(option(cooked, PACKET_AUXDATA), 1);
	CHECK_EQ(option(cooked, PACKET_IGNORE_OUTGOING), 1);
	CHECK_EQ(option(raw, PACKET_VERSION), TPACKET_V2);
	CHECK_EQ(option(raw, PACKET_RESERVE), 32);
	if (readable) /* since Linux 6.4; it means something for rings only */
		CHECK_EQ(option(raw, PACKET_COPY_THRESH), 77);
	CHECK_EQ(option(raw, PACKET_ORIGDEV), 1);
	CHECK_EQ(option(raw, PACKET_AUXDATA), 0);
	CHECK_EQ(option(raw, PACKET_VNET_HDR), 1);
	CHECK_EQ(option(raw, PACKET_LOSS), 1);
	CHECK_EQ(option(raw, PACKET_QDISC_BYPASS), 1);
	CHECK_EQ(option(f1, PACKET_FANOUT), fan);
	CHECK_EQ(option(f2, PACKET_FANOUT), fan);
	len = sizeof(back);
	CHECK(!getsockname(idle, (struct sockaddr *)&back, &len));
	CHECK_EQ(back.sll_protocol, 0);
	if (was >= 0)
		CHECK_EQ(promiscuity(), was + 1);
	/* Twice there, twice to go. */
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)));
	CHECK(!setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)));
	CHECK(setsockopt(raw, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof(mr)) == 0 || errno);
	if (was >= 0)
		CHECK_EQ(promiscuity(), was);
	pass();
}
