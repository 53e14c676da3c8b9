// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Terminals, restore side. The controller makes each pty once, with the number that it had, both ends together; session
 * leaders take it as their controlling terminal. What belonged to somebody outside is the caller's terminal now.
 */
#include "common/tty/tty.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/file/external.h"

/* tty-info.img and tty-data.img. */
struct tty_images {
	TtyInfoEntry **infos;
	TtyDataEntry **data;
	size_t ninfos, ndata;
};

static int load(const struct model *m, struct plan *plan, struct tty_images **out, struct err *err)
{
	struct file_plan *fp = file_plan_of(plan);
	struct tty_images *t = fp->ttys;
	int ret = 0;

	*out = t;
	if (t)
		return 0;
	*out = t = arena_alloc(plan->arena, sizeof(*t));
	if (m->dir)
		ret = image_read_all(m->dir, IMG_TTY_INFO, 0, plan->arena, (ProtobufCMessage ***)&t->infos, &t->ninfos, NULL,
				     err);
	if (!ret && m->dir)
		ret = image_read_all(m->dir, IMG_TTY_DATA, 0, plan->arena, (ProtobufCMessage ***)&t->data, &t->ndata, NULL,
				     err);
	if (!ret)
		fp->ttys = t;
	return ret;
}

static const TtyInfoEntry *info_of(const struct tty_images *t, uint32_t id)
{
	for (size_t i = 0; i < t->ninfos; i++)
		if (t->infos[i]->id == id)
			return t->infos[i];
	return NULL;
}

static int data_of(const struct tty_images *t, uint32_t id, const TtyDataEntry **out, struct err *err)
{
	uint64_t sum = 0;

	*out = NULL;
	for (size_t i = 0; i < t->ndata; i++) {
		if (t->data[i]->tty_id != id)
			continue;
		if (*out || t->data[i]->data.len >= TTY_QUEUE_MAX)
			return err_image(err, "tty-data.img: terminal %u: %s", id,
					 *out ? "is there twice" : "more than any terminal holds");
		*out = t->data[i];
	}
	for (size_t i = 0; *out && i < (*out)->n_records; i++) {
		sum += (*out)->records[i] >> 2;
		if ((*out)->n_records > TTY_QUEUE_MAX || (*out)->records[i] % 4 > TTY_LINE_OPEN)
			return err_image(err, "tty-data.img: terminal %u: no such lines", id);
	}
	if (*out && (*out)->n_records && sum != (*out)->data.len)
		return err_image(err, "tty-data.img: terminal %u: lines and data do not agree", id);
	return 0;
}

bool tty_termios(const TermiosEntry *e, struct termios2 *t)
{
	memset(t, 0, sizeof(*t));
	if (e->n_c_cc < (NCCS + 3) / 4 || e->c_line)
		return false;
	t->c_iflag = e->c_iflag;
	t->c_oflag = e->c_oflag;
	t->c_cflag = e->c_cflag;
	t->c_lflag = e->c_lflag;
	t->c_ispeed = e->c_ispeed;
	t->c_ospeed = e->c_ospeed;
	for (size_t i = 0; i < NCCS; i++)
		t->c_cc[i] = (cc_t)(e->c_cc[i / 4] >> 8 * (i % 4));
	return true;
}

static int info_termios(const TtyInfoEntry *e, struct termios2 *t, struct err *err)
{
	return e->termios && tty_termios(e->termios, t) ? 0 :
		       err_image(err, "tty-info.img: terminal %u: settings that no terminal can have", e->id);
}

/* ---- a pair ---- */

struct pair_plan {
	struct plan *plan;
	struct program *c;
	const TtyInfoEntry *mi, *si; /* si NULL: no slave is open */
	const TtyDataEntry *data[2]; /* 0: slave, 1: master */
	struct termios2 t;
	uint32_t master; /* slot */
	struct arg slave;
	bool have_slave;
	struct data_ref literal, final; /* struct termios2 */
};

