// SPDX-License-Identifier: GPL-2.0-or-later
/* Pipes: both ends, capacity, packet mode, and what is queued in them. */
#include "common/file/pipe.h"
#include "common/file/external.h"
#include "common/file/fdrows.h"
#include "common/file/outside.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "pipe-data.pb-c.h"

#define ACCESS(flags) ((flags) & O_ACCMODE)
#define CAPACITY_MAX (1u << 31) /* what the kernel itself allows at most */

static bool can_read(uint32_t flags)
{
	return ACCESS(flags) == O_RDONLY || ACCESS(flags) == O_RDWR;
}

static bool can_write(uint32_t flags)
{
	return ACCESS(flags) == O_WRONLY || ACCESS(flags) == O_RDWR;
}

/* ---- dump ---- */

static bool pipe_match(const struct fd_source *src)
{
	return S_ISFIFO(src->st.st_mode) && !strncmp(src->link, "pipe:[", 6);
}

/* Of the end that nobody in the tree has. */
static int check_other_end(struct dump *d, const struct fd_source *src, bool readers, struct err *err)
{
	struct pollfd p = { .fd = src->fd, .events = POLLIN | POLLOUT };
	const char *end = readers ? "writes to" : "reads from";
	char who[96];

	/* The kernel counts openings, not descriptors, so our duplicate does not stand for an end. */
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll %s", src->link);
	if (p.revents & (readers ? POLLHUP : POLLERR))
		return 0; /* nobody has the other end */
	if (file_find_holder(d, src->link, who, sizeof(who)))
		return err_refuse(err, "%s: %s, which is not dumped, %s it", src->link, who, end);
	/* A fifo opened before any writer came shows no hangup either; an unnamed pipe always has had both. */
	if (readers && src->link[0] == '/')
		return 0;
	return err_refuse(err, "%s: a process that is not dumped %s it", src->link, end);
}

static void find_ends(struct dump *d, const struct stat *st, bool *readers, bool *writers)
{
	size_t n;
	const struct file_fd *same = file_same_inode(d, st, &n);

	*readers = *writers = false;
	for (size_t i = 0; i < n; i++) {
		if (same[i].flags & O_PATH)
			continue;
		*readers |= can_read(same[i].flags);
		*writers |= can_write(same[i].flags);
	}
}

bool pipe_has_both_ends(struct dump *d, const struct stat *st)
{
	bool readers, writers;

	find_ends(d, st, &readers, &writers);
	return readers && writers;
}

int pipe_check_ends(struct dump *d, const struct fd_source *src, struct err *err)
{
	bool readers, writers;
	int ret = 0;

	find_ends(d, &src->st, &readers, &writers);
	if (!readers || !writers)
		ret = check_other_end(d, src, readers, err);
	return ret ? ret : outside_refuse(d, &src->st, src->link, src->link, err);
}

/* What one read(2) of the queue gives. */
struct portions { uint32_t *size; size_t n, cap; };

static void portions_free(struct portions *p)
{
	free(p->size);
}

/* Without taking anything out of it: tee(2) lets a pipe of ours share its buffers. */
static int share(const struct fd_source *src, int wr, size_t bytes, struct err *err)
{
	ssize_t n = tee(src->fd, wr, INT32_MAX, SPLICE_F_NONBLOCK);

	if (n >= 0 && (size_t)n == bytes)
		return 0;
	return n < 0 ? err_sys(err, "cannot look into %s (tee)", src->link) :
		       err_set(err, ERR_FAILED, EBUSY, "%s changed while it was read", src->link);
}

static int refuse_mixture(const struct fd_source *src, struct err *err)
{
	return err_refuse(err, "%s: packets (O_DIRECT) behind bytes that are none, and nothing tells where they begin", src->link);
}

/*
 * How many portions are packets. Whether one is does not depend on O_DIRECT, which may have come or gone since: a packet loses what a
 * read leaves of it (fs/pipe.c, pipe_read()). Behind them may be bytes without borders, but no packet behind those: that
 * is one portion, and a dumper cannot find where in it the packet begins. A single byte at the end may be either; mode
 * says what it is then. buf: room for a portion.
 */
