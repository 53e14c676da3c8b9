/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is found out about every descriptor of a frozen task before it is known which of them are one description. */
#ifndef CR_FILE_LOOK_H
#define CR_FILE_LOOK_H

#include "common/file/file.h"

/* A descriptor table, which tasks may share. */
struct table {
	struct dump_task *task; /* the first that has it */
	struct file_fd *fds; /* arena; ascending numbers */
	size_t n;
};

/* Fills t->fds. order: of the table among others. parent: that of the task's parent, or NULL. */
int table_look(struct dump *d, struct table *t, uint32_t order, const struct table *parent, struct err *err);

#endif
