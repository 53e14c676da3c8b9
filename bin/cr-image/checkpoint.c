/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tasks, address spaces and files of a checkpoint, for looking at them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bin/cr-image/checkpoint.h"

/* More tasks or threads than a kernel can have are no checkpoint. */
#define TASKS_MAX (4u << 20)

static int read_optional(struct ckpt *c, enum image_kind kind, unsigned long id, ProtobufCMessage **msg, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	int ret = image_reader_open(c->dir, kind, id, &rd, err);

	*msg = NULL;
	if (ret || image_reader_absent(rd))
		return ret;
	ret = image_reader_next(rd, c->arena, msg, err);
	return ret < 0 ? ret : 0;
}

static int load_thread(struct ckpt *c, struct ckpt_thread *th, uint32_t tid, struct err *err)
{
	ProtobufCMessage *msg;
	int ret = read_optional(c, IMG_CORE, tid, &msg, err);

	th->tid = tid;
	th->core = (CoreEntry *)msg;
	return ret;
}

static int load_threads(struct ckpt *c, struct ckpt_task *t, const PstreeEntry *e, struct err *err)
{
	int ret;

	t->threads = arena_alloc(c->arena, MAX(e->n_threads, (size_t)1) * sizeof(*t->threads));
	ret = load_thread(c, &t->threads[0], t->pid, err);
	t->nthreads = 1;
	for (size_t i = 0; i < e->n_threads && !ret; i++)
		/* Zombies have one thread, 0. */
		if (e->threads[i] && e->threads[i] != t->pid && t->nthreads < e->n_threads)
			ret = load_thread(c, &t->threads[t->nthreads++], e->threads[i], err);
	return ret;
}

static int by_address(const void *a, const void *b)
{
	const VmaEntry *x = *(VmaEntry *const *)a, *y = *(VmaEntry *const *)b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Mappings in order, and none that overlaps another: what follows counts on it. */
static int load_vmas(struct ckpt *c, struct ckpt_task *t, struct err *err)
{
	uint64_t end = 0;

	t->vmas = arena_alloc(c->arena, (t->mm->n_vmas + 1) * sizeof(*t->vmas));
	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		VmaEntry *v = t->mm->vmas[i];

		if (v->start >= v->end || v->start % CKPT_PAGE || v->end % CKPT_PAGE)
			return err_object(err, err_image(err, "0x%llx-0x%llx is no range of pages", (unsigned long long)v->start,
							 (unsigned long long)v->end), "mm-%u.img: mapping %zu", t->pid, i);
		if (!(v->status & CKPT_VMA_GUARD))
			t->vmas[t->nvmas++] = v;
	}
	qsort(t->vmas, t->nvmas, sizeof(*t->vmas), by_address);
	for (size_t i = 0; i < t->nvmas; end = t->vmas[i++]->end)
		if (t->vmas[i]->start < end)
			return err_object(err, err_image(err, "the mapping at 0x%llx overlaps the one before",
							 (unsigned long long)t->vmas[i]->start), "mm-%u.img", t->pid);
	return 0;
}

/* Older dumpers kept the mappings beside the mm. */
static int load_old_vmas(struct ckpt *c, struct ckpt_task *t, struct err *err)
{
	ProtobufCMessage **msgs;
	size_t n;
	int ret;

	if (t->mm->n_vmas)
		return 0;
	ret = image_read_all(c->dir, IMG_VMAS, t->pid, c->arena, &msgs, &n, NULL, err);
	if (!ret && n) {
		t->mm->vmas = (VmaEntry **)msgs;
		t->mm->n_vmas = n;
	}
	return ret;
}

static int load_mm(struct ckpt *c, struct ckpt_task *t, struct err *err)
{
	ProtobufCMessage *msg;
	int ret = read_optional(c, IMG_MM, t->pid, &msg, err);

	t->mm = (MmEntry *)msg;
	if (!ret && t->mm)
		ret = load_old_vmas(c, t, err);
	if (!ret && t->mm)
		ret = load_vmas(c, t, err);
	return ret;
}

