/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interpreter of the classic BPF that seccomp allows (kernel/seccomp.c, seccomp_check_filter()). */
#include "common/task/bpf.h"

#include <linux/seccomp.h>
#include <stddef.h>

#define STEPS_MAX 200000u /* over all ways together */
#define DEPTH_MAX 200	  /* branches that are not known, on one way */

struct word { uint32_t v; bool known; };

struct state {
	struct word a, x, mem[BPF_MEMWORDS];
	size_t pc;
};

struct run {
	const struct sock_filter *prog;
	size_t n;
	const struct bpf_call *call;
	unsigned steps;
};

static const struct word unknown = { 0, false };

static struct word load(const struct bpf_call *c, uint32_t off)
{
	unsigned arg;

	if (off == offsetof(struct seccomp_data, nr))
		return (struct word){ c->nr, true };
	if (off == offsetof(struct seccomp_data, arch))
		return (struct word){ c->arch, true };
	if (off < offsetof(struct seccomp_data, args) || off >= sizeof(struct seccomp_data) || off % 4)
		return unknown;
	off -= (uint32_t)offsetof(struct seccomp_data, args);
	arg = off / 8;
	if (!(c->args_known >> arg & 1))
		return unknown;
	return (struct word){ (uint32_t)(c->arg[arg] >> (off % 8 * 8)), true };
}

static struct word alu(unsigned op, struct word a, struct word b)
{
	if (!a.known || (op != BPF_NEG && !b.known))
		return unknown;
	switch (op) {
	case BPF_ADD: a.v += b.v; break;
	case BPF_SUB: a.v -= b.v; break;
	case BPF_MUL: a.v *= b.v; break;
	case BPF_DIV: a.v = b.v ? a.v / b.v : 0; break;
	case BPF_OR: a.v |= b.v; break;
	case BPF_AND: a.v &= b.v; break;
	case BPF_XOR: a.v ^= b.v; break;
	case BPF_LSH: a.v = b.v < 32 ? a.v << b.v : 0; break;
	case BPF_RSH: a.v = b.v < 32 ? a.v >> b.v : 0; break;
	case BPF_NEG: a.v = 0u - a.v; break;
	default: return unknown;
	}
	return a;
}

static bool test(unsigned op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ: return a == b;
	case BPF_JGT: return a > b;
	case BPF_JGE: return a >= b;
	default: return a & b; /* BPF_JSET */
	}
}

static uint32_t stricter(uint32_t a, uint32_t b)
{
	return (int32_t)(a & SECCOMP_RET_ACTION_FULL) < (int32_t)(b & SECCOMP_RET_ACTION_FULL) ? a : b;
}

static bool load_word(const struct run *r, struct state *s, const struct sock_filter *f)
{
	struct word *to = BPF_CLASS(f->code) == BPF_LD ? &s->a : &s->x;

	switch (BPF_MODE(f->code)) {
	case BPF_IMM: *to = (struct word){ f->k, true }; return true;
	case BPF_ABS: *to = load(r->call, f->k); return true;
	case BPF_LEN: *to = (struct word){ sizeof(struct seccomp_data), true }; return true;
	case BPF_MEM:
		if (f->k >= BPF_MEMWORDS)
			return false;
		*to = s->mem[f->k];
		return true;
	default: return false;
	}
}

/* Everything but jumps and returns. False: no kernel takes such an instruction. */
static bool step(const struct run *r, struct state *s, const struct sock_filter *f)
{
	struct word k = { f->k, true };

	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX:
		return load_word(r, s, f);
	case BPF_ST:
	case BPF_STX:
		if (f->k >= BPF_MEMWORDS)
			return false;
		s->mem[f->k] = BPF_CLASS(f->code) == BPF_ST ? s->a : s->x;
		return true;
	case BPF_ALU:
		s->a = alu(BPF_OP(f->code), s->a, BPF_SRC(f->code) == BPF_X ? s->x : k);
		return true;
	case BPF_MISC:
		if (BPF_MISCOP(f->code) == BPF_TAX)
			s->x = s->a;
		else
			s->a = s->x;
		return true;
	default:
		return false;
	}
}

static uint32_t follow(struct run *r, struct state s, int depth)
{
	while (s.pc < r->n && ++r->steps < STEPS_MAX && depth < DEPTH_MAX) {
		const struct sock_filter *f = &r->prog[s.pc++];
		struct word b = BPF_SRC(f->code) == BPF_X ? s.x : (struct word){ f->k, true };

		if (BPF_CLASS(f->code) == BPF_RET) {
			if (BPF_RVAL(f->code) != BPF_A)
				return f->k;
			return s.a.known ? s.a.v : SECCOMP_RET_KILL_PROCESS;
		}
		if (BPF_CLASS(f->code) != BPF_JMP) {
			if (!step(r, &s, f))
				break;
		} else if (BPF_OP(f->code) == BPF_JA) {
			s.pc += f->k;
		} else if (s.a.known && b.known) {
			s.pc += test(BPF_OP(f->code), s.a.v, b.v) ? f->jt : f->jf;
		} else {
			struct state other = s;
			uint32_t one;

			other.pc += f->jt;
			s.pc += f->jf;
			if (other.pc == s.pc)
				continue;
			one = follow(r, other, depth + 1);
			return stricter(one, follow(r, s, depth + 1));
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

uint32_t bpf_strictest(const struct sock_filter *prog, size_t n, const struct bpf_call *call)
{
	struct run r = { .prog = prog, .n = n, .call = call };
	struct state s = { .a = { 0, true }, .x = { 0, true } };

	return follow(&r, s, 0);
}

bool bpf_may_return(const struct sock_filter *prog, size_t n, uint32_t action)
{
	for (size_t i = 0; i < n; i++)
		if (BPF_CLASS(prog[i].code) == BPF_RET &&
		    (BPF_RVAL(prog[i].code) == BPF_A || (prog[i].k & SECCOMP_RET_ACTION_FULL) == action))
			return true;
	return false;
}
