// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * File locks and leases: of processes (POSIX), of descriptions (flock, OFD, leases). The kernel shows each in the fdinfo of the
 * descriptors through which it was taken (fs/locks.c, show_fd_locks()), so which task and which number to take it through is
 * known. Nobody can tell whether tasks outside the tree respect them too: hence --file-locks.
 */
#include <errno.h>
#include <search.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/file/preflight.h"
#include "common/file/table.h"
#include "file-lock.pb-c.h"

/* file_lock_entry.flag */
enum { LOCK_POSIX = 1, LOCK_FLOCK = 2, LOCK_OFD = 4, LOCK_LEASE = 8 };

/* One that is in the images: what belongs to a description shows in every table that has it. */
struct known { uint32_t table, id; FileLockEntry e; };

static int by_lock(const void *va, const void *vb)
{
	const struct known *a = va, *b = vb;

#define BY(field)                                 \
	do {                                      \
		if (a->field != b->field)         \
			return a->field < b->field ? -1 : 1; \
	} while (0)
	BY(id);
	BY(table);
	BY(e.flag);
	BY(e.type);
	BY(e.start);
	BY(e.len);
#undef BY
	return 0;
}

static bool word(const char **p, const char *w)
{
	size_t n = strlen(w);

	*p += strspn(*p, " \t");
	if (strncmp(*p, w, n) || ((*p)[n] != ' ' && (*p)[n] != '\t'))
		return false;
	*p += n;
	return true;
}

/* " 0 EOF" or " 10 19" */
static int parse_range(const char *p, FileLockEntry *e)
{
	uint64_t start, end;

	if (fdinfo_number(&p, 10, &start) < 0 || start > INT64_MAX)
		return -EINVAL;
	e->start = (int64_t)start;
	p += strspn(p, " ");
	if (!strncmp(p, "EOF", 3))
		return 0;
	if (fdinfo_number(&p, 10, &end) < 0 || end > INT64_MAX - 1 || end < start)
		return -EINVAL;
	e->len = (int64_t)(end - start + 1);
	return 0;
}

/* Whose it is (0: a description's), and of which file. */
struct holder { pid_t pid; unsigned major, minor; uint64_t ino; };

/* "123 08:01:1234" */
static int parse_holder(const char **p, struct holder *h)
{
	uint64_t pid, major, minor, ino;

	*p += strspn(*p, " ");
	if (**p == '-') /* of a description, -1 */
		*p += strcspn(*p, " \n"), pid = 0;
	else if (fdinfo_number(p, 10, &pid) < 0 || pid > INT32_MAX)
		return -EINVAL;
	*p += strspn(*p, " ");
	if (fdinfo_number(p, 16, &major) < 0 || *(*p)++ != ':' || fdinfo_number(p, 16, &minor) < 0 || *(*p)++ != ':' ||
	    fdinfo_number(p, 10, &ino) < 0)
		return -EINVAL;
	*h = (struct holder){ (pid_t)pid, (unsigned)major, (unsigned)minor, ino };
	return 0;
}

/* "1: POSIX  ADVISORY  WRITE 123 08:01:1234 0 EOF" (fs/locks.c, lock_get_status()) */
static int parse(const char *p, FileLockEntry *e, const char **what, struct holder *h)
{
	p += strcspn(p, ":\n");
	if (*p++ != ':')
		return -EINVAL;
	if (word(&p, "POSIX"))
		e->flag = LOCK_POSIX, *what = "a POSIX lock";
	else if (word(&p, "FLOCK"))
		e->flag = LOCK_FLOCK, *what = "a lock of flock(2)";
	else if (word(&p, "OFDLCK"))
		e->flag = LOCK_OFD, *what = "an open file description lock";
	else if (word(&p, "LEASE"))
		e->flag = LOCK_LEASE, *what = "a lease";
	else
		return -EOPNOTSUPP;
	/* A lease that somebody waits for is as good as gone, and its holder has been told. */
	if (e->flag == LOCK_LEASE ? !word(&p, "ACTIVE") : !word(&p, "ADVISORY"))
		return -EBUSY;
	if (word(&p, "READ"))
		e->type = F_RDLCK;
	else if (word(&p, "WRITE"))
		e->type = F_WRLCK;
	else
		return -EOPNOTSUPP;
	return parse_holder(&p, h) ? -EINVAL : parse_range(p, e);
}

