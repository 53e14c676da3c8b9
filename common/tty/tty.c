// SPDX-License-Identifier: GPL-2.0-or-later
/* Terminals, dump side: pty pairs of the tree, and those that belong to somebody outside. The restore is tty_plan.c. */
#include "common/tty/tty_pairs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/file/external.h"

static bool tty_match(const struct fd_source *src)
{
	unsigned m = major(src->st.st_rdev);

	return S_ISCHR(src->st.st_mode) && !(src->flags & O_PATH) &&
	       (m == TTY_MAJOR || m == TTYAUX_MAJOR || (m >= UNIX98_PTY_MASTER_MAJOR && tty_is_slave(&src->st)) ||
		isatty(src->fd));
}

/* ---- what is written ---- */

TermiosEntry *tty_termios_entry(struct arena *arena, const struct termios2 *t)
{
	TermiosEntry *e = arena_msg(arena, TermiosEntry, termios_entry__init);

	e->c_iflag = t->c_iflag;
	e->c_oflag = t->c_oflag;
	e->c_cflag = t->c_cflag;
	e->c_lflag = t->c_lflag;
	e->c_line = t->c_line;
	if ((t->c_cflag & CBAUD) == BOTHER) { /* the speed stands in no flag */
		e->c_ispeed = t->c_ispeed;
		e->c_ospeed = t->c_ospeed;
	}
	e->n_c_cc = NCCS;
	e->c_cc = arena_alloc(arena, NCCS * sizeof(*e->c_cc));
	for (size_t i = 0; i < NCCS; i++)
		e->c_cc[i / 4] |= (uint32_t)t->c_cc[i] << 8 * (i % 4);
	return e;
}

/* flag_fd: whose flags (exclusive) they are; fd: an end that answers all else. */
static int fill_info(struct dump *d, TtyInfoEntry *e, int fd, const struct stat *st, struct err *err)
{
	struct termios2 t = { 0 }, locked = { 0 };
	struct winsize ws = { 0 };
	int exclusive = 0, disc = 0, sid, pgrp;

	e->rdev = (uint32_t)st->st_rdev;
	e->has_dev = e->has_uid = e->has_gid = true;
	e->dev = (uint32_t)st->st_dev;
	e->uid = st->st_uid;
	e->gid = st->st_gid;
	if (ioctl(fd, TCGETS2, &t) || ioctl(fd, TIOCGWINSZ, &ws) || ioctl(fd, TIOCGETD, &disc))
		return err_sys(err, "cannot read its settings");
	if (disc || t.c_line)
		return err_refuse(err, "it has the line discipline %d: it has state that only that driver knows",
				  disc ? disc : t.c_line);
	ioctl(fd, TIOCGEXCL, &exclusive);
	e->exclusive = exclusive != 0;
	e->termios = tty_termios_entry(d->arena, &t);
	if (ioctl(fd, TIOCGLCKTRMIOS, &locked))
		memset(&locked, 0, sizeof(locked));
	e->termios_locked = tty_termios_entry(d->arena, &locked);
	e->winsize = arena_msg(d->arena, WinsizeEntry, winsize_entry__init);
	e->winsize->ws_row = ws.ws_row;
	e->winsize->ws_col = ws.ws_col;
	e->winsize->ws_xpixel = ws.ws_xpixel;
	e->winsize->ws_ypixel = ws.ws_ypixel;
	/* Only a master answers those who have another controlling terminal. */
	if (!ioctl(fd, TIOCGSID, &sid) && sid > 0)
		e->sid = (uint32_t)sid;
	if (!ioctl(fd, TIOCGPGRP, &pgrp) && pgrp > 0)
		e->pgrp = (uint32_t)pgrp;
	return 0;
}

static void put_info(struct dump *d, const TtyInfoEntry *e)
{
	image_store_put(d->store, IMG_TTY_INFO, 0, &e->base);
}

static void put_queue(struct dump *d, uint32_t id, const struct tty_queue *q)
{
	TtyDataEntry e = TTY_DATA_ENTRY__INIT;
	bool plain = true;

	/* Lines that end in themselves need no record. */
	for (size_t i = 0; i < q->nrecords; i++)
		plain &= (q->records[i] & 3) == TTY_LINE_ENDED;
	if (!q->n && plain)
		return;
	e.tty_id = id;
	e.data = (ProtobufCBinaryData){ q->n, (uint8_t *)(uintptr_t)q->bytes };
	if (!plain) {
		e.n_records = q->nrecords;
		e.records = (uint32_t *)(uintptr_t)q->records;
	}
	image_store_put(d->store, IMG_TTY_DATA, 0, &e.base);
}

