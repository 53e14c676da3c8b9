// SPDX-License-Identifier: GPL-2.0-or-later
/* Which descriptions have a slot in the plan already, and which entries belong together: searched, never walked. */
#include <string.h>
#include <sys/syscall.h>

#include "common/file/file.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	return x ^ x >> 33;
}

/* Linear probing; the key is stored plus one, 0 is empty. */
static size_t id_map_at(const struct id_map *map, uint64_t key)
{
	size_t i = mix(key) & (map->cap - 1);

	while (map->keys[i] && map->keys[i] != key + 1)
		i = (i + 1) & (map->cap - 1);
	return i;
}

bool id_map_get(const struct id_map *map, uint64_t key, uint32_t *value)
{
	if (!map->cap)
		return false;
	size_t i = id_map_at(map, key);
	if (!map->keys[i])
		return false;
	*value = map->values[i];
	return true;
}

void id_map_put(struct id_map *map, struct arena *arena, uint64_t key, uint32_t value)
{
	if (map->n * 2 >= map->cap) {
		struct id_map old = *map;
		map->cap = old.cap ? old.cap * 2 : 64;
		map->keys = arena_alloc(arena, map->cap * sizeof(*map->keys));
		map->values = arena_alloc(arena, map->cap * sizeof(*map->values));
		for (size_t k = 0; k < old.cap; k++) {
			if (!old.keys[k])
				continue;
			size_t at = id_map_at(map, old.keys[k] - 1);
			map->keys[at] = old.keys[k];
			map->values[at] = old.values[k];
		}
	}
	size_t i = id_map_at(map, key);
	map->n += !map->keys[i];
	map->keys[i] = key + 1;
	map->values[i] = value;
}

struct file_plan *file_plan_of(struct plan *plan)
{
	if (!plan->files)
		plan->files = arena_alloc(plan->arena, sizeof(*plan->files));
	return plan->files;
}

/* Types are below 32 but for two odd ones that no plan makes. */
static uint64_t slot_key(FdTypes type, uint32_t id, uint32_t flags)
{
	return (uint64_t)id << 32 | (uint64_t)((unsigned)type & 0x1f) << 24 | (flags & FILE_AS_ENTRY);
}

bool file_slot_known(struct plan *plan, FdTypes type, uint32_t id, uint32_t flags, uint32_t *slot)
{
	return id_map_get(&file_plan_of(plan)->slots, slot_key(type, id, flags), slot);
}

uint32_t file_slot_new(struct plan *plan, FdTypes type, uint32_t id, uint32_t flags, const char *what)
{
	char name[128];

	snprintf(name, sizeof(name), "file %u: %s", id, what);
	uint32_t slot = plan_slot(plan, name);
	id_map_put(&file_plan_of(plan)->slots, plan->arena, slot_key(type, id, flags), slot);
	return slot;
}

uint32_t file_slot_get(struct plan *plan, const FileEntry *entry, const char *what)
{
	uint32_t slot;

	if (!file_slot_known(plan, entry->type, entry->id, FILE_AS_ENTRY, &slot))
		slot = file_slot_new(plan, entry->type, entry->id, FILE_AS_ENTRY, what);
	return slot;
}

/* ---- groups ---- */

static bool group_key(const struct model *m, int group, size_t i, uint64_t *key)
{
	if (group == GROUP_GHOST) {
		const RemapFilePathEntry *r = m->remaps[i];
		*key = (uint64_t)(r->has_remap_type && r->remap_type == REMAP_TYPE__LINKED) << 32 | r->remap_id;
		return true;
	}
	const FileEntry *e = m->files[i];
	if (group == GROUP_PIPE && e->type == FD_TYPES__PIPE && e->pipe)
		*key = e->pipe->pipe_id;
	else if (group == GROUP_FIFO && e->type == FD_TYPES__FIFO && e->fifo)
		*key = e->fifo->pipe_id;
	else if (group == GROUP_UNIX && e->type == FD_TYPES__UNIXSK && e->usk)
		*key = e->usk->ino;
	else if (group == GROUP_TTY && e->type == FD_TYPES__TTY && e->tty)
		*key = e->tty->tty_info_id >> 1;
	else
		return false;
	return true;
}

static int by_key(const void *va, const void *vb)
{
	const struct file_group_index *a = va, *b = vb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return (a->i > b->i) - (a->i < b->i);
}

const struct file_group_index *file_group(const struct model *m, struct plan *plan, int group, uint64_t key, size_t *n)
{
	struct file_plan *fp = file_plan_of(plan);
	size_t all = group == GROUP_GHOST ? m->nremaps : m->nfiles;
	struct file_group_index *v = fp->groups[group].v;

	if (!fp->groups[group].built) {
		v = fp->groups[group].v = arena_alloc(plan->arena, (all + 1) * sizeof(*v));
		for (size_t i = 0; i < all; i++) {
			struct file_group_index *e = &v[fp->groups[group].n];
			if (group_key(m, group, i, &e->key)) {
				e->i = (uint32_t)i;
				fp->groups[group].n++;
			}
		}
		qsort(v, fp->groups[group].n, sizeof(*v), by_key);
		fp->groups[group].built = true;
	}
	size_t lo = 0, hi = fp->groups[group].n, end;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < fp->groups[group].n && v[end].key == key; end++)
		;
	*n = end - lo;
	return v + lo;
}

const struct model_pipe_data *file_pipe_data(const struct model *m, struct plan *plan, bool fifo, uint32_t pipe_id)
{
	struct file_plan *fp = file_plan_of(plan);
	uint32_t i;

	if (!fp->data_built) {
		for (size_t k = 0; k < m->npipe_data; k++)
			id_map_put(&fp->data, plan->arena,
				   (uint64_t)m->pipe_data[k].fifo << 32 | m->pipe_data[k].entry->pipe_id, (uint32_t)k);
		fp->data_built = true;
	}
	return id_map_get(&fp->data, (uint64_t)fifo << 32 | pipe_id, &i) ? &m->pipe_data[i] : NULL;
}

void file_reopen(struct plan *plan, uint32_t from, uint32_t to, uint32_t flags, const char *what)
{
	struct program *c = plan->controller;
	struct data_ref path = program_string(c, "/proc/self/fd/0");
	struct step_ref saved = program_try(c, MAKE_OBJECTS, "makes room", SYS_dup, A(0));

	program_call(c, MAKE_OBJECTS, "where it can be opened again", SYS_dup2, A_SLOT(from), A(0));
	plan_slot_is(plan, to, program_call(c, MAKE_OBJECTS, what, SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(path), A(flags)));
	program_try(c, MAKE_OBJECTS, "as before", SYS_dup2, A_RESULT(saved), A(0));
	program_try(c, MAKE_OBJECTS, "as before", SYS_close, A_RESULT(saved));
}
