/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open file descriptions and what hangs on them: remaps, memfds, queued bytes. */
#include <errno.h>
#include <string.h>

#include "common/kinds.h"
#include "common/restore/verify.h"

/* Which sub message belongs to a type, and the older image that holds such entries when there is no files.img. */
static const struct type_info {
	FdTypes type;
	const char *name;  /* the format's */
	const char *human; /* the kernel's */
	size_t at;	   /* of the pointer in FileEntry */
	enum image_kind old;
} types[] = {
	{ FD_TYPES__REG, "REG", "file", offsetof(FileEntry, reg), IMG_REG_FILES },
	{ FD_TYPES__PIPE, "PIPE", "pipe", offsetof(FileEntry, pipe), IMG_PIPES },
	{ FD_TYPES__FIFO, "FIFO", "fifo", offsetof(FileEntry, fifo), IMG_FIFO },
	{ FD_TYPES__INETSK, "INETSK", "internet socket", offsetof(FileEntry, isk), IMG_INETSK },
	{ FD_TYPES__UNIXSK, "UNIXSK", "unix socket", offsetof(FileEntry, usk), IMG_UNIXSK },
	{ FD_TYPES__EVENTFD, "EVENTFD", "eventfd", offsetof(FileEntry, efd), IMG_EVENTFD_FILE },
	{ FD_TYPES__EVENTPOLL, "EVENTPOLL", "epoll", offsetof(FileEntry, epfd), IMG_EVENTPOLL_FILE },
	{ FD_TYPES__INOTIFY, "INOTIFY", "inotify", offsetof(FileEntry, ify), IMG_INOTIFY_FILE },
	{ FD_TYPES__SIGNALFD, "SIGNALFD", "signalfd", offsetof(FileEntry, sgfd), IMG_SIGNALFD },
	{ FD_TYPES__PACKETSK, "PACKETSK", "packet socket", offsetof(FileEntry, psk), IMG_PACKETSK },
	{ FD_TYPES__TTY, "TTY", "terminal", offsetof(FileEntry, tty), IMG_TTY_FILES },
	{ FD_TYPES__FANOTIFY, "FANOTIFY", "fanotify", offsetof(FileEntry, ffy), IMG_FANOTIFY_FILE },
	{ FD_TYPES__NETLINKSK, "NETLINKSK", "netlink socket", offsetof(FileEntry, nlsk), IMG_NETLINK_SK },
	{ FD_TYPES__NS, "NS", "namespace", offsetof(FileEntry, nsf), IMG_NS_FILES },
	{ FD_TYPES__TUNF, "TUNF", "tun", offsetof(FileEntry, tunf), IMG_KINDS },
	{ FD_TYPES__EXT, "EXT", "plugin file", offsetof(FileEntry, ext), IMG_EXT_FILES },
	{ FD_TYPES__TIMERFD, "TIMERFD", "timerfd", offsetof(FileEntry, tfd), IMG_KINDS },
	{ FD_TYPES__MEMFD, "MEMFD", "memfd", offsetof(FileEntry, memfd), IMG_KINDS },
	{ FD_TYPES__BPFMAP, "BPFMAP", "BPF map", offsetof(FileEntry, bpf), IMG_KINDS },
	{ FD_TYPES__PIDFD, "PIDFD", "pidfd", offsetof(FileEntry, pidfd), IMG_KINDS },
};

static const struct type_info *type_info(FdTypes type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

/* The sub message's own id: by the description of the message, because each type is another struct. */
static uint32_t sub_id(const ProtobufCMessage *sub)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(sub->descriptor, "id");
	uint32_t id = 0;

	if (f)
		memcpy(&id, (const char *)sub + f->offset, sizeof(id));
	return id;
}

