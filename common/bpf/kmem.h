/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel has in its memory, where nobody tells it in another way: by address, and by names of its types (btf.h). A program of
 * ours copies some bytes at a time (bpf_probe_read_kernel()); an address that is none is an error, never a fault. What is read may change
 * meanwhile: who follows pointers must know that nobody takes the objects away, or look again.
 *
 * Needs Linux 5.14, type information, CAP_BPF and CAP_PERFMON in the first user namespace, and no lockdown (confidentiality).
 */
#ifndef CR_BPF_KMEM_H
#define CR_BPF_KMEM_H

#include "common/bpf/btf.h"

struct kmem;

/* Takes about two milliseconds. ERR_FEATURE: not on this kernel, or without these privileges. */
int kmem_open(struct kmem **out, struct err *err);
/* NULL is fine. */
void kmem_close(struct kmem *k);
const struct btf *kmem_types(const struct kmem *k);

int kmem_read(struct kmem *k, uint64_t from, void *to, size_t len, struct err *err);
/* The task_struct of this thread, and CLOCK_MONOTONIC of the first time namespace in nanoseconds. */
int kmem_self(struct kmem *k, uint64_t *task, uint64_t *now, struct err *err);
/* The struct file of a descriptor of ours. */
int kmem_file(struct kmem *k, int fd, uint64_t *file, struct err *err);
/* Finds out, by pages of our own, where the kernel has memory, the first time. Takes half a millisecond, and CAP_SYS_ADMIN. */
int kmem_learn_pages(struct kmem *k, struct err *err);
/* Where the bytes of a struct page are: after kmem_learn_pages(), which it calls else. */
int kmem_page(struct kmem *k, uint64_t page, uint64_t *bytes, struct err *err);

/* What a field of a struct is in a copy of it: p is where the bytes of the struct begin. */
uint64_t kmem_field(const void *p, const struct btf_bits *where, uint32_t size);
/* From one object to another: the number or pointer that path (btf_find()) names, of the object of that type at `at`. */
int kmem_follow(struct kmem *k, uint64_t at, const char *type, const char *path, uint64_t *out, struct err *err);

#endif
