// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --link-remap: a file that lost the name by which it was opened, but has others that nobody knows, gets one more beside the
 * lost one, by which a restore finds it. That name is tried at once, because it may be refused, and taken back; the file has it
 * from the moment when all images are written and get their own names. So a dumper that is killed while it writes leaves none, and
 * one that fails takes back what it gave.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/file/file.h"

struct file_link {
	dev_t dev;
	ino_t ino;
	uint32_t id; /* of the entry that has the new name */
	const char *name;
	int fd; /* O_PATH */
	bool given;
	struct file_link *next;
};

static int by_inode(const void *va, const void *vb)
{
	const struct file_link *a = va, *b = vb;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

static int give(const struct file_table *t, struct file_link *l, struct err *err)
{
	char magic[32];

	snprintf(magic, sizeof(magic), "/proc/self/fd/%d", l->fd);
	if (linkat(AT_FDCWD, magic, t->root, l->name + 1, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(err, "cannot give a file that was removed the name %s", l->name);
	l->given = true;
	return 0;
}

static void take_back(const struct file_table *t, struct file_link *l)
{
	if (l->given)
		unlinkat(t->root, l->name + 1, 0);
	l->given = false;
}

static int give_all(void *arg, struct err *err)
{
	struct file_table *t = arg;
	int ret = 0;

	for (struct file_link *l = t->made_links; l && !ret; l = l->next)
		ret = give(t, l, err);
	return ret;
}

/* The name has a part of the run's, so that dumps side by side do not choose the same. */
static int try_name(struct dump *d, const struct file_place *p, const char *lost, struct file_link *l, struct err *err)
{
	int dir = (int)(strrchr(lost, '/') - lost) + 1, ret;

	l->name = arena_printf(d->arena, "%.*s" LINK_PREFIX "%u.%.8s", dir, lost, l->id, dump_run_id(d));
	l->fd = openat(d->task->proc_fd, p->magic, O_PATH | O_CLOEXEC);
	if (l->fd < 0)
		return err_sys(err, "cannot open %s", lost);
	ret = give(d->files, l, err);
	if (ret) {
		close(l->fd);
		return ret;
	}
	take_back(d->files, l);
	return 0;
}

static void put_file(struct dump *d, const struct file_link *l)
{
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);

	entry->type = FD_TYPES__REG;
	entry->id = reg->id = l->id;
	entry->reg = reg;
	reg->fown = arena_msg(d->arena, FownEntry, fown_entry__init);
	reg->name = arena_strdup(d->arena, l->name);
	file_put(d, entry);
}

int link_dump(struct dump *d, const struct file_place *p, const char *lost, uint32_t orig_id, struct err *err)
{
	RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;
	struct file_link key = { .dev = p->st.st_dev, .ino = p->st.st_ino }, **found;
	struct file_link *l;
	int ret;

	if (d->found) /* a check leaves no names */
		return 0;
	found = tfind(&key, &d->files->links, by_inode);
	if (!found) {
		l = arena_dup(d->arena, &key, sizeof(key));
		l->id = file_new_id(d);
		ret = try_name(d, p, lost, l, err);
		if (ret < 0)
			return ret;
		l->next = d->files->made_links;
		d->files->made_links = l;
		image_store_before_names(d->store, give_all, d->files);
		put_file(d, l);
		found = xowned(tsearch(l, &d->files->links, by_inode));
	}
	remap.orig_id = orig_id;
	remap.remap_id = (*found)->id;
	remap.has_remap_type = true;
	remap.remap_type = REMAP_TYPE__LINKED;
	image_store_put(d->store, IMG_REMAP_FPATH, 0, &remap.base);
	return 0;
}

void file_links_keep(struct file_table *t)
{
	for (struct file_link *l = t->made_links; l; l = l->next)
		l->given = false;
}

void file_links_undo(struct file_table *t)
{
	for (struct file_link *l = t->made_links; l; l = l->next) {
		take_back(t, l);
		close(l->fd);
	}
	t->made_links = NULL;
}
