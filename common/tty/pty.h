/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pty with a number that is not the kernel's choice. */
#ifndef CR_FILE_PTY_H
#define CR_FILE_PTY_H

#include <stdint.h>

#include "common/base/err.h"

/*
 * Opens path (/dev/ptmx) with flags until the pty has number index, and gives its descriptor. drivers/tty/pty.c gives the
 * lowest free number, so those below are held meanwhile. When somebody has it: an error that names the holder.
 */
int pty_open(const char *path, uint32_t index, int flags, struct err *err);
/* Whether somebody has that number already: an error that names him. */
int pty_check(const char *path, uint32_t index, struct err *err);
/* Whether process `pid` (a name in the directory proc) holds the master of this pty. */
bool pty_holds_master(int proc, const char *pid, uint32_t index);

#endif