static int count_packets(const struct fd_source *src, int rd, bool mode, unsigned char *buf, size_t bytes, const struct portions *p,
			 size_t *packets, struct err *err)
{
	int before = (int)bytes, left = 0;
	size_t n = 0;

	for (; n < p->n; n++, before = left) {
		if (read(rd, buf, 1) != 1 || ioctl(rd, FIONREAD, &left) < 0)
			return err_sys(err, "cannot read the copy of %s", src->link);
		if ((uint32_t)(before - left) != p->size[n])
			break;
	}
	*packets = n - (n && n == p->n && p->size[n - 1] == 1 && !mode);
	if (n == p->n)
		return 0;
	if (n + 1 < p->n)
		return refuse_mixture(src, err);
	/* All but the last byte of it. */
	if (p->size[n] > 2 && (read(rd, buf, p->size[n] - 2) != (ssize_t)p->size[n] - 2 || ioctl(rd, FIONREAD, &left) < 0))
		return err_sys(err, "cannot read the copy of %s", src->link);
	return left == 1 ? 0 : refuse_mixture(src, err);
}

static int copy_queue(const struct fd_source *src, int capacity, bool mode, unsigned char *buf, size_t bytes,
		      struct portions *p, size_t *packets, struct err *err)
{
	int ends[2], ret;

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	cleanup_fd int rd = ends[0];
	cleanup_fd int wr = ends[1];
	if (fcntl(wr, F_SETPIPE_SZ, capacity) < 0)
		return err_sys(err, "cannot make a pipe of %d bytes", capacity);
	ret = share(src, wr, bytes, err);
	if (ret < 0)
		return ret;
	ssize_t n;
	for (size_t got = 0; got < bytes; got += (size_t)n) {
		/* A packet ends a read, whatever its size. */
		n = read(rd, buf + got, bytes - got);
		if (n <= 0)
			return n < 0 ? err_sys(err, "cannot read the copy of %s", src->link) :
				       err_set(err, ERR_FAILED, EIO, "the copy of %s is short", src->link);
		array_reserve(&p->size, &p->cap, p->n, sizeof(*p->size));
		p->size[p->n++] = (uint32_t)n;
	}
	ret = share(src, wr, bytes, err);
	if (ret < 0)
		return ret;
	cleanup_free unsigned char *again = xmalloc(bytes);
	return count_packets(src, rd, mode, again, bytes, p, packets, err);
}

int pipe_dump_data(struct dump *d, const struct fd_source *src, enum image_kind kind, uint32_t pipe_id, struct err *err)
{
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	struct portions cleanup(portions_free) portions = { 0 };
	bool packet_mode = false;
	int bytes = 0, ret;
	size_t n;
	struct file_fd *same = file_same_inode(d, &src->st, &n);

	if (!can_read((uint32_t)src->flags) || same->done)
		return 0;
	same->done = true;
	for (size_t i = 0; i < n; i++)
		packet_mode |= !(same[i].flags & O_PATH) && same[i].flags & O_DIRECT;
	int capacity = src->fd < 0 ? (int)src->row->pipe_size : fcntl(src->fd, F_GETPIPE_SZ);
	if (capacity < 0 || (src->fd >= 0 && ioctl(src->fd, FIONREAD, &bytes) < 0) || bytes < 0)
		return err_sys(err, "cannot read the size of %s", src->link);
	cleanup_free unsigned char *buf = xmalloc((size_t)bytes + 1);
	if (bytes) {
		ret = copy_queue(src, capacity, packet_mode, buf, (size_t)bytes, &portions, &entry.n_packets, err);
		if (ret < 0)
			return ret;
		entry.packets = portions.size;
	}
	entry.pipe_id = pipe_id;
	entry.bytes = (uint32_t)bytes;
	entry.has_size = true;
	entry.size = (uint32_t)capacity;
	image_store_put(d->store, kind, 0, &entry.base);
	image_store_payload(d->store, kind, 0, buf, (size_t)bytes);
	return 0;
}

