/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes that ask by netlink: what sockets there are, numbers of namespaces, network devices, packet filters. */
/* These come before those of the kernel, which then leave out what both define. */
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/net_namespace.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sched.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <linux/veth.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sys/stat.h>

#include "common/feature/probe.h"
#include "common/feature/uapi.h"

static void cleanup_sock(struct nl_sock **sk)
{
	nl_socket_free(*sk);
}

static void cleanup_msg(struct nl_msg **msg)
{
	nlmsg_free(*msg);
}
#define cleanup_nl_sock cleanup(cleanup_sock)
#define cleanup_nl_msg cleanup(cleanup_msg)

/* NULL and judged on failure. libnl translates errno away, but it leaves it as the system call has set it. */
static struct nl_sock *open_netlink(struct probe *p, int protocol, const char *what)
{
	struct nl_sock *sk = nl_socket_alloc();

	errno = 0;
	if (sk && nl_connect(sk, protocol) == 0)
		return sk;
	if (sk && errno)
		probe_errno(p, errno, NO_CAP, NO_CAP, what);
	else
		probe_unknown(p, "%s: libnl cannot make a socket", what);
	nl_socket_free(sk);
	return NULL;
}

/* What a message says of the request: an acknowledgement or an error, or the end of a list, which can be an error as well. */
static int verdict(const struct nlmsghdr *h)
{
	int code = 0;

	if (h->nlmsg_type == NLMSG_ERROR || (h->nlmsg_type == NLMSG_DONE && (size_t)nlmsg_datalen(h) >= sizeof(code))) {
		if ((size_t)nlmsg_datalen(h) < sizeof(code))
			return -EPROTO;
		memcpy(&code, nlmsg_data(h), sizeof(code));
	}
	return MIN(code, 0);
}

/* The answer to what was sent: 0 for an acknowledgement or data, -errno else. *data gets a message that is not an error. */
static int answer(struct nl_sock *sk, struct nlmsghdr **data)
{
	struct sockaddr_nl from;
	unsigned char *buf = NULL;
	int n, ret = -EPROTO;
	struct nlmsghdr *h;

	errno = 0;
	n = nl_recv(sk, &from, &buf, NULL); /* buf is to be freed */
	if (n <= 0)
		return errno ? -errno : -ENODATA;
	h = (struct nlmsghdr *)buf;
	if (nlmsg_ok(h, n)) {
		ret = verdict(h);
		if (!ret && data && h->nlmsg_type != NLMSG_ERROR) {
			*data = h;
			return 0;
		}
	}
	free(buf);
	return ret;
}

static int ask(struct nl_sock *sk, struct nl_msg *msg, struct nlmsghdr **data)
{
	errno = 0;
	if (!msg || nl_send_auto(sk, msg) < 0)
		return errno ? -errno : -ENOMEM;
	return answer(sk, data);
}

