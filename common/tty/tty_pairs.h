/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which ptys the tree of a dump holds, and by whom. */
#ifndef CR_FILE_TTY_PAIRS_H
#define CR_FILE_TTY_PAIRS_H

#include <linux/major.h>
#include <sys/sysmacros.h>

#include "common/tty/tty.h"

#ifndef TTYAUX_MAJOR
#define TTYAUX_MAJOR 5
#endif

/* A pty of which the tree holds an end. */
struct tty_pair {
	dev_t dev;	  /* of the devpts instance; numbers begin anew in each */
	uint32_t index;
	pid_t master_pid; /* who holds it, 0: nobody in the tree */
	int master_fd;
	bool slave, hung; /* some slave is open in the tree; it has lost its master */
	bool done;	  /* tty-info and tty-data are written */
};

struct tty_table {
	struct tty_pair *v; /* arena */
	size_t n, cap;
	struct tty_kept_fd { pid_t pid; int fd; } *kept; /* descriptors that exec keeps, whatever /proc says; arena */
	size_t nkept, kept_cap;
	uint32_t *written; /* ids in tty-info.img of others than pairs */
	size_t nwritten, written_cap;
};

static inline bool tty_is_ctty(const struct stat *st)
{
	return st->st_rdev == makedev(TTYAUX_MAJOR, 0);
}

static inline bool tty_is_master(const struct stat *st)
{
	return st->st_rdev == makedev(TTYAUX_MAJOR, 2);
}

static inline bool tty_is_slave(const struct stat *st)
{
	unsigned m = major(st->st_rdev);

	return m >= UNIX98_PTY_SLAVE_MAJOR && m < UNIX98_PTY_SLAVE_MAJOR + 8;
}

/* d->files->ttys, once. */
int tty_collect(struct dump *d, struct err *err);
/* That one, which may be new; valid until the next call. */
struct tty_pair *tty_pair_of(struct dump *d, dev_t dev, uint32_t index);
/* Is the master of a pty with this number in the tree? For who knows no more of it. */
bool tty_has_master(const struct dump *d, uint32_t index);
/* The instance of devpts in which a master that a task has was made, and that of its /dev/pts. 0: none. proc: the directory in /proc
 * of who holds it as fd, which may be us. */
dev_t tty_master_dev(const struct dump_task *task, int proc, int fd);
dev_t tty_own_dev(const struct dump_task *task);
/* "session 812 (bash)", or "pid 815 (sshd)" for the holder of the master when no session has it. */
void tty_whose(const struct dump *d, const struct stat *st, char *out, size_t n);

#endif