static int by_key(const void *a, const void *b)
{
	const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

FileEntry *model_file(const struct model *m, FdTypes type, uint32_t id)
{
	FileEntry want = { .type = type, .id = id }, *key = &want, **hit;

	hit = m->nfiles ? bsearch(&key, m->files, m->nfiles, sizeof(*m->files), by_key) : NULL;
	return hit ? *hit : NULL;
}

const RegFileEntry *model_reg(const struct model *m, uint32_t id)
{
	FileEntry *e = model_file(m, FD_TYPES__REG, id);

	return e ? e->reg : NULL;
}

const RemapFilePathEntry *model_remap(const struct model *m, uint32_t orig_id)
{
	for (size_t i = 0; i < m->nremaps; i++)
		if (m->remaps[i]->orig_id == orig_id)
			return m->remaps[i];
	return NULL;
}

/* files.img does not exist in the oldest layout: one image for each type does. */
static int load_old_files(struct model *m, struct err *err)
{
	cleanup_free FileEntry **list = NULL;
	size_t cap = 0;

	for (size_t k = 0; k < ARRAY_SIZE(types); k++) {
		ProtobufCMessage **v;
		size_t n;
		int ret;

		if (types[k].old == IMG_KINDS)
			continue;
		ret = image_read_all(m->dir, types[k].old, 0, m->arena, &v, &n, NULL, err);
		if (ret)
			return ret;
		for (size_t i = 0; i < n; i++) {
			FileEntry *e = arena_msg(m->arena, FileEntry, file_entry__init);

			e->type = types[k].type;
			e->id = sub_id(v[i]);
			*(ProtobufCMessage **)((char *)e + types[k].at) = v[i];
			array_reserve(&list, &cap, m->nfiles, sizeof(*list));
			list[m->nfiles++] = e;
		}
	}
	if (m->nfiles)
		m->files = arena_dup(m->arena, list, m->nfiles * sizeof(*list));
	return 0;
}

static int load_file_entries(struct model *m, struct err *err)
{
	ProtobufCMessage **v;
	bool absent;
	int ret = image_read_all(m->dir, IMG_FILES, 0, m->arena, &v, &m->nfiles, &absent, err);

	if (ret)
		return ret;
	m->files = (FileEntry **)v;
	if (absent) {
		ret = load_old_files(m, err);
		if (ret)
			return ret;
	}
	for (size_t i = 0; i < m->nfiles; i++) {
		const FileEntry *e = m->files[i];
		const struct type_info *t = type_info(e->type);
		const ProtobufCMessage *sub;

		if (!t)
			return bad_image(err, AT(FILES, 0, (long)i), "type %d is not known", (int)e->type);
		sub = *(ProtobufCMessage *const *)((const char *)e + t->at);
		if (!sub)
			return bad_image(err, AT(FILES, 0, (long)i), "%s %u has no entry of its type", t->name, e->id);
		if (sub_id(sub) != e->id)
			return bad_image(err, AT(FILES, 0, (long)i), "%s %u: the ids %u and %u do not agree", t->name,
					 e->id, e->id, sub_id(sub));
	}
	if (m->nfiles)
		qsort(m->files, m->nfiles, sizeof(*m->files), by_key);
	for (size_t i = 1; i < m->nfiles; i++)
		if (!by_key(&m->files[i - 1], &m->files[i]))
			return bad_image(err, AT(FILES, 0, -1), "%s %u is there twice",
					 type_info(m->files[i]->type)->name, m->files[i]->id);
	return 0;
}

static int check_ghost(struct model *m, size_t i, const RemapFilePathEntry *r, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage *msg;
	int ret = image_reader_open(m->dir, IMG_GHOST_FILE, r->remap_id, &rd, err);

	if (ret)
		return ret;
	if (image_reader_absent(rd))
		return bad_image(err, AT(REMAP_FPATH, 0, (long)i), "file %u is ghost %x, whose image is missing",
				 r->orig_id, r->remap_id);
	ret = image_reader_next(rd, m->arena, &msg, err);
	if (ret == 0)
		return bad_image(err, AT(GHOST_FILE, r->remap_id, -1), "no entry");
	return ret < 0 ? ret : 0;
}

static int load_remaps(struct model *m, struct err *err)
{
	ProtobufCMessage **v;
	int ret = image_read_all(m->dir, IMG_REMAP_FPATH, 0, m->arena, &v, &m->nremaps, NULL, err);

	if (ret)
		return ret;
	m->remaps = (RemapFilePathEntry **)v;
	for (size_t i = 0; i < m->nremaps; i++) {
		RemapFilePathEntry *r = m->remaps[i];
		const struct where *at = AT(REMAP_FPATH, 0, (long)i);

		if (!r->has_remap_type) { /* older dumpers put it in the top bit of the id */
			r->has_remap_type = true;
			r->remap_type = r->remap_id & 0x80000000u ? REMAP_TYPE__GHOST : REMAP_TYPE__LINKED;
			r->remap_id &= 0x7fffffffu;
		}
		if (!model_reg(m, r->orig_id))
			continue; /* entries that nobody refers to are harmless */
		switch (r->remap_type) {
		case REMAP_TYPE__GHOST:
			ret = check_ghost(m, i, r, err);
			break;
		case REMAP_TYPE__LINKED:
			if (!model_reg(m, r->remap_id))
				ret = bad_image(err, at, "file %u is linked to file %u, which is not there", r->orig_id,
						r->remap_id);
			break;
		case REMAP_TYPE__PROCFS:
			ret = cannot_restore(err, at, "file %u is in /proc of process %u, which is dead", r->orig_id,
					     r->remap_id);
			break;
		default:
			ret = bad_image(err, at, "remap type %d is not known", (int)r->remap_type);
		}
		if (ret)
			return ret;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorts v; true when a value is there twice, which *dup then tells. */
static bool any_twice(uint64_t *v, size_t n, uint64_t *dup)
{
	if (n)
		qsort(v, n, sizeof(*v), by_value);
	for (size_t i = 1; i < n; i++)
		if (v[i] == v[i - 1]) {
			*dup = v[i];
			return true;
		}
	return false;
}

/* Queued bytes come right behind each entry. A pipe holds at most what F_SETPIPE_SZ allows: 2 GiB at the very most, and
 * the reader has checked that the image is that long, so a lie in it costs no memory. */
static int load_pipe_data(struct model *m, enum image_kind kind, struct model_pipe_data **list, size_t *cap,
			  struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage *msg;
	int ret = image_reader_open(m->dir, kind, 0, &rd, err);

	for (long i = 0; !ret; i++) {
		const struct where at = { kind, 0, i };
		PipeDataEntry *e;
		void *bytes;
		uint64_t left;

		ret = image_reader_next(rd, m->arena, &msg, err);
		if (ret <= 0)
			break;
		e = (PipeDataEntry *)msg;
		left = image_reader_payload_left(rd);
		if (left != e->bytes || e->bytes > (64u << 20))
			return bad_image(err, &at, "pipe %u: %u queued bytes, the image holds %lu", e->pipe_id,
					 e->bytes, left);
		bytes = arena_alloc(m->arena, e->bytes);
		ret = image_reader_payload(rd, bytes, e->bytes, err);
		if (ret)
			break;
		array_reserve(list, cap, m->npipe_data, sizeof(**list));
		(*list)[m->npipe_data++] = (struct model_pipe_data){ e, bytes, kind == IMG_FIFO_DATA };
	}
	return ret;
}

static int check_pipe_data(const struct model_pipe_data *v, size_t n, struct err *err)
{
	cleanup_free uint64_t *keys = xreallocarray(NULL, n + 1, sizeof(*keys));
	uint64_t dup;

	for (size_t i = 0; i < n; i++)
		keys[i] = v[i].entry->pipe_id | (uint64_t)v[i].fifo << 32;
	if (!any_twice(keys, n, &dup))
		return 0;
	return bad_image(err, &(const struct where){ dup >> 32 ? IMG_FIFO_DATA : IMG_PIPES_DATA, 0, -1 },
			 "pipe %u is there twice", (uint32_t)dup);
}

static int check_memfds(const struct model *m, struct err *err)
{
	cleanup_free uint64_t *inodes = xreallocarray(NULL, m->nmemfds + 1, sizeof(*inodes));
	uint64_t dup;

	for (size_t i = 0; i < m->nmemfds; i++)
		inodes[i] = m->memfds[i]->inode_id;
	if (any_twice(inodes, m->nmemfds, &dup))
		return bad_image(err, AT(MEMFD_INODE, 0, -1), "inode %lu is there twice", dup);
	/* inodes is sorted now */
	for (size_t i = 0; i < m->nfiles; i++) {
		uint64_t want;

		if (m->files[i]->type != FD_TYPES__MEMFD)
			continue;
		want = m->files[i]->memfd->inode_id;
		if (!m->nmemfds || !bsearch(&want, inodes, m->nmemfds, sizeof(want), by_value))
			return bad_image(err, AT(FILES, 0, -1),
					 "MEMFD %u refers to inode %lu, which memfd.img does not have", m->files[i]->id,
					 want);
	}
	return 0;
}

static int load_memfds(struct model *m, struct err *err)
{
	ProtobufCMessage **v;
	int ret = image_read_all(m->dir, IMG_MEMFD_INODE, 0, m->arena, &v, &m->nmemfds, NULL, err);

	if (ret)
		return ret;
	m->memfds = (MemfdInodeEntry **)v;
	ret = check_memfds(m, err);
	if (ret)
		return ret;
	return model_load_shmem(m, err);
}

int model_load_files(struct model *m, struct err *err)
{
	cleanup_free struct model_pipe_data *list = NULL;
	size_t cap = 0;
	int ret = load_file_entries(m, err);

	if (!ret)
		ret = load_remaps(m, err);
	if (!ret)
		ret = load_pipe_data(m, IMG_PIPES_DATA, &list, &cap, err);
	if (!ret)
		ret = load_pipe_data(m, IMG_FIFO_DATA, &list, &cap, err);
	if (!ret)
		ret = check_pipe_data(list, m->npipe_data, err);
	if (!ret)
		ret = load_memfds(m, err);
	if (!ret && m->npipe_data)
		m->pipe_data = arena_dup(m->arena, list, m->npipe_data * sizeof(*list));
	return ret;
}

static bool kind_exists(FdTypes type)
{
	for (size_t i = 0; file_kinds[i]; i++)
		if (file_kinds[i]->type == type)
			return true;
	return false;
}

static int by_fd(const void *a, const void *b)
{
	uint32_t x = (*(FdinfoEntry *const *)a)->fd, y = (*(FdinfoEntry *const *)b)->fd;

	return x < y ? -1 : x > y;
}

int verify_fds(const struct model *m, const struct model_task *t, struct err *err)
{
	unsigned long id = t->ids->files_id;
	cleanup_free FdinfoEntry **sorted = NULL;

	for (size_t i = 0; i < t->nfds; i++) {
		const FdinfoEntry *f = t->fds[i];
		const struct where *at = AT(FDINFO, id, (long)i);
		const struct type_info *info = type_info(f->type);
		const FileEntry *e;

		/* The kernel's own bound of nr_open is INT_MAX rounded down (fs/file.c: sysctl_nr_open_max). */
		if (f->fd > INT32_MAX - 64)
			return bad_image(err, at, "fd %u is larger than a descriptor can be", f->fd);
		if (f->flags & ~1u)
			return bad_image(err, at, "fd %u: unknown flags 0x%x", f->fd, f->flags);
		e = model_file(m, f->type, f->id);
		if (!e || !info)
			return bad_image(err, at, "fd %u: no %s with id %u in files.img", f->fd,
					 info ? info->name : "file", f->id);
		if (!kind_exists(f->type))
			return cannot_restore(err, at, "fd %u is of type %s (%s), which cannot be restored", f->fd,
					      info->name, info->human);
		if (e->type == FD_TYPES__FIFO && e->fifo->has_regf_id && !model_reg(m, e->fifo->regf_id))
			return bad_image(err, AT(FILES, 0, -1), "FIFO %u refers to REG %u, which is not there", e->id,
					 e->fifo->regf_id);
	}
	if (!t->nfds)
		return 0;
	sorted = xreallocarray(NULL, t->nfds, sizeof(*sorted));
	memcpy(sorted, t->fds, t->nfds * sizeof(*sorted));
	qsort(sorted, t->nfds, sizeof(*sorted), by_fd);
	for (size_t i = 1; i < t->nfds; i++)
		if (sorted[i]->fd == sorted[i - 1]->fd)
			return bad_image(err, AT(FDINFO, id, -1), "fd %u is there twice", sorted[i]->fd);
	return 0;
}
