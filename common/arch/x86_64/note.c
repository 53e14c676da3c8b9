/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers as the notes of an ELF core file have them. The extended state is laid out as Intel's processors do, whatever processor
 * the image comes from and this is: the layout of others is known to the newest debuggers only, this one to all.
 */
#include <string.h>

#include "common/arch/arch.h"

#define XCR0_OFFSET 464 /* in the legacy part, where the kernel leaves it for debuggers */
#define BV_OFFSET 512
#define PKRU (1ull << 9)
#define FEATURES 0xe7ull /* x87, SSE, AVX, AVX-512 */

static const struct { unsigned offset, size; } part[] = {
	[2] = { 576, 256 }, [5] = { 1088, 64 }, [6] = { 1152, 512 }, [7] = { 1664, 1024 }, [9] = { 2688, 8 },
};

static void put_part(unsigned char *area, uint64_t *bv, uint64_t want, unsigned i, const void *p, size_t n)
{
	if (!n || n != part[i].size || !(want & (1ull << i)))
		return;
	memcpy(area + part[i].offset, p, n);
	*bv |= 1ull << i;
}

static void put_legacy(unsigned char *area, const UserX86FpregsEntry *e)
{
	uint16_t words[4] = { (uint16_t)e->cwd, (uint16_t)e->swd, (uint16_t)(e->twd & 0xff), (uint16_t)e->fop };

	memcpy(area, words, sizeof(words));
	memcpy(area + 8, &e->rip, 8);
	memcpy(area + 16, &e->rdp, 8);
	memcpy(area + 24, &e->mxcsr, 4);
	memcpy(area + 28, &e->mxcsr_mask, 4);
	memcpy(area + 32, e->st_space, MIN(e->n_st_space, (size_t)32) * 4);
	memcpy(area + 160, e->xmm_space, MIN(e->n_xmm_space, (size_t)64) * 4);
}

static bool has_pkru(const CoreEntry *core)
{
	const ThreadInfoX86 *ti = core->thread_info;

	return ti && ti->fpregs && ti->fpregs->xsave && ti->fpregs->xsave->n_pkru;
}

int arch_core_notes(const CoreEntry *leader, const CoreEntry *core, struct arena *arena, struct arch_regs *regs,
		    struct arch_fpu *fpu, struct err *err)
{
	const UserX86RegsEntry *e = core->thread_info ? core->thread_info->gpregs : NULL;
	const UserX86XsaveEntry *x;
	uint64_t features = FEATURES | (has_pkru(leader) ? PKRU : 0), bv = 3;

	if (core->mtype != CORE_ENTRY__MARCH__X86_64)
		return err_image(err, "the image is of another architecture (%d); this tool makes core files of x86-64", core->mtype);
	if (!e || !core->thread_info->fpregs)
		return err_image(err, "thread_info is missing");
	if (e->has_mode && e->mode != USER_X86_REGS_MODE__NATIVE)
		return err_image(err, "32-bit tasks have other core files, which this tool does not make");
	regs->r = (struct user_regs_struct){
		.r15 = e->r15, .r14 = e->r14, .r13 = e->r13, .r12 = e->r12, .r11 = e->r11, .r10 = e->r10, .r9 = e->r9,
		.r8 = e->r8, .rbp = e->bp, .rbx = e->bx, .rax = e->ax, .rcx = e->cx, .rdx = e->dx, .rsi = e->si, .rdi = e->di,
		.orig_rax = e->orig_ax, .rip = e->ip, .cs = e->cs, .eflags = e->flags, .rsp = e->sp, .ss = e->ss,
		.fs_base = e->fs_base, .gs_base = e->gs_base, .ds = e->ds, .es = e->es, .fs = e->fs, .gs = e->gs,
	};
	fpu->size = features & PKRU ? 2696 : 2688;
	fpu->area = arena_alloc(arena, fpu->size);
	put_legacy(fpu->area, core->thread_info->fpregs);
	x = core->thread_info->fpregs->xsave;
	if (x) {
		put_part(fpu->area, &bv, x->xstate_bv, 2, x->ymmh_space, x->n_ymmh_space * 4);
		put_part(fpu->area, &bv, x->xstate_bv, 5, x->opmask_reg, x->n_opmask_reg * 8);
		put_part(fpu->area, &bv, x->xstate_bv, 6, x->zmm_upper, x->n_zmm_upper * 8);
		put_part(fpu->area, &bv, x->xstate_bv, 7, x->hi16_zmm, x->n_hi16_zmm * 8);
		if (features & PKRU)
			put_part(fpu->area, &bv, x->xstate_bv, 9, x->pkru, x->n_pkru * 4);
	}
	memcpy((char *)fpu->area + XCR0_OFFSET, &features, sizeof(features));
	memcpy((char *)fpu->area + BV_OFFSET, &bv, sizeof(bv));
	return 0;
}
