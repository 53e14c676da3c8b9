/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --manage-cgroups */
#ifndef CR_TASK_CGROUP_MODE_H
#define CR_TASK_CGROUP_MODE_H

#include "common/base/err.h"

enum cgroups_mode {
	CGROUPS_SOFT,	/* tasks return to their group, which is made when it is not there */
	CGROUPS_NONE,	/* it must be there */
	CGROUPS_IGNORE, /* tasks stay in the group of the restorer */
};
/* From the value of the option, NULL when it was not given. Modes that restore settings are refused. */
int cgroups_mode(const char *word, enum cgroups_mode *mode, struct err *err);

#endif
