/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Named points at which a test makes the tool die or fail. The name comes from the environment variable CR_FAULT as
 * NAME (SIGKILL to ourselves there), NAME=ERRNO, a number (the next system call at that point reports that errno), or
 * NAME=stop (SIGSTOP to ourselves, for tests that do something to the target then).
 * Without the variable a point costs one predictable branch.
 */
#ifndef CR_BASE_FAULT_H
#define CR_BASE_FAULT_H

#include <stdbool.h>

/* Whether any is asked for: for loops that pass one often. */
bool fault_wanted(void);
/* 0 normally; an errno when the test asks for failure here. Does not return when the test asks for death. */
int fault(const char *name);

#endif
