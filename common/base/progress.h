/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line on a terminal that says how far a long work is; quick works say nothing. */
#ifndef CR_BASE_PROGRESS_H
#define CR_BASE_PROGRESS_H

#include "common/base/util.h"

struct progress { bool on, shown; uint64_t start_ns, last_ns; };

/* on: a terminal is watching. */
void progress_start(struct progress *p, bool on);
/* Whether it is time for another line: a second after the start, then four times a second. */
bool progress_due(const struct progress *p);
/* "DONE MiB TEXT", or "DONE of TOTAL MiB TEXT" where total is not 0; both in bytes. Only when it is due. */
void progress_show(struct progress *p, uint64_t done, uint64_t total, const char *text);
/* Wipes the line. */
void progress_end(struct progress *p);

#endif
