// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The descriptor tables of the frozen tasks: identity of descriptions over all of them, ids, and the records of
 * fdinfo-F.img. Most descriptors of a child are its parent's under the same numbers, which one question each finds out;
 * only the others are sorted.
 */
#include "common/feature/feature.h"
#include "common/file/fdrows.h"
#include "common/file/look.h"
#include "common/file/outside.h"
#include "common/file/pipe.h"

#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <search.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/dump/identity.h"
#include "common/sock/ahead.h"
#include "common/sock/listeners.h"
#include "fdinfo.pb-c.h"

struct file_table *file_table_new(void)
{
	struct file_table *t = xzalloc(sizeof(*t));

	t->root = -1;
	return t;
}

static void keep(void *node)
{
	(void)node; /* nodes' data lives in the dump's arena */
}

static void drop_duplicate(struct file_fd *f)
{
	if (f->dup >= 0)
		close(f->dup);
	f->dup = -1;
}

void file_table_free(struct file_table *t)
{
	if (!t)
		return;
	socks_ahead_free(t->ahead);
	for (size_t i = 0; i < t->ntables; i++)
		for (size_t k = 0; k < t->tables[i].n; k++)
			drop_duplicate(&t->tables[i].fds[k]);
	file_links_undo(t);
	if (t->root >= 0)
		close(t->root);
	tdestroy(t->paths, keep);
	tdestroy(t->ghosts, keep);
	tdestroy(t->fifos, keep);
	tdestroy(t->locks, keep);
	tdestroy(t->links, keep);
	inflight_free(t);
	unix_table_free(t->sockets);
	sock_errors_free(t->errors);
	udp_corks_free(t->corks);
	reuse_groups_free(t->reuse);
	outside_free(t->outside);
	free(t);
}

uint32_t file_new_id(struct dump *d)
{
	return ++d->files->last_id;
}

void file_put(struct dump *d, const FileEntry *entry)
{
	image_store_put(d->store, IMG_FILES, 0, &entry->base);
}

/*
 * Whether it is open for reading or writing, or stands for a path only, never changes (fs/fcntl.c, setfl()); two ends of a pipe
 * differ in that. All eventfds have one inode, and numbers of their own (eventfd-id, since Linux 5.2), of which none belongs
 * to two that are open. 0: this is none of them, or it does not say. Where all of them are known by address (fdrows.h), that is it.
 */
static uint64_t told_apart(const struct file_table *t, const struct file_fd *f)
{
	const uint64_t access = f->flags & (O_ACCMODE | O_PATH);
	uint64_t id = 0;

	if (t->rows)
		return f->row->file;
	if (f->link[0] == 'a' && !strcmp(f->link, "anon_inode:[eventfd]"))
		fdinfo_value(f->info.text, "eventfd-id", 10, &id);
	return id << 32 | access;
}

struct comparing { const struct file_table *table; int errnum; };

/*
 * kcmp(2) KCMP_FILE gives a total order of struct file addresses (0 equal, 1 less, 2 greater), stable while all are
 * open. It is asked only among descriptors of one inode that nothing else tells apart. Position and other
 * flags take no part: another process that shares a description may change them at any time.
 */
static int compare(const void *va, const void *vb, void *ctx)
{
	const struct file_fd *a = va, *b = vb;
	struct comparing *c = ctx;

	if (a->st.st_dev != b->st.st_dev)
		return a->st.st_dev < b->st.st_dev ? -1 : 1;
	if (a->st.st_ino != b->st.st_ino)
		return a->st.st_ino < b->st.st_ino ? -1 : 1;
	if (a->apart != b->apart)
		return a->apart < b->apart ? -1 : 1;
	if (a->origin == b->origin)
		return 0;
	long r = c->table->rows ? 0 : syscall(SYS_kcmp, a->task->tid, b->task->tid, KCMP_FILE, a->number, b->number);
	if (r < 0) {
		c->errnum = errno;
		return 0;
	}
	if (r == 1)
		return -1;
	if (r == 2)
		return 1;
	/*
	 * Every sort compares those that end up side by side, so this mark tells a duplicate without asking again: it
	 * stands behind another descriptor of its description. The element is ours to write; only qsort's prototype
	 * says const.
	 */
	bool a_later = a->order != b->order ? a->order > b->order : a->number > b->number;
	struct file_fd *later = (struct file_fd *)(uintptr_t)(a_later ? a : b);
	later->duplicate = true;
	return a_later ? 1 : -1;
}

static int blame(struct err *err, const char *feature, int errnum, const char *what)
{
	int ret = feature_blame(feature, errnum, err);

	return ret ? ret : err_set(err, ERR_FAILED, errnum, "%s", what);
}

