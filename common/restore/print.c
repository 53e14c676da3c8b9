/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --plan: what a restore would do, in the order in which it would. */
#include "common/restore/plan.h"

#include "common/restore/model.h"

static void print_slots(const struct plan *plan, struct strbuf *out)
{
	for (size_t i = 0; i < plan->nslots; i++)
		strbuf_printf(out, "    slot %zu: %s\n", i, plan->slot_names[i]);
}

static void print_task(const struct plan_task *pt, struct strbuf *out)
{
	static const char *const kinds[] = { "", ", a zombie", ", only for a moment" };

	strbuf_printf(out, "\npid %d (%s%s), %zu thread%s, made from %#lx:\n", pt->pid, pt->comm, kinds[pt->kind],
		      pt->nthreads, pt->nthreads == 1 ? "" : "s", (unsigned long)pt->hole);
	program_print(pt->threads[0].prog, "    ", out);
	if (pt->kind != TASK_IS_LIVE)
		return;
	for (size_t i = 1; i < pt->nthreads; i++) {
		strbuf_printf(out, "\nthread %d of pid %d:\n", pt->threads[i].tid, pt->pid);
		program_print(pt->threads[i].prog, "    ", out);
	}
	strbuf_printf(out, "\nlast, from outside, pid %d:\n", pt->pid);
	for (size_t i = 0; i < pt->nthreads; i++)
		if (pt->threads[i].late && program_steps(pt->threads[i].late)) {
			strbuf_printf(out, "    thread %d executes, its seccomp suspended:\n", pt->threads[i].tid);
			program_print(pt->threads[i].late, "        ", out);
		}
	for (size_t i = 0; i < pt->nthreads; i++) {
		const struct plan_thread *pth = &pt->threads[i];

		strbuf_printf(out, "    thread %d: ip %#lx, sp %#lx, %zu bytes of fpu state%s, blocked signals %#lx",
			      pth->tid, (unsigned long)arch_ip(&pth->regs), (unsigned long)arch_sp(&pth->regs),
			      pth->fpu.size, pth->fpu_self ? " (by itself)" : "", (unsigned long)pth->sigmask);
		if (pth->restart.block)
			strbuf_printf(out, ", inside system call %lu again", (unsigned long)pth->restart.nr);
		strbuf_puts(out, "\n");
	}
	strbuf_printf(out, "    munmap of the agent at %#lx\n", (unsigned long)pt->hole);
	if (pt->stop_signal)
		strbuf_printf(out, "    the task stays stopped by signal %d\n", pt->stop_signal);
}

void plan_print(const struct model *m, const struct plan *plan, struct strbuf *out)
{
	strbuf_puts(out, "controller:\n");
	program_print(plan->controller, "    ", out);
	print_slots(plan, out);
	for (size_t i = 0; i < plan->ntasks; i++)
		print_task(&plan->tasks[i], out);
	if (program_steps(plan->last)) {
		strbuf_puts(out, "\ncontroller, when all are ready:\n");
		program_print(plan->last, "    ", out);
	}
	if (program_steps(plan->done)) {
		strbuf_puts(out, "\ncontroller, when all will stay:\n");
		program_print(plan->done, "    ", out);
	}
}
