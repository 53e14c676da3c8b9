/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flags of mappings are in smaps, for which the kernel writes 700 bytes for each of them and walks all page tables: 4 us a mapping
 * and 12 ms for 1 GiB of small pages. Where there is much of that, a BPF iterator tells places and flags; and instead of pages that
 * are found to be shared, it tells who could share them. Names are asked for one by one where most mappings have none, and else read
 * from maps. Whatever does not fit, for whatever reason, is read from smaps after all.
 */
#include "common/mm/look.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "common/base/aside.h"
#include "common/bpf/iter.h"
#include "common/mm/private.h"
#include "common/mm/vmflags.h"

/* From so much on, preparing takes less than it saves. */
enum { MANY_TASKS = 32, MANY_MAPPINGS = 512, MUCH_PAGES = 32768 };

/* Of vm_area_struct: numbers in a row. */
enum field { START, END, FLAGS, ANON, ROOT, CHILDREN, USERS, FIRST, LAST, HAS_FILE, OPS, ANON_NAME, POLICY, OPS_POLICY, FIELDS };
static const char *const paths[FIELDS] = {
	[START] = "vm_start",
	[END] = "vm_end",
	[FLAGS] = "vm_flags",
	[ANON] = "anon_vma",
	[ROOT] = "anon_vma->root",
	[CHILDREN] = "anon_vma->num_children",
	[USERS] = "anon_vma->num_active_vmas",
	[FIRST] = "anon_vma_chain.next",
	[LAST] = "anon_vma_chain.prev",
	[HAS_FILE] = "vm_file",
	[OPS] = "vm_ops",
	[ANON_NAME] = "anon_name", /* CONFIG_ANON_VMA_NAME */
	[POLICY] = "vm_policy", /* CONFIG_NUMA */
	[OPS_POLICY] = "vm_ops->get_policy",
};
#define NEEDED (1ull << START | 1ull << END | 1ull << FLAGS)
/* For who may share its pages, for whether it has a name, and whether a NUMA policy. */
#define FOR_SHARING (1ull << ANON | 1ull << ROOT | 1ull << CHILDREN | 1ull << USERS | 1ull << FIRST | 1ull << LAST)
#define FOR_NAMES (1ull << HAS_FILE | 1ull << OPS)
#define FOR_POLICY (1ull << POLICY | 1ull << OPS_POLICY)

struct mm_look {
	pthread_mutex_t lock;
	bool prepared; /* set beside: whoever waits waits no more */
	struct aside preparing;
	struct iter iter;
	struct vmflags flags;
	struct proc_map gate; /* that every task shows; empty: none */
	struct err why; /* kind 0: it can be used */
};

struct mm_look *mm_look_new(void)
{
	struct mm_look *l = xzalloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	l->iter.prog = -1;
	return l;
}