static bool is_given(const struct dump *d, const struct fd_source *src)
{
	char id[EXTERNAL_FILE_MAX];

	external_file_id(src->info->mnt_id, src->st.st_ino, id);
	return external_find(d->opts->given, "file", id);
}

static int pipe_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	PipeEntry *pipe = arena_msg(d->arena, PipeEntry, pipe_entry__init);
	int ret;

	entry->pipe = pipe;
	pipe->id = entry->id;
	pipe->pipe_id = (uint32_t)src->st.st_ino; /* pipefs counts in 32 bits */
	pipe->flags = (uint32_t)src->flags;
	ret = fown_dump(d, src, &pipe->fown, err);
	if (ret < 0)
		return ret;
	if (is_given(d, src)) { /* with what is in it: the others have that */
		pipe->has_given = pipe->given = true;
		return 0;
	}
	ret = pipe_check_ends(d, src, err);
	if (ret < 0) {
		char id[EXTERNAL_FILE_MAX];

		external_file_id(src->info->mnt_id, src->st.st_ino, id);
		return err_hint(err, ret, "--external file[%s] leaves it to --inherit-fd 'fd[N]:%s' at the restore", id, src->link);
	}
	return pipe_dump_data(d, src, IMG_PIPES_DATA, pipe->pipe_id, err);
}

/* ---- restore ---- */

int pipe_plan_data(struct plan *plan, const struct model_pipe_data *data, struct arg end, bool packet_mode,
		   struct err *err)
{
	struct program *c = plan->controller;
	const PipeDataEntry *e = data ? data->entry : NULL;
	uint64_t at = 0;

	if (!e)
		return 0;
	if (e->has_size && e->size) {
		if (e->size > CAPACITY_MAX || e->bytes > e->size)
			return err_image(err, "pipe %u: %u bytes do not fit into a pipe of %u", e->pipe_id, e->bytes,
					 e->size);
		program_call(c, MAKE_CONTENT, "capacity", SYS_fcntl, end, A(F_SETPIPE_SZ), A(e->size));
	}
	for (size_t i = 0; i < e->n_packets; i++) {
		uint32_t n = e->packets[i];
		if (!n || n > e->bytes - at)
			return err_image(err, "pipe %u: sizes of packets do not add up", e->pipe_id);
		program_call_eq(c, MAKE_CONTENT, "queued packet", n, SYS_write, end,
				A_PTR((const char *)data->bytes + at), A(n));
		at += n;
	}
	/* Bytes that were written before or behind the time of packets. */
	const bool plain = packet_mode && at < e->bytes;
	if (plain)
		program_call(c, MAKE_CONTENT, "bytes that are no packet", SYS_fcntl, end, A(F_SETFL), A(O_NONBLOCK));
	if (at < e->bytes)
		program_call_eq(c, MAKE_CONTENT, "queued data", e->bytes - at, SYS_write, end,
				A_PTR((const char *)data->bytes + at), A(e->bytes - at));
	if (plain)
		program_call(c, MAKE_CONTENT, "packet mode again", SYS_fcntl, end, A(F_SETFL), A(O_NONBLOCK | O_DIRECT));
	return 0;
}

/* A description that pipe2(2) does not give: a second opening of an end (/dev/stdout of a pipe leads to one), or one for both
 * directions. */
static void reopen(struct plan *plan, uint32_t from, uint32_t to, uint32_t flags)
{
	file_reopen(plan, from, to, ACCESS(flags) | O_NONBLOCK | O_CLOEXEC, "further opening of a pipe");
}

struct ends { bool have[2]; uint32_t slot[2]; }; /* by access mode: 0 read, 1 write */