static int dump_lock(struct dump *d, const struct file_fd *f, const char *line, struct err *err)
{
	struct known *k = arena_alloc(d->arena, sizeof(*k)), **at;
	const char *what = "a file lock of another kind";
	struct holder holder;
	int ret;

	file_lock_entry__init(&k->e);
	ret = parse(line, &k->e, &what, &holder);
	if (ret == -EBUSY)
		return err_hint(err, err_refuse(err, "%s: %s on it is being broken", f->link, what), "try again");
	if (ret == -EOPNOTSUPP)
		return err_refuse(err, "%s: %s is held through it: %.60s", f->link, what, line);
	if (ret < 0)
		return err_set(err, ERR_FEATURE, 0, "this kernel shows file locks in another way: %.60s", line);
	if (!d->opts->file_locks)
		return err_hint(err, err_refuse(err, "%s: %s is held through it", f->link, what),
				"use --file-locks to keep locks, if no task outside the tree uses them");
	k->id = f->id;
	k->table = k->e.flag == LOCK_POSIX ? f->task->files_id : 0;
	at = tsearch(k, &d->files->locks, by_lock);
	if (*(struct known **)xowned(at) != k)
		return 0;
	k->e.pid = f->task->pid;
	k->e.fd = f->number;
	image_store_put(d->store, IMG_FILE_LOCKS, 0, &k->e.base);
	return 0;
}

int file_locks_dump(struct dump *d, const struct file_fd *f, struct err *err)
{
	int ret = 0;

	for (const char *p = f->info.text; !ret && (p = strstr(p, "lock:")); p += 5)
		if (p == f->info.text || p[-1] == '\n') {
			ret = dump_lock(d, f, p + 5, err);
			/* A check tells of each. */
			if (ret < 0 && d->found)
				ret = dump_note(d, err_object(err, ret, "fd %d", f->number), err);
		}
	return ret;
}

/* ---- restore ---- */

static int check(const FileLockEntry *e, const struct model_task *task, struct err *err)
{
	bool found = false;

	for (size_t i = 0; i < task->nfds && !found; i++)
		found = task->fds[i]->fd == (uint32_t)e->fd;
	if (!found)
		return err_image(err, "filelocks.img: a lock on descriptor %d, which pid %d does not have", e->fd, e->pid);
	if (e->start < 0 || e->len < 0 || e->len > INT64_MAX - e->start)
		return err_image(err, "filelocks.img: a lock of %lld bytes from %lld on", (long long)e->len,
				 (long long)e->start);
	if (e->flag != LOCK_POSIX && e->flag != LOCK_FLOCK && e->flag != LOCK_OFD && e->flag != LOCK_LEASE)
		return err_image(err, "filelocks.img: a lock of unknown kind %u", e->flag);
	if (e->type == 6 || e->type == 4 || e->type == 5)
		return err_refuse(err, "filelocks.img: a lease on descriptor %d was being broken", e->fd);
	if (e->type != F_RDLCK && e->type != F_WRLCK)
		return err_image(err, "filelocks.img: a lock of unknown type %u", e->type);
	return 0;
}

/* A process loses its POSIX locks when it closes any descriptor of the file, so they come after the last close. */
static void plan_lock(const FileLockEntry *e, struct program *prog)
{
	struct flock lock = {
		.l_type = (short)e->type, .l_whence = SEEK_SET, .l_start = e->start, .l_len = e->len,
	};
	struct arg fd = A((uint64_t)e->fd);

	switch (e->flag) {
	case LOCK_FLOCK:
		program_call(prog, TASK_LOCKS, "lock", SYS_flock, fd,
			     A((e->type == F_RDLCK ? LOCK_SH : LOCK_EX) | LOCK_NB));
		break;
	case LOCK_LEASE:
		program_call(prog, TASK_LOCKS, "lease", SYS_fcntl, fd, A(F_SETLEASE), A(e->type));
		break;
	default:
		program_call(prog, TASK_LOCKS, e->flag == LOCK_OFD ? "lock of the description" : "lock of the process",
			     SYS_fcntl, fd, A(e->flag == LOCK_OFD ? F_OFD_SETLK : F_SETLK),
			     A_DATA(program_data(prog, &lock, sizeof(lock))));
	}
}

