// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/net/tun: a queue of a tun or tap device. The device itself belongs to a network namespace, with addresses and routes
 * that are not the file's; so it must outlive the file (TUNSETPERSIST). A file that has no device yet is only an opening.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/dump/identity.h"
#include "common/file/preflight.h"

#define MISC_MAJOR 10
#define TUN_MINOR 200
#define NOT_SET (IFF_PERSIST | IFF_DETACH_QUEUE) /* told by TUNGETIFF, set in other ways */
#define IFLA_TUN_PI_ 4 /* IFLA_TUN_PI in linux/if_link.h, since 4.17 */

static bool tun_match(const struct fd_source *src)
{
	return S_ISCHR(src->st.st_mode) && src->st.st_rdev == makedev(MISC_MAJOR, TUN_MINOR) && !(src->flags & O_PATH);
}

static int take_pi(const struct nlmsghdr *h, bool *pi)
{
	struct nlattr *links[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1], *data[IFLA_TUN_PI_ + 1];

	if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse((struct nlmsghdr *)h, sizeof(struct ifinfomsg), links, IFLA_MAX, NULL) < 0)
		return -ENODATA;
	if (!links[IFLA_LINKINFO] || nla_parse_nested(info, IFLA_INFO_MAX, links[IFLA_LINKINFO], NULL) < 0 || !info[IFLA_INFO_DATA])
		return -ENODATA;
	if (nla_parse_nested(data, IFLA_TUN_PI_, info[IFLA_INFO_DATA], NULL) < 0 || !data[IFLA_TUN_PI_] || nla_len(data[IFLA_TUN_PI_]) < 1)
		return -ENODATA;
	*pi = nla_get_u8(data[IFLA_TUN_PI_]);
	return 0;
}

/*
 * Whether packets come with a header of their kind: without it is IFF_NO_PI. TUNGETIFF does not tell, for the same bit says there that no
 * filter is attached (tun_get_iff() and TUNGETIFF in drivers/net/tun.c); rtnetlink does (tun_fill_info()).
 */
static int has_pi(const char *device, bool *pi, struct err *err)
{
	struct { struct nlmsghdr h; struct ifinfomsg i; } ask = {
		.h = { .nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST },
		.i = { .ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(device) },
	};
	cleanup_fd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	cleanup_free struct nlmsghdr *in = xmalloc(32768);
	ssize_t n = -1;

	if (nl >= 0 && ask.i.ifi_index && send(nl, &ask, sizeof(ask), 0) >= 0)
		n = recv(nl, in, 32768, 0);
	if (n < (ssize_t)sizeof(*in) || in->nlmsg_len > (size_t)n || take_pi(in, pi))
		return err_refuse(err, "network device %s: the kernel does not tell whether packets have a header (IFLA_TUN_PI)", device);
	return 0;
}

/* Where the bit says that there is no header, only the place of an earlier filter hints at one. Those are of tap devices. */
static bool may_be_filtered(int fd, const struct ifreq *ifr, bool pi)
{
	struct sock_fprog f = { 0 };

	if (pi)
		return !((unsigned short)ifr->ifr_flags & IFF_NOFILTER);
	return !ioctl(fd, TUNGETFILTER, &f) && f.len;
}

static int dump_device(const struct fd_source *src, struct dump *d, TunfileEntry *e, struct err *err)
{
	struct ifreq ifr = { 0 };
	int sndbuf = INT32_MAX, ret;
	bool pi = false;

	if (ioctl(src->fd, TUNGETIFF, &ifr) < 0)
		return errno == EBADFD ? 0 : err_sys(err, "cannot ask for the device of a tun file");
	if (!(ifr.ifr_flags & IFF_PERSIST))
		return err_hint(err, err_refuse(err, "network device %s ends with its last tun file", ifr.ifr_name),
				"a device that stays (ip tuntap add, TUNSETPERSIST) can be attached to again");
	ret = has_pi(ifr.ifr_name, &pi, err);
	if (ret)
		return ret;
	if (may_be_filtered(src->fd, &ifr, pi))
		return err_refuse(err, "network device %s: a filter on a tun queue", ifr.ifr_name);
	e->netdev = arena_strdup(d->arena, ifr.ifr_name);
	e->has_detached = e->detached = ifr.ifr_flags & IFF_DETACH_QUEUE;
	e->has_ns_id = true;
	e->ns_id = identity_own_ns(d, "net");
	e->has_flags = true;
	e->flags = (uint32_t)(unsigned short)ifr.ifr_flags & ~(uint32_t)(NOT_SET | IFF_NO_PI);
	e->flags |= pi ? 0 : IFF_NO_PI;
	if (!ioctl(src->fd, TUNGETSNDBUF, &sndbuf) && sndbuf != INT32_MAX) {
		e->has_sndbuf = true;
		e->sndbuf = sndbuf;
	}
	return 0;
}

