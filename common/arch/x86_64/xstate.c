/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floating point and extended state of x86-64, and core_entry.thread_info. The kernel gives and takes the XSAVE area in its
 * standard format (arch/x86/kernel/fpu/xstate.c, copy_xstate_to_uabi_buf and copy_uabi_from_kernel_to_xstate, 6.18): the
 * legacy FXSAVE image, a header whose first word XSTATE_BV says what is not in its initial state, and the components at
 * the offsets that CPUID leaf 0xd reports.
 */
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "common/arch/arch.h"
#include "common/arch/x86_64/fpu.h"

#define XSAVE_LEGACY 512
#define XSAVE_HEADER 64
#define XSAVE_MIN (XSAVE_LEGACY + XSAVE_HEADER)
#define XSAVE_MAX (64u << 10)
#define XFEATURE_X87_SSE 3ull
#define XFEATURE_PKRU (1ull << 9)
#define PKRU_INIT 0x55555554u /* init_pkru_value in arch/x86/mm/pkeys.c: no access by any key but 0 */

struct fxsave {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_space[32], xmm_space[64];
};

/* The components that the format has a field for. */
enum field { F_NONE, F_YMMH, F_BNDREG, F_BNDCSR, F_OPMASK, F_ZMM_UPPER, F_HI16_ZMM, F_PKRU };
static const struct known {
	enum field field;
	unsigned size;
	const char *name;
} known[64] = {
	[2] = { F_YMMH, 256, "AVX" },
	[3] = { F_BNDREG, 64, "MPX bound registers" },
	[4] = { F_BNDCSR, 64, "MPX bound status" },
	[5] = { F_OPMASK, 64, "AVX-512 mask registers" },
	[6] = { F_ZMM_UPPER, 512, "AVX-512" },
	[7] = { F_HI16_ZMM, 1024, "AVX-512" },
	[9] = { F_PKRU, 8, "protection keys" },
};

/*
 * What CPUID says of the XSAVE area. It is asked once a process: a hypervisor intercepts the instruction, which costs tens of
 * microseconds each time, and the answer is a constant of the machine.
 */
static struct layout {
	uint64_t features; /* XCR0: what the system enabled */
	unsigned size;
	uint32_t mxcsr_mask; /* bits that MXCSR may have */
	bool pkeys;	     /* the system has switched protection keys on */
	struct { unsigned offset, size; } part[64]; /* size 0: not there, or supervisor state */
} cpu_layout;
static pthread_once_t cpu_asked = PTHREAD_ONCE_INIT;

static void ask_cpu(void)
{
	struct layout *l = &cpu_layout;
	_Alignas(16) struct { struct fxsave f; char rest[XSAVE_LEGACY - sizeof(struct fxsave)]; } now;
	unsigned a, b, c, d, lo, hi;

	__asm__ volatile("fxsave64 %0" : "=m"(now));
	l->mxcsr_mask = now.f.mxcsr_mask ?: 0xffbf;
	l->size = XSAVE_MIN;
	l->features = XFEATURE_X87_SSE;
	if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		return;
	l->size = MIN(MAX(b, (unsigned)XSAVE_MIN), XSAVE_MAX);
	__asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	/* EAX:EDX of the leaf is what the CPU could do. */
	l->features = (((uint64_t)hi << 32) | lo) & (((uint64_t)d << 32) | a);
	for (unsigned i = 2; i < 64; i++) {
		if (!(l->features & (1ull << i)))
			continue;
		if (!__get_cpuid_count(0xd, i, &a, &b, &c, &d) || (c & 1) || !a || a > XSAVE_MAX || b < XSAVE_MIN ||
		    b > XSAVE_MAX - a)
			continue;
		l->part[i].size = a;
		l->part[i].offset = b;
	}
	l->pkeys = l->part[9].size && __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & bit_OSPKE;
}

static const struct layout *layout(void)
{
	pthread_once(&cpu_asked, ask_cpu);
	return &cpu_layout;
}

/* Where component i is in the standard format; false when the CPU or the kernel does not have it. */
static bool component(unsigned i, unsigned *offset, unsigned *size)
{
	const struct layout *l = layout();

	*offset = l->part[i].offset;
	*size = l->part[i].size;
	return *size != 0;
}

