// SPDX-License-Identifier: GPL-2.0-or-later
/* From the descriptor table of a task in the images to steps: the controller opens, the task puts in place. */
#include <string.h>
#include <sys/syscall.h>

#include "common/tty/tty.h"

static const struct file_kind *kind_of(FdTypes type)
{
	for (size_t k = 0; file_kinds[k]; k++)
		if (file_kinds[k]->type == type)
			return file_kinds[k];
	return NULL;
}

/* The sub message that belongs to the type must be there: every plan relies on it. */
static bool has_body(const FileEntry *e)
{
	switch (e->type) {
	case FD_TYPES__REG: return e->reg;
	case FD_TYPES__PIPE: return e->pipe;
	case FD_TYPES__FIFO: return e->fifo;
	case FD_TYPES__UNIXSK: return e->usk;
	case FD_TYPES__INETSK: return e->isk;
	case FD_TYPES__NETLINKSK: return e->nlsk;
	case FD_TYPES__PACKETSK: return e->psk;
	case FD_TYPES__EVENTFD: return e->efd;
	case FD_TYPES__EVENTPOLL: return e->epfd;
	case FD_TYPES__SIGNALFD: return e->sgfd;
	case FD_TYPES__TIMERFD: return e->tfd;
	case FD_TYPES__TUNF: return e->tunf;
	case FD_TYPES__PIDFD: return e->pidfd;
	case FD_TYPES__NS: return e->nsf;
	case FD_TYPES__INOTIFY: return e->ify;
	case FD_TYPES__FANOTIFY: return e->ffy;
	case FD_TYPES__MEMFD: return e->memfd;
	case FD_TYPES__TTY: return e->tty;
	default: return true; /* of a type without a kind: refused by name */
	}
}

static int entry_of(const struct model *m, FdTypes type, uint32_t id, FileEntry **entry, struct err *err)
{
	const ProtobufCEnumValue *name = protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, type);

	*entry = model_file(m, type, id);
	if (!*entry)
		return err_image(err, "files.img: no %s entry %u", name ? name->name : "such", id);
	if (!has_body(*entry))
		return err_image(err, "files.img: entry %u of type %s is empty", id, name ? name->name : "?");
	return 0;
}

int file_slot(const struct model *m, struct plan *plan, FdTypes type, uint32_t id, uint32_t *slot, struct err *err)
{
	const struct file_kind *kind = kind_of(type);
	FileEntry *entry;
	int ret;

	if (file_slot_known(plan, type, id, FILE_AS_ENTRY, slot))
		return 0;
	ret = entry_of(m, type, id, &entry, err);
	if (ret < 0)
		return ret;
	if (!kind || !kind->plan) {
		const ProtobufCEnumValue *name = protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, type);
		return err_refuse(err, "files.img: entry %u is of type %s, which this version cannot restore", id,
				  name ? name->name : "?");
	}
	*slot = file_slot_get(plan, entry, type == FD_TYPES__REG ? entry->reg->name : kind->name);
	return kind->plan(m, entry, plan, *slot, err);
}

int plan_file_slot(const struct model *m, struct plan *plan, FdTypes type, uint32_t id, int open_flags,
		   uint32_t *slot, struct err *err)
{
	struct program *c = plan->controller;
	FileEntry *entry;
	int ret;

	if (type != FD_TYPES__REG)
		return file_slot(m, plan, type, id, slot, err);
	ret = entry_of(m, type, id, &entry, err);
	if (ret < 0)
		return ret;
	uint32_t have = entry->reg->flags & (O_ACCMODE | O_PATH), want = (uint32_t)open_flags & (O_ACCMODE | O_PATH);
	if (have == want || have == O_RDWR || want & O_PATH)
		return file_slot(m, plan, type, id, slot, err);
	if (file_slot_known(plan, type, id, want, slot))
		return 0;
	if (model_remap(m, id)) {
		/* All openings of a file without a name are made at once. */
		ret = file_slot(m, plan, type, id, slot, err);
		if (ret < 0)
			return ret;
		if (file_slot_known(plan, type, id, O_RDWR, slot))
			return 0;
		return err_image(err, "files.img: entry %u is a deleted file that nothing opens as its user needs it",
				 id);
	}
	ret = reg_check(entry->reg, err);
	if (ret < 0)
		return ret;
	*slot = file_slot_new(plan, type, id, want, entry->reg->name);
	plan_slot_is(plan, *slot,
		     program_call(c, MAKE_OBJECTS, "file, for a mapping", SYS_openat, A((uint64_t)AT_FDCWD),
				  A_DATA(program_string(c, entry->reg->name)),
				  A((uint64_t)open_flags | O_NOCTTY | O_CLOEXEC)));
	return 0;
}

