// SPDX-License-Identifier: GPL-2.0-or-later
/* signalfd: a mask of signals. What it reads are the task's own pending signals. */
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "common/file/file.h"

static bool signalfd_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[signalfd]");
}

static int signalfd_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	SignalfdEntry *e = arena_msg(d->arena, SignalfdEntry, signalfd_entry__init);

	entry->sgfd = e;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	if (fdinfo_value(src->info->text, "sigmask", 16, &e->sigmask) < 0)
		return err_set(err, ERR_FEATURE, 0, "this kernel does not show the mask of a signalfd");
	return fown_dump(d, src, &e->fown, err);
}

static int signalfd_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			 struct err *err)
{
	const SignalfdEntry *e = entry->sgfd;
	struct program *c = plan->controller;

	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "signalfd", SYS_signalfd4, A((uint64_t)-1),
					      A_DATA(program_data(c, &e->sigmask, 8)), A(8), A(SFD_CLOEXEC)));
	plan_setfl(plan, slot, 0, e->flags);
	return 0;
}

const struct file_kind signalfd_kind = {
	.name = "signalfd",
	.type = FD_TYPES__SIGNALFD,
	.match = signalfd_match,
	.dump = signalfd_dump,
	.plan = signalfd_plan,
};
