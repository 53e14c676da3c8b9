// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --link-remap: a file that lost the name by which it was opened, but has others that nobody knows, gets one more beside the
 * lost one, by which a restore finds it. The names are given back unless the checkpoint becomes whole.
 */
#include <errno.h>
#include <search.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/file/file.h"

#define TRIES 1000

struct file_link {
	dev_t dev;
	ino_t ino;
	uint32_t id; /* of the entry that has the new name */
	const char *name;
	struct file_link *next;
};

static int by_inode(const void *va, const void *vb)
{
	const struct file_link *a = va, *b = vb;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

static int give_name(struct dump *d, const struct file_place *p, const char *lost, struct file_link *l, struct err *err)
{
	int dir = (int)(strrchr(lost, '/') - lost) + 1;

	for (int i = 0; i < TRIES; i++) {
		l->name = i ? arena_printf(d->arena, "%.*s" LINK_PREFIX "%u.%d", dir, lost, l->id, i) :
			      arena_printf(d->arena, "%.*s" LINK_PREFIX "%u", dir, lost, l->id);
		if (!linkat(d->task->proc_fd, p->magic, d->files->root, l->name + 1, AT_SYMLINK_FOLLOW))
			return 0;
		if (errno != EEXIST)
			break;
	}
	return err_sys(err, "cannot give %s the name %s", lost, l->name);
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
		ret = give_name(d, p, lost, l, err);
		if (ret < 0)
			return ret;
		l->next = d->files->made_links;
		d->files->made_links = l;
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
	t->made_links = NULL;
}

void file_links_undo(struct file_table *t)
{
	for (struct file_link *l = t->made_links; l; l = l->next)
		unlinkat(t->root, l->name + 1, 0);
	t->made_links = NULL;
}
