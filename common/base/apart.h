/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work that must come to its end whatever becomes of us: a process of its own. */
#ifndef CR_BASE_APART_H
#define CR_BASE_APART_H

#include <stdbool.h>

#include "common/base/err.h"

/*
 * Runs work(arg) in a process made for it, and waits. It has all our memory as it is now and shares what is mapped shared; it has no
 * signal but SIGKILL to fear, a session of its own, so that whoever ends our process group or terminal does not mean it, and goes on
 * when we are killed. When somebody kills it, and work `resumes` where it was, by what it notes in shared memory, we do the rest.
 * `point` is where tests kill us meanwhile (fault.h). Errors: no process can be made; it was killed and does not resume; it is not
 * done after a minute, with what takes microseconds.
 */
int apart(void (*work)(void *arg), void *arg, bool resumes, const char *point, struct err *err);

#endif
