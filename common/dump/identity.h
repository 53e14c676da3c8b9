/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the process is among others: its place in the tree, its namespaces, and the images that say so. */
#ifndef CR_DUMP_IDENTITY_H
#define CR_DUMP_IDENTITY_H

#include "common/dump/dump.h"

/* The first id of the kernel objects of tasks: vm, files, fs, sighand. 1 are the dumper's own. */
#define TASK_KOBJ 2

/* Refuses what the namespace images of this version cannot express: foreign namespaces. Reads d only, so that it may run
 * beside other work. */
int identity_check(const struct dump *d, struct err *err);
/* Of a refusal for a namespace, ret: where tasks of the tree live in different ones of any kind, no place to run cr-dump from helps, and
 * the error gets that as its hint, with two of them; else it has none yet. */
int identity_nowhere(const struct dump *d, int ret, struct err *err);
/* Writes inventory, pstree, ids, seccomp and timens. */
void identity_put(struct dump *d);
/* Of a pre-dump: its inventory, which is all but memory. */
void identity_put_before(struct dump *d);
/* What the images call the namespace of this kind ("net") that the tree lives in: but for IPC, the dumper's own. */
uint32_t identity_own_ns(const struct dump *d, const char *name);

/* The dumper's own namespaces, for identity_check() and others; once, before any thread works beside. */
void identity_read_own(struct dump *d);
/* "net:[4026531840]" for "net", "pid_for_children", ...; "" where the kernel has no such kind. */
const char *identity_own_link(const struct dump *d, const char *name);
/* We are in the tree's for a while: that one counts as our own. */
void identity_entered(struct dump *d, const char *name, const char *link);

#endif
