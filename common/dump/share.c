/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tasks that are no threads of each other may share what threads share (clone with CLONE_VM, CLONE_FILES, CLONE_FS,
 * CLONE_SIGHAND). kcmp(2) puts the objects of a kind in an order (0 equal, 1 less, 2 greater), so finding the equal ones
 * is a sort; of many tasks the kernel's own records tell (common/task/kin.h). What is shared goes from parent to child when
 * that is made: any other way of sharing cannot be made again.
 */
#include "common/dump/share.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "common/dump/identity.h"
#include "common/feature/feature.h"
#include "common/task/kin.h"

struct order {
	int type, errnum;
	const struct kin *kin; /* by index of the task; NULL: kcmp(2) is asked */
	size_t object;	       /* in struct kin */
};

static uint64_t object_of(const struct order *o, const struct dump_task *t)
{
	return *(const uint64_t *)(const void *)((const char *)&o->kin[t->index] + o->object);
}

static int compare(const void *va, const void *vb, void *ctx)
{
	const struct dump_task *a = *(struct dump_task *const *)va, *b = *(struct dump_task *const *)vb;
	struct order *o = ctx;
	long r;

	if (a == b || o->errnum)
		return 0;
	if (o->kin)
		return (object_of(o, a) > object_of(o, b)) - (object_of(o, a) < object_of(o, b));
	r = syscall(SYS_kcmp, a->tid, b->tid, o->type, 0, 0);
	if (r < 0)
		o->errnum = errno;
	return r == 1 ? -1 : r == 2;
}

static int refuse_shared(const struct dump *d, const struct dump_task *a, const struct dump_task *b, const char *what,
			 struct err *err)
{
	const struct dump_task *child = a->parent == b ? a : b, *other = child == a ? b : a;
	int ret = err_refuse(err, "it has its %s together with pid %d (%s) without being a thread of it", what, other->pid,
			     other->stat.comm);

	return dump_note(d, err_task(err, child->pid, child->stat.comm, ret), err);
}

static uint32_t *id_of(struct dump_task *t, size_t field)
{
	return (uint32_t *)(void *)((char *)t + field);
}

/* One kind of objects: ids at this offset of struct dump_task. */
static int number(struct dump_task **v, size_t n, struct order o, size_t field, struct err *err)
{
	qsort_r(v, n, sizeof(*v), compare, &o);
	for (size_t i = 0, end; i < n && !o.errnum; i = end) {
		uint32_t low = *id_of(v[i], field);

		for (end = i + 1; end < n && !compare(&v[i], &v[end], &o) && !o.errnum; end++)
			low = MIN(low, *id_of(v[end], field));
		/* The lowest of them, so that numbers do not hang on addresses. */
		for (size_t k = i; k < end; k++)
			*id_of(v[k], field) = low;
	}
	if (o.errnum) {
		int ret = feature_blame("kcmp", o.errnum, err);

		return ret ? ret : err_set(err, ERR_FAILED, o.errnum, "cannot compare tasks (kcmp)");
	}
	return 0;
}

/* Parents come first: whoever has an object that his parent has not must be the first to have it. */
static int check_parents(const struct dump *d, size_t field, const char *what, struct err *err)
{
	struct dump_task **first = arena_alloc(d->arena, (d->ntasks + TASK_KOBJ) * sizeof(*first));

	for (size_t i = 0; i < d->ntasks; i++) {
		struct dump_task *t = d->tasks[i];

		if (t->zombie)
			continue;
		if (!first[*id_of(t, field)]) {
			first[*id_of(t, field)] = t;
		} else if (*id_of(t->parent, field) != *id_of(t, field)) {
			t->closed = true; /* its memory is not borrowed twice */
			if (refuse_shared(d, first[*id_of(t, field)], t, what, err))
				return -EINVAL;
		}
	}
	return 0;
}

int share_find(struct dump *d, struct err *err)
{
	static const struct { int type; size_t field, object; const char *what; } kinds[] = {
		{ KCMP_VM, offsetof(struct dump_task, vm_id), offsetof(struct kin, vm), "address space" },
		{ KCMP_FILES, offsetof(struct dump_task, files_id), offsetof(struct kin, files), "descriptor table" },
		{ KCMP_FS, offsetof(struct dump_task, fs_id), offsetof(struct kin, fs), "working directory and root" },
		{ KCMP_SIGHAND, offsetof(struct dump_task, sighand_id), offsetof(struct kin, sighand), "signal handlers" },
	};
	struct kin *kin = NULL;
	struct dump_task **v = arena_alloc(d->arena, d->ntasks * sizeof(*v));
	bool vm = false;
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; i < d->ntasks; i++) {
		struct dump_task *t = d->tasks[i];

		if (t->zombie)
			continue;
		t->vm_id = t->files_id = t->fs_id = t->sighand_id = TASK_KOBJ + (uint32_t)n;
		v[n++] = t;
	}
	if (!kin_look(d, &kin))
		kin = NULL;
	for (size_t k = 0; k < ARRAY_SIZE(kinds) && !ret && n > 1; k++) {
		/* Who shares signal handlers shares the address space (kernel/fork.c). */
		if (kinds[k].type == KCMP_SIGHAND && !vm)
			continue;
		ret = number(v, n, (struct order){ kinds[k].type, 0, kin, kinds[k].object }, kinds[k].field, err);
		if (!ret)
			ret = check_parents(d, kinds[k].field, kinds[k].what, err);
		for (size_t i = 1; i < d->ntasks && !ret; i++) {
			struct dump_task *t = d->tasks[i];

			t->vm_shared = !t->zombie && t->vm_id == t->parent->vm_id;
			t->fs_shared = !t->zombie && t->fs_id == t->parent->fs_id;
			vm |= t->vm_shared;
		}
	}
	return ret;
}