/* All tables, each once, parents' before children's. */
static int collect_all(struct dump *d, struct table **tables, size_t *n, struct err *err)
{
	struct table *v = arena_alloc(d->arena, d->ntasks * sizeof(*v));
	/* By id: those of tables are among as many as there are living tasks. */
	struct table **by_id = arena_alloc(d->arena, (d->ntasks + TASK_KOBJ) * sizeof(*by_id));

	*n = 0;
	for (size_t i = 0; i < d->ntasks; i++) {
		struct dump_task *task = d->tasks[i];
		struct table *t = &v[*n];
		int ret;

		if (task->zombie || by_id[task->files_id])
			continue;
		t->task = task;
		ret = table_look(d, t, (uint32_t)*n, task->parent ? by_id[task->parent->files_id] : NULL, err);
		if (ret < 0 && !dump_note(d, ret, err))
			continue;
		if (ret < 0)
			return ret;
		by_id[task->files_id] = t;
		(*n)++;
	}
	*tables = v;
	return 0;
}

/* Descriptors that nothing can bring back, all of them in one line. */
static int refuse_hopeless(const struct table *tables, size_t n, struct err *err)
{
	cleanup_strbuf struct strbuf all = STRBUF_INIT;
	int ret;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < tables[i].n; k++) {
			const struct file_fd *f = &tables[i].fds[k];
			const char *what = file_hopeless(f->link);

			if (what)
				strbuf_printf(&all, "%spid %d fd %d: %s", all.len ? ", " : "", f->task->pid, f->number, what);
		}
	ret = all.len ? err_refuse(err, "nothing can bring these back: %s", all.s) : 0;
	for (size_t i = 0; ret && i < n; i++)
		for (size_t k = 0; k < tables[i].n; k++)
			file_hint_hopeless(tables[i].fds[k].link, ret, err);
	return ret;
}

/* Events that wait, before anything of ours can add to them. */
static int look_at_events(struct dump *d, const struct table *tables, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < tables[i].n; k++) {
			const struct file_fd *f = &tables[i].fds[k];
			const char *what = f->origin == f ? fsnotify_name(f->link) : NULL;

			if (!what)
				continue;
			cleanup_fd int pidfd = dump_task_pidfd(f->task);
			cleanup_fd int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, f->number, 0);
			int ret = fd < 0 ? blame(err, "pidfd_getfd", errno, "cannot get a duplicate (pidfd_getfd)") :
					   fsnotify_refuse_queue(fd, what, err);

			if (ret)
				ret = dump_note(d, err_task(err, f->task->pid, f->task->stat.comm,
							    err_object(err, ret, "fd %d", f->number)), err);
			if (ret)
				return ret;
		}
	return 0;
}

int files_look(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	int ret = collect_all(d, &t->tables, &t->ntables, err); /* one table for all threads: common/task/check.c sees to that */

	if (ret)
		t->ntables = 0;
	if (!ret && !d->found) /* a check says each in its place */
		ret = refuse_hopeless(t->tables, t->ntables, err);
	if (!ret)
		ret = look_at_events(d, t->tables, t->ntables, err);
	if (!ret) {
		outside_look(d);
		listeners_stop(d);
	}
	return ret;
}

/* What the descriptor of a terminal was before the agent's questions about it: known since they were answered. */
static void correct_flags(const struct dump *d, struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct file_fd *f = &t->fds[i];

		if (f->flags & O_CLOEXEC && S_ISCHR(f->st.st_mode) && tty_kept_on_exec(d, f->task->pid, f->number))
			f->flags &= ~(uint32_t)O_CLOEXEC;
	}
}

static int assign_ids(struct dump *d, struct table *tables, size_t ntables, struct err *err)
{
	struct file_table *t = d->files;
	struct comparing c = { .table = t };
	size_t n = 0;

	t->rows = true;
	for (size_t i = 0; i < ntables; i++) {
		n += tables[i].n;
		for (size_t k = 0; k < tables[i].n; k++)
			t->rows &= tables[i].fds[k].row != NULL;
	}
	t->fds = arena_alloc(d->arena, n * sizeof(*t->fds));
	for (size_t i = 0; i < ntables; i++)
		for (size_t k = 0; k < tables[i].n; k++)
			if (!tables[i].fds[k].duplicate) {
				t->fds[t->nfds] = tables[i].fds[k];
				t->fds[t->nfds].apart = told_apart(t, &t->fds[t->nfds]);
				t->nfds++;
			}
	qsort_r(t->fds, t->nfds, sizeof(*t->fds), compare, &c);
	if (c.errnum)
		return blame(err, "kcmp", c.errnum, "cannot compare descriptors (kcmp)");
	for (size_t i = 0; i < t->nfds; i++) {
		struct file_fd *f = &t->fds[i];

		f->id = f->origin->id = f->duplicate ? f[-1].id : file_new_id(d);
	}
	for (size_t i = 0; i < ntables; i++)
		for (size_t k = 0; k < tables[i].n; k++)
			tables[i].fds[k].id = tables[i].fds[k].origin->id;
	return 0;
}