/* A request with a fixed head; attributes can follow. */
static struct nl_msg *request(int type, int flags, const void *head, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	if (!msg || nlmsg_append(msg, (void *)(uintptr_t)head, size, NLMSG_ALIGNTO) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* ---- sockets ---- */

/* Lists sockets of a kind; the first message says whether the kernel can. */
void probe_diag(struct probe *p, int which)
{
	static const char *const names[] = {
		[DIAG_UNIX] = "sock_diag of unix sockets", [DIAG_TCP] = "sock_diag of TCP sockets",
		[DIAG_UDP] = "sock_diag of UDP sockets",   [DIAG_RAW] = "sock_diag of raw sockets",
		[DIAG_PACKET] = "sock_diag of packet sockets", [DIAG_NETLINK] = "sock_diag of netlink sockets",
	};
	static const uint8_t protocols[] = { [DIAG_TCP] = IPPROTO_TCP, [DIAG_UDP] = IPPROTO_UDP, [DIAG_RAW] = IPPROTO_RAW };
	struct unix_diag_req un = { .sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX };
	struct packet_diag_req packet = { .sdiag_family = AF_PACKET };
	struct netlink_diag_req netlink = { .sdiag_family = AF_NETLINK, .sdiag_protocol = NDIAG_PROTO_ALL };
	struct inet_diag_req_v2 inet = { .sdiag_family = AF_INET, .idiag_states = UINT32_MAX };
	const struct { const void *req; size_t size; } kinds[] = {
		[DIAG_UNIX] = { &un, sizeof(un) }, [DIAG_TCP] = { &inet, sizeof(inet) }, [DIAG_UDP] = { &inet, sizeof(inet) },
		[DIAG_RAW] = { &inet, sizeof(inet) }, [DIAG_PACKET] = { &packet, sizeof(packet) },
		[DIAG_NETLINK] = { &netlink, sizeof(netlink) },
	};
	cleanup_nl_sock struct nl_sock *sk = open_netlink(p, NETLINK_SOCK_DIAG, "socket of NETLINK_SOCK_DIAG");
	cleanup_nl_msg struct nl_msg *msg = NULL;
	cleanup_free struct nlmsghdr *data = NULL;
	int ret;

	if (!sk)
		return;
	inet.sdiag_protocol = which < (int)ARRAY_SIZE(protocols) ? protocols[which] : 0;
	msg = request(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, kinds[which].req, kinds[which].size);
	ret = ask(sk, msg, &data);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, names[which]);
	else
		probe_ok(p);
}

/* ---- namespaces ---- */

static int open_netns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* RTM_NEWNSID: our namespace calls ns by this number. */
static int name_ns(struct nl_sock *sk, int ns, int id)
{
	struct rtgenmsg head = { .rtgen_family = AF_UNSPEC };
	cleanup_nl_msg struct nl_msg *msg = request(RTM_NEWNSID, NLM_F_REQUEST | NLM_F_ACK, &head, sizeof(head));

	if (!msg || nla_put_u32(msg, NETNSA_FD, (uint32_t)ns) < 0 || nla_put_s32(msg, NETNSA_NSID, id) < 0)
		return -ENOMEM;
	return ask(sk, msg, NULL);
}

/* RTM_GETNSID */
static int name_of_ns(struct nl_sock *sk, int ns, int *id)
{
	struct rtgenmsg head = { .rtgen_family = AF_UNSPEC };
	cleanup_nl_msg struct nl_msg *msg = request(RTM_GETNSID, NLM_F_REQUEST, &head, sizeof(head));
	cleanup_free struct nlmsghdr *data = NULL;
	struct nlattr *a;
	int ret;

	if (!msg || nla_put_u32(msg, NETNSA_FD, (uint32_t)ns) < 0)
		return -ENOMEM;
	ret = ask(sk, msg, &data);
	a = ret || !data ? NULL : nlmsg_find_attr(data, sizeof(head), NETNSA_NSID);
	if (a)
		*id = nla_get_s32(a);
	return ret;
}

void probe_nsid(struct probe *p, int arg)
{
	cleanup_nl_sock struct nl_sock *sk = NULL;
	cleanup_fd int ns = -1;
	int ret, id = -1;

	if (!probe_unshare(p, CLONE_NEWNET) || !(sk = open_netlink(p, NETLINK_ROUTE, "socket of NETLINK_ROUTE")))
		return;
	ns = open_netns();
	ret = ns < 0 ? -errno : name_ns(sk, ns, 5);
	if (!ret)
		ret = name_of_ns(sk, ns, &id);
	if (ret < 0)
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, ns < 0 ? "open /proc/PID/ns/net" : "RTM_NEWNSID, RTM_GETNSID");
	else if (id != 5)
		probe_missing(p, "RTM_GETNSID does not give the number back");
	else
		probe_ok(p);
}

/* Two new namespaces; the descriptor of the first, a socket in the second, in which the first has the number id. */
static struct nl_sock *two_namespaces(struct probe *p, int *first, int id)
{
	struct nl_sock *sk = NULL;
	int ret;

