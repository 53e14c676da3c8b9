// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fdinfo says of a descriptor (fs/proc/fd.c, seq_show(), Linux 5.14 to 6.18): position, flags and close-on-exec, the number of its mount
 * and its inode; the locks of the inode (the lists of its file_lock_context, which stays when the locks are gone); and what the file
 * operations add (show_fdinfo). So where there are neither locks nor a show_fdinfo, the fields say all of it, and so they do of
 * eventfds, which are those with the file operations of an eventfd of ours, and of sockets of families that add nothing. All others,
 * and all where this kernel has other fields, are read from /proc.
 *
 * Whether the fields mean what is taken from them is looked at in the same run: of some descriptors of our own, fdinfo has to say the
 * same. There we see, too, where an empty list of locks begins: an empty one leads to itself.
 */
#include "common/file/fdrows.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/aside.h"
#include "common/bpf/iter.h"
#include "common/file/file.h"

/* From so many on, preparing takes less than it saves. */
enum { MANY_DESCRIPTORS = 256, MANY_TASKS = 32 };

/* Of struct file: numbers in a row. */
enum field {
	FILE_AT, NUMBER, CLOEXEC, FLAGS, POS, MNT_ID, INO, LOCKS, FLOCK, POSIX, LEASE, F_OP, SHOW,
	OWNER, OWNER_PID, OWNER_SIGNAL, DEV, MODE, EVENTFD_COUNT, EVENTFD_ID, EVENTFD_FLAGS, PIPE_PAGES, PIPE_HEAD, PIPE_TAIL, SOCKET_SHOW,
	LAST, FIELDS
};
#define EVENTFD "private_data->(eventfd_ctx)"
#define PIPE "private_data->(pipe_inode_info)"
static const char *const paths[FIELDS] = {
	[FILE_AT] = ITER_OBJECT,
	[NUMBER] = ITER_FD,
	[CLOEXEC] = ITER_CLOEXEC,
	[FLAGS] = "f_flags",
	[POS] = "f_pos",
	[MNT_ID] = "f_path.mnt->(mount.mnt)mnt_id",
	[INO] = "f_inode->i_ino",
	[LOCKS] = "f_inode->i_flctx",
	[FLOCK] = "f_inode->i_flctx->flc_flock.next",
	[POSIX] = "f_inode->i_flctx->flc_posix.next",
	[LEASE] = "f_inode->i_flctx->flc_lease.next",
	[F_OP] = "f_op",
	[SHOW] = "f_op->show_fdinfo",
	[OWNER] = "f_owner", /* since Linux 6.12 */
	[OWNER_PID] = "f_owner.pid", /* and before */
	[OWNER_SIGNAL] = "f_owner.signum",
	[DEV] = "f_inode->i_sb->s_dev",
	[MODE] = "f_inode->i_mode",
	[EVENTFD_COUNT] = EVENTFD "count",
	[EVENTFD_ID] = EVENTFD "id",
	[EVENTFD_FLAGS] = EVENTFD "flags",
	[PIPE_PAGES] = PIPE "max_usage",
	[PIPE_HEAD] = PIPE "head",
	[PIPE_TAIL] = PIPE "tail",
	[SOCKET_SHOW] = "private_data->(socket)ops->show_fdinfo",
	[LAST] = ITER_FD, /* no row ends with all bits set */
};
#define BIT(field) (1ull << (field))
#define OF_EVENTFD (BIT(EVENTFD_COUNT) | BIT(EVENTFD_ID) | BIT(EVENTFD_FLAGS))
#define OF_PIPE (BIT(PIPE_PAGES) | BIT(PIPE_HEAD) | BIT(PIPE_TAIL))
#define OF_OWNER (BIT(OWNER) | BIT(OWNER_PID) | BIT(OWNER_SIGNAL))
#define NEEDED ((BIT(FIELDS) - 1) & ~(OF_EVENTFD | OF_PIPE | OF_OWNER | BIT(SOCKET_SHOW)))

struct fd_rows {
	struct aside preparing;
	struct iter iter;
	struct { uint64_t op, ino; struct stat st; } eventfd, pipe; /* ours; op 0: they are not known */
	uint64_t socket_op; /* of a socket of ours, which is of a family that adds nothing to fdinfo; 0: not known */
	uint64_t empty[LEASE + 1 - FLOCK]; /* an empty list of locks, behind the beginning of what has it */
	struct err why;	     /* kind 0: it can be used */
};

struct fd_rows *fd_rows_new(void)
{
	struct fd_rows *r = xzalloc(sizeof(*r));