void mm_look_free(struct mm_look *l)
{
	struct err ignore = ERR_INIT;

	if (!l)
		return;
	aside_join(&l->preparing, &ignore);
	iter_close(&l->iter);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* ---- what the bits mean ---- */

static int prepare(void *arg, struct err *err)
{
	struct mm_look *l = arg;
	int ret = iter_load(ITER_VMA, paths, FIELDS, NEEDED, &l->iter, err);

	if (!ret)
		ret = vmflags_probe(&l->iter, START, FLAGS, &l->flags, &l->gate, err);
	__atomic_store_n(&l->prepared, true, __ATOMIC_RELEASE);
	return ret;
}

static void begin(struct mm_look *l)
{
	pthread_mutex_lock(&l->lock);
	if (!aside_begun(&l->preparing))
		aside_start(&l->preparing, prepare, l);
	pthread_mutex_unlock(&l->lock);
}

void mm_look_begin(const struct dump *d)
{
	uint64_t pages = 0, threads = 0;
	size_t n = 0;

	for (size_t i = 0; i < d->ntasks; i++)
		if (!d->tasks[i]->zombie) {
			pages += d->tasks[i]->stat.rss;
			threads = MAX(threads, d->tasks[i]->fz.nthreads);
			n++;
		}
	/* A thread has a stack, and a guard before it. */
	if (n >= MANY_TASKS || pages >= MUCH_PAGES || 2 * threads >= MANY_MAPPINGS)
		begin(d->mm_look);
}

/* Whether it can be used; waits until that is known. */
static bool is_ready(struct mm_look *l, const struct log *log)
{
	bool ready;

	pthread_mutex_lock(&l->lock);
	if (aside_join(&l->preparing, &l->why))
		log_debug(log, "mappings are read from smaps: %s", l->why.reason);
	ready = l->why.kind == ERR_NONE;
	pthread_mutex_unlock(&l->lock);
	return ready;
}

/* ---- what is in the rows ---- */

/*
 * Whether pages of it may be mapped elsewhere, too. Its anonymous pages belong to its anon_vma, or to one of those that it has from
 * fork(2) (mm/rmap.c, anon_vma_clone() and anon_vma_fork(), Linux 6.0 to 6.18). It has no other when there is one entry in its
 * chain; and nobody else has pages of that one when it has no children but itself and all mappings that use it are here.
 */
static bool may_share(const struct mm_look *l, const uint64_t *row, const struct id_map *users)
{
	uint32_t here = 0;

	if (!row[ANON])
		return false;
	if (l->iter.absent & FOR_SHARING || row[ANON] != row[ROOT] || row[CHILDREN] != 1 || row[FIRST] != row[LAST])
		return true;
	return !id_map_get(users, row[ANON], &here) || here != row[USERS];
}

static void count_users(const struct iter_rows *rows, struct arena *arena, struct id_map *users)
{
	for (size_t i = 0; i < rows->n; i++) {
		uint64_t anon = rows->v[i * FIELDS + ANON];
		uint32_t n = 0;

		if (!anon)
			continue;
		id_map_get(users, anon, &n);
		id_map_put(users, arena, anon, n + 1);
	}
}

/* Flags, and what else maps does not show. */
static bool take_flags(const struct mm_look *l, const uint64_t *row, const struct id_map *users, struct proc_map *m)
{
	m->has_flags = true;
	if (!vmflags_words(&l->flags, row[FLAGS], &m->vmflags))
		return false;
	m->may_share = may_share(l, row, users) || m->vmflags & VMF(mg);
	m->no_policy = !(l->iter.absent & FOR_POLICY) && !row[POLICY] && !row[OPS_POLICY];
	return true;
}

static bool may(const struct proc_map *m, uint64_t word)
{
	return m->vmflags & word;
}

/* Flags, of a mapping that was read in another way; false also when the two do not tell of the same. */
static bool add_flags(const struct mm_look *l, const uint64_t *row, const struct id_map *users, struct proc_map *m)
{
	return row[START] == m->start && row[END] == m->end && take_flags(l, row, users, m) && m->read == may(m, VMF(rd)) &&
	       m->write == may(m, VMF(wr));
}

/* The mappings as maps shows them, and the rows. */
static bool merge(const struct mm_look *l, const struct iter_rows *rows, const struct id_map *users, struct proc_maps *maps)
{
	size_t at = 0;

	for (size_t i = 0; i < maps->n; i++) {
		struct proc_map *m = &maps->v[i];

		m->has_flags = true;
		if (!vmflags_is_gate(m) && (at++ == rows->n || !add_flags(l, rows->v + (at - 1) * FIELDS, users, m)))
			return false;
	}
	return at == rows->n;
}

/* Whether maps may show a name for it (fs/proc/task_mmu.c, get_vma_name(), Linux 6.18). */
static bool may_have_name(const struct proc_stat *stat, const uint64_t *row, bool past_heap)
{
	return row[HAS_FILE] || row[OPS] || row[ANON_NAME] || (row[START] <= stat->start_stack && row[END] >= stat->start_stack) ||
	       (row[END] > stat->start_brk && !past_heap);
}

static bool most_have_names(const struct mm_look *l, const struct iter_rows *rows)
{
	size_t n = 0;

	if (l->iter.absent & FOR_NAMES)
		return true;
	for (size_t i = 0; i < rows->n; i++)
		n += rows->v[i * FIELDS + OPS] || rows->v[i * FIELDS + ANON_NAME];
	return 2 * n > rows->n;
}

/* The rows, and maps only where there is a name. */
static bool fill(const struct mm_look *l, const struct dump_task *t, const struct iter_rows *rows, const struct id_map *users,
		 struct arena *arena, struct proc_maps *maps)
{
	cleanup_fd int fd = openat(t->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	const struct proc_map *named = NULL;
	bool past_heap = false;

	maps->v = arena_alloc(arena, (rows->n + 1) * sizeof(*maps->v));
	for (maps->n = 0; maps->n < rows->n; maps->n++) {
		const uint64_t *row = rows->v + maps->n * FIELDS;
		struct proc_map *m = &maps->v[maps->n];

		if (may_have_name(&t->stat, row, past_heap)) {
			if (fd < 0 || proc_map_at(fd, row[START], arena, named, m) || !add_flags(l, row, users, m))
				return false;
			named = m;
			past_heap |= !row[HAS_FILE] && !row[OPS] && row[END] > t->stat.start_brk && strcmp(m->name, "[heap]");
			continue;
		}
		*m = (struct proc_map){ .start = row[START], .end = row[END], .name = "" };
		if (!take_flags(l, row, users, m))
			return false;
		m->read = may(m, VMF(rd));
		m->write = may(m, VMF(wr));
		m->exec = may(m, VMF(ex));
	}
	if (l->gate.end)
		maps->v[maps->n++] = l->gate;
	return true;
}

static bool look_at_rows(struct mm_look *l, struct dump_task *t, struct arena *arena, struct err *err)
{
	struct id_map users = { 0 };
	struct iter_rows rows;
	bool ok;

	if (iter_read(&l->iter, t->tid, &rows, err))
		return false;
	count_users(&rows, arena, &users);
	ok = !most_have_names(l, &rows) && fill(l, t, &rows, &users, arena, &t->maps);
	if (!ok && !proc_maps(t->proc_fd, arena, &t->maps, err))
		ok = merge(l, &rows, &users, &t->maps);
	iter_rows_free(&rows);
	return ok;
}

static bool is_prepared(struct mm_look *l)
{
	return __atomic_load_n(&l->prepared, __ATOMIC_ACQUIRE);
}

int mm_look(const struct dump *d, struct dump_task *t, struct arena *arena, struct err *err)
{
	struct mm_look *l = d->mm_look;
	struct err why = ERR_INIT;
	bool more = false;
	int ret;

	/* A small task need not wait for it. */
	if (!is_prepared(l) && t->stat.rss < MUCH_PAGES) {
		ret = proc_smaps(t->proc_fd, arena, &t->maps, MANY_MAPPINGS, &more, err);
		if (ret || !more)
			return ret;
	}
	begin(l);
	if (is_ready(l, d->log)) {
		if (look_at_rows(l, t, arena, &why))
			return 0;
		log_debug(d->log, "pid %d: mappings are read from smaps: %s", t->pid, why.kind ? why.reason : "not all is known");
	}
	return proc_smaps(t->proc_fd, arena, &t->maps, SIZE_MAX, &more, err);
}