	if (!probe_unshare(p, CLONE_NEWNET))
		return NULL;
	*first = open_netns();
	if (*first < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /proc/PID/ns/net");
		return NULL;
	}
	if (!probe_unshare(p, CLONE_NEWNET) || !(sk = open_netlink(p, NETLINK_ROUTE, "socket of NETLINK_ROUTE")))
		return NULL;
	ret = name_ns(sk, *first, id);
	if (ret < 0) {
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, "RTM_NEWNSID");
		nl_socket_free(sk);
		return NULL;
	}
	return sk;
}

/* A namespace that is not made by us is entered by its descriptor and known by its number. */
void probe_external_ns(struct probe *p, int arg)
{
	cleanup_fd int first = -1, now = -1;
	cleanup_nl_sock struct nl_sock *sk = two_namespaces(p, &first, 7);
	struct stat want, got;
	int ret, id = -1;

	if (!sk)
		return;
	ret = name_of_ns(sk, first, &id);
	if (ret < 0) {
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, "RTM_GETNSID");
		return;
	}
	if (syscall(SYS_setns, first, CLONE_NEWNET) < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "setns");
		return;
	}
	now = open_netns();
	if (now < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /proc/PID/ns/net");
	else if (id != 7 || fstat(first, &want) < 0 || fstat(now, &got) < 0 || want.st_ino != got.st_ino)
		probe_missing(p, "the namespace is not the one that was entered");
	else
		probe_ok(p);
}

/* A kernel that does not know the attribute shows the device of the asker, and does not repeat the attribute. */
void probe_link_nsid(struct probe *p, int arg)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC, .ifi_index = 1 };
	cleanup_fd int first = -1;
	cleanup_nl_sock struct nl_sock *sk = two_namespaces(p, &first, 9);
	cleanup_nl_msg struct nl_msg *msg = NULL;
	cleanup_free struct nlmsghdr *data = NULL;
	struct nlattr *a;
	int ret;

	if (!sk)
		return;
	msg = request(RTM_GETLINK, NLM_F_REQUEST, &head, sizeof(head));
	ret = msg && nla_put_s32(msg, FP_IFLA_TARGET_NETNSID, 9) == 0 ? ask(sk, msg, &data) : -ENOMEM;
	a = ret || !data ? NULL : nlmsg_find_attr(data, sizeof(head), FP_IFLA_TARGET_NETNSID);
	if (ret < 0)
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, "RTM_GETLINK with IFLA_TARGET_NETNSID");
	else if (!a || nla_get_s32(a) != 9)
		probe_missing(p, "RTM_GETLINK ignores IFLA_TARGET_NETNSID");
	else
		probe_ok(p);
}

/* ---- devices ---- */

struct link_wish { const char *kind, *name; uint32_t lower; };

/* RTM_NEWLINK of a device with nothing but a kind and a name, on a lower device when there is one. */
static int new_link(struct nl_sock *sk, const struct link_wish *w)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC };
	cleanup_nl_msg struct nl_msg *msg =
		request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &head, sizeof(head));
	struct nlattr *info;

	if (!msg || nla_put_string(msg, IFLA_IFNAME, w->name) < 0 || (w->lower && nla_put_u32(msg, IFLA_LINK, w->lower) < 0) ||
	    !(info = nla_nest_start(msg, IFLA_LINKINFO)) || nla_put_string(msg, IFLA_INFO_KIND, w->kind) < 0)
		return -ENOMEM;
	nla_nest_end(msg, info);
	return ask(sk, msg, NULL);
}

