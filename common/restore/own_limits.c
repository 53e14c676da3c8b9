/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/restore/own_limits.h"

static const int lifted[OWN_LIMITS] = { RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE };

void own_limits_lift(struct own_limits *o)
{
	for (int i = 0; i < OWN_LIMITS; i++) {
		struct rlimit lim;

		o->known[i] = !getrlimit(lifted[i], &o->was[i]);
		lim = o->was[i];
		lim.rlim_cur = lim.rlim_max;
		if (o->known[i] && lim.rlim_cur != o->was[i].rlim_cur)
			setrlimit(lifted[i], &lim); /* when it fails we live with what there is */
	}
}

void own_limits_back(const struct own_limits *o)
{
	for (int i = 0; i < OWN_LIMITS; i++)
		if (o->known[i] && o->was[i].rlim_cur != o->was[i].rlim_max)
			setrlimit(lifted[i], &o->was[i]);
}