static TtyInfoEntry *new_info(struct dump *d, uint32_t index, bool master, TtyType type)
{
	TtyInfoEntry *e = arena_msg(d->arena, TtyInfoEntry, tty_info_entry__init);

	e->id = TTY_ID(index, master);
	e->type = type;
	if (type == TTY_TYPE__PTY) {
		e->pty = arena_msg(d->arena, TtyPtyEntry, tty_pty_entry__init);
		e->pty->index = index;
	}
	return e;
}

/* A slave that only processes outside hold. */
static int check_outside(struct dump *d, const struct tty_pair *p, bool closed, struct err *err)
{
	char link[40], who[96];

	snprintf(link, sizeof(link), "/dev/pts/%u", p->index);
	if (p->slave || closed || !file_find_holder(d, link, who, sizeof(who)))
		return 0;
	return err_refuse(err, "the other end, %s, is held by %s, which is not dumped", link, who);
}

static int dump_pair(struct dump *d, struct tty_pair *p, struct err *err)
{
	TtyInfoEntry *mi = new_info(d, p->index, true, TTY_TYPE__PTY), *si = new_info(d, p->index, false, TTY_TYPE__PTY);
	struct tty_queues q = { 0 };
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, p->master_pid, 0);
	cleanup_fd int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, p->master_fd, 0);
	struct pollfd closed = { .fd = fd };
	struct stat st, node;
	char path[64];
	int locked = 0, packet = 0, ret;

	if (fd < 0 || fstat(fd, &st))
		return err_sys(err, "cannot get its master from pid %d", p->master_pid);
	poll(&closed, 1, 0);
	ret = fill_info(d, mi, fd, &st, err);
	if (!ret)
		ret = check_outside(d, p, closed.revents & POLLHUP, err);
	if (ret)
		return ret;
	if (mi->sid && !dump_find_task(d, (pid_t)mi->sid))
		return err_refuse(err, "it controls session %u, whose leader is not dumped", mi->sid);
	ioctl(fd, TIOCGPTLCK, &locked);
	ioctl(fd, TIOCGPKT, &packet);
	mi->locked = locked != 0;
	mi->packet_mode = packet != 0;
	mi->has_slave_closed = mi->slave_closed = !p->slave && closed.revents & POLLHUP;
	ret = tty_queues_read(d, fd, p->slave, &q, err);
	if (ret)
		return ret;
	put_queue(d, mi->id, &q.end[1]);
	put_info(d, mi);
	if (!p->slave)
		return 0;
	memset(&node, 0, sizeof(node));
	snprintf(path, sizeof(path), "/proc/%d/root/dev/pts/%u", p->master_pid, p->index);
	if (stat(path, &node))
		node.st_rdev = makedev(UNIX98_PTY_SLAVE_MAJOR, p->index);
	ret = fill_info(d, si, fd, &node, err);
	if (ret)
		return ret;
	si->exclusive = false;
	si->locked = mi->locked;
	si->has_stopped = q.stopped != 0;
	si->stopped = q.stopped;
	/* TTY_EXCLUSIVE is each end's own. Opening the slave once more asks it. */
	int zero = 0, exclusive = 0;
	if (locked)
		ioctl(fd, TIOCSPTLCK, &zero);
	cleanup_fd int slave = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (locked)
		ioctl(fd, TIOCSPTLCK, &locked);
	if (slave < 0 || ioctl(slave, TIOCGEXCL, &exclusive))
		return err_sys(err, "cannot open its slave");
	si->exclusive = exclusive != 0;
	put_queue(d, si->id, &q.end[0]);
	put_info(d, si);
	return 0;
}

static bool write_once(struct dump *d, uint32_t id)
{
	struct tty_table *t = d->files->ttys;
	uint32_t *old = t->written;

	for (size_t i = 0; i < t->nwritten; i++)
		if (t->written[i] == id)
			return false;
	if (t->nwritten == t->written_cap) {
		t->written_cap = t->written_cap ? 2 * t->written_cap : 16;
		t->written = arena_alloc(d->arena, t->written_cap * sizeof(*t->written));
		if (t->nwritten)
			memcpy(t->written, old, t->nwritten * sizeof(*old));
	}
	t->written[t->nwritten++] = id;
	return true;
}

