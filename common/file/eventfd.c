// SPDX-License-Identifier: GPL-2.0-or-later
/* eventfd: a counter. Semaphore mode has a field of our own, for v1.1 has none. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "common/file/file.h"

static bool eventfd_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[eventfd]");
}

static void warn_once(struct dump *d, int number)
{
	static const char key[] = "eventfd semaphores";
	bool fresh;

	dump_recall(d, key, 1, &fresh);
	if (fresh)
		log_warn(d->log, "fd %d: this kernel does not show whether an eventfd is a semaphore; all that it does not show are taken "
				 "for none", number);
}

static int eventfd_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	EventfdFileEntry *e = arena_msg(d->arena, EventfdFileEntry, eventfd_file_entry__init);
	uint64_t semaphore = 0;

	entry->efd = e;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	if (fdinfo_value(src->info->text, "eventfd-count", 16, &e->counter) < 0)
		return err_set(err, ERR_FEATURE, 0, "this kernel does not show the counter of an eventfd");
	/* Since Linux 6.5; before, only the kernel's records tell (fdrows.h). */
	if (fdinfo_value(src->info->text, "eventfd-semaphore", 10, &semaphore) < 0)
		warn_once(d, src->number);
	e->has_semaphore = e->semaphore = semaphore != 0;
	return fown_dump(d, src, &e->fown, err);
}

static int eventfd_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			struct err *err)
{
	const EventfdFileEntry *e = entry->efd;
	struct program *c = plan->controller;
	const uint32_t flags = EFD_CLOEXEC | (e->has_semaphore && e->semaphore ? EFD_SEMAPHORE : 0);
	const size_t from = program_steps(c);

	if (e->counter == UINT64_MAX)
		return err_image(err, "files.img: eventfd %u: a counter that no program can set", e->id);
	if (e->counter <= UINT32_MAX) {
		plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "eventfd", SYS_eventfd2, A(e->counter),
						      A(flags | (e->flags & O_NONBLOCK))));
		plan_setfl(plan, slot, e->flags & O_NONBLOCK, e->flags);
		plan_strand(plan, from);
		return 0;
	}
	/* The call takes 32 bits only. Nonblocking until the counter is written. */
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "eventfd", SYS_eventfd2, A(0), A(flags | EFD_NONBLOCK)));
	program_call_eq(c, MAKE_CONTENT, "counter", 8, SYS_write, A_SLOT(slot), A_DATA(program_data(c, &e->counter, 8)), A(8));
	plan_setfl(plan, slot, O_NONBLOCK, e->flags);
	return 0;
}

const struct file_kind eventfd_kind = {
	.name = "eventfd",
	.type = FD_TYPES__EVENTFD,
	.match = eventfd_match,
	.dump = eventfd_dump,
	.plan = eventfd_plan,
};