static int by_fd(const void *va, const void *vb)
{
	const FdinfoEntry *const *a = va, *const *b = vb;

	return ((*a)->fd > (*b)->fd) - ((*a)->fd < (*b)->fd);
}

static uint64_t number_of(const struct plan_task *pt, uint32_t fd)
{
	return (uint64_t)pt->index << 32 | fd;
}

int file_comes(struct plan *plan, const struct plan_task *pt, uint32_t fd)
{
	uint32_t phase;

	return id_map_get(&file_plan_of(plan)->comes, number_of(pt, fd), &phase) ? (int)phase : 0;
}

static void comes_in(struct plan *plan, const struct plan_task *pt, const FdinfoEntry **same, size_t n, int phase)
{
	for (size_t i = 0; i < n; i++)
		id_map_put(&file_plan_of(plan)->comes, plan->arena, number_of(pt, same[i]->fd), (uint32_t)phase);
}

/*
 * /proc/PID/... of the task itself names the process as it is then, so only the restored task can open it, when its
 * threads and memory are there; that of another task when all exist. Until then a stand-in keeps the number. What others
 * fetch is opened as soon as all exist.
 */
static void plan_tree_proc(struct plan *plan, struct plan_task *pt, const RegFileEntry *reg, bool fetched,
			   const FdinfoEntry **same, size_t n)
{
	const bool own = reg_is_own_proc(reg->name, pt->pid);
	struct program *prog = pt->threads[0].prog;
	int phase = fetched ? TASK_MM : own ? THREAD_SELF : TASK_CLOSE;
	struct step_ref opened;

	if (!fetched && !own && strstr(reg->name, "/task/")) { /* threads of others exist for certain only when all stand ready */
		if (!pt->threads[0].late)
			pt->threads[0].late = program_new();
		prog = pt->threads[0].late;
		phase = 0;
		comes_in(plan, pt, same, n, FILE_LATE);
	} else if (phase == THREAD_SELF) {
		comes_in(plan, pt, same, n, phase);
	}
	opened = program_call(prog, phase, "an entry of a process in /proc", SYS_openat, A((uint64_t)AT_FDCWD),
			      A_DATA(program_string(prog, reg->name)), A((uint64_t)reg_open_flags(reg->flags)));
	for (size_t i = 0; i < n; i++)
		program_call_eq(prog, phase, "in its place", same[i]->fd, SYS_dup3, A_RESULT(opened), A(same[i]->fd),
				A(same[i]->flags & 1 ? O_CLOEXEC : 0));
	program_call(prog, phase, "was only for opening", SYS_close, A_RESULT(opened));
	if (reg->pos && reg->pos != UINT64_MAX && !(reg->flags & O_PATH))
		program_call_eq(prog, phase, "position", reg->pos, SYS_lseek, A(same[0]->fd), A(reg->pos),
				A(SEEK_SET));
}

bool reg_is_tree_proc(const struct model *m, const char *name)
{
	pid_t pid = reg_proc_pid(name);

	for (size_t i = 0; pid && i < m->ntasks; i++)
		if ((pid_t)m->tasks[i].pstree->pid == pid)
			return true;
	return false;
}