static int tun_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	TunfileEntry *e = arena_msg(d->arena, TunfileEntry, tunfile_entry__init);
	FileEntry *file = arena_msg(d->arena, FileEntry, file_entry__init);
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);
	struct file_place p = { .magic = src->place, .link = src->link, .st = src->st, .flags = src->flags };
	int ret = dump_device(src, d, e, err);

	if (ret < 0)
		return ret;
	entry->tunf = e;
	e->id = entry->id;
	file->type = FD_TYPES__REG;
	file->id = reg->id = entry->id;
	file->reg = reg;
	ret = fown_dump(d, src, &reg->fown, err);
	if (!ret)
		ret = reg_fill(d, &p, reg, err);
	if (!ret)
		file_put(d, file);
	return ret;
}

static int tun_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const TunfileEntry *e = entry->tunf;
	const RegFileEntry *reg = model_reg(m, e->id);
	struct program *c = plan->controller;
	struct ifreq ifr = { 0 };
	int ret = reg ? reg_check(reg, err) : err_image(err, "files.img: tun file %u has no path", e->id);

	if (ret < 0)
		return ret;
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "tun file", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(c, reg->name)),
					      A((uint64_t)reg_open_flags(reg->flags))));
	if (!e->netdev || !e->netdev[0])
		return 0;
	if (strlen(e->netdev) >= IFNAMSIZ || strchr(e->netdev, '/') || !strcmp(e->netdev, ".") || !strcmp(e->netdev, ".."))
		return err_image(err, "files.img: tun file %u: no network device is called that", e->id);
	if (!e->has_flags)
		return err_refuse(err, "files.img: tun file %u: how device %s is to be attached is not in the checkpoint",
				  e->id, e->netdev);
	memcpy(ifr.ifr_name, e->netdev, strlen(e->netdev));
	/* TUNSETIFF would make a device that is not there. /sys may be that of another network namespace. */
	const char *there = arena_printf(plan->arena, "the network device %s must be there (ip tuntap add)", e->netdev);
	struct step_ref any = program_call(c, MAKE_OBJECTS, "a socket to ask for devices", SYS_socket, A(AF_UNIX),
					   A(SOCK_DGRAM | SOCK_CLOEXEC), A(0));
	program_call(c, MAKE_OBJECTS, there, SYS_ioctl, A_RESULT(any), A(SIOCGIFINDEX), A_DATA(program_data(c, &ifr, sizeof(ifr))));
	program_call(c, MAKE_OBJECTS, "was only for asking", SYS_close, A_RESULT(any));
	ifr.ifr_flags = (short)(e->flags & ~(uint32_t)NOT_SET);
	program_call(c, MAKE_OBJECTS, "attaches to its device", SYS_ioctl, A_SLOT(slot), A(TUNSETIFF),
		     A_DATA(program_data(c, &ifr, sizeof(ifr))));
	if (e->has_sndbuf)
		program_call(c, MAKE_OBJECTS, "send buffer", SYS_ioctl, A_SLOT(slot), A(TUNSETSNDBUF),
			     A_DATA(program_data(c, &e->sndbuf, sizeof(e->sndbuf))));
	ifr.ifr_flags = IFF_DETACH_QUEUE;
	if (e->has_detached && e->detached)
		program_call(c, MAKE_OBJECTS, "detached queue", SYS_ioctl, A_SLOT(slot), A(TUNSETQUEUE),
			     A_DATA(program_data(c, &ifr, sizeof(ifr))));
	return 0;
}

void look_devices(struct look *f)
{
	for (size_t i = 0; i < f->m->nfiles; i++) {
		const TunfileEntry *e = f->m->files[i]->type == FD_TYPES__TUNF ? f->m->files[i]->tunf : NULL;

		if (e && e->netdev && e->netdev[0] && strlen(e->netdev) < IFNAMSIZ && !if_nametoindex(e->netdev))
			look_found(f, e->netdev, "no network device has this name here (ip tuntap add, or TUNSETPERSIST)");
	}
}

const struct file_kind tun_kind = {
	.name = "tun file",
	.type = FD_TYPES__TUNF,
	.match = tun_match,
	.dump = tun_dump,
	.plan = tun_plan,
};
