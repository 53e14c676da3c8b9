/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers that images define, and the references to them: sorted once, then each one is looked up. */
#include <inttypes.h>
#include <stdarg.h>

#include "common/image/check_inside.h"
#include "core.pb-c.h"
#include "fdinfo.pb-c.h"

void check_say(struct check *c, const char *file, long entry, const char *fmt, ...)
{
	char text[768];
	struct check_finding f = { file, entry, text };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->res->findings++;
	c->fn(c->arg, &f);
}

void check_here(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_say(c, c->images[c->image].name, c->entry, "%s", text);
}

static void add(struct check *c, struct check_list *l, unsigned space, uint64_t key)
{
	array_reserve(&l->v, &l->cap, l->n, sizeof(*l->v));
	l->v[l->n++] = (struct check_item){ space, key, c->image, c->entry };
}

void check_def(struct check *c, unsigned space, uint64_t key)
{
	add(c, &c->defs, space, key);
}

void check_ref(struct check *c, unsigned space, uint64_t key)
{
	add(c, &c->refs, space, key);
}

void check_need(struct check *c, enum image_kind kind, unsigned long id)
{
	add(c, &c->refs, SPACE_IMAGE + (unsigned)kind, id);
}

static int by_key(const void *a, const void *b)
{
	const struct check_item *x = a, *y = b;

	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return 0;
}

/* In the order of the images, for people. */
static int by_place(const void *a, const void *b)
{
	const struct check_item *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->entry != y->entry)
		return x->entry < y->entry ? -1 : 1;
	return by_key(a, b);
}

bool check_has_image(const struct check *c, enum image_kind kind, unsigned long id)
{
	const struct check_item key = { .space = SPACE_IMAGE + (unsigned)kind, .key = id };

	return c->defs.n && bsearch(&key, c->defs.v, c->defs.n, sizeof(key), by_key);
}

static const char *type_name(uint64_t key)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, (int)(key >> 32));

	return v ? v->name : "file";
}

static void name_item(unsigned space, uint64_t key, char out[64])
{
	static const char *const names[SPACE_IMAGE] = {
		[SPACE_TASK] = "task", [SPACE_LEADER] = "core of task", [SPACE_THREAD] = "core of thread",
		[SPACE_FILE_ID] = "file", [SPACE_TTY_INFO] = "terminal", [SPACE_MEMFD] = "memfd inode",
		[SPACE_UNIX] = "unix socket inode", [SPACE_CGROUP_SET] = "cgroup set", [SPACE_SECCOMP] = "seccomp filter",
		[SPACE_MOUNT_ID] = "mount", [SPACE_PIPE_DATA] = "pipe", [SPACE_FIFO_DATA] = "fifo", [SPACE_REMAP] = "remap of file",
	};

	if (space >= SPACE_IMAGE)
		image_name((enum image_kind)(space - SPACE_IMAGE), key, out);
	else if (space == SPACE_FILE)
		snprintf(out, 64, "%s %u", type_name(key), (uint32_t)key);
	else if (space == SPACE_MOUNT)
		snprintf(out, 64, "mount %u", (uint32_t)key);
	else if (space == SPACE_FD)
		snprintf(out, 64, "fd %u", (uint32_t)key);
	else
		snprintf(out, 64, "%s %" PRIu64, names[space], key);
}

/* Where one would have to look for it. */
static const char *home(const struct check *c, unsigned space)
{
	switch (space) {
	case SPACE_TASK: return "pstree.img does not have";
	case SPACE_LEADER: return "is missing or has no state of a task";
	case SPACE_THREAD: return "is missing or not that of a thread";
	case SPACE_FILE:
	case SPACE_FILE_ID: return c->has_files ? "files.img does not have" : "no image has";
	case SPACE_TTY_INFO: return "tty-info.img does not have";
	case SPACE_MEMFD: return "memfd.img does not have";
	case SPACE_CGROUP_SET: return "cgroup.img does not have";
	case SPACE_SECCOMP: return "seccomp.img does not have";
	case SPACE_MOUNT: return "this image does not have";
	default: return space >= SPACE_IMAGE ? "is missing" : "no image has";
	}
}