	r->iter.prog = -1;
	return r;
}

void fd_rows_free(struct fd_rows *r)
{
	struct err ignore = ERR_INIT;

	if (!r)
		return;
	aside_join(&r->preparing, &ignore);
	iter_close(&r->iter);
	free(r);
}

/* ---- what is in a row ---- */

static bool has_locks(const struct fd_rows *r, const uint64_t *row)
{
	for (int i = FLOCK; i <= LEASE; i++)
		if (row[LOCKS] && row[i] - row[LOCKS] != r->empty[i - FLOCK])
			return true;
	return false;
}

static bool is_ownerless(const struct fd_rows *r, const uint64_t *row)
{
	if (!(r->iter.absent & BIT(OWNER)))
		return !row[OWNER];
	return !(r->iter.absent & (BIT(OWNER_PID) | BIT(OWNER_SIGNAL))) && !row[OWNER_PID] && !(uint32_t)row[OWNER_SIGNAL];
}

/* All eventfds have one inode. */
static void fill_eventfd(const struct fd_rows *r, const uint64_t *row, struct arena *arena, struct fd_row *out)
{
	out->info.text = arena_printf(arena, "\neventfd-count: %16llx\neventfd-id: %d\neventfd-semaphore: %d\n",
				      (unsigned long long)row[EVENTFD_COUNT], (int)row[EVENTFD_ID],
				      !!(row[EVENTFD_FLAGS] & EFD_SEMAPHORE));
	out->complete = out->ownerless && row[INO] == r->eventfd.ino;
	out->dev = r->eventfd.st.st_dev;
	out->mode = r->eventfd.st.st_mode;
	out->link = "anon_inode:[eventfd]";
}

/* Openings of the file system of pipes; a fifo with a name is of another one. */
static void fill_pipe(const struct fd_rows *r, const uint64_t *row, struct arena *arena, struct fd_row *out)
{
	out->complete = out->ownerless && row[PIPE_HEAD] == row[PIPE_TAIL] && row[PIPE_PAGES] && S_ISFIFO(row[MODE]) &&
			file_kernel_dev(row[DEV]) == r->pipe.st.st_dev;
	if (!out->complete)
		return;
	out->pipe_size = (uint32_t)row[PIPE_PAGES] * (uint32_t)sysconf(_SC_PAGESIZE);
	out->dev = r->pipe.st.st_dev;
	out->mode = (mode_t)row[MODE];
	out->link = arena_printf(arena, "pipe:[%llu]", (unsigned long long)row[INO]);
}

static void fill(const struct fd_rows *r, const uint64_t *row, struct arena *arena, struct fd_row *out)
{
	const bool cloexec = row[CLOEXEC] >> (row[NUMBER] % 64) & 1;
	const bool eventfd = r->eventfd.op && row[F_OP] == r->eventfd.op;
	/* The file operations of all sockets are the same: they ask those of the family (sock_show_fdinfo() in net/socket.c). */
	const bool socket = r->socket_op && row[F_OP] == r->socket_op && !row[SOCKET_SHOW];

	*out = (struct fd_row){ .number = (int)row[NUMBER], .file = row[FILE_AT], .flags = (uint32_t)row[FLAGS],
				.ownerless = is_ownerless(r, row) };
	out->known = (!row[SHOW] || eventfd || socket) && !has_locks(r, row);
	if (!out->known)
		return;
	out->info = (struct proc_fdinfo){ .pos = (int64_t)row[POS], .flags = out->flags | (cloexec ? O_CLOEXEC : 0),
					  .mnt_id = (int)row[MNT_ID], .ino = row[INO], .text = "" };
	if (eventfd)
		fill_eventfd(r, row, arena, out);
	else if (r->pipe.op && row[F_OP] == r->pipe.op)
		fill_pipe(r, row, arena, out);
}

/* ---- whether it is what is taken for it ---- */

enum { EVENT, READ_END, WRITE_END, FILE_OF_OURS, SOCKET, OURS };

static void close_all(int (*fds)[OURS])
{
	for (int i = 0; i < OURS; i++)
		if ((*fds)[i] >= 0)
			close((*fds)[i]);
}

static bool make_all(int *fds)
{
	fds[EVENT] = eventfd(77, EFD_SEMAPHORE | EFD_CLOEXEC);
	fds[FILE_OF_OURS] = memfd_create("fdinfo", 0);
	fds[SOCKET] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* or none */
	return !pipe2(fds + READ_END, O_NONBLOCK | O_CLOEXEC) && fds[EVENT] >= 0 && fds[FILE_OF_OURS] >= 0 &&
	       lseek(fds[FILE_OF_OURS], 4321, SEEK_SET) == 4321;
}