bool file_opened_late(const struct model *m, const FileEntry *e)
{
	return (e->type == FD_TYPES__REG && e->reg && reg_is_tree_proc(m, e->reg->name)) ||
	       (e->type == FD_TYPES__PIDFD && e->pidfd && e->pidfd->nspid != -1) ||
	       (e->type == FD_TYPES__TTY && e->tty && e->tty->tty_info_id == TTY_ID(TTY_ID_CTTY, false));
}

static uint32_t stand_in(struct plan *plan)
{
	struct program *c = plan->controller;
	uint32_t slot;

	if (file_slot_known(plan, FD_TYPES__UND, 0, O_PATH, &slot))
		return slot;
	slot = file_slot_new(plan, FD_TYPES__UND, 0, O_PATH, "keeps numbers free");
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "keeps numbers free", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(c, "/")), A(O_PATH | O_CLOEXEC)));
	return slot;
}

/* Opens one description and gives it all its numbers. */
static int place(const struct model *m, struct plan *plan, struct plan_task *pt, const FdinfoEntry **same, size_t n,
		 struct err *err)
{
	struct program *prog = pt->threads[0].prog;
	FileEntry *entry;
	size_t opener = 0;
	uint32_t slot;
	int there, ret = entry_of(m, same[0]->type, same[0]->id, &entry, err);

	if (ret < 0)
		return ret;
	const bool proc = entry->type == FD_TYPES__REG && reg_is_tree_proc(m, entry->reg->name);
	const bool pidfd = entry->type == FD_TYPES__PIDFD && entry->pidfd->nspid != -1;
	/* What means a thread is opened too late for being fetched. */
	const bool fetched = ((proc && !strstr(entry->reg->name, "/task/")) || (pidfd && !pidfd_of_thread(m, entry))) &&
			     file_opened_by(m, plan, entry, &opener, &there);
	if (fetched && opener != pt->index) {
		slot = stand_in(plan);
		file_pull(plan, pt, opener, there, same, n);
	} else if (proc) {
		slot = stand_in(plan);
		ret = reg_check(entry->reg, err);
	} else if (pidfd) {
		slot = stand_in(plan);
		ret = pidfd_place(m, entry, pt, fetched, same, n, err);
		if (pidfd_of_thread(m, entry))
			comes_in(plan, pt, same, n, FILE_LATE);
	} else {
		ret = file_slot(m, plan, entry->type, entry->id, &slot, err);
	}
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++)
		program_call_eq(prog, TASK_FILES, "descriptor", same[i]->fd, SYS_dup3, A_SLOT(slot), A(same[i]->fd),
				A(same[i]->flags & 1 ? O_CLOEXEC : 0));
	if (proc && !(fetched && opener != pt->index))
		plan_tree_proc(plan, pt, entry->reg, fetched, same, n);
	return 0;
}

/* Has the table all numbers that the set watches? sorted is by number. */
static bool has_targets(FdinfoEntry **sorted, size_t n, const EventpollFileEntry *e)
{
	for (size_t i = 0; i < e->n_tfd; i++) {
		FdinfoEntry key = { .fd = e->tfd[i]->tfd }, *k = &key;

		if (!e->tfd[i]->has_holder && (!n || !bsearch(&k, sorted, n, sizeof(*sorted), by_fd)))
			return false;
	}
	return true;
}

/* A set of epoll is filled by the first holder that has what is watched, under the same numbers. */
static bool another_fills(const struct model *m, const struct plan_task *pt, const FileEntry *entry, FdinfoEntry **sorted,
			  size_t n)
{
	if (entry->type != FD_TYPES__EVENTPOLL || has_targets(sorted, n, entry->epfd))
		return false;
	for (size_t i = pt->index + 1; i < m->ntasks; i++) {
		const struct model_task *t = &m->tasks[i];
		cleanup_free FdinfoEntry **v = NULL;
		bool holds = false;

		for (size_t k = 0; k < t->nfds && !holds; k++)
			holds = t->fds[k]->type == entry->type && t->fds[k]->id == entry->id;
		if (!holds)
			continue;
		v = xreallocarray(NULL, t->nfds, sizeof(*v));
		memcpy(v, t->fds, t->nfds * sizeof(*v));
		qsort(v, t->nfds, sizeof(*v), by_fd);
		if (has_targets(v, t->nfds, entry->epfd))
			return true;
	}
	return false;
}

