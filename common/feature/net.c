/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of sockets and of what ioctl and setsockopt say about them. What changes anything does so in a namespace of its own. */
/* These come before those of the kernel, which then leave out what both define. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "common/bpf/kmem.h"
#include "common/feature/probe.h"
#include "common/net/handshake.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

static int open_socket(struct probe *p, int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		probe_errno(p, errno, type == SOCK_RAW ? CAP_NET_RAW : NO_CAP, NO_CAP, "socket");
	return fd;
}

void probe_sockopt(struct probe *p, int which)
{
	static const struct { int domain, level, name; const char *what; } opts[] = {
		[SOCKOPT_BUF_LOCK] = { AF_INET, SOL_SOCKET, 72, "SO_BUF_LOCK" },
		[SOCKOPT_IPV6_FREEBIND] = { AF_INET6, IPPROTO_IPV6, 78, "IPV6_FREEBIND" },
	};
	cleanup_fd int fd = open_socket(p, opts[which].domain, SOCK_DGRAM, 0);
	int one = 1, back = 0;
	socklen_t len = sizeof(back);

	if (fd < 0)
		return;
	if (setsockopt(fd, opts[which].level, opts[which].name, &one, sizeof(one)) < 0 ||
	    getsockopt(fd, opts[which].level, opts[which].name, &back, &len) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, opts[which].what);
	else if (back != one)
		probe_missing(p, "%s does not keep its value", opts[which].what);
	else
		probe_ok(p);
}

static int repair(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

static bool loopback_up(int fd)
{
	struct ifreq req = { .ifr_name = "lo" };

	req.ifr_flags = IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &req) == 0;
}

/* Everything that makes a connection without a packet, one option after the other. */
void probe_tcp_repair(struct probe *p, int arg)
{
	static const struct { int option, value; const char *what; } steps[] = {
		{ TCP_REPAIR, 1, "TCP_REPAIR" },
		{ TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, "TCP_REPAIR_QUEUE" },
		{ TCP_QUEUE_SEQ, 4711, "TCP_QUEUE_SEQ of the sent" },
		{ TCP_REPAIR_QUEUE, TCP_RECV_QUEUE, "TCP_REPAIR_QUEUE" },
		{ TCP_QUEUE_SEQ, 4712, "TCP_QUEUE_SEQ of the received" },
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4711), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct tcp_repair_opt mss = { .opt_code = TCPOPT_MAXSEG, .opt_val = 1400 };
	struct tcp_repair_window window;
	socklen_t len = sizeof(window);
	cleanup_fd int fd = -1;

	if (!probe_unshare(p, CLONE_NEWNET))
		return;
	fd = open_socket(p, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (repair(fd, steps[i].option, steps[i].value) < 0) {
			probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, steps[i].what);
			return;
		}
	if (!loopback_up(fd))
		probe_unknown(p, "cannot bring the loopback device up: %s", strerror(errno));
	else if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "connect in repair mode");
	else if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, &mss, sizeof(mss)) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "TCP_REPAIR_OPTIONS");
	else if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &len) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "TCP_REPAIR_WINDOW");
	else
		probe_ok(p);
}

/* A connection of which one side has said its last word can still be taken over. */
void probe_half_closed(struct probe *p, int arg)
{
	cleanup_fd int listener = -1, out = -1, in = -1;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	if (!probe_unshare(p, CLONE_NEWNET))
		return;
	listener = open_socket(p, AF_INET, SOCK_STREAM, 0);
	out = listener < 0 ? -1 : open_socket(p, AF_INET, SOCK_STREAM, 0);
	if (out < 0)
		return;
	if (!loopback_up(listener) || bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) < 0 || connect(out, (struct sockaddr *)&at, len) < 0 ||
	    (in = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 || shutdown(out, SHUT_WR) < 0)
		probe_unknown(p, "cannot make a connection to try it on: %s", strerror(errno));
	else if (repair(out, TCP_REPAIR, 1) < 0)
		probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, "TCP_REPAIR of a half-closed connection");
	else
		probe_ok(p);
}

/* Both sides: what waits can be read where the kernel has it, and a handshake may end in a program of ours. */
void probe_tcp_waiting(struct probe *p, int arg)
{
	struct handshake *h = NULL;
	struct err err = ERR_INIT;
	struct kmem *k = NULL;
	cleanup_fd int fd = -1;
	uint64_t file, at;
	int ret;

	if (access("/sys/kernel", F_OK) || access("/proc/sys", F_OK)) {
		probe_unknown(p, "no sysfs or no proc is mounted here");
		return;
	}
	if (!probe_unshare(p, CLONE_NEWNET))
		return;
	fd = open_socket(p, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return;
	ret = handshake_open(&h, &err);
	if (!ret && listen(fd, 1) < 0)
		ret = err_sys(&err, "listen");
	if (!ret)
		ret = handshake_listener(h, fd, &err);
	if (!ret)
		ret = kmem_open(&k, &err);
	if (!ret)
		ret = kmem_file(k, fd, &file, &err);
	if (!ret)
		ret = kmem_follow(k, file, "file", "private_data->(socket)sk", &at, &err);
	if (!ret)
		ret = kmem_learn_pages(k, &err);
	if (!ret)
		probe_ok(p);
	else if (err.errnum)
		probe_errno(p, err.errnum, capability_held(CAP_BPF) ? CAP_PERFMON : CAP_BPF, CAP_SYS_ADMIN, err.reason);
	else
		probe_missing(p, "%s", err.reason);
	kmem_close(k);
	handshake_close(h);
}

/*
 * Without the device node the kernel may have the driver all the same. A node of our own, on a file system that nobody else
 * sees, tells; a device cgroup may forbid it.
 */
static void judge_without_node(struct probe *p)
{
	cleanup_fd int root = scratch_fs(), fd = -1;

	if (root < 0 || mknodat(root, "tun", S_IFCHR | 0600, makedev(10, 200)) < 0) {
		probe_unknown(p, "/dev/net/tun is not here, and no other may be made: %s", strerror(errno));
		return;
	}
	fd = openat(root, "tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENXIO || errno == ENODEV)) {
		probe_missing(p, "no driver for the device of /dev/net/tun: %s", strerror(errno));
		return;
	}
	p->state = FEATURE_NO_PERMISSION;
	snprintf(p->why, sizeof(p->why), "/dev/net/tun is not here%s", fd < 0 ? "" : ", but the kernel has it");
}

static int open_tun(struct probe *p)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		judge_without_node(p);
	else if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "open /dev/net/tun");
	return fd;
}