static int load_task(struct ckpt *c, struct ckpt_task *t, const PstreeEntry *e, struct err *err)
{
	const CoreEntry *core;
	ProtobufCMessage *msg, **msgs;
	int ret;

	*t = (struct ckpt_task){ .pid = e->pid, .ppid = e->ppid, .pgid = e->pgid, .sid = e->sid };
	ret = load_threads(c, t, e, err);
	if (ret)
		return ret;
	core = t->threads[0].core;
	t->state = core && core->tc ? core->tc->task_state : CKPT_ALIVE;
	t->comm = core && core->tc ? core->tc->comm : "";
	if (t->state == CKPT_ZOMBIE)
		return 0;
	ret = read_optional(c, IMG_IDS, t->pid, &msg, err);
	t->ids = (TaskKobjIdsEntry *)msg;
	if (!t->ids && core)
		t->ids = core->ids;
	if (!ret)
		ret = load_mm(c, t, err);
	if (!ret) {
		ret = read_optional(c, IMG_FS, t->pid, &msg, err);
		t->fs = (FsEntry *)msg;
	}
	if (!ret && t->ids) {
		ret = image_read_all(c->dir, IMG_FDINFO, t->ids->files_id, c->arena, &msgs, &t->nfds, NULL, err);
		t->fds = (FdinfoEntry **)msgs;
	}
	return ret;
}

static int by_pid(const void *a, const void *b)
{
	const struct ckpt_task *x = *(struct ckpt_task *const *)a, *y = *(struct ckpt_task *const *)b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Parents stand before their children, so one pass is enough, and loops cannot be built. */
static int find_depths(struct ckpt *c, struct err *err)
{
	c->by_pid = arena_alloc(c->arena, (c->ntasks + 1) * sizeof(*c->by_pid));
	for (size_t i = 0; i < c->ntasks; i++)
		c->by_pid[i] = &c->tasks[i];
	qsort(c->by_pid, c->ntasks, sizeof(*c->by_pid), by_pid);
	for (size_t i = 1; i < c->ntasks; i++)
		if (c->by_pid[i]->pid == c->by_pid[i - 1]->pid)
			return err_object(err, err_image(err, "pid %u is there twice", c->by_pid[i]->pid), "pstree.img");
	for (size_t i = 0; i < c->ntasks; i++) {
		const struct ckpt_task *parent = ckpt_task(c, c->tasks[i].ppid);

		if (parent && parent < &c->tasks[i])
			c->tasks[i].depth = parent->depth + 1;
	}
	return 0;
}

static int load_tree(struct ckpt *c, struct err *err)
{
	ProtobufCMessage **msgs;
	bool absent;
	size_t n, threads = 0;
	int ret = image_read_all(c->dir, IMG_PSTREE, 0, c->arena, &msgs, &n, &absent, err);

	if (ret)
		return ret;
	if (absent)
		return err_hint(err, err_object(err, err_set(err, ERR_IMAGE, ENOENT, "no pstree.img: this is no checkpoint"), "%s",
						c->path), "a pre-dump has memory only; look at the dump that followed it");
	if (n > TASKS_MAX)
		return err_object(err, err_image(err, "%zu tasks are too many", n), "pstree.img");
	c->tasks = arena_alloc(c->arena, (n + 1) * sizeof(*c->tasks));
	for (size_t i = 0; i < n; i++) {
		threads += ((PstreeEntry *)msgs[i])->n_threads;
		if (threads > TASKS_MAX)
			return err_object(err, err_image(err, "%zu threads are too many", threads), "pstree.img");
	}
	for (size_t i = 0; i < n && !ret; i++)
		ret = load_task(c, &c->tasks[c->ntasks++], (PstreeEntry *)msgs[i], err);
	return ret ? ret : find_depths(c, err);
}

/* ---- files ---- */

/* Images in which older dumpers kept each kind of file on its own, and their place in a file_entry. */
static const struct {
	enum image_kind kind;
	FdTypes type;
	size_t offset;
} old_files[] = {
	{ IMG_REG_FILES, FD_TYPES__REG, offsetof(FileEntry, reg) },
	{ IMG_EXT_FILES, FD_TYPES__EXT, offsetof(FileEntry, ext) },
	{ IMG_NS_FILES, FD_TYPES__NS, offsetof(FileEntry, nsf) },
	{ IMG_EVENTFD_FILE, FD_TYPES__EVENTFD, offsetof(FileEntry, efd) },
	{ IMG_EVENTPOLL_FILE, FD_TYPES__EVENTPOLL, offsetof(FileEntry, epfd) },
	{ IMG_SIGNALFD, FD_TYPES__SIGNALFD, offsetof(FileEntry, sgfd) },
	{ IMG_INOTIFY_FILE, FD_TYPES__INOTIFY, offsetof(FileEntry, ify) },
	{ IMG_FANOTIFY_FILE, FD_TYPES__FANOTIFY, offsetof(FileEntry, ffy) },
	{ IMG_PIPES, FD_TYPES__PIPE, offsetof(FileEntry, pipe) },
	{ IMG_FIFO, FD_TYPES__FIFO, offsetof(FileEntry, fifo) },
	{ IMG_UNIXSK, FD_TYPES__UNIXSK, offsetof(FileEntry, usk) },
	{ IMG_INETSK, FD_TYPES__INETSK, offsetof(FileEntry, isk) },
	{ IMG_PACKETSK, FD_TYPES__PACKETSK, offsetof(FileEntry, psk) },
	{ IMG_NETLINK_SK, FD_TYPES__NETLINKSK, offsetof(FileEntry, nlsk) },
	{ IMG_TTY_FILES, FD_TYPES__TTY, offsetof(FileEntry, tty) },
	{ IMG_TUNFILE, FD_TYPES__TUNF, offsetof(FileEntry, tunf) },
	{ IMG_TIMERFD, FD_TYPES__TIMERFD, offsetof(FileEntry, tfd) },
};

static uint32_t id_of(const ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "id");

	return f && f->type == PROTOBUF_C_TYPE_UINT32 ? *(const uint32_t *)((const char *)msg + f->offset) : 0;
}

