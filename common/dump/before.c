/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/before.h"

#include <errno.h>
#include <fcntl.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/dump/identity.h"
#include "common/dump/share.h"
#include "common/ipc/ipcns.h"
#include "common/mm/mm.h"
#include "common/mm/track.h"

/* The memory of a task that goes on meanwhile. */
static int keep_memory(struct dump *d, struct err *err)
{
	d->task->reading_fd = openat(d->task->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	return d->task->reading_fd < 0 ? err_sys(err, "cannot open its memory") : 0;
}

/*
 * Without the root there is nothing to go on with. Others may end: what was read of them as zeros, or not at all, is compared with what
 * a task of their number has then, as all pages are that are not known to be unwritten since.
 */
static int still_there(struct dump *d, struct err *err)
{
	struct err gone = ERR_INIT;
	struct proc_stat stat;

	if (!proc_stat(d->tasks[0]->proc_fd, "stat", &stat, &gone) && stat.state != 'Z' && stat.state != 'X')
		return 0;
	return err_task(err, d->tasks[0]->pid, d->tasks[0]->stat.comm, err_set(err, ERR_FAILED, ESRCH, "it ended meanwhile"));
}

static int collect(struct dump *d, struct err *err)
{
	if (!d->task->vm_shared) /* parents come first */
		return mm_collect(d, err);
	d->task->maps = d->task->parent->maps;
	d->task->mm = d->task->parent->mm;
	return 0;
}

int dump_before(struct dump *d, bool *frozen, struct err *err)
{
	uint64_t since_us;
	int ret = ipcns_enter(d, err); /* names of shared memory are to be those of the dump that follows */

	if (!ret)
		ret = share_find(d, err);
	if (!ret)
		ret = dump_each_task(d, collect, err);
	if (!ret && (dump_stays_tracked(d) || d->opts->iterate))
		ret = dump_each_task(d, track_begin, err);
	/* Also without: what there is is what there was while they stood still. */
	if (!ret)
		ret = dump_each_task(d, pages_list, err);
	if (!ret)
		ret = dump_each_task(d, keep_memory, err);
	if (ret)
		return ret;
	since_us = d->tasks[0]->fz.frozen_ns / 1000;
	dump_thaw(d, THAW_RUN);
	*frozen = false;
	for (size_t i = 0; i < d->ntasks; i++) {
		d->tasks[i]->fz.pid = d->tasks[i]->pid;
		d->tasks[i]->fz.mem_fd = d->tasks[i]->reading_fd;
	}
	d->stats.frozen_us = now_us() - since_us;
	fault("dump:before-pages");
	ret = pages_dump_all(d, err);
	if (!ret)
		ret = objects_dump(d, err);
	fault("dump:after-pages");
	if (!ret)
		ret = still_there(d, err);
	if (ret)
		return ret;
	identity_put_before(d);
	return dump_send(d, err);
}