static void call(struct pair_plan *p, int phase, const char *what, struct arg fd, unsigned long request, struct arg arg)
{
	program_call(p->c, phase, what, SYS_ioctl, fd, A(request), arg);
}

static struct arg int_data(struct pair_plan *p, int v)
{
	return A_DATA(program_data(p->c, &v, sizeof(v)));
}

static void settings(struct pair_plan *p, const char *what, const struct termios2 *t)
{
	call(p, MAKE_CONTENT, what, A_SLOT(p->master), TCSETS2, A_DATA(program_data(p->c, t, sizeof(*t))));
}

static void send(struct pair_plan *p, struct arg fd, const uint8_t *bytes, size_t n)
{
	for (size_t at = 0, k; at < n; at += k) {
		k = tty_send_size(n - at);
		program_call_eq(p->c, MAKE_CONTENT, "data on its way through a terminal", k, SYS_write, fd,
				A_PTR(bytes + at), A(k));
	}
}

static void enter(struct pair_plan *p, struct arg fd, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		call(p, MAKE_CONTENT, "byte that waits in a terminal", fd, TIOCSTI, A_PTR(bytes + i));
}

static void enter_char(struct pair_plan *p, const char *what, int index, unsigned char c, tcflag_t iflag)
{
	struct termios2 w = tty_literal(&p->t);

	w.c_cc[index] = c;
	w.c_iflag |= iflag;
	settings(p, what, &w);
	call(p, MAKE_CONTENT, what, p->slave, TIOCSTI, A_DATA(program_data(p->c, &c, 1)));
	w = tty_literal(&p->t);
	settings(p, "nothing is special", &w);
}

/* Gives how many bytes the line discipline takes; the others were on their way, not looked at yet. */
static size_t put_slave(struct pair_plan *p)
{
	const TtyDataEntry *d = p->data[0];
	size_t at = 0, used = 0;

	if (!d)
		return 0;
	if (!d->n_records || !(p->t.c_lflag & ICANON)) {
		at = MIN(d->data.len, (size_t)TTY_LINE_MAX);
		enter(p, p->slave, d->data.data, at);
		return at;
	}
	for (size_t i = 0; i < d->n_records; i++) {
		size_t len = d->records[i] >> 2, k = MIN(len, TTY_LINE_MAX - used);
		enter(p, p->slave, d->data.data + at, k);
		at += k;
		used += k;
		if (k < len || used >= TTY_LINE_MAX)
			break;
		if (d->records[i] % 4 == TTY_LINE_EOF) {
			enter_char(p, "end of file that waits", VEOF, 4, 0);
			used++;
		}
	}
	return at;
}

static void put_queues(struct pair_plan *p)
{
	const TtyDataEntry *s = p->data[0], *m = p->data[1];
	size_t taken = 0;

	if (s || m || (p->si && p->si->has_stopped && p->si->stopped)) {
		struct termios2 w = tty_literal(&p->t);
		settings(p, "settings under which bytes stay as they are", &w);
	}
	if (p->have_slave) {
		taken = put_slave(p);
		if (m) {
			size_t k = MIN(m->data.len, (size_t)TTY_LINE_MAX);
			enter(p, A_SLOT(p->master), m->data.data, k);
			send(p, p->slave, m->data.data + k, m->data.len - k);
		}
	}
	if (p->si && p->si->has_stopped && p->si->stopped == TTY_STOPPED_CALL)
		call(p, MAKE_CONTENT, "output is stopped", p->slave, TCXONC, A(TCOOFF));
	else if (p->si && p->si->has_stopped && p->si->stopped)
		enter_char(p, "output is stopped", VSTOP, 'S' & 31, IXON);
	settings(p, "settings of a terminal", &p->t);
	if (s)
		send(p, A_SLOT(p->master), s->data.data + taken, s->data.len - taken);
}

