// SPDX-License-Identifier: GPL-2.0-or-later
/* Whatever is opened by a path and has no state but the description's: regular files, directories, memory devices,
 * symlinks (O_PATH). */
#include <linux/magic.h>
#include <linux/major.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "common/file/external.h"
#include "common/file/file.h"

#define MQUEUE_SUPER 0x19800202 /* ipc/mqueue.c, MQUEUE_MAGIC */

#define NO_SEEK UINT64_MAX

/* /dev/null, zero, full, random, urandom, mem, port: no state per opening. kmsg (11) remembers how far it was read. */
static bool memory_device(const struct stat *st)
{
	if (!S_ISCHR(st->st_mode) || major(st->st_rdev) != MEM_MAJOR)
		return false;
	switch (minor(st->st_rdev)) {
	case 1: case 3: case 4: case 5: case 7: case 8: case 9:
		return true;
	}
	return false;
}

static bool regfile_match(const struct fd_source *src)
{
	if (src->link[0] != '/')
		return false; /* pipe:[..], net:[..], anon_inode:.. */
	/* Of whatever type: O_PATH is nothing but the path. */
	if (src->flags & O_PATH)
		return true;
	return S_ISREG(src->st.st_mode) || S_ISDIR(src->st.st_mode) || memory_device(&src->st);
}

/* The queue comes with its namespace (common/ipc), and is opened there. */
static int mqueue_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, RegFileEntry *reg, struct err *err)
{
	if (!d->ipc_back)
		return err_refuse(err, "POSIX message queue %s: it belongs to the IPC namespace, which is not the tree's own", src->link);
	if (!src->st.st_nlink)
		return err_refuse(err, "POSIX message queue %s has lost its name", src->link);
	reg->id = entry->id;
	reg->name = arena_strdup(d->arena, src->link);
	reg->flags = (uint32_t)src->flags & ~(uint32_t)O_CLOEXEC;
	reg->has_mqueue = reg->mqueue = true;
	entry->reg = reg;
	return fown_dump(d, src, &reg->fown, err);
}

static int mqueue_plan(const struct model *m, const RegFileEntry *reg, struct plan *plan, uint32_t slot, struct err *err)
{
	struct program *c = plan->controller;

	if (!m->ipc || reg->name[0] != '/' || !reg->name[1] || strchr(reg->name + 1, '/'))
		return err_image(err, "files.img: file %u (%s) is no POSIX message queue of the checkpoint", reg->id, reg->name);
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "POSIX message queue", SYS_mq_open,
					      A_DATA(program_string(c, reg->name + 1)),
					      A((reg->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC), A(0), A(0)));
	return 0;
}

static int regfile_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	char id[EXTERNAL_FILE_MAX];
	struct file_place p = { .magic = src->place, .link = src->link, .st = src->st, .flags = src->flags };
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);
	struct statfs fs;
	int ret;

	if (fstatfs(src->fd, &fs) < 0)
		return err_sys(err, "cannot stat the file system of %s", src->link);
	if (fs.f_type == MQUEUE_SUPER && S_ISREG(src->st.st_mode))
		return mqueue_dump(d, src, entry, reg, err);
	p.fs_type = fs.f_type;
	p.pos = src->flags & O_PATH ? 0 : (uint64_t)src->info->pos;
	reg->id = entry->id;
	entry->reg = reg;
	ret = fown_dump(d, src, &reg->fown, err);
	if (ret < 0)
		return ret;
	external_file_id(src->info->mnt_id, src->st.st_ino, id);
	if (external_find(d->opts->given, "file", id)) {
		reg->has_ext = reg->ext = true;
		reg->flags = (uint32_t)src->flags & ~(uint32_t)O_CLOEXEC;
		reg->pos = p.pos;
		reg->name = arena_printf(d->arena, "file[%s]", id);
		return 0;
	}
	/* F_NOTIFY gives the directory an owner; nothing else does, and nothing else tells (fs/notify/dnotify). */
	if (S_ISDIR(src->st.st_mode) && reg->fown->pid)
		return err_refuse(err, "%s is watched by F_NOTIFY, for what nobody can see", src->link);
	return reg_fill(d, &p, reg, err);
}