/* Some device that others can be put on, 0 when this kernel has none that can be made. */
static unsigned some_link(struct nl_sock *sk)
{
	static const char *const kinds[] = { "dummy", "veth", "bridge" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (new_link(sk, &(struct link_wish){ kinds[i], "lower0", 0 }) == 0)
			return if_nametoindex("lower0");
	return 0;
}

void probe_link(struct probe *p, int which)
{
	struct link_wish wish = { which == LINK_BRIDGE ? "bridge" : "macvlan", "probe0", 0 };
	cleanup_nl_sock struct nl_sock *sk = NULL;
	char what[48];
	int ret;

	if (!probe_unshare(p, CLONE_NEWNET) || !(sk = open_netlink(p, NETLINK_ROUTE, "socket of NETLINK_ROUTE")))
		return;
	snprintf(what, sizeof(what), "new link of kind %s", wish.kind);
	if (which == LINK_MACVLAN)
		wish.lower = some_link(sk);
	ret = new_link(sk, &wish);
	/* Without a lower device, the refusal comes from the driver itself: it is there. EOPNOTSUPP says that it is not. */
	if (ret == -EINVAL && which == LINK_MACVLAN && !wish.lower)
		probe_ok(p);
	else if (ret < 0)
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, what);
	else
		probe_ok(p);
}

/* RTM_SETLINK: moves a device to another namespace, where it is to have this number. */
static int move_link(struct nl_sock *sk, unsigned index, int ns, int new_index)
{
	struct ifinfomsg head = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };
	cleanup_nl_msg struct nl_msg *msg = request(RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, &head, sizeof(head));

	if (!msg || nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)ns) < 0 || nla_put_s32(msg, FP_IFLA_NEW_IFINDEX, new_index) < 0)
		return -ENOMEM;
	return ask(sk, msg, NULL);
}

/* Without a device to move: the kernel checks the number before it looks for the device, if it knows the attribute. */
static void judge_new_ifindex(struct probe *p, struct nl_sock *sk, int first)
{
	int ret = move_link(sk, 1, first, -1);

	if (ret == -ERANGE)
		probe_ok(p);
	else
		probe_unknown(p, "there is no device to try it on");
}

void probe_new_ifindex(struct probe *p, int arg)
{
	cleanup_fd int first = -1;
	cleanup_nl_sock struct nl_sock *sk = two_namespaces(p, &first, 11);
	unsigned index;
	int ret;

	if (!sk)
		return;
	index = some_link(sk);
	if (!index) {
		judge_new_ifindex(p, sk, first);
		return;
	}
	ret = move_link(sk, index, first, 4711);
	if (ret < 0) {
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, "RTM_SETLINK with IFLA_NEW_IFINDEX");
		return;
	}
	if (syscall(SYS_setns, first, CLONE_NEWNET) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "setns");
	else if (if_nametoindex("lower0") != 4711)
		probe_missing(p, "RTM_SETLINK ignores IFLA_NEW_IFINDEX");
	else
		probe_ok(p);
}

/* ---- packet filters ---- */

/* A batch: what stands between begin and end happens as a whole. */
struct batch { char buf[2048]; size_t len; uint32_t seq; bool full; };

static void batch_add(struct batch *b, struct nl_msg *msg)
{
	struct nlmsghdr *h = msg ? nlmsg_hdr(msg) : NULL;

	if (!h || b->len + NLMSG_ALIGN(h->nlmsg_len) > sizeof(b->buf)) {
		b->full = true;
		return;
	}
	h->nlmsg_seq = ++b->seq;
	memcpy(b->buf + b->len, h, h->nlmsg_len);
	b->len += NLMSG_ALIGN(h->nlmsg_len);
}

static struct nl_msg *nf_message(int type, int flags, uint16_t res_id)
{
	struct nfgenmsg head = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = htons(res_id) };

	if (type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END)
		head.nfgen_family = AF_UNSPEC;
	else
		type |= NFNL_SUBSYS_NFTABLES << 8;
	return request(type, NLM_F_REQUEST | flags, &head, sizeof(head));
}

static void batch_edge(struct batch *b, int type)
{
	cleanup_nl_msg struct nl_msg *msg = nf_message(type, 0, NFNL_SUBSYS_NFTABLES);

	batch_add(b, msg);
}

static void batch_table(struct batch *b, int flags)
{
	cleanup_nl_msg struct nl_msg *msg = nf_message(NFT_MSG_NEWTABLE, NLM_F_CREATE | flags, 0);

	b->full |= !msg || nla_put_string(msg, NFTA_TABLE_NAME, "cr-check") < 0;
	batch_add(b, msg);
}