static uint64_t cpu_xfeatures(unsigned *size)
{
	*size = layout()->size;
	return layout()->features;
}

unsigned arch_pkeys(void)
{
	return layout()->pkeys ? 16 : 0;
}

int arch_get_fpu(pid_t tid, struct arena *arena, struct arch_fpu *fpu, struct err *err)
{
	cleanup_free unsigned char *buf = xmalloc(XSAVE_MAX); /* no place for it on a small stack */
	struct iovec iov = { buf, XSAVE_MAX };

	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return err_object(err, err_sys(err, "cannot read the extended state"), "thread %d", tid);
	fpu->size = iov.iov_len;
	fpu->area = arena_dup(arena, buf, fpu->size);
	return 0;
}

/* 0 where it is not in the area: then it is 0 when that is loaded, too. */
static uint32_t pkru_of(const struct arch_fpu *fpu)
{
	uint32_t pkru = 0;
	uint64_t bv;

	memcpy(&bv, (const char *)fpu->area + XSAVE_LEGACY, 8);
	if (bv & XFEATURE_PKRU)
		memcpy(&pkru, (const char *)fpu->area + layout()->part[9].offset, sizeof(pkru));
	return pkru;
}

bool arch_pkeys_used(pid_t tid)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	struct arch_fpu fpu;

	if (arch_get_fpu(tid, arena, &fpu, &ignore) || fpu.size < layout()->part[9].offset + sizeof(uint32_t))
		return true;
	return pkru_of(&fpu) != PKRU_INIT;
}

int arch_set_fpu(pid_t tid, const struct arch_fpu *fpu, struct err *err)
{
	struct iovec iov = { fpu->area, fpu->size };

	if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return err_object(err, err_sys(err, "cannot load the extended state"), "thread %d", tid);
	return 0;
}

/*
 * XRSTOR faults for bits that the processor does not know and where the header is not as it should be; decode_fpu() makes the header. Of
 * what no thread loads by itself nothing may be left from the restorer: AMX tiles (17, 18), which it never uses, are in their initial
 * state. Whoever has no access to memory without a key cannot go on in the agent.
 */
bool arch_fpu_loadable(const struct arch_fpu *fpu)
{
	const uint64_t tiles = 3ull << 17;
	const struct layout *l = layout();
	const struct fxsave *f = fpu->area;
	uint64_t bv;

	if (fpu->size < XSAVE_MIN || fpu->size != l->size || l->features & ~(ARCH_FPU_LOADABLE | tiles) ||
	    l->features == XFEATURE_X87_SSE)
		return false;
	memcpy(&bv, (const char *)fpu->area + XSAVE_LEGACY, 8);
	if (bv & ~(l->features & ARCH_FPU_LOADABLE) || f->mxcsr & ~l->mxcsr_mask)
		return false;
	return !(pkru_of(fpu) & 3);
}

/* ---- into images ---- */

static UserX86RegsEntry *encode_regs(const struct user_regs_struct *r, struct arena *arena)
{
	UserX86RegsEntry *e = arena_msg(arena, UserX86RegsEntry, user_x86_regs_entry__init);

	e->r15 = r->r15, e->r14 = r->r14, e->r13 = r->r13, e->r12 = r->r12;
	e->r11 = r->r11, e->r10 = r->r10, e->r9 = r->r9, e->r8 = r->r8;
	e->bp = r->rbp, e->bx = r->rbx, e->ax = r->rax, e->cx = r->rcx;
	e->dx = r->rdx, e->si = r->rsi, e->di = r->rdi, e->orig_ax = r->orig_rax;
	e->ip = r->rip, e->cs = r->cs, e->flags = r->eflags, e->sp = r->rsp, e->ss = r->ss;
	e->fs_base = r->fs_base, e->gs_base = r->gs_base;
	e->ds = r->ds, e->es = r->es, e->fs = r->fs, e->gs = r->gs;
	e->has_mode = true;
	e->mode = USER_X86_REGS_MODE__NATIVE;
	return e;
}