struct file_fd *file_same_inode(struct dump *d, const struct stat *st, size_t *n)
{
	struct file_table *t = d->files;
	size_t lo = 0, hi = t->nfds, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct stat *m = &t->fds[mid].st;
		if (m->st_dev < st->st_dev || (m->st_dev == st->st_dev && m->st_ino < st->st_ino))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < t->nfds && t->fds[end].st.st_dev == st->st_dev && t->fds[end].st.st_ino == st->st_ino;
	     end++)
		;
	*n = end - lo;
	return t->fds + lo;
}

const struct file_fd *file_next_holder(const struct dump *d, uint32_t id, const struct file_fd *after)
{
	const struct file_table *t = d->files;

	for (size_t i = after ? after->order + 1 : 0; i < t->ntables; i++)
		for (size_t k = 0; k < t->tables[i].n; k++)
			if (t->tables[i].fds[k].id == id)
				return &t->tables[i].fds[k];
	return NULL;
}

int file_blame(int number, int ret, struct err *err)
{
	return number < 0 ? err_object(err, ret, "descriptor on its way in a message") : err_object(err, ret, "fd %d", number);
}

int file_describe(struct dump *d, int fd, bool *kept, struct file_fd *f, struct err *err)
{
	struct fd_source src = { .number = f->sent ? -1 : f->number, .fd = fd, .st = f->st, .link = f->link, .info = &f->info,
				 .domain = -1, .type = -1, .protocol = -1, .ahead = f->ahead, .kept = kept, .row = f->row };
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	int ret;

	snprintf(src.place, sizeof(src.place), f->sent ? "/proc/self/fd/%d" : "fd/%d", f->number);
	src.flags = f->row ? (int)f->row->flags : fcntl(fd, F_GETFL);
	if (src.flags < 0)
		return err_sys(err, "cannot read its flags");
	/* Of what has a name, the name is opened so again; of what has none, there is only the object itself. */
	if (src.flags & O_PATH && f->link[0] != '/')
		return err_refuse(err, "%s, opened with O_PATH", f->link);
	if (S_ISSOCK(f->st.st_mode) && !(src.flags & O_PATH)) {
		src.domain = sock_option(fd, SO_DOMAIN);
		src.type = sock_option(fd, SO_TYPE);
		src.protocol = sock_option(fd, SO_PROTOCOL);
	}
	for (size_t k = 0; file_kinds[k]; k++) {
		const struct file_kind *kind = file_kinds[k];
		if (!kind->match(&src))
			continue;
		entry->type = f->type = kind->type;
		entry->id = f->id;
		ret = kind->dump(d, &src, entry, err);
		if (ret >= 0 && S_ISSOCK(f->st.st_mode)) {
			const int shared = outside_refuse_socket(d, &src, entry, ret, err);

			ret = shared ? shared : ret;
		}
		if (!ret) /* a kind that gives 1 puts it later */
			file_put(d, entry);
		return MIN(ret, 0);
	}
	return file_refuse(d, &src, err);
}

static int dump_description(struct dump *d, int pidfd, struct file_fd *f, struct err *err)
{
	/* A duplicate of the task's own descriptor: asking it never disturbs the task, and it needs no help of the
	 * task. */
	int fd = f->dup, ret;
	bool kept = false;

	if (f->row && f->row->complete && (!f->row->pipe_size || pipe_has_both_ends(d, &f->st)))
		return file_describe(d, -1, &kept, f, err);
	if (fd < 0)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, f->number, 0);
	f->dup = -1;
	if (fd < 0)
		return blame(err, "pidfd_getfd", errno, "cannot get a duplicate (pidfd_getfd)");
	ret = file_describe(d, fd, &kept, f, err);
	if (kept)
		return ret;
	sock_ahead_leave(f->ahead);
	close(fd);
	return ret;
}

static void put_fdinfo(struct dump *d, const struct file_fd *f, FdTypes type)
{
	FdinfoEntry e = FDINFO_ENTRY__INIT;

	e.id = f->id;
	e.fd = (uint32_t)f->number;
	e.type = type;
	e.flags = f->flags & O_CLOEXEC ? 1 : 0;
	image_store_put(d->store, IMG_FDINFO, f->task->files_id, &e.base);
}

