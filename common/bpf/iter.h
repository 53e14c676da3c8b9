/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel has about tasks and mappings, as numbers instead of text: a BPF iterator (Documentation/bpf/bpf_iterators.rst)
 * runs a program of ours for each object of one process, and the program writes the fields we ask for. It makes nothing in the
 * target, waits for nobody, and tells in a fifth of a microsecond what a file of /proc tells in three.
 *
 * Needs Linux 6.1 (iterators of one process), type information (CONFIG_DEBUG_INFO_BTF), CAP_BPF and CAP_PERFMON in the first user
 * namespace. Whoever uses it has another way where there is none of that.
 */
#ifndef CR_BPF_ITER_H
#define CR_BPF_ITER_H

#include "common/base/err.h"

enum iter_kind {
	ITER_TASK,	/* struct task_struct, each thread of a process */
	ITER_THREAD,	/* that of one thread */
	ITER_VMA,	/* struct vm_area_struct, each mapping of a task, ascending */
	ITER_FILE,	/* struct file, each descriptor of a task, ascending */
	ITER_ALL_FILES, /* the same of all tasks of our pid namespace and those within it; of threads that have a table of their own, too */
};

/* Instead of paths. */
#define ITER_OBJECT "*" /* where the object itself is */
/* Of both kinds of files: a field of the task, struct task_struct. */
#define ITER_OF_TASK "task:"
/* Of both kinds of files: the number of the descriptor, and the word of the bits of close-on-exec that has the descriptor's. */
#define ITER_FD "fd"
#define ITER_CLOEXEC "close_on_exec"

/* The paths of one thing for each level of pid namespaces: as many fields, the first one's of the first namespace. */
#define ITER_LEVELS 8
#define ITER_EACH_LEVEL(what) ITER_EACH_LEVEL_OF("", what)
#define ITER_EACH_LEVEL_OF(task, what)                                                                          \
	task "thread_pid->numbers[0]." what, task "thread_pid->numbers[1]." what, task "thread_pid->numbers[2]." what, \
	task "thread_pid->numbers[3]." what, task "thread_pid->numbers[4]." what, task "thread_pid->numbers[5]." what, \
	task "thread_pid->numbers[6]." what, task "thread_pid->numbers[7]." what

#define ITER_FIELDS_MAX 56 /* a row is in the program's 512 bytes of stack */
struct iter {
	int prog; /* -1: none */
	enum iter_kind kind;
	size_t n;	 /* numbers for each object */
	uint64_t absent; /* bit i: this kernel has no field i, which is 0 then */
};

/* paths: as in btf_find(), n of them; needed: bit i, without field i it cannot be. The program is out's, also after an error. Takes about
 * two milliseconds. ERR_FEATURE: not on this kernel, or without these privileges. */
int iter_load(enum iter_kind kind, const char *const *paths, size_t n, uint64_t needed, struct iter *out, struct err *err);
void iter_close(struct iter *it);

struct iter_rows { uint64_t *v; size_t n; /* rows of iter.n numbers each */ };
/* All objects of the process with thread tid, by our pid namespace, or with ITER_ALL_FILES of all processes; rows are the caller's, by
 * iter_rows_free(). */
int iter_read(const struct iter *it, pid_t tid, struct iter_rows *rows, struct err *err);
static inline void iter_rows_free(struct iter_rows *rows)
{
	free(rows->v);
}

#endif
