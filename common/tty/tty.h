/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of terminals share: settings as the kernel has them, ids, queues. <termios.h> does not go with this. */
#ifndef CR_FILE_TTY_H
#define CR_FILE_TTY_H

#include <asm/termbits.h>
#include <sys/ioctl.h>

#include "common/file/file.h"
#include "tty.pb-c.h"

/* Where the ids of tty-info.img come from: pty index or one of these, shifted, plus one for masters. */
enum { TTY_ID_CONSOLE = 1002, TTY_ID_VT = 1004, TTY_ID_CTTY = 1006, TTY_ID_SERIAL = 1010, TTY_ID_EXTERNAL = 1012 };
#define TTY_ID(index, master) ((uint32_t)(index) << 1 | (master))
#define TTY_INDEX_MAX (1u << 20) /* NR_UNIX98_PTY_MAX in include/linux/tty.h */

/* Capacity of the line discipline's queue: N_TTY_BUF_SIZE - 1 in drivers/tty/n_tty.c. */
#define TTY_LINE_MAX 4095
#define TTY_QUEUE_MAX (128u << 10) /* far more than a pty holds: 4095 there and some 8 KiB on the way */

/* How a record of a queue in canonical mode ends; a record is length << 2 | this in tty_data_entry.records. */
enum { TTY_LINE_ENDED, TTY_LINE_EOF, TTY_LINE_OPEN };

/* What is waiting at one end. records: of a slave in canonical mode only. */
struct tty_queue {
	size_t n, nrecords;
	const unsigned char *bytes;
	const uint32_t *records;
};
/* flow.stopped of a slave: its output waits. */
enum { TTY_GOES, TTY_STOPPED_CALL /* TCOOFF */, TTY_STOPPED_CHAR /* the STOP character */ };
struct tty_queues {
	struct tty_queue end[2]; /* 0: slave, 1: master */
	uint32_t stopped;
};

/*
 * Copies what waits in both directions of a pty whose users are all frozen, without taking it away: nothing in the
 * kernel can look into these queues, so everything is read and put back. A process of its own does both, so that our
 * death in between takes nothing from anybody. slave: some slave is open. Memory is the dump's.
 */
int tty_queues_read(struct dump *d, int master, bool slave, struct tty_queues *q, struct err *err);

/* Settings under which bytes pass as they are, and lines stay lines. */
struct termios2 tty_literal(const struct termios2 *t);

/* How many of `left` bytes to write next into an empty channel so that all find room. */
size_t tty_send_size(size_t left);

/* The images' form of settings and back; false when the entry cannot be right. */
TermiosEntry *tty_termios_entry(struct arena *arena, const struct termios2 *t);
bool tty_termios(const TermiosEntry *e, struct termios2 *t);

int tty_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err);
int tty_plan_task(const struct model *m, const FileEntry *entry, int fd, struct plan *plan, struct plan_task *pt,
		  struct err *err);
/* Steps of a session leader that take its controlling terminal, when that is a pty of the checkpoint. */
int tty_plan_leader(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
		    struct err *err);

#endif