static const char *what_is(const struct stat *st, uint32_t *index, TtyType *type)
{
	unsigned m = major(st->st_rdev), n = minor(st->st_rdev);

	if (tty_is_slave(st)) {
		*index = n;
		*type = TTY_TYPE__PTY;
		return "terminal";
	}
	if (m == TTYAUX_MAJOR && n == 1) {
		*index = TTY_ID_CONSOLE;
		*type = TTY_TYPE__CONSOLE;
		return "console";
	}
	if (m == TTY_MAJOR && n < 64) {
		*index = TTY_ID_VT;
		*type = TTY_TYPE__VT;
		return "virtual console";
	}
	*index = TTY_ID_SERIAL;
	*type = TTY_TYPE__SERIAL;
	return "serial line";
}

/* A terminal whose other side is not ours: of the shell that started the job, or named by the caller. */
static int dump_outside(struct dump *d, const struct fd_source *src, TtyFileEntry *file, struct err *err)
{
	const struct proc_stat *ps = &d->task->stat;
	uint32_t index;
	TtyType type;
	const char *what = what_is(&src->st, &index, &type);
	char key[40], who[96];
	int ret;

	snprintf(key, sizeof(key), "%lx:%lx", (unsigned long)src->st.st_rdev, (unsigned long)src->st.st_dev);
	bool given = external_find(d->opts->given, "tty", key);
	if (!given && !d->opts->shell_job) {
		tty_whose(d, &src->st, who, sizeof(who));
		err_refuse(err, "%s %s belongs to %s outside of the tree", what, src->link, who);
		return tty_is_slave(&src->st) ? err_hint(err, -EINVAL,
						     "use --shell-job for a job of that session, or --external tty[%s]", key) :
					    err_hint(err, -EINVAL, "use --external tty[%s], and --inherit-fd 'fd[N]:tty[%s]' at the"
								   " restore", key, key);
	}
	if (!given && type == TTY_TYPE__PTY && tty_has_master(d, index))
		return err_hint(err, err_refuse(err, "%s %s has the number of another one, in the tree, of another instance of"
						" devpts", what, src->link),
				"use --external tty[%s], and --inherit-fd 'fd[N]:tty[%s]' at the restore", key, key);
	if (given) {
		type = TTY_TYPE__EXT_TTY;
		index = TTY_ID_EXTERNAL + (uint32_t)(src->st.st_rdev & 0xfffff); /* one number for each device */
	}
	file->tty_info_id = TTY_ID(index, false);
	if (!write_once(d, file->tty_info_id))
		return 0;
	TtyInfoEntry *e = new_info(d, index, false, type);
	ret = fill_info(d, e, src->fd, &src->st, err);
	if (ret)
		return ret;
	if (!e->sid && ps->tty_nr) { /* a slave tells only its own session */
		e->sid = (uint32_t)ps->session;
		e->pgrp = ps->tpgid > 0 ? (uint32_t)ps->tpgid : 0;
	}
	put_info(d, e);
	return 0;
}

/* /dev/tty is another name of the controlling terminal: it can be opened again by those who have the same. */
static int dump_ctty(struct dump *d, const struct fd_source *src, TtyFileEntry *file, struct err *err)
{
	const struct proc_stat *ps = &d->task->stat;
	unsigned dev = 0;

	if (ioctl(src->fd, TIOCGDEV, &dev))
		return err_refuse(err, "/dev/tty: the terminal that it led to has hung up");
	if ((int)dev != ps->tty_nr)
		return err_refuse(err, "/dev/tty leads to terminal %u:%u, which is no longer the task's own", dev >> 8 & 0xfff,
				  (dev & 0xff) | (dev >> 12 & 0xfff00));
	const struct stat st = { .st_rdev = makedev(dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00)) };
	if (!(tty_is_slave(&st) && tty_has_master(d, minor(st.st_rdev))) && !d->opts->shell_job) {
		char who[96];
		tty_whose(d, &st, who, sizeof(who));
		return err_hint(err, err_refuse(err, "/dev/tty: terminal %u:%u belongs to %s outside of the tree",
						major(st.st_rdev), minor(st.st_rdev), who),
				"use --shell-job for a job of that session");
	}
	file->tty_info_id = TTY_ID(TTY_ID_CTTY, false);
	if (!write_once(d, file->tty_info_id))
		return 0;
	TtyInfoEntry *e = new_info(d, TTY_ID_CTTY, false, TTY_TYPE__CTTY);
	e->rdev = (uint32_t)src->st.st_rdev;
	e->sid = (uint32_t)ps->session;
	e->pgrp = ps->tpgid > 0 ? (uint32_t)ps->tpgid : 0;
	e->has_dev = e->has_uid = e->has_gid = true;
	e->dev = (uint32_t)src->st.st_dev;
	e->uid = src->st.st_uid;
	e->gid = src->st.st_gid;
	put_info(d, e);
	return 0;
}

