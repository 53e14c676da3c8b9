// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/net/tun: a queue of a tun or tap device. The device itself belongs to a network namespace, with addresses and routes
 * that are not the file's; so it must outlive the file (TUNSETPERSIST). A file that has no device yet is only an opening.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/dump/identity.h"
#include "common/file/file.h"

#define MISC_MAJOR 10
#define TUN_MINOR 200
#define NOT_SET (IFF_PERSIST | IFF_DETACH_QUEUE | IFF_NOFILTER) /* told by TUNGETIFF, set in other ways */

static bool tun_match(const struct fd_source *src)
{
	return S_ISCHR(src->st.st_mode) && src->st.st_rdev == makedev(MISC_MAJOR, TUN_MINOR) && !(src->flags & O_PATH);
}

static int dump_device(const struct fd_source *src, struct dump *d, TunfileEntry *e, struct err *err)
{
	struct ifreq ifr = { 0 };
	int sndbuf = INT32_MAX;

	if (ioctl(src->fd, TUNGETIFF, &ifr) < 0)
		return errno == EBADFD ? 0 : err_sys(err, "cannot ask for the device of a tun file");
	if (!(ifr.ifr_flags & IFF_PERSIST))
		return err_hint(err, err_refuse(err, "network device %s ends with its last tun file", ifr.ifr_name),
				"a device that stays (ip tuntap add, TUNSETPERSIST) can be attached to again");
	if (!((unsigned short)ifr.ifr_flags & IFF_NOFILTER))
		return err_refuse(err, "network device %s: a filter on a tun queue", ifr.ifr_name);
	e->netdev = arena_strdup(d->arena, ifr.ifr_name);
	e->has_detached = e->detached = ifr.ifr_flags & IFF_DETACH_QUEUE;
	e->has_ns_id = true;
	e->ns_id = identity_own_ns(d, "net");
	e->has_flags = true;
	e->flags = (uint32_t)(unsigned short)ifr.ifr_flags & ~(uint32_t)NOT_SET;
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
	char path[64];
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
	/* TUNSETIFF would make a device that is not there. */
	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", e->netdev);
	program_call(c, MAKE_OBJECTS, "the tun device must be there", SYS_access, A_DATA(program_string(c, path)), A(F_OK));
	memcpy(ifr.ifr_name, e->netdev, strlen(e->netdev));
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

const struct file_kind tun_kind = {
	.name = "tun file",
	.type = FD_TYPES__TUNF,
	.match = tun_match,
	.dump = tun_dump,
	.plan = tun_plan,
};
