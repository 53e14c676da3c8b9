/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every tool does first. */
#ifndef CR_BASE_START_H
#define CR_BASE_START_H

/*
 * Limits that the caller has set for other programs end in an error and not in a signal: a file that may not grow gives EFBIG, and
 * stacks have room for what this program needs.
 */
void process_begin(void);

#endif
