// SPDX-License-Identifier: GPL-2.0-or-later
/* Fifos: pipes that are opened by a path. The path, flags and owner stand in a REG entry of their own. */
#include <errno.h>
#include <search.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "common/file/outside.h"
#include "common/file/pipe.h"

struct known_fifo {
	dev_t dev;
	ino_t ino;
	uint32_t id;
};

static int fifo_order(const void *va, const void *vb)
{
	const struct known_fifo *a = va, *b = vb;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

/* Two fifos of two file systems may have one inode number. Ids only need to differ, so we count. */
static int fifo_id(struct dump *d, const struct stat *st, uint32_t *id, struct err *err)
{
	struct known_fifo key = { st->st_dev, st->st_ino, 0 };
	struct known_fifo **found = tfind(&key, &d->files->fifos, fifo_order);

	if (found) {
		*id = (*found)->id;
		return 0;
	}
	key.id = *id = file_new_id(d);
	if (!tsearch(arena_dup(d->arena, &key, sizeof(key)), &d->files->fifos, fifo_order))
		return err_set(err, ERR_FAILED, ENOMEM, "no memory for the list of fifos");
	return 0;
}

static bool fifo_match(const struct fd_source *src)
{
	return S_ISFIFO(src->st.st_mode) && src->link[0] == '/' && !(src->flags & O_PATH);
}

static int fifo_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	FifoEntry *fifo = arena_msg(d->arena, FifoEntry, fifo_entry__init);
	FileEntry *file = arena_msg(d->arena, FileEntry, file_entry__init);
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);
	struct file_place p = { .magic = src->place, .link = src->link, .st = src->st, .flags = src->flags };
	int ret;

	file->type = FD_TYPES__REG;
	file->id = reg->id = file_new_id(d);
	file->reg = reg;
	entry->fifo = fifo;
	fifo->id = entry->id;
	fifo->has_regf_id = true;
	fifo->regf_id = reg->id;
	ret = fifo_id(d, &src->st, &fifo->pipe_id, err);
	if (ret < 0)
		return ret;
	ret = fown_dump(d, src, &reg->fown, err);
	if (ret < 0)
		return ret;
	ret = reg_fill(d, &p, reg, err);
	if (ret < 0)
		return ret;
	ret = pipe_check_ends(d, src, err);
	if (ret < 0)
		return outside_hint(ret, err);
	file_put(d, file);
	return pipe_dump_data(d, src, IMG_FIFO_DATA, fifo->pipe_id, err);
}

static const RegFileEntry *fifo_reg(const struct model *m, const FileEntry *e, struct err *err)
{
	const RegFileEntry *reg = e->fifo->has_regf_id ? model_reg(m, e->fifo->regf_id) : NULL;

	if (!reg)
		err_image(err, "files.img: fifo %u has no file", e->id);
	return reg && reg_check(reg, err) == 0 ? reg : NULL;
}

/* All openings of one fifo are made together, while one of ours for both directions keeps it alive and unblocked. */
static int fifo_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const struct model_pipe_data *data = file_pipe_data(m, plan, true, entry->fifo->pipe_id);
	const RegFileEntry *first = fifo_reg(m, entry, err);
	const RemapFilePathEntry *remap = first ? model_remap(m, first->id) : NULL;
	const struct arg cwd = A((uint64_t)AT_FDCWD);
	struct program *c = plan->controller;
	struct ghost_plan *ghost = NULL;
	size_t n;
	const struct file_group_index *group = file_group(m, plan, GROUP_FIFO, entry->fifo->pipe_id, &n);
	int ret;

	if (!first)
		return -EINVAL;
	if (remap) {
		ret = ghost_begin(m, plan, first, remap, &ghost, err);
		if (ret < 0)
			return ret;
	}
	struct data_ref path = ghost ? ghost_path(ghost) : program_string(c, first->name);
	struct step_ref hold = program_call(c, MAKE_OBJECTS, "fifo, held open", SYS_openat, cwd, A_DATA(path),
					    A(O_RDWR | O_NONBLOCK | O_CLOEXEC));
	if (data && data->entry->n_packets)
		program_call(c, MAKE_CONTENT, "packet mode", SYS_fcntl, A_RESULT(hold), A(F_SETFL),
			     A(O_NONBLOCK | O_DIRECT));
	ret = pipe_plan_data(plan, data, A_RESULT(hold), data && data->entry->n_packets, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		const RegFileEntry *reg = fifo_reg(m, e, err);
		if (!reg)
			return -EINVAL;
		slot = file_slot_get(plan, e, "fifo");
		/* O_DIRECT (packets) is refused by open(2) here and taken by F_SETFL. */
		uint32_t flags = ((uint32_t)reg_open_flags(reg->flags) & ~(uint32_t)O_DIRECT) | O_NONBLOCK;
		struct data_ref name = ghost && model_remap(m, reg->id) ? path : program_string(c, reg->name);
		plan_slot_is(plan, slot,
			     program_call(c, MAKE_OBJECTS, "fifo", SYS_openat, cwd, A_DATA(name), A(flags)));
		plan_setfl(plan, slot, flags, reg->flags);
	}
	if (ghost)
		ghost_end(plan, ghost);
	program_call(c, MAKE_CONTENT, "fifo, no longer held", SYS_close, A_RESULT(hold));
	return 0;
}

const struct file_kind fifo_kind = {
	.name = "fifo",
	.type = FD_TYPES__FIFO,
	.match = fifo_match,
	.dump = fifo_dump,
	.plan = fifo_plan,
};