static int plan_locks(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	for (size_t i = 0; i < m->nlocks; i++) {
		const FileLockEntry *e = m->locks[i];
		int ret;

		if (e->pid != pt->pid)
			continue;
		if (!plan->file_locks)
			ret = err_hint(err, err_refuse(err, "descriptor %d holds a file lock", e->fd),
				       "use --file-locks to take it again, if no task outside the tree uses the file");
		else
			ret = check(e, task, err);
		if (ret && plan_note(plan, pt, ret, err))
			return ret;
		if (ret)
			continue;
		plan_lock(e, pth->prog);
	}
	return 0;
}

const struct state_kind file_locks_kind = {
	.name = "file locks",
	.scope = SCOPE_TASK,
	.plan = plan_locks,
};

/* ---- before a restore: locks of others ---- */

struct other { struct holder of; FileLockEntry e; };
struct others { struct other *v; size_t n, cap; };

static int by_file(const void *va, const void *vb)
{
	const struct holder *a = &((const struct other *)va)->of, *b = &((const struct other *)vb)->of;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	return (a->minor > b->minor) - (a->minor < b->minor);
}

/* What /proc/locks shows: the locks whose holders are seen from here, and those of descriptions. */
static void read_others(struct others *all)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (read_file_at(AT_FDCWD, "/proc/locks", 64u << 20, &text, &len))
		return;
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p ? 1 : 0) {
		struct other o = { 0 };
		const char *what;

		file_lock_entry__init(&o.e);
		if (parse(p, &o.e, &what, &o.of)) /* also one that waits ("->") */
			continue;
		array_reserve(&all->v, &all->cap, all->n, sizeof(*all->v));
		all->v[all->n++] = o;
	}
	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), by_file);
}

static bool overlap(const FileLockEntry *a, const FileLockEntry *b)
{
	return (!a->len || b->start < a->start + a->len) && (!b->len || a->start < b->start + b->len);
}

/* fs/locks.c: posix_locks_conflict(), flock_locks_conflict(); leases meet opens, not locks. */
static bool conflict(const FileLockEntry *a, const FileLockEntry *b)
{
	const uint32_t ranges = LOCK_POSIX | LOCK_OFD;

	if (a->type != F_WRLCK && b->type != F_WRLCK)
		return false;
	return (a->flag & ranges && b->flag & ranges && overlap(a, b)) || (a->flag == LOCK_FLOCK && b->flag == LOCK_FLOCK);
}

static const RegFileEntry *locked_file(const struct look *f, const FileLockEntry *e)
{
	for (size_t i = 0; i < f->m->ntasks; i++) {
		const struct model_task *t = &f->m->tasks[i];

		for (size_t k = 0; t->pstree->pid == (uint32_t)e->pid && k < t->nfds; k++)
			if (t->fds[k]->fd == (uint32_t)e->fd && t->fds[k]->type == FD_TYPES__REG)
				return model_reg(f->m, t->fds[k]->id);
	}
	return NULL;
}

static void tell(struct look *f, const char *name, const struct other *o)
{
	char line[160], path[32];
	cleanup_free char *comm = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/comm", o->of.pid);
	if (!o->of.pid || read_file_at(AT_FDCWD, path, 64, &comm, &len))
		snprintf(line, sizeof(line), "is locked by somebody outside, where a lock of the checkpoint must go: end who has it open");
	else
		snprintf(line, sizeof(line), "is locked by pid %d (%.*s), where a lock of the checkpoint must go: end it", o->of.pid,
			 (int)strcspn(comm, "\n"), comm);
	f->count++;
	f->report(f->ctx, name, line);
}

void look_locks(struct look *f)
{
	cleanup_free struct other *v = NULL;
	struct others all = { 0 };

	if (!f->check->plan || !f->check->plan->file_locks || !f->m->nlocks)
		return;
	read_others(&all);
	v = all.v;
	for (size_t i = 0; all.n && i < f->m->nlocks; i++) {
		const FileLockEntry *e = f->m->locks[i];
		const RegFileEntry *reg = locked_file(f, e);
		struct other key = { 0 }, *o;
		struct statx st;

		if (!reg || reg->name[0] != '/' || model_remap(f->m, reg->id) || look_statx(reg->name, false, &st))
			continue;
		key.of = (struct holder){ .major = st.stx_dev_major, .minor = st.stx_dev_minor, .ino = st.stx_ino };
		o = bsearch(&key, v, all.n, sizeof(*v), by_file);
		while (o && o > v && !by_file(o - 1, &key))
			o--;
		for (; o && o < v + all.n && !by_file(o, &key); o++)
			if (conflict(e, &o->e)) {
				tell(f, reg->name, o);
				break;
			}
	}
}