/* A chain at the hook of incoming packets, where connections are held. */
static void batch_chain(struct batch *b)
{
	cleanup_nl_msg struct nl_msg *msg = nf_message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, 0);
	struct nlattr *hook;

	if (!msg || nla_put_string(msg, NFTA_CHAIN_TABLE, "cr-check") < 0 || nla_put_string(msg, NFTA_CHAIN_NAME, "in") < 0 ||
	    nla_put_string(msg, NFTA_CHAIN_TYPE, "filter") < 0 || !(hook = nla_nest_start(msg, NFTA_CHAIN_HOOK)) ||
	    nla_put_u32(msg, NFTA_HOOK_HOOKNUM, htonl(NF_INET_LOCAL_IN)) < 0 ||
	    nla_put_u32(msg, NFTA_HOOK_PRIORITY, htonl(0)) < 0) {
		b->full = true;
		return;
	}
	nla_nest_end(msg, hook);
	batch_add(b, msg);
}

/* A set whose keys are both ends of a connection: address, port, address, port, each in a field of its own. */
static void batch_set(struct batch *b, int flags)
{
	cleanup_nl_msg struct nl_msg *msg = nf_message(NFT_MSG_NEWSET, NLM_F_CREATE | flags, 0);
	static const uint32_t fields[] = { 4, 2, 4, 2 };
	struct nlattr *desc, *concat;
	bool ok = msg && nla_put_string(msg, NFTA_SET_TABLE, "cr-check") == 0 && nla_put_string(msg, NFTA_SET_NAME, "conns") == 0 &&
		  nla_put_u32(msg, NFTA_SET_FLAGS, htonl(FP_NFT_SET_CONCAT)) == 0 &&
		  nla_put_u32(msg, NFTA_SET_KEY_LEN, htonl(16)) == 0 && nla_put_u32(msg, NFTA_SET_ID, htonl(1)) == 0 &&
		  (desc = nla_nest_start(msg, NFTA_SET_DESC)) && (concat = nla_nest_start(msg, FP_NFTA_SET_DESC_CONCAT));

	for (size_t i = 0; ok && i < ARRAY_SIZE(fields); i++) {
		struct nlattr *field = nla_nest_start(msg, FP_NFTA_LIST_ELEM);

		ok = field && nla_put_u32(msg, FP_NFTA_SET_FIELD_LEN, htonl(fields[i])) == 0;
		if (ok)
			nla_nest_end(msg, field);
	}
	if (ok) {
		nla_nest_end(msg, concat);
		nla_nest_end(msg, desc);
	}
	b->full |= !ok;
	batch_add(b, msg);
}

/* arg 0: a table. 1: what holds connections while they are frozen, too: a hook and a set of connections. */
void probe_nftables(struct probe *p, int arg)
{
	cleanup_nl_sock struct nl_sock *sk = NULL;
	struct batch b = { .len = 0 };
	int ret;

	if (!probe_unshare(p, CLONE_NEWNET) || !(sk = open_netlink(p, NETLINK_NETFILTER, "socket of NETLINK_NETFILTER")))
		return;
	batch_edge(&b, NFNL_MSG_BATCH_BEGIN);
	batch_table(&b, arg ? 0 : NLM_F_ACK);
	if (arg) {
		batch_chain(&b);
		batch_set(&b, NLM_F_ACK);
	}
	batch_edge(&b, NFNL_MSG_BATCH_END);
	errno = 0;
	if (b.full)
		ret = -ENOMEM;
	else
		ret = nl_sendto(sk, b.buf, b.len) < 0 ? (errno ? -errno : -EIO) : answer(sk, NULL);
	if (ret < 0)
		probe_errno(p, -ret, CAP_NET_ADMIN, NO_CAP, arg ? "nftables with a set of connections" : "nftables");
	else
		probe_ok(p);
}
