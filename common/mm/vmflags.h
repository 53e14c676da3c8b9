/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which words of VmFlags the bits of vm_area_struct.vm_flags mean on this kernel. */
#ifndef CR_MM_VMFLAGS_H
#define CR_MM_VMFLAGS_H

#include "common/bpf/iter.h"
#include "common/proc/proc.h"

/* One mapping of ours: its bits, and the words of smaps for it. */
struct vmflags_seen { uint64_t bits, words; };

/* Bits that were seen in the same mappings and nowhere else, and the words that were: each of them belongs to one of these bits. */
struct vmflags_group { uint64_t bits, words; };
struct vmflags { struct vmflags_group v[64]; size_t n; };

/* Pure. No more than 64 mappings. */
void vmflags_learn(const struct vmflags_seen *seen, size_t n, struct vmflags *out);
/* False when it is not known for sure what these bits mean. Pure. */
bool vmflags_words(const struct vmflags *f, uint64_t bits, uint64_t *words);
/* Learns from mappings that are made in this process for a moment. it: reads mappings; their start and flags are in these columns. *gate:
 * the page of vsyscall, which every process shows and no iterator; empty where there is none. */
int vmflags_probe(const struct iter *it, size_t start, size_t flags, struct vmflags *out, struct proc_map *gate, struct err *err);
/* Whether a mapping is that page. */
bool vmflags_is_gate(const struct proc_map *m);

#endif
