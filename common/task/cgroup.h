/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control groups, as far as others have to know of them. */
#ifndef CR_TASK_CGROUP_H
#define CR_TASK_CGROUP_H

#include "common/dump/dump.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"

/* Reads where the dumper itself is, before all others; unless groups are to be ignored. */
int cgroup_begin(struct dump *d, struct err *err);
/* Reads where the threads of d->task are: for any thread of ours. */
int cgroup_look(const struct dump *d, struct err *err);
/* Puts it into their images, by the thread that owns d. */
void cgroup_dump(struct dump *d);
/* Writes cgroup.img when somebody is elsewhere than the dumper; the id of the dumper's own set, 0 = none. */
uint32_t cgroup_put(struct dump *d);
void cgroup_sets_free(struct dump *d);
/* Whether the set that the thread refers to is there and has paths; *why says what is wrong. */
int cgroup_verify(const struct model *m, const struct model_thread *t, const char **why);
/* Groups that the plan needs and that this host does not have. */
void cgroup_preflight(const struct plan *plan, finding_fn report, void *ctx);

/* Groups that the controller's program had to make: whatever was set in them before the dump is lost, which is said by name. */
void cgroups_tell(const struct plan *plan, const struct log *log);

#endif