static int no_pidfd(const struct dump_task *t, struct err *err)
{
	if (errno == EINVAL && t->tid != t->pid)
		return err_refuse(err, "its first thread has ended, and before Linux 6.9 (PIDFD_THREAD) nobody gets files of the others");
	return err_sys(err, "cannot open a pidfd");
}

/* In the order of numbers, so that errors and images read naturally. Ids may be anything. */
static int dump_table(struct dump *d, const struct table *t, FdTypes *types, struct err *err)
{
	cleanup_fd int pidfd = -1; /* most tables of a tree have no description of their own */
	int ret;

	/* The file exists even when there is no descriptor at all. */
	image_store_touch(d->store, IMG_FDINFO, t->task->files_id);
	for (size_t i = 0; i < t->n; i++) {
		struct file_fd *f = &t->fds[i];

		ret = file_locks_dump(d, f, err); /* a POSIX lock shows only where its owner has the descriptor */
		if (!ret && types[f->id] == FD_TYPES__UND) {
			pidfd = pidfd < 0 ? dump_task_pidfd(t->task) : pidfd;
			if (pidfd < 0)
				return no_pidfd(t->task, err);
			ret = dump_description(d, pidfd, f, err);
			types[f->id] = ret ? FD_TYPES__REG : f->type; /* a check goes on, and says it once */
		}
		ret = dump_note(d, err_object(err, ret, "fd %d", f->number), err);
		if (ret < 0)
			return ret;
		drop_duplicate(f); /* of a description that was written before */
		put_fdinfo(d, f, types[f->id]);
	}
	return 0;
}

int files_dump(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	struct table *tables = t->tables;
	size_t n = t->ntables;
	int ret;

	for (size_t i = 0; i < n; i++)
		correct_flags(d, &tables[i]);
	ret = assign_ids(d, tables, n, err);
	if (ret < 0)
		return ret;
	FdTypes *types = arena_alloc(d->arena, (t->last_id + 1) * sizeof(*types));
	/* Messages hold descriptions, too, which kinds must know of when they look for other ends. */
	ret = dump_note(d, unix_queues_dump(d, err), err);
	if (!ret)
		inflight_merge(d);
	if (!ret)
		t->ahead = socks_ahead_start(d);
	for (size_t i = 0; i < n && !ret; i++) {
		d->task = tables[i].task;
		ret = dump_table(d, &tables[i], types, err);
		if (ret)
			err_task(err, d->task->pid, d->task->stat.comm, ret);
	}
	if (!ret)
		ret = inflight_dump(d, err);
	if (!ret)
		ret = unixsk_finish(d, err);
	d->task = d->tasks[0];
	log_debug(d->log, "%zu tables, %u file entries", n, t->last_id);
	return ret;
}

int fdinfo_number(const char **p, int base, uint64_t *out)
{
	char word[40];
	const char *start = *p + strspn(*p, " \t");
	size_t n = strspn(start, "0123456789abcdefABCDEF");

	if (!n || n >= sizeof(word))
		return -EINVAL;
	memcpy(word, start, n);
	word[n] = 0;
	*p = start + n;
	return parse_u64(word, base, out);
}

int fdinfo_value(const char *text, const char *key, int base, uint64_t *out)
{
	size_t len = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, key, len) || p[len] != ':')
			continue;
		p += len + 1;
		return fdinfo_number(&p, base, out);
	}
	return -ENOENT;
}

/* One descriptor table; true when one of its links is `link`. */
static bool holds(int proc, const char *pid, const char *link)
{
	char dir[300], target[4096];

	snprintf(dir, sizeof(dir), "%s/fd", pid);
	int fd = openat(proc, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	if (!fds) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (e = readdir(fds))) {
		ssize_t n = readlinkat(fd, e->d_name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		found = !strcmp(target, link);
	}
	closedir(fds);
	return found;
}

bool file_holder(const char *link, const struct dump *d, char *who, size_t n)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (proc && !found && (e = readdir(proc))) {
		uint64_t pid;
		if (parse_u64(e->d_name, 10, &pid) < 0 || (pid_t)pid == getpid() || (d && dump_find_task(d, (pid_t)pid)))
			continue;
		if (!holds(dirfd(proc), e->d_name, link))
			continue;
		struct proc_stat st = { .comm = "" };
		struct err ignored = ERR_INIT;
		char path[300];
		snprintf(path, sizeof(path), "%s/stat", e->d_name);
		if (proc_stat(dirfd(proc), path, &st, &ignored) < 0)
			continue;
		snprintf(who, n, "pid %d (%s)", (int)pid, st.comm);
		found = true;
	}
	if (proc)
		closedir(proc);
	return found;
}

bool file_find_holder(struct dump *d, const char *link, char *who, size_t n)
{
	return file_holder(link, d, who, n);
}