void probe_tun(struct probe *p, int arg)
{
	cleanup_fd int fd = open_tun(p);
	unsigned features;

	if (fd < 0)
		return;
	if (ioctl(fd, TUNGETFEATURES, &features) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "TUNGETFEATURES");
	else if (!(features & IFF_TUN) || !(features & IFF_TAP))
		probe_missing(p, "TUNGETFEATURES does not name TUN and TAP");
	else
		probe_ok(p);
}

/* The descriptor of a namespace that ioctl gives must be of our own network namespace. */
static void is_our_netns(struct probe *p, int ns, const char *what)
{
	struct stat own, got;

	if (ns < 0)
		probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, what);
	else if (stat("/proc/thread-self/ns/net", &own) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "stat of /proc/PID/ns/net");
	else if (fstat(ns, &got) < 0 || own.st_ino != got.st_ino)
		probe_missing(p, "%s gives another namespace", what);
	else
		probe_ok(p);
}

void probe_tun_ns(struct probe *p, int arg)
{
	struct ifreq req = { .ifr_name = "cr-check" };
	cleanup_fd int fd = -1, ns = -1;

	if (!probe_unshare(p, CLONE_NEWNET))
		return;
	fd = open_tun(p);
	if (fd < 0)
		return;
	req.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &req) < 0) {
		probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, "TUNSETIFF");
		return;
	}
	ns = ioctl(fd, SIOCGSKNS);
	is_our_netns(p, ns, "SIOCGSKNS of a TUN device");
}

void probe_sk_ns(struct probe *p, int arg)
{
	cleanup_fd int fd = open_socket(p, AF_UNIX, SOCK_STREAM, 0), ns = -1;

	if (fd < 0)
		return;
	ns = ioctl(fd, SIOCGSKNS);
	is_our_netns(p, ns, "SIOCGSKNS");
}

/* The file that a unix socket is bound to, whatever its name has become. It is bound on a tmpfs that nobody else sees. */
void probe_unix_file(struct probe *p, int arg)
{
	cleanup_fd int fd = open_socket(p, AF_UNIX, SOCK_STREAM, 0), root = -1, file = -1;
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (fd < 0)
		return;
	root = scratch_fs();
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/s", root);
	if (root >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		probe_unknown(p, "cannot bind a socket to try it on: %s", strerror(errno));
		return;
	}
	file = ioctl(fd, SIOCUNIXFILE);
	/* Without a place to bind it: a socket that is bound to no file has none, and who says so knows the question. */
	if (file < 0 && !(root < 0 && errno == ENOENT))
		probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, "SIOCUNIXFILE");
	else
		probe_ok(p);
}

/* The legacy tables are asked by getsockopt of a raw socket; the first question makes the table in this namespace. */
static int tables_socket(struct probe *p)
{
	return probe_unshare(p, CLONE_NEWNET) ? open_socket(p, AF_INET, SOCK_RAW, IPPROTO_RAW) : -1;
}

void probe_ipt_legacy(struct probe *p, int arg)
{
	cleanup_fd int fd = tables_socket(p);
	struct ipt_getinfo info = { .name = "filter" };
	socklen_t len = sizeof(info);

	if (fd < 0)
		return;
	if (getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len) < 0)
		probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, "iptables' filter table");
	else
		probe_ok(p);
}

void probe_xt_mark(struct probe *p, int arg)
{
	static const struct { int option; const char *name; uint8_t revision; } parts[] = {
		{ IPT_SO_GET_REVISION_MATCH, "mark", 1 },
		{ IPT_SO_GET_REVISION_TARGET, "MARK", 2 },
	};
	cleanup_fd int fd = tables_socket(p);

	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(parts); i++) {
		struct xt_get_revision rev = { .revision = parts[i].revision };
		socklen_t len = sizeof(rev);

		memcpy(rev.name, parts[i].name, strlen(parts[i].name));
		if (getsockopt(fd, IPPROTO_IP, parts[i].option, &rev, &len) == 0)
			continue;
		/* ENOPROTOOPT: iptables itself is not there, and EPROTONOSUPPORT: it is, without the mark. */
		if (errno == ENOPROTOOPT)
			probe_unknown(p, "this kernel has no legacy iptables to ask");
		else
			probe_errno(p, errno, CAP_NET_ADMIN, NO_CAP, "xt_mark");
		return;
	}
	if (fd >= 0)
		probe_ok(p);
}
