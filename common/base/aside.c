/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/aside.h"

static void *run(void *arg)
{
	struct aside *a = arg;

	a->ret = a->work(a->arg, &a->err);
	return NULL;
}

void aside_start(struct aside *a, int (*work)(void *arg, struct err *err), void *arg)
{
	*a = (struct aside){ .work = work, .arg = arg };
	a->running = !pthread_create(&a->thread, NULL, run, a);
	if (!a->running)
		run(a);
}

int aside_join(struct aside *a, struct err *err)
{
	int ret;

	if (a->running)
		pthread_join(a->thread, NULL);
	a->running = false;
	ret = a->ret;
	a->ret = 0;
	if (ret && err->kind == ERR_NONE)
		*err = a->err;
	return ret;
}