static int plan_state(struct pair_plan *p, const RegFileEntry *node, struct err *err)
{
	const TtyInfoEntry *own = p->si ? p->si : p->mi;
	struct termios2 locked;
	struct arg master = A_SLOT(p->master);

	put_queues(p);
	if (own->termios_locked) {
		bool any = false;
		if (!tty_termios(own->termios_locked, &locked))
			return err_image(err, "tty-info.img: terminal %u: locked settings that cannot be", own->id);
		for (size_t i = 0; i < sizeof(locked); i++)
			any |= ((const unsigned char *)&locked)[i] != 0;
		if (any)
			call(p, MAKE_CONTENT, "locked settings", master, TIOCSLCKTRMIOS,
			     A_DATA(program_data(p->c, &locked, sizeof(locked))));
	}
	if (own->winsize) {
		struct winsize ws = { (unsigned short)own->winsize->ws_row, (unsigned short)own->winsize->ws_col,
				      (unsigned short)own->winsize->ws_xpixel, (unsigned short)own->winsize->ws_ypixel };
		call(p, MAKE_CONTENT, "window size", master, TIOCSWINSZ, A_DATA(program_data(p->c, &ws, sizeof(ws))));
	}
	if (p->si && p->si->has_uid && p->si->has_gid)
		program_call(p->c, MAKE_CONTENT, "owner of the terminal", SYS_fchown, p->slave, A(p->si->uid), A(p->si->gid));
	if (p->si && node && node->has_mode)
		program_call(p->c, MAKE_CONTENT, "mode of the terminal", SYS_fchmod, p->slave, A(node->mode & 07777));
	if (p->mi->packet_mode)
		call(p, MAKE_CONTENT, "packet mode", master, TIOCPKT, int_data(p, 1));
	if (p->mi->exclusive)
		call(p, MAKE_CONTENT, "exclusive mode", master, TIOCEXCL, A(0));
	if (p->si && p->si->exclusive)
		call(p, MAKE_CONTENT, "exclusive mode", p->slave, TIOCEXCL, A(0));
	if (p->mi->locked)
		call(p, MAKE_CONTENT, "lock", master, TIOCSPTLCK, int_data(p, 1));
	return 0;
}

static const RegFileEntry *reg_of(const struct model *m, const FileEntry *e)
{
	return e->tty->has_regf_id ? model_reg(m, e->tty->regf_id) : NULL;
}

#define KERNEL_O_LARGEFILE 0100000 /* which open(2) adds by itself; for libc it is 0 */

static uint32_t slave_flags(const FileEntry *e)
{
	/* TIOCGPTPEER alone leaves O_CLOEXEC in the status flags, where it means nothing but can be seen. */
	return (e->tty->flags & (O_ACCMODE | O_APPEND | O_CLOEXEC | KERNEL_O_LARGEFILE)) | O_NOCTTY | O_NONBLOCK;
}

/* All openings of the slave, as long as nothing can block; further ones than the checkpoint has are closed at the end. */
static void open_slaves(const struct model *m, struct pair_plan *p, const struct file_group_index *group, size_t n,
			uint32_t id, const RegFileEntry **node)
{
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		if (e->tty->tty_info_id != id)
			continue;
		uint32_t slot = file_slot_get(p->plan, e, "slave of a pty"), access = e->tty->flags & O_ACCMODE;
		plan_slot_is(p->plan, slot,
			     program_call(p->c, MAKE_OBJECTS, "slave of a pty", SYS_ioctl, A_SLOT(p->master), A(TIOCGPTPEER),
					  A(slave_flags(e))));
		if (!*node)
			*node = reg_of(m, e);
		if (access == O_RDWR) {
			p->slave = A_SLOT(slot);
			p->have_slave = true;
		}
	}
}