/* What only the task can do, when all its descriptors are in place. */
static int finish(const struct model *m, struct plan *plan, struct plan_task *pt, const FdinfoEntry *fd,
		  FdinfoEntry **sorted, size_t n, struct err *err)
{
	const FileEntry *entry = model_file(m, fd->type, fd->id);
	const struct file_kind *kind = kind_of(entry->type);
	const uint64_t key = (uint64_t)entry->type << 32 | entry->id;
	uint32_t done;

	/* What only a holder can do is done by the first one, for all that share the description. */
	const bool first = !id_map_get(&file_plan_of(plan)->finished, key, &done);
	if (!(first || kind->each_holder) || another_fills(m, pt, entry, sorted, n))
		return 0;
	if (first)
		id_map_put(&file_plan_of(plan)->finished, plan->arena, key, 1);
	if (kind->plan_task) {
		int ret = kind->plan_task(m, entry, (int)fd->fd, plan, pt, err);
		if (ret < 0)
			return ret;
	}
	return first ? fown_plan(m, plan, entry, (int)fd->fd, pt, err) : 0;
}

/* Whatever is not in the table goes: images, slots, the controller's own descriptors. */
static void plan_close(struct program *prog, FdinfoEntry **sorted, size_t n)
{
	uint64_t next = 0;

	for (size_t i = 0; i < n; i++) {
		if (sorted[i]->fd > next)
			program_call(prog, TASK_CLOSE, "descriptors of nobody", SYS_close_range, A(next),
				     A(sorted[i]->fd - 1), A(0));
		next = (uint64_t)sorted[i]->fd + 1;
	}
	program_call(prog, TASK_CLOSE, "descriptors of nobody", SYS_close_range, A(next), A(UINT32_MAX), A(0));
}

static int by_description(const void *va, const void *vb)
{
	const FdinfoEntry *const *a = va, *const *b = vb;

	if ((*a)->type != (*b)->type)
		return (*a)->type < (*b)->type ? -1 : 1;
	if ((*a)->id != (*b)->id)
		return (*a)->id < (*b)->id ? -1 : 1;
	return by_fd(va, vb);
}

static bool same_description(const FdinfoEntry *a, const FdinfoEntry *b)
{
	return a->type == b->type && a->id == b->id;
}

int plan_files(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
	       struct err *err)
{
	size_t n = task->nfds;
	FdinfoEntry **sorted = arena_alloc(plan->arena, (n + 1) * sizeof(*sorted));
	FdinfoEntry **byid = arena_alloc(plan->arena, (n + 1) * sizeof(*byid));
	int ret;

	if (n) {
		memcpy(sorted, task->fds, n * sizeof(*sorted));
		memcpy(byid, task->fds, n * sizeof(*byid));
	}
	qsort(sorted, n, sizeof(*sorted), by_fd);
	for (size_t i = 0; i < n; i++) {
		if (sorted[i]->fd > INT32_MAX)
			return err_image(err, "fdinfo: descriptor %u is out of range", sorted[i]->fd);
		if (i && sorted[i]->fd == sorted[i - 1]->fd)
			return err_image(err, "fdinfo: descriptor %u is there twice", sorted[i]->fd);
	}
	qsort(byid, n, sizeof(*byid), by_description);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && same_description(byid[i], byid[end]); end++)
			;
		ret = place(m, plan, pt, (const FdinfoEntry **)&byid[i], end - i, err);
		ret = plan_note(plan, pt, err_object(err, ret, "fd %u", byid[i]->fd), err);
		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < n; i++) {
		if (i && same_description(byid[i - 1], byid[i]))
			continue;
		ret = finish(m, plan, pt, byid[i], sorted, n, err);
		ret = plan_note(plan, pt, err_object(err, ret, "fd %u", byid[i]->fd), err);
		if (ret < 0)
			return ret;
	}
	plan_close(pt->threads[0].prog, sorted, n);
	return 0;
}
