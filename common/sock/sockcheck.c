// SPDX-License-Identifier: GPL-2.0-or-later
/* Before a process exists: are the addresses, ports and interfaces here, and free, that the sockets of a checkpoint had? */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/netlink.h>

#include "common/sock/inet.h"

#define PAUSES_MAX 20 /* of 10 ms */

struct look {
	finding_fn report;
	void *ctx;
	int *count;
	const InetSkEntry *here; /* the last one whose address is on this host: thousands of connections have the same */
	int pauses;
};

static void printf_like(2, 3) found(const struct look *f, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	f->report(f->ctx, NULL, line);
	(*f->count)++;
}

static void check_device(const struct look *f, const SkOptsEntry *o, const char *kind, uint32_t id)
{
	if (o && o->so_bound_dev && !if_nametoindex(o->so_bound_dev))
		found(f, "%s %u is bound to the network interface %s, which is not on this host", kind, id,
		      o->so_bound_dev);
}

static bool same_address(const InetSkEntry *a, const InetSkEntry *b)
{
	return a && a->family == b->family && !a->ifname && !b->ifname && a->n_src_addr == b->n_src_addr &&
	       !memcmp(a->src_addr, b->src_addr, 4 * a->n_src_addr);
}

/* Whether a socket can have this address: a bind to it, of a socket that is in nobody's way, says so. */
static void check_address(struct look *f, const InetSkEntry *e)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const bool six = e->family == AF_INET6;
	char text[INET6_ADDRSTRLEN] = "";

	if (e->n_src_addr != (six ? 4 : 1) || (!six && e->family != AF_INET) || inet_any_address(e))
		return;
	memcpy(six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr, e->src_addr, six ? 16 : 4);
	if ((six ? IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr) : !in.sin_addr.s_addr) || same_address(f->here, e))
		return;
	inet_ntop((int)e->family, six ? (const void *)&in6.sin6_addr : (const void *)&in.sin_addr, text, sizeof(text));
	if (e->ifname)
		in6.sin6_scope_id = if_nametoindex(e->ifname);
	if (e->ifname && !in6.sin6_scope_id) {
		found(f, "socket %u has the address %s on the network interface %s, which is not on this host", e->id, text,
		      e->ifname);
		return;
	}
	if (six && IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) && !in6.sin6_scope_id)
		return;
	cleanup_fd int fd = socket((int)e->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (bind(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, six ? sizeof(in6) : sizeof(in)) < 0 &&
	    errno == EADDRNOTAVAIL)
		found(f, "socket %u has the address %s, which is not on this host", e->id, text);
	else
		f->here = e;
}

/*
 * What ended a moment ago, a restore that failed, say, may not be all gone yet. The sum of the waits of one check is bounded: ports
 * that others have are many only where nothing can be done.
 */
static bool is_in_use(struct look *f, int fd, const struct sockaddr *a, socklen_t len)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	while (bind(fd, a, len) < 0) {
		if (errno != EADDRINUSE)
			return false;
		if (f->pauses == PAUSES_MAX)
			return true;
		f->pauses++;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Whether somebody has its port: bound as the restore does it, for a moment. */
static void check_port(struct look *f, const InetSkEntry *e)
{
	const bool tcp = e->type == SOCK_STREAM && e->proto == IPPROTO_TCP, udp = e->type == SOCK_DGRAM && e->proto == IPPROTO_UDP;
	const int one = 1, v6only = e->has_v6only && e->v6only, port = e->opts && e->opts->has_so_reuseport && e->opts->so_reuseport;
	const char *device = e->opts && e->opts->so_bound_dev ? e->opts->so_bound_dev : e->ifname;
	union inet_address a;
	struct err ignored = ERR_INIT;
	char text[64];

	/* Connections of TCP are told apart by their peers. */
	if ((!tcp && !udp) || !e->src_port || (tcp && e->dst_port && e->state != TCP_LISTEN) || inet_check(e, &ignored))
		return;
	cleanup_fd int fd = socket((int)e->family, (int)e->type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &port, sizeof(port));
	if (e->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (device)
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1);
	if (inet_any_address(e)) /* as good as IP_TRANSPARENT, and takes no privilege */
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	const socklen_t len = inet_address_of(e, false, &a);
	if (!is_in_use(f, fd, &a.sa, len))
		return;
	inet_address_text(e, false, text, sizeof(text));
	/* Of a server without SO_REUSEADDR, its own connections keep the port that were closed a moment ago. */
	found(f, "socket %u has the address %s of %s, which is in use on this host (ss -anp tells by whom%s)", e->id, text,
	      tcp ? "TCP" : "UDP", tcp ? "; TIME-WAIT ends within a minute" : "");
}

static void check_port_id(const struct look *f, const NetlinkSkEntry *e)
{
	const struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_pid = e->portid };
	cleanup_fd int fd = e->portid ? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)e->protocol) : -1;

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 && errno == EADDRINUSE)
		found(f, "netlink socket %u has port id %u of protocol %u, which is in use on this host", e->id, e->portid, e->protocol);
}

static void check_interface(const struct look *f, const PacketSockEntry *e)
{
	char name[IFNAMSIZ];

	if (!e->ifindex)
		return;
	if (!if_indextoname(e->ifindex, name))
		found(f, "packet socket %u was on network interface %u (%s), which is not on this host", e->id, e->ifindex,
		      e->ifname ? e->ifname : "unknown");
	else if (e->ifname && strcmp(name, e->ifname))
		found(f, "packet socket %u was on network interface %u, %s, which is %s on this host", e->id, e->ifindex,
		      e->ifname, name);
}

void sockets_preflight(const struct model *m, bool held, finding_fn report, void *ctx, int *count)
{
	struct look f = { report, ctx, count, NULL };

	for (size_t i = 0; i < m->nfiles; i++) {
		const FileEntry *e = m->files[i];
		if (e->type == FD_TYPES__INETSK && e->isk) {
			check_device(&f, e->isk->opts, "socket", e->id);
			check_address(&f, e->isk);
			if (!held)
				check_port(&f, e->isk);
		} else if (e->type == FD_TYPES__UNIXSK && e->usk) {
			check_device(&f, e->usk->opts, "unix socket", e->id);
		} else if (e->type == FD_TYPES__PACKETSK && e->psk) {
			check_device(&f, e->psk->opts, "packet socket", e->id);
			check_interface(&f, e->psk);
		} else if (e->type == FD_TYPES__NETLINKSK && e->nlsk) {
			check_device(&f, e->nlsk->opts, "netlink socket", e->id);
			if (!held)
				check_port_id(&f, e->nlsk);
		}
	}
}