/* A description from outside: its position and flags are its giver's. Only what it may be used for is compared. */
static int plan_given(struct plan *plan, const RegFileEntry *reg, uint32_t slot, int fd, struct err *err)
{
	int flags = fcntl(fd, F_GETFL), want = (int)reg->flags & O_ACCMODE;

	if (flags >= 0 && !(reg->flags & O_PATH) && (flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != want)
		return err_set(err, ERR_USAGE, 0, "fd[%d] given for %s is open for %s only", fd, reg->name,
			       (flags & O_ACCMODE) == O_RDONLY ? "reading" : "writing");
	plan->binds[slot].source = SLOT_FD;
	plan->binds[slot].fd = fd;
	return 0;
}

int reg_inherited(const struct plan *plan, const RegFileEntry *reg)
{
	return inherited_find(plan->given, reg->name + (reg->name[0] == '/' && !(reg->has_ext && reg->ext)));
}

int reg_check(const RegFileEntry *reg, struct err *err)
{
	if (reg->has_ext && reg->ext)
		return err_hint(err, err_refuse(err, "file %u (%s) was given from outside", reg->id, reg->name),
				"give it: --inherit-fd 'fd[N]:%s'", reg->name);
	if (reg->name[0] != '/')
		return err_image(err, "files.img: file %u: name \"%s\" is not an absolute path", reg->id, reg->name);
	if (reg->pos != NO_SEEK && reg->pos > INT64_MAX)
		return err_image(err, "files.img: file %u: position out of range", reg->id);
	return 0;
}

int reg_open_flags(uint32_t flags)
{
	/* O_TMPFILE contains O_DIRECTORY. O_ASYNC given to open(2) would be shown and do nothing. */
	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~(uint32_t)O_TMPFILE;
	flags &= ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC);
	return (int)flags | O_NOCTTY | O_CLOEXEC;
}

void plan_setfl(struct plan *plan, uint32_t slot, uint32_t have, uint32_t want)
{
	const uint32_t settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;

	if ((have ^ want) & settable)
		program_call(plan->controller, MAKE_CONTENT, "status flags", SYS_fcntl, A_SLOT(slot), A(F_SETFL),
			     A(want & settable));
}

void reg_seek(struct plan *plan, const RegFileEntry *reg, uint32_t slot)
{
	if (reg->pos && reg->pos != NO_SEEK && !(reg->flags & O_PATH))
		program_call_eq(plan->controller, MAKE_CONTENT, "position", reg->pos, SYS_lseek, A_SLOT(slot),
				A(reg->pos), A(SEEK_SET));
}

static int regfile_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			struct err *err)
{
	const RegFileEntry *reg = entry->reg;
	struct program *c = plan->controller;
	int fd = reg_inherited(plan, reg), ret = fd >= 0 ? 0 : reg_check(reg, err);

	if (fd >= 0)
		return plan_given(plan, reg, slot, fd, err);
	if (reg->mqueue)
		return mqueue_plan(m, reg, plan, slot, err);
	if (ret < 0)
		return ret;
	const RemapFilePathEntry *remap = model_remap(m, reg->id);
	if (remap)
		return ghost_plan_files(m, plan, reg, remap, err);
	const size_t from = program_steps(c);
	struct data_ref path = program_string(c, reg->name);
	/* The file of a socket is made anew when that is bound: what means the file comes behind that. */
	const int phase = reg->flags & O_PATH && (!reg->has_mode || S_ISSOCK(reg->mode)) ? MAKE_CONTENT : MAKE_OBJECTS;
	plan_slot_is(plan, slot, program_call(c, phase, "file", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(path),
					      A((uint64_t)reg_open_flags(reg->flags))));
	reg_seek(plan, reg, slot);
	plan_strand(plan, from);
	return 0;
}

const struct file_kind regfile_kind = {
	.name = "regular file",
	.type = FD_TYPES__REG,
	.match = regfile_match,
	.dump = regfile_dump,
	.plan = regfile_plan,
};
