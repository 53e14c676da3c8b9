/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who a zombie was: what is seen of it, and how a task becomes it. */
#ifndef CR_TASK_DEAD_H
#define CR_TASK_DEAD_H

#include <stdint.h>

#include "core.pb-c.h"

struct dump;
struct dump_task;
struct program;
struct task_own;

void dead_put(struct dump *d, const struct dump_task *t, TaskCoreEntry *tc);
/* What is wrong with what an image says, or NULL. */
const char *dead_verify(const TaskCoreEntry *tc);
/* Steps of the task that is to end as one. lacks: capabilities that we do not have. */
void dead_plan(const TaskCoreEntry *tc, uint64_t lacks, struct program *p, int phase);
/* The capabilities that they take. */
uint64_t dead_privileges(const TaskCoreEntry *tc, const struct task_own *own);

#endif
