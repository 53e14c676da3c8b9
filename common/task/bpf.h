/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a seccomp filter would say: classic BPF over struct seccomp_data of which only a part is known. */
#ifndef CR_TASK_BPF_H
#define CR_TASK_BPF_H

#include <linux/filter.h>

#include "common/base/util.h"

/* A system call as far as it is known: bit n of args_known belongs to arg[n]. The instruction's address is not known. */
struct bpf_call { uint32_t nr, arch; uint64_t arg[6]; unsigned args_known; };

/*
 * The strictest answer (SECCOMP_RET_*, kernel/seccomp.c orders them as signed numbers) that the program can give to the call: where
 * a branch depends on what is not known, both ways count. A program that no kernel would take, or that is too tangled to be
 * followed, answers SECCOMP_RET_KILL_PROCESS.
 */
uint32_t bpf_strictest(const struct sock_filter *prog, size_t n, const struct bpf_call *call);
/* Whether the program has a way to answer with this action (SECCOMP_RET_ACTION_FULL bits); computed answers count. */
bool bpf_may_return(const struct sock_filter *prog, size_t n, uint32_t action);

#endif