/* A slave whose master was closed: its master lives for a moment only. */
static int plan_hung(const struct model *m, struct plan *plan, const struct file_group_index *group, size_t n,
		     uint32_t index, struct err *err)
{
	char name[64];
	struct pair_plan p = { .plan = plan, .c = plan->controller };
	const RegFileEntry *node = NULL;
	int zero = 0;

	snprintf(name, sizeof(name), "pty %u, hung up", index);
	p.master = plan_slot(plan, name);
	plan_slot_pty(plan, p.master, "/dev/ptmx", index, O_RDWR);
	program_call(p.c, MAKE_OBJECTS, "no lock", SYS_ioctl, A_SLOT(p.master), A(TIOCSPTLCK), int_data(&p, zero));
	open_slaves(m, &p, group, n, TTY_ID(index, false), &node);
	/* Another file takes the number of the master, which closes it. */
	struct step_ref other = program_call(p.c, MAKE_OBJECTS, "stands in", SYS_openat, A((uint64_t)AT_FDCWD),
					     A_DATA(program_string(p.c, "/")), A(O_PATH | O_CLOEXEC));
	program_call(p.c, MAKE_OBJECTS, "hangs up", SYS_dup3, A_RESULT(other), A_SLOT(p.master), A(O_CLOEXEC));
	program_call(p.c, MAKE_OBJECTS, "stands in", SYS_close, A_RESULT(other));
	for (size_t i = 0; i < n; i++)
		plan_setfl(plan, file_slot_get(plan, m->files[group[i].i], "slave of a pty"), O_NONBLOCK,
			   m->files[group[i].i]->tty->flags);
	return 0;
}

static int plan_pair(const struct model *m, struct plan *plan, const struct tty_images *t, uint32_t index,
		     const FileEntry *me, const struct file_group_index *group, size_t n, struct err *err)
{
	struct pair_plan p = { .plan = plan, .c = plan->controller };
	const RegFileEntry *path = reg_of(m, me), *node = NULL;
	int ret;

	p.mi = info_of(t, TTY_ID(index, true));
	p.si = n > 1 ? info_of(t, TTY_ID(index, false)) : NULL;
	if (!p.mi || p.mi->type != TTY_TYPE__PTY || (n > 1 && !p.si))
		return err_image(err, "tty-info.img: no terminal %u", TTY_ID(index, p.mi == NULL));
	/* Opening it again and again must not be a way to open something else. */
	const char *base = path ? strrchr(path->name, '/') : NULL;
	if (path && (!base || strcmp(base, "/ptmx")))
		return err_image(err, "files.img: %s cannot be the master of a pty", path->name);
	ret = data_of(t, TTY_ID(index, true), &p.data[1], err);
	if (!ret)
		ret = data_of(t, TTY_ID(index, false), &p.data[0], err);
	if (!ret)
		ret = info_termios(p.si && p.si->termios ? p.si : p.mi, &p.t, err);
	if (!ret && path)
		ret = reg_check(path, err);
	if (ret)
		return ret;
	p.master = file_slot_get(plan, me, "master of a pty");
	plan_slot_pty(plan, p.master, path ? path->name : "/dev/ptmx", index, (int)(me->tty->flags & O_ACCMODE));
	call(&p, MAKE_OBJECTS, "no lock", A_SLOT(p.master), TIOCSPTLCK, int_data(&p, 0));
	open_slaves(m, &p, group, n, TTY_ID(index, false), &node);
	struct step_ref extra = { 0 };
	bool closed = p.mi->has_slave_closed && p.mi->slave_closed, opened = false;
	if (!p.have_slave && (closed || n > 1 || p.data[0] || p.data[1])) {
		extra = program_call(p.c, MAKE_OBJECTS, "slave of a pty, for a moment", SYS_ioctl, A_SLOT(p.master),
				     A(TIOCGPTPEER), A(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
		p.slave = A_RESULT(extra);
		p.have_slave = opened = true;
	}
	ret = plan_state(&p, node, err);
	if (ret)
		return ret;
	if (opened)
		program_call(p.c, MAKE_CONTENT, "no longer needed", SYS_close, A_RESULT(extra));
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		plan_setfl(plan, file_slot_get(plan, e, "pty"), O_NONBLOCK, e->tty->flags);
	}
	return 0;
}

/* ---- what is not ours ---- */

static int refuse_outside(const TtyInfoEntry *info, const char *name, const char *key, struct err *err)
{
	if (info->sid)
		err_refuse(err, "%s was the terminal of session %u, which is not in the checkpoint", name, info->sid);
	else
		err_refuse(err, "%s belonged to a process that is not in the checkpoint", name);
	return err_hint(err, -EINVAL, "use --shell-job to restore on the terminal of the caller, or --inherit-fd 'fd[N]:%s'", key);
}

static int plan_outside(const struct model *m, const FileEntry *entry, const TtyInfoEntry *info, struct plan *plan,
			uint32_t slot, struct err *err)
{
	const RegFileEntry *reg = reg_of(m, entry);
	struct program *c = plan->controller;
	struct termios2 t;
	char key[48];

	snprintf(key, sizeof(key), "tty[%x:%x]", info->rdev, info->has_dev ? info->dev : 0);
	int fd = inherited_find(plan->given, key);
	if (fd >= 0) {
		plan->binds[slot].source = SLOT_FD;
		plan->binds[slot].fd = fd;
		return 0;
	}
	if (!plan->shell_job || info->type == TTY_TYPE__EXT_TTY)
		return refuse_outside(info, reg ? reg->name : "a terminal", key, err);
	/* A description of its own: the shell's flags are the shell's. */
	plan_slot_is(plan, slot,
		     program_call(c, MAKE_OBJECTS, "the caller's terminal, which is its standard input", SYS_openat,
				  A((uint64_t)AT_FDCWD), A_DATA(program_string(c, "/proc/self/fd/0")),
				  A((uint64_t)((uint32_t)reg_open_flags(entry->tty->flags) | O_NOCTTY | O_CLOEXEC))));
	memset(&t, 0, sizeof(t));
	program_call(c, MAKE_OBJECTS, "standard input must be a terminal (--shell-job)", SYS_ioctl, A_SLOT(slot), A(TCGETS2),
		     A_DATA(program_data(c, &t, sizeof(t))));
	return 0;
}

/* ---- /dev/tty ---- */

/* Only who has a controlling terminal can open it; until then something else keeps the number. */
static int plan_ctty_slot(const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	struct program *c = plan->controller;

	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "keeps the number of /dev/tty", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(c, "/")), A(O_PATH | O_CLOEXEC)));
	return 0;
}