static const uint64_t *row_of(const struct iter_rows *rows, int fd)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->v[i * FIELDS + NUMBER] == (uint64_t)fd)
			return rows->v + i * FIELDS;
	return NULL;
}

/* The lines that both have: of the kinds of ours, those of an eventfd, behind the first ones. */
static bool says_the_same(const struct proc_fdinfo *a, const struct proc_fdinfo *b)
{
	const char *theirs = strstr(b->text, "\neventfd-count");

	return a->pos == b->pos && a->flags == b->flags && a->mnt_id == b->mnt_id && a->ino == b->ino &&
	       (*a->text ? theirs && !strncmp(theirs, a->text, strlen(theirs)) : !theirs);
}

static bool is_right(const struct fd_rows *r, const uint64_t *row, int self, int fd, struct arena *arena, struct err *err)
{
	struct proc_fdinfo info;
	struct fd_row mine;

	if (!row || proc_fdinfo(self, fd, arena, &info, err))
		return false;
	fill(r, row, arena, &mine);
	return mine.known && (int)mine.flags == fcntl(fd, F_GETFL) && says_the_same(&mine.info, &info) &&
	       (!mine.pipe_size || (int)mine.pipe_size == fcntl(fd, F_GETPIPE_SZ));
}

/* An eventfd, and an empty pipe. */
static bool is_complete(const struct fd_rows *r, const uint64_t *row, const struct stat *st, int self, int fd, struct arena *arena,
			struct err *err)
{
	char path[32], link[64] = "";
	struct fd_row mine;

	if (!is_right(r, row, self, fd, arena, err))
		return false;
	fill(r, row, arena, &mine);
	snprintf(path, sizeof(path), "fd/%d", fd);
	return readlinkat(self, path, link, sizeof(link) - 1) > 0 && mine.complete && !strcmp(link, mine.link) &&
	       mine.dev == st->st_dev && mine.info.ino == st->st_ino && mine.mode == st->st_mode;
}

static bool are_right(struct fd_rows *r, const int *fds, const struct iter_rows *rows, int self, struct arena *arena, struct err *err)
{
	const uint64_t *event = row_of(rows, fds[EVENT]), *pipe = row_of(rows, fds[READ_END]), *other = row_of(rows, fds[WRITE_END]);

	if (!event || !pipe || !other || pipe[FILE_AT] == other[FILE_AT] || !event[SHOW] || pipe[SHOW] ||
	    fstat(fds[EVENT], &r->eventfd.st) || fstat(fds[READ_END], &r->pipe.st))
		return false;
	r->eventfd.ino = event[INO];
	r->eventfd.op = r->iter.absent & OF_EVENTFD ? 0 : event[F_OP];
	r->pipe.op = r->iter.absent & OF_PIPE ? 0 : pipe[F_OP];
	if (r->eventfd.op && !is_complete(r, event, &r->eventfd.st, self, fds[EVENT], arena, err))
		r->eventfd.op = 0;
	if (r->pipe.op && !is_complete(r, pipe, &r->pipe.st, self, fds[READ_END], arena, err))
		r->pipe.op = 0;
	for (int i = READ_END; i <= FILE_OF_OURS; i++)
		if (!is_right(r, row_of(rows, fds[i]), self, fds[i], arena, err))
			return false;
	other = row_of(rows, fds[SOCKET]);
	r->socket_op = other && !(r->iter.absent & BIT(SOCKET_SHOW)) ? other[F_OP] : 0;
	if (r->socket_op && !is_right(r, other, self, fds[SOCKET], arena, err))
		r->socket_op = 0;
	return true;
}

/* Nobody else can lock it. A lock leads to what is part of it, and so never into what has the lists. */
static bool find_empty(struct fd_rows *r, int fd, struct err *err)
{
	struct flock posix = { .l_type = F_RDLCK, .l_len = 1 };
	struct iter_rows locked = { 0 }, none = { 0 };
	const uint64_t *row;
	bool ok;

	if (flock(fd, LOCK_SH) || fcntl(fd, F_SETLK, &posix) || iter_read(&r->iter, getpid(), &locked, err))
		return false;
	posix.l_type = F_UNLCK;
	ok = !flock(fd, LOCK_UN) && !fcntl(fd, F_SETLK, &posix) && !iter_read(&r->iter, getpid(), &none, err);
	row = ok ? row_of(&none, fd) : NULL;
	for (int i = FLOCK; i <= LEASE && row; i++)
		r->empty[i - FLOCK] = row[i] - row[LOCKS];
	ok = row && row[LOCKS] && !has_locks(r, row);
	iter_rows_free(&none);
	row = row_of(&locked, fd);
	ok = ok && row && row[FLOCK] - row[LOCKS] != r->empty[0] && row[POSIX] - row[LOCKS] != r->empty[POSIX - FLOCK];
	iter_rows_free(&locked);
	return ok;
}

