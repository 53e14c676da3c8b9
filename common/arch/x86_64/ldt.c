/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local descriptor tables (modify_ldt(2)), of Wine and of old emulators: no image can hold one. Below seccomp filters it is not asked: many
 * of them kill for it.
 */
#include <sys/syscall.h>

#include "common/kinds.h"

#define READ_LDT 0
#define ENTRY_BYTES 8

struct ldt_slot { bool asked; struct step_ref bytes; };

static int ask_ldt(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct ldt_slot *s = slot;

	s->asked = dump_calls_freely(d);
	if (s->asked)
		s->bytes = program_try(prog, 0, "local descriptor table", SYS_modify_ldt, A(READ_LDT),
				       A_DATA(program_data(prog, NULL, ENTRY_BYTES)), A(ENTRY_BYTES));
	return 0;
}

/* It tells as many bytes as it was asked for when there is a table, else 0 (read_ldt() in arch/x86/kernel/ldt.c). */
static int dump_ldt(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot, struct err *err)
{
	const struct ldt_slot *s = slot;

	if (s->asked && program_result(prog, s->bytes) > 0)
		return err_refuse(err, "it has a local descriptor table (modify_ldt)");
	return 0;
}

const struct state_kind arch_ldt_kind = {
	.name = "local descriptor table",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct ldt_slot),
	.ask = ask_ldt,
	.dump = dump_ldt,
};