int tty_plan_task(const struct model *m, const FileEntry *entry, int fd, struct plan *plan, struct plan_task *pt,
		  struct err *err)
{
	const struct model_task *mt = &m->tasks[pt->index];
	struct program *prog = pt->threads[0].prog;
	struct tty_images *t;
	size_t opener;
	int there, ret = load(m, plan, &t, err);
	const TtyInfoEntry *info = ret ? NULL : info_of(t, entry->tty->tty_info_id);

	if (ret || !info || info->type != TTY_TYPE__CTTY)
		return ret;
	if (file_opened_by(m, plan, entry, &opener, &there) && opener != pt->index) {
		const FdinfoEntry **same = arena_alloc(plan->arena, mt->nfds * sizeof(*same));
		size_t n = 0;

		for (size_t k = 0; k < mt->nfds; k++)
			if (mt->fds[k]->type == FD_TYPES__TTY && mt->fds[k]->id == entry->id)
				same[n++] = mt->fds[k];
		file_pull(plan, pt, opener, there, same, n);
		return 0;
	}
	/* Sessions have their terminals before their members are born, and all other descriptors have their numbers now. */
	struct step_ref opened = program_call(prog, TASK_FILES, "controlling terminal", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(prog, "/dev/tty")),
					      A((uint64_t)reg_open_flags(entry->tty->flags)));
	for (size_t k = 0; k < mt->nfds; k++)
		if (mt->fds[k]->type == FD_TYPES__TTY && mt->fds[k]->id == entry->id)
			program_call_eq(prog, TASK_FILES, "/dev/tty", mt->fds[k]->fd, SYS_dup3, A_RESULT(opened),
					A(mt->fds[k]->fd), A(mt->fds[k]->flags & 1 ? O_CLOEXEC : 0));
	program_call(prog, TASK_FILES, "was only for opening", SYS_close, A_RESULT(opened));
	return 0;
}

