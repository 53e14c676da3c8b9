/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pipes and fifos (named pipes) share: ends, capacity and queued data. */
#ifndef CR_FILE_PIPE_H
#define CR_FILE_PIPE_H

#include "common/file/file.h"

/* Whether the tree reads from it and writes to it. */
bool pipe_has_both_ends(struct dump *d, const struct stat *st);
/* Refuses a pipe that a process outside of the dump holds, too, or the other end of. */
int pipe_check_ends(struct dump *d, const struct fd_source *src, struct err *err);
/* Writes the queued data, once for each pipe, when src can read. kind: IMG_PIPES_DATA or IMG_FIFO_DATA. */
int pipe_dump_data(struct dump *d, const struct fd_source *src, enum image_kind kind, uint32_t pipe_id,
		   struct err *err);
/* Capacity and data, written through the nonblocking descriptor `end`. data NULL: none. */
int pipe_plan_data(struct plan *plan, const struct model_pipe_data *data, struct arg end, bool packet_mode,
		   struct err *err);

#endif