static void encode_component(UserX86XsaveEntry *x, enum field field, void *bytes, unsigned size)
{
	switch (field) {
	case F_YMMH:
		x->ymmh_space = bytes, x->n_ymmh_space = size / 4;
		break;
	case F_BNDREG:
		x->bndreg_state = bytes, x->n_bndreg_state = size / 8;
		break;
	case F_BNDCSR:
		x->bndcsr_state = bytes, x->n_bndcsr_state = size / 8;
		break;
	case F_OPMASK:
		x->opmask_reg = bytes, x->n_opmask_reg = size / 8;
		break;
	case F_ZMM_UPPER:
		x->zmm_upper = bytes, x->n_zmm_upper = size / 8;
		break;
	case F_HI16_ZMM:
		x->hi16_zmm = bytes, x->n_hi16_zmm = size / 8;
		break;
	case F_PKRU:
		x->pkru = bytes, x->n_pkru = size / 4;
		break;
	case F_NONE:
		break;
	}
}

static UserX86XsaveEntry *encode_xsave(const struct arch_fpu *fpu, struct arena *arena)
{
	UserX86XsaveEntry *x = arena_msg(arena, UserX86XsaveEntry, user_x86_xsave_entry__init);
	const unsigned char *area = fpu->area;
	unsigned char *extra = NULL;
	size_t nextra = 0;

	memcpy(&x->xstate_bv, area + XSAVE_LEGACY, 8);
	for (unsigned i = 2; i < 64; i++) {
		unsigned offset, size;

		if (!component(i, &offset, &size) || offset + size > fpu->size)
			continue;
		if (known[i].field && known[i].size == size) {
			encode_component(x, known[i].field, arena_dup(arena, area + offset, size), size);
		} else if (x->xstate_bv & (1ull << i)) {
			/* AMX and whatever comes after it: only when it is in use. */
			unsigned char *grown = arena_alloc(arena, nextra + size);

			if (nextra)
				memcpy(grown, extra, nextra);
			memcpy(grown + nextra, area + offset, size);
			extra = grown;
			nextra += size;
			x->extra_bv |= 1ull << i;
		}
	}
	if (nextra) {
		x->has_extra = x->has_extra_bv = true;
		x->extra = (ProtobufCBinaryData){ nextra, extra };
	}
	return x;
}

static UserX86FpregsEntry *encode_fpu(const struct arch_fpu *fpu, struct arena *arena)
{
	UserX86FpregsEntry *e = arena_msg(arena, UserX86FpregsEntry, user_x86_fpregs_entry__init);
	const struct fxsave *f = fpu->area;

	e->cwd = f->cwd, e->swd = f->swd, e->twd = f->twd, e->fop = f->fop;
	e->rip = f->rip, e->rdp = f->rdp, e->mxcsr = f->mxcsr, e->mxcsr_mask = f->mxcsr_mask;
	e->n_st_space = ARRAY_SIZE(f->st_space);
	e->st_space = arena_dup(arena, f->st_space, sizeof(f->st_space));
	e->n_xmm_space = ARRAY_SIZE(f->xmm_space);
	e->xmm_space = arena_dup(arena, f->xmm_space, sizeof(f->xmm_space));
	if (fpu->size >= XSAVE_MIN)
		e->xsave = encode_xsave(fpu, arena);
	return e;
}

void arch_core_encode(CoreEntry *core, const struct arch_regs *regs, const struct arch_fpu *fpu, struct arena *arena)
{
	ThreadInfoX86 *ti = arena_msg(arena, ThreadInfoX86, thread_info_x86__init);

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_info = ti;
	ti->gpregs = encode_regs(&regs->r, arena);
	ti->fpregs = encode_fpu(fpu, arena);
	/* The three GDT slots for TLS are empty in 64-bit tasks, which use fs_base; tasks that fill them are refused. */
	ti->n_tls = 3;
	ti->tls = arena_alloc(arena, 3 * sizeof(*ti->tls));
	for (unsigned i = 0; i < 3; i++) {
		ti->tls[i] = arena_msg(arena, UserDescT, user_desc_t__init);
		ti->tls[i]->entry_number = 12 + i;
		ti->tls[i]->read_exec_only = ti->tls[i]->seg_not_present = true;
	}
}

