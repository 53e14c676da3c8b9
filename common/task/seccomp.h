/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Seccomp, as far as others have to know of it. */
#ifndef CR_TASK_SECCOMP_H
#define CR_TASK_SECCOMP_H

#include "common/dump/dump.h"
#include "common/restore/model.h"

/*
 * For the frozen d->task, before all else: who is stopped in a sleep goes on with it by restart_syscall(2), which a filter may kill
 * for. Such a sleep begins anew, by the call that the filter has allowed; whatever becomes of the dump, and of us.
 */
int seccomp_spare(struct dump *d, struct err *err);
/* Reads the filters of the thread and suspends them for as long as we trace it. To be called by the tracing thread. */
int seccomp_look(struct dump *d, struct dump_thread *t, struct err *err);
/* What the thread's image says of its filters. */
void seccomp_put_thread(struct dump *d, struct dump_thread *t);
/* Writes seccomp.img, once for all tasks. */
void seccomp_put(struct dump *d);
void seccomp_images_free(struct dump *d);

/* Whether the thread's filters are all in the image and well formed; *why says what is not. */
int seccomp_verify(const struct model *m, const ThreadCoreEntry *c, const char **why);
/* Whether the thread must keep CAP_SYS_ADMIN, which it will not have, until its filters are installed. */
bool seccomp_takes_admin(const struct model *m, const struct model_task *task, const struct model_thread *thread);

#endif