/* ---- all of them ---- */

int tty_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	struct tty_images *t;
	const TtyInfoEntry *info;
	const FileEntry *master = NULL;
	int ret = load(m, plan, &t, err);

	if (ret)
		return ret;
	info = info_of(t, entry->tty->tty_info_id);
	if (!info)
		return err_image(err, "tty-info.img: no terminal %u, which file %u is", entry->tty->tty_info_id, entry->id);
	if (info->type == TTY_TYPE__CTTY)
		return plan_ctty_slot(entry, plan, slot, err);
	if (info->type != TTY_TYPE__PTY)
		return plan_outside(m, entry, info, plan, slot, err);

	const uint32_t index = info->id >> 1;
	size_t n;
	const struct file_group_index *group = file_group(m, plan, GROUP_TTY, index, &n);
	if (index >= TTY_INDEX_MAX || (info->pty && info->pty->index != index))
		return err_image(err, "tty-info.img: terminal %u cannot be a pty", info->id);
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = m->files[group[i].i];
		if (!(e->tty->tty_info_id & 1))
			continue;
		if (master)
			return err_image(err, "files.img: pty %u has two masters, %u and %u", index, master->id, e->id);
		master = e;
	}
	if (!master)
		return info->termios ? plan_outside(m, entry, info, plan, slot, err) :
				       plan_hung(m, plan, group, n, index, err);
	return plan_pair(m, plan, t, index, master, group, n, err);
}

static const FileEntry *master_of(const struct model *m, struct plan *plan, uint32_t index)
{
	size_t n;
	const struct file_group_index *group = file_group(m, plan, GROUP_TTY, index, &n);

	for (size_t i = 0; i < n; i++)
		if (m->files[group[i].i]->tty->tty_info_id & 1)
			return m->files[group[i].i];
	return NULL;
}

/* The caller's terminal, lent to the job: with its settings, and its group in the foreground if it was there. */
static int plan_lent(const struct model *m, const struct model_task *task, const struct tty_images *t, struct plan *plan,
		     struct program *prog, struct err *err)
{
	for (size_t i = 0; i < m->nfiles; i++) {
		const FileEntry *e = m->files[i];
		const TtyInfoEntry *info = e->type == FD_TYPES__TTY && e->tty ? info_of(t, e->tty->tty_info_id) : NULL;
		struct termios2 termios;
		uint32_t slot;
		int ret;

		if (!info || !info->termios || info->id & 1 || info->type == TTY_TYPE__EXT_TTY ||
		    (info->type == TTY_TYPE__PTY && master_of(m, plan, info->id >> 1)))
			continue;
		if (!file_slot_known(plan, FD_TYPES__TTY, e->id, FILE_AS_ENTRY, &slot)) {
			ret = file_slot(m, plan, FD_TYPES__TTY, e->id, &slot, err);
			if (ret)
				return ret;
		}
		/* The terminal may be somebody's already: then the session goes without, as said in the manual. */
		if (task->pstree->sid == task->pstree->pid)
			program_try(prog, TASK_SESSION, "controlling terminal, if nobody has it", SYS_ioctl, A_SLOT(slot),
				    A(TIOCSCTTY), A(0));
		if (!plan->foreground)
			return 0;
		ret = info_termios(info, &termios, err);
		if (ret)
			return ret;
		program_try(prog, TASK_REAP, "settings of the terminal", SYS_ioctl, A_SLOT(slot), A(TCSETS2),
			    A_DATA(program_data(prog, &termios, sizeof(termios))));
		for (size_t k = 0; k < m->ntasks; k++)
			if (m->tasks[k].pstree->pid == info->pgrp) {
				program_try(prog, TASK_REAP, "foreground process group", SYS_ioctl, A_SLOT(slot),
					    A(TIOCSPGRP), A_DATA(program_data(prog, &info->pgrp, sizeof(info->pgrp))));
				break;
			}
		return 0;
	}
	return 0;
}