/* ---- out of images ---- */

static void decode_regs(const UserX86RegsEntry *e, struct user_regs_struct *r)
{
	*r = (struct user_regs_struct){
		.r15 = e->r15, .r14 = e->r14, .r13 = e->r13, .r12 = e->r12, .r11 = e->r11, .r10 = e->r10,
		.r9 = e->r9, .r8 = e->r8, .rbp = e->bp, .rbx = e->bx, .rax = e->ax, .rcx = e->cx, .rdx = e->dx,
		.rsi = e->si, .rdi = e->di, .orig_rax = (uint64_t)-1, .rip = e->ip, .cs = e->cs,
		.eflags = e->flags, .rsp = e->sp, .ss = e->ss ?: 0x2b, .fs_base = e->fs_base, .gs_base = e->gs_base,
		.ds = e->ds, .es = e->es, .fs = e->fs, .gs = e->gs,
	};
}

/* One array of the image: right length or absent. Puts it into the area and its bit into bv. */
static int decode_component(unsigned char *area, size_t area_size, uint64_t want_bv, uint64_t *bv, unsigned i,
			    const void *bytes, size_t n, struct err *err)
{
	unsigned offset, size;

	if (!n || !(want_bv & (1ull << i)))
		return 0;
	if (!component(i, &offset, &size) || offset + size > area_size)
		return 0; /* this CPU lacks it: arch_fpu_missing() has told */
	if (n != size)
		return err_image(err, "xsave component %u (%s) has %zu bytes instead of %u", i,
				 known[i].name ?: "unknown", n, size);
	memcpy(area + offset, bytes, size);
	*bv |= 1ull << i;
	return 0;
}

static int decode_extra(const UserX86XsaveEntry *x, unsigned char *area, size_t area_size, uint64_t *bv,
			struct err *err)
{
	size_t at = 0;

	for (unsigned i = 2; i < 64; i++) {
		unsigned offset, size;
		int ret;

		if (!(x->extra_bv & (1ull << i)))
			continue;
		if (!component(i, &offset, &size) || at > x->extra.len || x->extra.len - at < size)
			return err_image(err, "extra xsave component %u does not fit this CPU", i);
		ret = decode_component(area, area_size, x->extra_bv, bv, i, x->extra.data + at, size, err);
		if (ret)
			return ret;
		at += size;
	}
	return 0;
}