static int try_ours(struct fd_rows *r, struct err *err)
{
	int fds[OURS] cleanup(close_all) = { -1, -1, -1, -1, -1 };
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int self = -1;
	struct iter_rows rows;
	int ret = make_all(fds) ? proc_open(getpid(), &self, err) : err_sys(err, "cannot make descriptors");

	if (!ret)
		ret = iter_read(&r->iter, getpid(), &rows, err);
	if (ret)
		return ret;
	if (!find_empty(r, fds[FILE_OF_OURS], err) || !are_right(r, fds, &rows, self, arena, err))
		ret = err_set(err, ERR_FEATURE, 0, "fields of struct file are not what fdinfo shows");
	iter_rows_free(&rows);
	return ret;
}

/* ---- getting ready ---- */

static int prepare(void *arg, struct err *err)
{
	struct fd_rows *r = arg;
	int ret = iter_load(ITER_FILE, paths, FIELDS, NEEDED, &r->iter, err);

	return ret ? ret : try_ours(r, err);
}

static void begin(struct fd_rows *r)
{
	if (!aside_begun(&r->preparing))
		aside_start(&r->preparing, prepare, r);
}

/* Whether fdinfo shows what is a semaphore: since Linux 6.5 (fs/eventfd.c, eventfd_show_fdinfo()). */
static bool shows_semaphores(void)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int fd = eventfd(0, EFD_CLOEXEC), self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct err ignore = ERR_INIT;
	struct proc_fdinfo info;

	return fd < 0 || self < 0 || proc_fdinfo(self, fd, arena, &info, &ignore) || strstr(info.text, "eventfd-semaphore:");
}

/* The size of the directory is the number of descriptors, since Linux 6.2 (fs/proc/fd.c, proc_fd_getattr()). */
void fd_rows_begin(struct fd_rows *r, pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	if ((!stat(path, &st) && st.st_size >= MANY_DESCRIPTORS) || !shows_semaphores())
		begin(r);
}

void fd_rows_begin_tree(struct fd_rows *r, const struct dump *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->ntasks; i++)
		n += !d->tasks[i]->zombie;
	if (n >= MANY_TASKS)
		begin(r);
}

/* Waits until that is known. */
static bool is_ready(struct fd_rows *r, const struct log *log)
{
	if (!aside_begun(&r->preparing))
		return false;
	if (aside_join(&r->preparing, &r->why))
		log_debug(log, "descriptors are read from /proc: %s", r->why.reason);
	return r->why.kind == ERR_NONE;
}

/* How many it has. Before Linux 6.2 the size of the directory says nothing. */
static bool count(const struct dump_task *t, struct arena *arena, size_t *n)
{
	struct err ignore = ERR_INIT;
	struct stat st;
	int *numbers;

	if (fstatat(t->proc_fd, "fd", &st, 0))
		return false;
	*n = (size_t)st.st_size;
	return *n || !proc_numbers(t->proc_fd, "fdinfo", arena, &numbers, n, &ignore);
}

bool fd_rows_read(struct fd_rows *r, const struct dump_task *t, struct arena *arena, const struct log *log, struct fd_row **out, size_t *n)
{
	struct err why = ERR_INIT;
	struct iter_rows rows;
	size_t there;

	/* The kernel finds processes by their numbers here, not threads (kernel/bpf/task_iter.c, task_seq_get_next()). */
	if (!is_ready(r, log) || t->tid != t->pid || !count(t, arena, &there))
		return false;
	if (iter_read(&r->iter, t->tid, &rows, &why)) {
		log_debug(log, "pid %d: descriptors are read from /proc: %s", t->pid, why.reason);
		return false;
	}
	if (rows.n != there) {
		log_debug(log, "pid %d: descriptors are read from /proc: %zu are told of, not %zu", t->pid, rows.n, there);
		iter_rows_free(&rows);
		return false;
	}
	*out = arena_alloc(arena, rows.n * sizeof(**out));
	*n = rows.n;
	for (size_t i = 0; i < rows.n; i++)
		fill(r, rows.v + i * FIELDS, arena, &(*out)[i]);
	iter_rows_free(&rows);
	return true;
}