/* Finds the descriptions that pipe2(2) itself can give: it sets no O_LARGEFILE, open(2) always does. */
static void pick_ends(const struct model *m, struct plan *plan, const struct file_group_index *group, size_t n,
		      struct ends *ends)
{
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		uint32_t access = ACCESS(e->pipe->flags);
		if (access > 1 || ends->have[access] || e->pipe->flags & 0100000)
			continue;
		ends->have[access] = true;
		ends->slot[access] = file_slot_get(plan, e, access ? "pipe, write end" : "pipe, read end");
	}
	for (int i = 0; i < 2; i++)
		if (!ends->have[i])
			ends->slot[i] = plan_slot(plan, "pipe, further end");
}

/* All openings of a pipe that the caller gives: descriptions of their own, so that nobody's flags change. */
static void plan_given(const struct model *m, struct plan *plan, const struct file_group_index *group, size_t n, int fd)
{
	struct program *c = plan->controller;
	struct data_ref path = program_string(c, arena_printf(plan->arena, "/proc/self/fd/%d", fd));

	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		uint32_t slot = file_slot_get(plan, e, "pipe");

		plan_slot_is(plan, slot,
			     program_call(c, MAKE_OBJECTS, "opening of a pipe that was given", SYS_openat, A((uint64_t)AT_FDCWD),
					  A_DATA(path), A((ACCESS(e->pipe->flags) | O_NONBLOCK | O_CLOEXEC))));
		plan_setfl(plan, slot, O_NONBLOCK, e->pipe->flags);
	}
}

static int pipe_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const uint32_t id = entry->pipe->pipe_id;
	const struct model_pipe_data *data = file_pipe_data(m, plan, false, id);
	struct program *c = plan->controller;
	struct ends ends = { 0 };
	size_t n;
	const struct file_group_index *group = file_group(m, plan, GROUP_PIPE, id, &n);
	/* Nonblocking while it is filled: data that does not fit becomes an error instead of a restore that hangs. */
	uint32_t made = data && data->entry->bytes ? O_NONBLOCK : entry->pipe->flags & O_NONBLOCK;
	int ret;

	char key[32];

	snprintf(key, sizeof(key), "pipe:[%u]", id);
	int fd = inherited_find(plan->given, key);
	if (fd >= 0) {
		plan_given(m, plan, group, n, fd);
		return 0;
	}
	if (entry->pipe->given)
		return err_hint(err, err_refuse(err, "%s has its other end outside of the checkpoint", key),
				"give it: --inherit-fd 'fd[N]:%s'", key);
	for (size_t i = 0; i < n; i++)
		made |= m->files[group[i].i]->pipe->flags & O_DIRECT;
	if (data && data->entry->n_packets)
		made |= O_DIRECT;
	pick_ends(m, plan, group, n, &ends);
	const size_t from = program_steps(c);
	bool apart = true;
	struct data_ref fds = program_data(c, NULL, 2 * sizeof(int));
	struct step_ref step = program_call(c, MAKE_OBJECTS, "pipe", SYS_pipe2, A_DATA(fds), A(made | O_CLOEXEC));
	plan_slot_from_data(plan, ends.slot[0], step, fds, 0);
	plan_slot_from_data(plan, ends.slot[1], step, fds, sizeof(int));
	ret = pipe_plan_data(plan, data, A_SLOT(ends.slot[1]), made & O_DIRECT, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		uint32_t flags = e->pipe->flags, access = ACCESS(flags);
		slot = file_slot_get(plan, e, "pipe");
		if (access <= 1 && ends.have[access] && ends.slot[access] == slot) {
			plan_setfl(plan, slot, made, flags);
		} else {
			reopen(plan, ends.slot[0], slot, flags);
			plan_setfl(plan, slot, O_NONBLOCK, flags);
			apart = false; /* what is opened again is so through a number that all use */
		}
	}
	if (apart)
		plan_strand(plan, from);
	return 0;
}

const struct file_kind pipe_kind = {
	.name = "pipe",
	.type = FD_TYPES__PIPE,
	.match = pipe_match,
	.dump = pipe_dump,
	.plan = pipe_plan,
};