int tty_plan_leader(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
		    struct err *err)
{
	struct program *prog = pt->threads[0].prog;
	const uint32_t pid = task->pstree->pid;
	struct tty_images *t;
	uint32_t slot;
	int ret = load(m, plan, &t, err);

	if (!ret && plan->shell_job && task == m->tasks)
		ret = plan_lent(m, task, t, plan, prog, err);
	if (ret || task->pstree->sid != pid)
		return ret;
	for (size_t i = 0; i < t->ninfos; i++) {
		const TtyInfoEntry *e = t->infos[i];
		const FileEntry *master = e->sid == pid && e->type == TTY_TYPE__PTY ? master_of(m, plan, e->id >> 1) : NULL;
		if (!master)
			continue;
		ret = file_slot(m, plan, FD_TYPES__TTY, master->id, &slot, err);
		if (ret)
			return ret;
		/* Asked of a master it is the slave that is meant. */
		program_call(prog, TASK_SESSION, "controlling terminal", SYS_ioctl, A_SLOT(slot), A(TIOCSCTTY), A(0));
		if (e->pgrp && e->pgrp != task->pstree->pgid) {
			/* All groups are there. One that had died already cannot be had again, and gets no signals either. */
			struct data_ref pgrp = program_data(prog, &e->pgrp, sizeof(e->pgrp));
			program_try(prog, TASK_REAP, "foreground process group", SYS_ioctl, A_SLOT(slot), A(TIOCSPGRP),
				    A_DATA(pgrp));
		}
		return 0;
	}
	return 0;
}

/* ---- when all is done ---- */

/*
 * A task that was let go a moment ago may not be back in its call yet: a signal then is handled before the call, which sleeps
 * on as if there had been none. One that sleeps is interrupted.
 */
static void resized(pid_t pid)
{
	const struct timespec pause = { 0, 1000000 };
	struct proc_stat st = { .state = 'R' };
	struct err ignored = ERR_INIT;
	cleanup_fd int fd = -1;

	if (!proc_open(pid, &fd, &ignored))
		for (int i = 0; i < 50 && !proc_stat(fd, "stat", &st, &ignored) && st.state == 'R'; i++)
			nanosleep(&pause, NULL);
	kill(pid, SIGWINCH);
}

void tty_resized(const struct model *m, struct plan *plan)
{
	struct err ignored = ERR_INIT;
	struct tty_images *t;
	struct winsize ws;

	if (!plan->shell_job || load(m, plan, &t, &ignored) || ioctl(STDIN_FILENO, TIOCGWINSZ, &ws))
		return;
	for (size_t i = 0; i < t->ninfos; i++) {
		const TtyInfoEntry *e = t->infos[i];
		const WinsizeEntry *w = e->winsize;

		if (!w || e->id & 1 || e->type == TTY_TYPE__EXT_TTY ||
		    (e->type == TTY_TYPE__PTY && master_of(m, plan, e->id >> 1)))
			continue;
		if (!ws.ws_row && !ws.ws_col) { /* nobody has set one */
			struct winsize old = { (unsigned short)w->ws_row, (unsigned short)w->ws_col,
					       (unsigned short)w->ws_xpixel, (unsigned short)w->ws_ypixel };
			ioctl(STDIN_FILENO, TIOCSWINSZ, &old);
			return;
		}
		if (w->ws_row == ws.ws_row && w->ws_col == ws.ws_col)
			return;
		for (size_t k = 0; k < m->ntasks; k++)
			if (m->tasks[k].pstree->pgid == e->pgrp && m->tasks[k].nthreads)
				resized((pid_t)m->tasks[k].pstree->pid);
		return;
	}
}