static int dump_slave(struct dump *d, const struct fd_source *src, TtyFileEntry *file, struct err *err)
{
	uint32_t index = minor(src->st.st_rdev);
	struct tty_pair *p = tty_pair_of(d, src->st.st_dev, index);
	int end;

	file->tty_info_id = TTY_ID(index, false);
	if (ioctl(src->fd, TIOCGPGRP, &end) && errno == EIO) {
		/* Hung up for ever, which is all that can be said about it. */
		TtyInfoEntry *e = new_info(d, index, false, TTY_TYPE__PTY);
		e->rdev = (uint32_t)src->st.st_rdev;
		e->has_dev = e->has_uid = e->has_gid = true;
		e->dev = (uint32_t)src->st.st_dev;
		e->uid = src->st.st_uid;
		e->gid = src->st.st_gid;
		if (p->master_pid)
			return err_refuse(err, "it was hung up (vhangup), though its master is open");
		if (!p->hung)
			put_info(d, e);
		p->hung = true;
		return 0;
	}
	if (!p->master_pid)
		return dump_outside(d, src, file, err);
	return 0;
}

static void put_path(struct dump *d, const struct fd_source *src, TtyFileEntry *file)
{
	static const char deleted[] = " (deleted)";
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);
	size_t len = strlen(src->link), cut = sizeof(deleted) - 1;
	char *name = arena_strdup(d->arena, src->link);

	if (len > cut && !strcmp(name + len - cut, deleted))
		name[len - cut] = 0;
	entry->type = FD_TYPES__REG;
	entry->id = reg->id = file_new_id(d);
	entry->reg = reg;
	reg->name = name;
	reg->flags = (uint32_t)src->flags;
	reg->fown = file->fown;
	reg->has_mode = true;
	reg->mode = src->st.st_mode;
	file->has_regf_id = true;
	file->regf_id = reg->id;
	file_put(d, entry);
}

static int tty_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	TtyFileEntry *file = arena_msg(d->arena, TtyFileEntry, tty_file_entry__init);
	struct tty_pair *p = NULL;
	uint64_t index;
	int ret = tty_collect(d, err);

	entry->tty = file;
	file->id = entry->id;
	file->flags = (uint32_t)src->flags;
	if (!ret)
		ret = fown_dump(d, src, &file->fown, err);
	if (ret)
		return ret;
	if (tty_is_master(&src->st)) {
		if (fdinfo_value(src->info->text, "tty-index", 10, &index) < 0 || index >= TTY_INDEX_MAX)
			return err_set(err, ERR_FEATURE, 0, "this kernel does not show the number of a pty");
		/* Our duplicate: it may come from a message. */
		cleanup_fd int self = open("/proc/self", O_PATH | O_CLOEXEC);
		const dev_t dev = tty_master_dev(d->task, self, src->fd);
		if (!dev || dev != tty_own_dev(d->task))
			return err_refuse(err, "%s: pty %llu is of another instance of devpts than the task's /dev/pts", src->link,
					  (unsigned long long)index);
		p = tty_pair_of(d, dev, (uint32_t)index);
		if (!p->master_pid)
			return err_refuse(err, "%s: pty %llu has its master nowhere but in a message", src->link,
					  (unsigned long long)index);
		file->tty_info_id = TTY_ID(index, true);
	} else if (tty_is_ctty(&src->st)) {
		ret = dump_ctty(d, src, file, err);
	} else if (tty_is_slave(&src->st)) {
		ret = dump_slave(d, src, file, err);
		p = tty_pair_of(d, src->st.st_dev, minor(src->st.st_rdev));
	} else {
		ret = dump_outside(d, src, file, err);
	}
	if (!ret && p && p->master_pid && !p->done) {
		p->done = true;
		ret = dump_pair(d, p, err);
	}
	if (ret)
		return strstr(err->reason, src->link) ? ret : err_object(err, ret, "%s", src->link);
	put_path(d, src, file);
	return 0;
}

const struct file_kind tty_kind = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.match = tty_match,
	.dump = tty_dump,
	.plan = tty_plan,
	.each_holder = true, /* of /dev/tty */
	.plan_task = tty_plan_task,
};
