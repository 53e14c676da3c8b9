/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all that loads BPF programs has in common. */
#ifndef CR_BPF_LOAD_H
#define CR_BPF_LOAD_H

#include <linux/bpf.h>

#include "common/base/util.h"

/* bpf(2). */
int bpf_sys(enum bpf_cmd cmd, union bpf_attr *attr);
/* BPF_PROG_LOAD. The kernel gives up with EAGAIN where a signal waits (kernel/bpf/verifier.c, do_check()), and others of our threads get
 * many, so none is taken meanwhile. -1 and errno. */
int bpf_load(union bpf_attr *attr);
/* A map of one kind, by BPF_MAP_CREATE. -1 and errno. */
int bpf_map(enum bpf_map_type type, uint32_t value_size, uint32_t flags);

/* One instruction. */
static inline struct bpf_insn bpf_insn(unsigned op, unsigned to, unsigned from, int off, int imm)
{
	return (struct bpf_insn){ .code = (uint8_t)op, .dst_reg = to & 15, .src_reg = from & 15, .off = (int16_t)off, .imm = imm };
}

#endif
