// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Membership in multicast groups. No call lists the groups of a socket, but getsockopt(MCAST_MSFILTER) answers for a group and an
 * interface that it is a member of (ip_mc_gsfget() in net/ipv4/igmp.c, ip6_mc_msfget() in net/ipv6/mcast.c), and /proc/net knows all
 * groups of the host. They are kept as the options that join them again.
 */
#include <errno.h>
#include <string.h>

#include "common/base/io.h"
#include "common/sock/udp.h"

#define SOURCES_MAX 64

struct found { struct dump *d; int fd; InetSkEntry *e; };

static void add_option(struct found *f, int level, int name, const void *bytes, size_t len)
{
	InetSkEntry *e = f->e;
	SockOptEntry *o = arena_msg(f->d->arena, SockOptEntry, sock_opt_entry__init);
	SockOptEntry **all = arena_alloc(f->d->arena, (e->n_options + 1) * sizeof(*all));

	o->level = (uint32_t)level;
	o->name = (uint32_t)name;
	o->value.len = len;
	o->value.data = arena_dup(f->d->arena, bytes, len);
	if (e->n_options)
		memcpy(all, e->options, e->n_options * sizeof(*all));
	all[e->n_options++] = o;
	e->options = all;
}

/* One group of the host on one interface: is the socket in it, and whom does it listen to there? */
static int try_group(struct found *f, int level, uint32_t ifindex, const void *addr, struct err *err)
{
	_Alignas(struct group_filter) unsigned char room[GROUP_FILTER_SIZE(SOURCES_MAX)] = { 0 };
	struct group_filter *gf = (void *)room;
	struct group_req req = { .gr_interface = ifindex };
	socklen_t len = sizeof(room);
	union inet_address a = { .sa.sa_family = level == IPPROTO_IP ? AF_INET : AF_INET6 };

	memcpy(level == IPPROTO_IP ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr, addr, level == IPPROTO_IP ? 4 : 16);
	gf->gf_interface = ifindex;
	gf->gf_numsrc = SOURCES_MAX;
	memcpy(&gf->gf_group, &a, sizeof(gf->gf_group));
	memcpy(&req.gr_group, &a, sizeof(req.gr_group));
	if (getsockopt(f->fd, level, MCAST_MSFILTER, gf, &len) < 0) {
		if (errno == EADDRNOTAVAIL || errno == ENODEV || errno == EINVAL || errno == ENOPROTOOPT)
			return 0;
		return err_sys(err, "cannot ask a socket for its multicast groups");
	}
	if (gf->gf_numsrc > SOURCES_MAX)
		return err_refuse(err, "socket with a multicast group that it takes from %u sources (more than %d)",
				  gf->gf_numsrc, SOURCES_MAX);
	add_option(f, level, MCAST_JOIN_GROUP, &req, sizeof(req));
	if (gf->gf_fmode == MCAST_INCLUDE || gf->gf_numsrc)
		add_option(f, level, MCAST_MSFILTER, gf, GROUP_FILTER_SIZE(gf->gf_numsrc));
	return 0;
}

/* /proc/net/igmp: a line for each interface, and behind it one, which begins with tabs, for each group: a word as in memory. */
static int walk_igmp(struct found *f, char *text, struct err *err)
{
	uint64_t ifindex = 0, group;
	int ret = 0;

	for (char *line = text, *next; !ret && line && *line; line = next) {
		const char *p = line;
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (*line != '\t') {
			if (fdinfo_number(&p, 10, &ifindex) < 0)
				ifindex = 0;
			continue;
		}
		while (*p == '\t')
			p++;
		if (!ifindex || fdinfo_number(&p, 16, &group) < 0)
			continue;
		uint32_t word = (uint32_t)group;
		ret = try_group(f, IPPROTO_IP, (uint32_t)ifindex, &word, err);
	}
	return ret;
}

/* /proc/net/igmp6: index, interface, address as 32 hexadecimal digits, ... */
static int walk_igmp6(struct found *f, char *text, struct err *err)
{
	int ret = 0;

	for (char *line = text, *next; !ret && line && *line; line = next) {
		char *save = NULL;
		unsigned char addr[16];
		uint64_t ifindex, byte;
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		const char *index = strtok_r(line, " ", &save), *device = strtok_r(NULL, " ", &save),
			   *hex = strtok_r(NULL, " ", &save);
		if (!index || !device || !hex || strlen(hex) != 32 || fdinfo_number(&index, 10, &ifindex) < 0)
			continue;
		for (size_t i = 0; i < 16; i++) {
			const char two[3] = { hex[2 * i], hex[2 * i + 1], 0 }, *p = two;
			addr[i] = fdinfo_number(&p, 16, &byte) < 0 ? 0 : (unsigned char)byte;
		}
		ret = try_group(f, IPPROTO_IPV6, (uint32_t)ifindex, addr, err);
	}
	return ret;
}

int mcast_dump(struct dump *d, int fd, InetSkEntry *e, struct err *err)
{
	struct found f = { d, fd, e };
	cleanup_free char *four = NULL, *six = NULL;
	size_t len;
	int ret = 0;

	if (!read_file_at(AT_FDCWD, "/proc/net/igmp", 16u << 20, &four, &len))
		ret = walk_igmp(&f, four, err);
	if (!ret && e->family == AF_INET6 && !read_file_at(AT_FDCWD, "/proc/net/igmp6", 16u << 20, &six, &len))
		ret = walk_igmp6(&f, six, err);
	return ret;
}