static int load_old_files(struct ckpt *c, FileEntry ***list, size_t *cap, struct err *err)
{
	for (size_t k = 0; k < ARRAY_SIZE(old_files); k++) {
		ProtobufCMessage **msgs;
		size_t n;
		int ret = image_read_all(c->dir, old_files[k].kind, 0, c->arena, &msgs, &n, NULL, err);

		if (ret)
			return ret;
		for (size_t i = 0; i < n; i++) {
			FileEntry *f = arena_msg(c->arena, FileEntry, file_entry__init);

			f->type = old_files[k].type;
			f->id = id_of(msgs[i]);
			*(void **)((char *)f + old_files[k].offset) = msgs[i];
			array_reserve(list, cap, c->nfiles, sizeof(**list));
			(*list)[c->nfiles++] = f;
		}
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const FileEntry *x = *(FileEntry *const *)a, *y = *(FileEntry *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int load_files(struct ckpt *c, struct err *err)
{
	cleanup_free FileEntry **list = NULL;
	ProtobufCMessage **msgs;
	size_t n, cap = 0;
	int ret = image_read_all(c->dir, IMG_FILES, 0, c->arena, &msgs, &n, NULL, err);

	if (ret)
		return ret;
	if (n) {
		c->files = (FileEntry **)msgs;
		c->nfiles = n;
	} else {
		ret = load_old_files(c, &list, &cap, err);
		c->files = arena_dup(c->arena, list, c->nfiles * sizeof(*list));
	}
	if (c->nfiles)
		qsort(c->files, c->nfiles, sizeof(*c->files), by_id);
	return ret;
}

int ckpt_open(const char *path, struct ckpt **out, struct err *err)
{
	cleanup_ckpt struct ckpt *c = xzalloc(sizeof(*c));
	ProtobufCMessage *msg;
	int ret;

	*out = NULL;
	c->arena = arena_new();
	c->path = arena_strdup(c->arena, path);
	ret = image_dir_open(path, &c->dir, err);
	if (ret)
		return ret;
	ret = read_optional(c, IMG_INVENTORY, 0, &msg, err);
	c->inventory = (InventoryEntry *)msg;
	if (!ret)
		ret = load_files(c, err);
	if (!ret)
		ret = load_tree(c, err);
	if (!ret)
		*out = take_ptr(c);
	return ret;
}

void ckpt_free(struct ckpt *c)
{
	if (!c)
		return;
	ckpt_memory_free(c->memory);
	image_dir_free(c->dir);
	arena_free(c->arena);
	free(c);
}

void ckpt_freep(struct ckpt **c)
{
	ckpt_free(*c);
}

struct ckpt_task *ckpt_task(const struct ckpt *c, uint32_t pid)
{
	size_t lo = 0, hi = c->ntasks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->by_pid[mid]->pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->ntasks && c->by_pid[lo]->pid == pid ? c->by_pid[lo] : NULL;
}

int ckpt_pick(const struct ckpt *c, int64_t pid, struct ckpt_task **task, struct err *err)
{
	size_t n = 0;

	if (pid) {
		*task = ckpt_task(c, (uint32_t)pid);
		return *task ? 0 : err_object(err, err_hint(err, err_set(err, ERR_USAGE, 0, "no task %lld is in this checkpoint",
									 (long long)pid), "see cr-image x DIR ps"), "%s", c->path);
	}
	for (size_t i = 0; i < c->ntasks; i++)
		if (c->tasks[i].mm && !n++)
			*task = &c->tasks[i];
	if (!n)
		return err_object(err, err_set(err, ERR_IMAGE, 0, "no task has memory"), "%s", c->path);
	if (n > 1)
		return err_object(err, err_hint(err, err_set(err, ERR_USAGE, 0, "%zu tasks are in this checkpoint", n),
						"say which one by --pid; cr-image x DIR ps lists them"), "%s", c->path);
	return 0;
}

const FileEntry *ckpt_file(const struct ckpt *c, uint32_t id)
{
	size_t lo = 0, hi = c->nfiles;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->files[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->nfiles && c->files[lo]->id == id ? c->files[lo] : NULL;
}

/* ---- mappings ---- */

VmaEntry *ckpt_vma_at(const struct ckpt_task *t, uint64_t addr)
{
	size_t lo = 0, hi = t->nvmas;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->vmas[mid]->end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nvmas && t->vmas[lo]->start <= addr ? t->vmas[lo] : NULL;
}

bool ckpt_vma_shared(const VmaEntry *v)
{
	return v->flags & 1; /* MAP_SHARED */
}

void ckpt_vma_perms(const VmaEntry *v, char out[5])
{
	out[0] = v->prot & 1 ? 'r' : '-';
	out[1] = v->prot & 2 ? 'w' : '-';
	out[2] = v->prot & 4 ? 'x' : '-';
	out[3] = ckpt_vma_shared(v) ? 's' : 'p';
	out[4] = 0;
}

const char *ckpt_vma_name(const struct ckpt *c, const struct ckpt_task *t, const VmaEntry *v)
{
	const FileEntry *f;

	if (v->status & CKPT_VMA_VSYSCALL)
		return "[vsyscall]";
	if (v->status & CKPT_VMA_VDSO)
		return "[vdso]";
	if (v->status & CKPT_VMA_VVAR)
		return "[vvar]";
	if (v->status & CKPT_VMA_HEAP)
		return "[heap]";
	if (v->status & CKPT_VMA_AIO)
		return "/[aio]";
	if (v->status & CKPT_VMA_SYSVIPC)
		return arena_printf(c->arena, "/SYSV:[%llu]", (unsigned long long)v->shmid);
	if (v->status & CKPT_VMA_ANON_SHARED)
		return arena_printf(c->arena, "/dev/zero:[%llu]", (unsigned long long)v->shmid);
	if (v->status & (CKPT_VMA_FILE_PRIVATE | CKPT_VMA_FILE_SHARED)) {
		f = v->shmid <= UINT32_MAX ? ckpt_file(c, (uint32_t)v->shmid) : NULL;
		return f ? ckpt_file_name(c, f) : arena_printf(c->arena, "file:[%llu]", (unsigned long long)v->shmid);
	}
	if (t->mm && t->mm->mm_start_stack >= v->start && t->mm->mm_start_stack < v->end)
		return "[stack]";
	return "";
}
