// SPDX-License-Identifier: GPL-2.0-or-later
/* An open file of /proc/PID/ns, which stands for a namespace. Those that are the dumper's own are the restorer's. */
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "common/dump/identity.h"
#include "common/file/file.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static const struct kind { const char *name; uint32_t flag; size_t offset, has; } kinds[] = {
#define K(n, f) { #n, f, offsetof(TaskKobjIdsEntry, n##_ns_id), offsetof(TaskKobjIdsEntry, has_##n##_ns_id) }
	K(pid, CLONE_NEWPID), K(net, CLONE_NEWNET), K(ipc, CLONE_NEWIPC), K(uts, CLONE_NEWUTS), K(time, CLONE_NEWTIME),
	K(mnt, CLONE_NEWNS), K(user, CLONE_NEWUSER), K(cgroup, CLONE_NEWCGROUP),
#undef K
};

static const struct kind *kind_of_link(const char *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t n = strlen(kinds[i].name);

		if (!strncmp(link, kinds[i].name, n) && !strncmp(link + n, ":[", 2))
			return &kinds[i];
	}
	return NULL;
}

static bool nsfile_match(const struct fd_source *src)
{
	struct statfs fs;

	return !(src->flags & O_PATH) && kind_of_link(src->link) && !fstatfs(src->fd, &fs) && fs.f_type == NSFS_MAGIC;
}

static int nsfile_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	NsFileEntry *e = arena_msg(d->arena, NsFileEntry, ns_file_entry__init);
	const struct kind *k = kind_of_link(src->link);
	char path[64];
	struct stat own;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", k->name);
	if (stat(path, &own))
		return err_sys(err, "cannot stat %s", path);
	if (own.st_dev != src->st.st_dev || own.st_ino != src->st.st_ino)
		return err_refuse(err, "%s: a namespace other than that of cr-dump", src->link);
	entry->nsf = e;
	e->id = entry->id;
	e->ns_id = identity_own_ns(d, k->name);
	e->ns_cflag = k->flag;
	e->flags = (uint32_t)src->flags;
	return 0;
}

static int nsfile_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const TaskKobjIdsEntry *own = m->inventory->root_ids;
	const NsFileEntry *e = entry->nsf;
	struct program *c = plan->controller;
	const struct kind *k = NULL;
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].flag == e->ns_cflag)
			k = &kinds[i];
	if (!k)
		return err_image(err, "files.img: namespace file %u: unknown kind %#x", e->id, e->ns_cflag);
	/* An id that is not the dumper's is a namespace of the tree's own. */
	if (own && *(const protobuf_c_boolean *)((const char *)own + k->has) &&
	    *(const uint32_t *)((const char *)own + k->offset) != e->ns_id &&
	    !(k->flag == CLONE_NEWIPC && m->ipc && m->tasks[0].ids->ipc_ns_id == e->ns_id))
		return err_refuse(err, "files.img: file %u stands for a %s namespace of the tree's own", e->id, k->name);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", k->name);
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "namespace file", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(c, path)), A(O_RDONLY | O_CLOEXEC)));
	return 0;
}

const struct file_kind nsfile_kind = {
	.name = "namespace file",
	.type = FD_TYPES__NS,
	.match = nsfile_match,
	.dump = nsfile_dump,
	.plan = nsfile_plan,
};