static int decode_xsave(const UserX86XsaveEntry *x, unsigned char *area, size_t area_size, struct err *err)
{
	uint64_t bv = XFEATURE_X87_SSE;
	const struct { unsigned i; const void *p; size_t n; } v[] = {
		{ 2, x->ymmh_space, x->n_ymmh_space * 4 },     { 3, x->bndreg_state, x->n_bndreg_state * 8 },
		{ 4, x->bndcsr_state, x->n_bndcsr_state * 8 }, { 5, x->opmask_reg, x->n_opmask_reg * 8 },
		{ 6, x->zmm_upper, x->n_zmm_upper * 8 },       { 7, x->hi16_zmm, x->n_hi16_zmm * 8 },
		{ 9, x->pkru, x->n_pkru * 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		int ret;

		if (v[i].n && v[i].n != known[v[i].i].size)
			return err_image(err, "xsave component %u (%s) has %zu bytes instead of %u", v[i].i,
					 known[v[i].i].name, v[i].n, known[v[i].i].size);
		ret = decode_component(area, area_size, x->xstate_bv, &bv, v[i].i, v[i].p, v[i].n, err);
		if (ret)
			return ret;
	}
	if (x->has_extra) {
		int ret = decode_extra(x, area, area_size, &bv, err);

		if (ret)
			return ret;
	}
	memcpy(area + XSAVE_LEGACY, &bv, 8);
	return 0;
}

/* Who comes from where there are no protection keys has the rights that everybody begins with. */
static void decode_no_pkru(unsigned char *area, size_t area_size)
{
	const uint32_t pkru = PKRU_INIT;
	unsigned offset, size;
	uint64_t bv;

	if (!component(9, &offset, &size) || offset + sizeof(pkru) > area_size)
		return;
	memcpy(area + offset, &pkru, sizeof(pkru));
	memcpy(&bv, area + XSAVE_LEGACY, 8);
	bv |= XFEATURE_PKRU;
	memcpy(area + XSAVE_LEGACY, &bv, 8);
}

static int decode_fpu(const UserX86FpregsEntry *e, struct arena *arena, struct arch_fpu *fpu, struct err *err)
{
	uint64_t bv = XFEATURE_X87_SSE;
	struct fxsave *f;
	unsigned size;
	int ret;

	if (e->n_st_space != ARRAY_SIZE(f->st_space) || e->n_xmm_space != ARRAY_SIZE(f->xmm_space))
		return err_image(err, "fpregs: st_space and xmm_space have %zu and %zu words instead of 32 and 64",
				 e->n_st_space, e->n_xmm_space);
	cpu_xfeatures(&size);
	fpu->size = size;
	fpu->area = arena_alloc(arena, size);
	f = fpu->area;
	f->cwd = (uint16_t)e->cwd, f->swd = (uint16_t)e->swd, f->twd = (uint16_t)e->twd, f->fop = (uint16_t)e->fop;
	f->rip = e->rip, f->rdp = e->rdp, f->mxcsr_mask = e->mxcsr_mask;
	/* Bits that the CPU does not know make the kernel refuse the whole area. */
	f->mxcsr = e->mxcsr & 0xffff;
	memcpy(f->st_space, e->st_space, sizeof(f->st_space));
	memcpy(f->xmm_space, e->xmm_space, sizeof(f->xmm_space));
	memcpy((char *)fpu->area + XSAVE_LEGACY, &bv, 8);
	ret = e->xsave ? decode_xsave(e->xsave, fpu->area, fpu->size, err) : 0;
	if (!ret && (!e->xsave || !e->xsave->n_pkru))
		decode_no_pkru(fpu->area, fpu->size);
	return ret;
}

int arch_core_decode(const CoreEntry *core, struct arena *arena, struct arch_regs *regs, struct arch_fpu *fpu,
		     struct err *err)
{
	const ThreadInfoX86 *ti = core->thread_info;

	if (core->mtype != CORE_ENTRY__MARCH__X86_64)
		return err_image(err, "the image is of another architecture (%d); this tool restores x86-64", core->mtype);
	if (!ti || !ti->gpregs || !ti->fpregs)
		return err_image(err, "thread_info is missing");
	if (ti->gpregs->has_mode && ti->gpregs->mode != USER_X86_REGS_MODE__NATIVE)
		return err_image(err, "32-bit tasks are not supported");
	decode_regs(ti->gpregs, &regs->r);
	if (!arch_is_native(regs))
		return err_image(err, "code segment 0x%llx is not that of 64-bit code",
				 (unsigned long long)ti->gpregs->cs);
	return decode_fpu(ti->fpregs, arena, fpu, err);
}

void arch_fpu_missing(const CoreEntry *core, char *out, size_t n)
{
	const UserX86FpregsEntry *f = core->thread_info ? core->thread_info->fpregs : NULL;
	unsigned size;
	uint64_t have = cpu_xfeatures(&size), lacks;
	size_t at = 0;

	out[0] = 0;
	if (!f || !f->xsave)
		return;
	/* PKRU in its initial state is no loss; the kernel gives that value to every task. */
	lacks = (f->xsave->xstate_bv | f->xsave->extra_bv) & ~have & ~XFEATURE_PKRU;
	if (f->xsave->n_pkru == 2 && (f->xsave->xstate_bv & ~have & XFEATURE_PKRU) && f->xsave->pkru[0] != PKRU_INIT)
		lacks |= XFEATURE_PKRU;
	for (unsigned i = 2; i < 64 && at < n; i++)
		if (lacks & (1ull << i))
			at += (size_t)snprintf(out + at, n - at, "%s%s (xstate bit %u)", at ? ", " : "",
					       known[i].name ?: "unknown state", i);
}
