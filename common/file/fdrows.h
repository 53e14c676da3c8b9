/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel has about the descriptors of a frozen task, by its main thread, as numbers instead of text: all of them in one
 * reading, where fdinfo and kcmp(2) are asked about one after the other, each for 10 us and more.
 *
 * Two descriptors whose struct file is at one address are one description: both tables hold a reference to it from before they were
 * frozen until they run again, so no other can have come to be there between two readings.
 */
#ifndef CR_FILE_FDROWS_H
#define CR_FILE_FDROWS_H

#include <sys/stat.h>

#include "common/dump/dump.h"
#include "common/proc/proc.h"

struct fd_row {
	int number;
	uint64_t file;	/* where its struct file is */
	uint32_t flags; /* F_GETFL */
	bool ownerless; /* F_GETOWN, F_GETSIG: none */
	bool known;	/* info is what fdinfo would tell; its text has only what not all have */
	struct proc_fdinfo info;
	/* So are device, inode and type, and link, as readlink(2) tells it: of an eventfd, and of an empty pipe. Nobody need ask a
	 * duplicate of it. */
	bool complete;
	mode_t mode;
	dev_t dev; /* the inode is that of info */
	uint32_t pipe_size; /* F_GETPIPE_SZ; 0: it is none */
	const char *link;
};

struct fd_rows;
struct fd_rows *fd_rows_new(void);
void fd_rows_free(struct fd_rows *r);
/* Gets ready beside, where it will take less time than it saves: for a process that has many descriptors, before it is frozen; and
 * when it is known how many tasks there are. */
void fd_rows_begin(struct fd_rows *r, pid_t pid);
void fd_rows_begin_tree(struct fd_rows *r, const struct dump *d);
/* All descriptors of the task, ascending; arena memory. False: /proc is to be asked. */
bool fd_rows_read(struct fd_rows *r, const struct dump_task *t, struct arena *arena, const struct log *log, struct fd_row **rows,
		  size_t *n);

#endif