/* Spaces in which the same number twice is damage. Inodes of unix sockets and sets may well be listed twice. */
static bool is_unique(unsigned space)
{
	return space == SPACE_TASK || space == SPACE_FILE || space == SPACE_TTY_INFO || space == SPACE_MEMFD || space == SPACE_MOUNT ||
	       space == SPACE_FD || space == SPACE_PIPE_DATA || space == SPACE_FIFO_DATA || space == SPACE_REMAP;
}

static void find_doubles(struct check *c)
{
	for (size_t i = 1; i < c->defs.n; i++) {
		const struct check_item *d = &c->defs.v[i];
		char name[64];

		if (by_key(d - 1, d) || !is_unique(d->space))
			continue;
		name_item(d->space, d->key, name);
		check_say(c, c->images[d->file].name, d->entry, "%s is there twice", name);
	}
}

static int by_pid(const void *va, const void *vb)
{
	uint32_t a = (*(PstreeEntry *const *)va)->pid, b = (*(PstreeEntry *const *)vb)->pid;

	return (a > b) - (a < b);
}

/* 0 when there is none. The tree is read when it is asked for first. */
static uint32_t parent_of(struct check *c, uint64_t pid)
{
	PstreeEntry key = { .pid = (uint32_t)pid }, *k = &key, **hit;
	struct err ignore = ERR_INIT;

	if (!c->tree) {
		if (!c->arena)
			c->arena = arena_new();
		if (image_read_all(c->dir, IMG_PSTREE, 0, c->arena, (ProtobufCMessage ***)&c->tree, &c->ntree, NULL, &ignore) ||
		    !c->ntree)
			return 0;
		qsort(c->tree, c->ntree, sizeof(*c->tree), by_pid);
	}
	hit = bsearch(&k, c->tree, c->ntree, sizeof(*c->tree), by_pid);
	return hit ? (*hit)->ppid : 0;
}

/* Who shares an object with its parent has no image of it. */
static bool is_parents(struct check *c, unsigned space, uint64_t pid)
{
	bool vm = space == SPACE_IMAGE + IMG_MM || space == SPACE_IMAGE + IMG_PAGEMAP;
	cleanup_arena struct arena *arena = arena_new();
	const TaskKobjIdsEntry *ids[2];
	struct err ignore = ERR_INIT;
	ProtobufCMessage *msg;
	uint64_t who = pid;

	if (!vm && space != SPACE_IMAGE + IMG_FS)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++, who = parent_of(c, pid)) {
		if (!who || image_read_one(c->dir, IMG_IDS, (unsigned long)who, arena, &msg, &ignore))
			return false;
		ids[i] = (const TaskKobjIdsEntry *)msg;
	}
	return vm ? ids[0]->vm_id == ids[1]->vm_id : ids[0]->fs_id == ids[1]->fs_id;
}

void check_references(struct check *c)
{
	bool mounts = false;

	if (c->defs.n)
		qsort(c->defs.v, c->defs.n, sizeof(*c->defs.v), by_key);
	if (c->refs.n)
		qsort(c->refs.v, c->refs.n, sizeof(*c->refs.v), by_place);
	find_doubles(c);
	for (size_t i = 0; i < c->nimages; i++)
		mounts |= c->images[i].kind == IMG_MNTS;
	for (size_t i = 0; i < c->refs.n; i++) {
		const struct check_item *r = &c->refs.v[i], *d = NULL;
		char name[64];

		/* One finding for what one entry says twice; mounts of the host are not listed. */
		if ((i && !by_place(r - 1, r)) || (r->space == SPACE_MOUNT_ID && !mounts))
			continue;
		if (c->defs.n)
			d = bsearch(r, c->defs.v, c->defs.n, sizeof(*r), by_key);
		name_item(r->space, r->key, name);
		/* Who reads the tree makes tasks as they come. */
		if (d && r->space == SPACE_TASK && d->file == r->file && d->entry >= r->entry)
			check_say(c, c->images[r->file].name, r->entry, "its parent, %s, does not come before it", name);
		if (d || is_parents(c, r->space, r->key))
			continue;
		check_say(c, c->images[r->file].name, r->entry, "refers to %s, which %s", name, home(c, r->space));
	}
}
