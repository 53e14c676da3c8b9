/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a checkpoint: inventory and process tree first, then the images of each task, then what tasks share.
 * Every check that needs only images is made here or in verify_*.c, before any process exists.
 */
#include "common/image/chain.h"
#include "common/image/pstree.h"
#include "common/restore/model.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/aside.h"
#include "common/base/findings.h"
#include "common/ipc/ipcns.h"
#include "common/restore/verify.h"

/* The kernel's own limit of pid_max on 64-bit (include/linux/threads.h: PID_MAX_LIMIT). */
#define PID_LIMIT (4u << 20)

static int put_where(struct err *err, const struct where *at, int ret)
{
	char name[64];

	image_name(at->kind, at->id, name);
	if (at->entry < 0)
		return err_object(err, ret, "%s", name);
	return err_object(err, ret, "%s: entry %ld", name, at->entry);
}

int bad_image(struct err *err, const struct where *at, const char *fmt, ...)
{
	char text[sizeof(err->reason)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return put_where(err, at, err_image(err, "%s", text));
}

int cannot_restore(struct err *err, const struct where *at, const char *fmt, ...)
{
	char text[sizeof(err->reason)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return put_where(err, at, err_refuse(err, "%s", text));
}

static int load_inventory(struct model *m, struct err *err)
{
	ProtobufCMessage *msg;
	InventoryEntry *inv;
	int ret = image_read_one(m->dir, IMG_INVENTORY, 0, m->arena, &msg, err);

	if (ret)
		return ret == -ENOENT ? err_hint(err, ret, "--images-dir names the directory that cr-dump has written") : ret;
	inv = m->inventory = (InventoryEntry *)msg;
	ret = chain_refuse_given(image_dir_sealed(m->dir), err);
	if (ret)
		return err_object(err, ret, "%s", image_dir_path(m->dir));
	if (inv->img_version != 2 && inv->img_version != 3)
		return bad_image(err, AT(INVENTORY, 0, 0), "image version %u is not known: 2 (v1.1) and 3 are",
				 inv->img_version);
	if (!inv->has_fdinfo_per_id || !inv->fdinfo_per_id)
		return bad_image(err, AT(INVENTORY, 0, 0),
				 "descriptors are not kept by files id: this layout is too old");
	if (!inv->root_ids)
		return bad_image(err, AT(INVENTORY, 0, 0), "root_ids is missing");
	if (inv->has_root_cg_set && !inv->root_cg_set)
		return bad_image(err, AT(INVENTORY, 0, 0), "root_cg_set is 0");
	if (inv->plugins_entry && inv->plugins_entry->n_plugins)
		return cannot_restore(err, AT(INVENTORY, 0, 0), "the checkpoint needs the plugin %s",
				      inv->plugins_entry->plugins[0]);
	return 0;
}

static int check_tree_entry(const struct model *m, size_t i, const PstreeEntry *e, struct err *err)
{
	const struct where *at = AT(PSTREE, 0, (long)i);

	if (e->pid == 0 || e->pid > PID_LIMIT)
		return bad_image(err, at, "pid %u is no process id", e->pid);
	if (e->pgid > PID_LIMIT || e->sid > PID_LIMIT)
		return bad_image(err, at, "process group %u or session %u is no process id", e->pgid, e->sid);
	if ((i == 0) != (e->ppid == 0))
		return bad_image(err, at,
				 i ? "pid %u is a second root of the tree"
				   : "pid %u: the root must come first, with ppid 0",
				 e->pid);
	if (!e->n_threads)
		return bad_image(err, at, "pid %u has no threads", e->pid);
	if (pstree_is_zombie(e))
		return i ? 0 : cannot_restore(err, at, "pid %u, the root of the tree, is a zombie", e->pid);
	if (e->threads[0] != e->pid)
		return bad_image(err, at, "the first thread of pid %u is %u, not itself", e->pid, e->threads[0]);
	if (e->pid == 1)
		return cannot_restore(err, at, "pid 1: the tree has a pid namespace of its own");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int check_tids(const struct model *m, struct err *err)
{
	cleanup_free uint32_t *all = NULL;
	size_t n = 0, k = 0;

	for (size_t i = 0; i < m->ntasks; i++)
		n += m->tasks[i].nthreads;
	all = xreallocarray(NULL, n, sizeof(*all));
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t j = 0; j < m->tasks[i].nthreads; j++)
			all[k++] = (uint32_t)m->tasks[i].threads[j].tid;
	qsort(all, n, sizeof(*all), by_number);
	for (size_t i = 0; i < n; i++) {
		if (all[i] == 0 || all[i] > PID_LIMIT)
			return bad_image(err, AT(PSTREE, 0, -1), "%u is no thread id", all[i]);
		if (i && all[i] == all[i - 1])
			return bad_image(err, AT(PSTREE, 0, -1), "thread %u is there twice", all[i]);
	}
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct model_task *x = *(struct model_task *const *)a, *y = *(struct model_task *const *)b;

	return x->pstree->pid < y->pstree->pid ? -1 : x->pstree->pid > y->pstree->pid;
}

/* Parents come before their children, and live. */
static int find_parents(struct model *m, struct err *err)
{
	cleanup_free struct model_task **sorted = xreallocarray(NULL, m->ntasks, sizeof(*sorted));

	for (size_t i = 0; i < m->ntasks; i++)
		sorted[i] = &m->tasks[i];
	qsort(sorted, m->ntasks, sizeof(*sorted), by_pid);
	for (size_t i = 1; i < m->ntasks; i++) {
		struct model_task *t = &m->tasks[i], **hit;
		PstreeEntry want = { .pid = t->pstree->ppid };
		struct model_task key = { .pstree = &want }, *k = &key;

		hit = bsearch(&k, sorted, m->ntasks, sizeof(*sorted), by_pid);
		if (!hit || *hit >= t)
			return bad_image(err, AT(PSTREE, 0, (long)i), "pid %u has no parent %u before it",
					 t->pstree->pid, t->pstree->ppid);
		if ((*hit)->zombie)
			return bad_image(err, AT(PSTREE, 0, (long)i), "pid %u is the child of %u, a zombie",
					 t->pstree->pid, t->pstree->ppid);
		t->parent = (size_t)(*hit - m->tasks);
	}
	return 0;
}

static int load_tree(struct model *m, struct err *err)
{
	ProtobufCMessage **v;
	size_t n;
	int ret = image_read_all(m->dir, IMG_PSTREE, 0, m->arena, &v, &n, NULL, err);

	if (ret)
		return ret;
	if (!n)
		return err_hint(err, bad_image(err, AT(PSTREE, 0, -1), "no process tree"),
				"a pre-dump has memory only: restore the dump that was made upon it");
	m->tasks = arena_alloc(m->arena, n * sizeof(*m->tasks));
	for (size_t i = 0; i < n; i++) {
		PstreeEntry *e = (PstreeEntry *)v[i];
		struct model_task *t = &m->tasks[i];

		ret = check_tree_entry(m, i, e, err);
		if (ret)
			return ret;
		t->pstree = e;
		t->pages.fd = t->pages.file.fd = -1;
		t->nthreads = e->n_threads;
		t->threads = arena_alloc(m->arena, t->nthreads * sizeof(*t->threads));
		for (size_t j = 0; j < t->nthreads; j++)
			t->threads[j].tid = (pid_t)e->threads[j];
		t->zombie = pstree_is_zombie(e);
		if (t->zombie)
			t->threads[0].tid = (pid_t)e->pid;
		t->files_owner = t->vm_owner = t->fs_owner = i;
		m->ntasks = i + 1;
	}
	ret = check_tids(m, err);
	return ret ? ret : find_parents(m, err);
}

/* Every namespace of the task must be the one that the dumper lived in: the host's. See ipcns_load() for that of IPC. */
static int check_namespaces(const struct model *m, const struct model_task *t, struct err *err)
{
	const TaskKobjIdsEntry *r = m->inventory->root_ids, *i = t->ids;
	const struct { const char *name; bool has; uint32_t a, b; } v[] = {
		{ "pid", i->has_pid_ns_id && r->has_pid_ns_id, i->pid_ns_id, r->pid_ns_id },
		{ "network", i->has_net_ns_id && r->has_net_ns_id, i->net_ns_id, r->net_ns_id },
		{ "UTS", i->has_uts_ns_id && r->has_uts_ns_id, i->uts_ns_id, r->uts_ns_id },
		{ "mount", i->has_mnt_ns_id && r->has_mnt_ns_id, i->mnt_ns_id, r->mnt_ns_id },
		{ "user", i->has_user_ns_id && r->has_user_ns_id, i->user_ns_id, r->user_ns_id },
		{ "cgroup", i->has_cgroup_ns_id && r->has_cgroup_ns_id, i->cgroup_ns_id, r->cgroup_ns_id },
		{ "time", i->has_time_ns_id && r->has_time_ns_id, i->time_ns_id, r->time_ns_id },
	};

	if (i->files_id == r->files_id)
		return bad_image(err, AT(IDS, t->pstree->pid, 0), "files_id %u is the dumper's own", i->files_id);
	for (size_t k = 0; k < ARRAY_SIZE(v); k++)
		if (v[k].has && v[k].a != v[k].b)
			return cannot_restore(
				err, AT(IDS, t->pstree->pid, 0),
				"the task has a %s namespace of its own: only those of the host can be restored",
				v[k].name);
	return 0;
}

/* Who shares its parent's descriptor table has no list of its own. */
static int load_fds(struct model *m, struct model_task *t, size_t self, struct err *err)
{
	ProtobufCMessage **v;
	int ret;

	if (t->files_owner != self || !t->fds_known) {
		t->fds = NULL;
		t->nfds = 0;
	}
	if (t->files_owner != self || t->fds_known)
		return 0;
	ret = image_read_all(m->dir, IMG_FDINFO, t->ids->files_id, m->arena, &v, &t->nfds, NULL, err);
	t->fds = (FdinfoEntry **)v;
	return ret;
}

static uint32_t id_of(const struct model_task *t, size_t field)
{
	return *(const uint32_t *)(const void *)((const char *)t->ids + field);
}

/* What a task shares, it has from its parent. Ids go up, as a rule: then nobody can have had this one before. */
static int check_sharing(struct model *m, struct model_task *t, struct err *err)
{
	static const struct { const char *what; size_t field; } v[] = {
		{ "address space", offsetof(TaskKobjIdsEntry, vm_id) },
		{ "descriptor table", offsetof(TaskKobjIdsEntry, files_id) },
		{ "working directory and root", offsetof(TaskKobjIdsEntry, fs_id) },
		{ "signal handlers", offsetof(TaskKobjIdsEntry, sighand_id) },
	};
	const struct model_task *parent = &m->tasks[t->parent];
	bool shared[ARRAY_SIZE(v)] = { false };

	for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
		uint32_t id = id_of(t, v[k].field);

		shared[k] = t != parent && id && id == id_of(parent, v[k].field);
		for (const struct model_task *o = m->tasks; o < t && !shared[k] && id && id <= m->last_id[k]; o++)
			if (!o->zombie && id_of(o, v[k].field) == id)
				return cannot_restore(err, AT(IDS, t->pstree->pid, 0),
						      "it shares the %s of pid %u, which is not its parent", v[k].what,
						      o->pstree->pid);
		m->last_id[k] = MAX(m->last_id[k], id);
	}
	if (shared[3] && !shared[0]) /* kernel/fork.c: CLONE_SIGHAND takes CLONE_VM */
		return bad_image(err, AT(IDS, t->pstree->pid, 0),
				 "it shares signal handlers with its parent, but not the address space");
	t->vm_owner = shared[0] ? parent->vm_owner : t->vm_owner;
	t->files_owner = shared[1] ? parent->files_owner : t->files_owner;
	t->fs_owner = shared[2] ? parent->fs_owner : t->fs_owner;
	t->sighand_shared = shared[3];
	return 0;
}

/* Starting a thread of ours costs as much as reading the images of so many. */
#define SHARED_FROM 64
/* From so many tasks on, two threads read. */
#define TASKS_FOR_TWO 16

struct cores { const struct model *m; struct model_thread *v; size_t n; struct arena *arena; };

static int load_cores(void *arg, struct err *err)
{
	const struct cores *c = arg;

	for (size_t i = 0; i < c->n; i++) {
		struct model_thread *th = &c->v[i];
		struct err ignore = ERR_INIT;
		ProtobufCMessage *msg;
		int ret = image_read_one(c->m->dir, IMG_CORE, (unsigned long)th->tid, c->arena, &msg, err);

		if (ret)
			return ret;
		th->core = (CoreEntry *)msg;
		th->decoded = !arch_core_decode(th->core, c->arena, &th->regs, &th->fpu, &ignore);
	}
	return 0;
}

/* The images of all threads, by two of ours when there are many. */
static int load_threads(struct model *m, struct model_task *t, struct err *err)
{
	size_t half = t->nthreads < SHARED_FROM ? t->nthreads : t->nthreads / 2;
	struct cores mine = { m, t->threads, half, m->arena };
	struct cores other = { m, t->threads + half, t->nthreads - half, NULL };
	struct err later = ERR_INIT;
	struct aside beside;
	int ret, back;

	if (!other.n)
		return load_cores(&mine, err);
	if (!m->beside)
		m->beside = arena_new();
	other.arena = m->beside;
	aside_start(&beside, load_cores, &other);
	ret = load_cores(&mine, err);
	back = aside_join(&beside, ret ? &later : err);
	return ret ? ret : back;
}

static int load_mm(const struct model *m, struct model_task *t, struct arena *arena, struct err *err)
{
	ProtobufCMessage *msg;
	int ret = image_read_one(m->dir, IMG_MM, t->pstree->pid, arena, &msg, err);

	if (!ret)
		t->mm = (MmEntry *)msg;
	return ret;
}

static int load_fs(const struct model *m, struct model_task *t, struct arena *arena, struct err *err)
{
	ProtobufCMessage *msg;
	int ret = image_read_one(m->dir, IMG_FS, t->pstree->pid, arena, &msg, err);

	if (!ret)
		t->fs = (FsEntry *)msg;
	return ret;
}

/*
 * Of many tasks, two threads read the images before anybody makes sense of them, each the next task that nobody has. What cannot be read
 * is nobody's, or will be missed by load_task(), which reads it again.
 */
struct ahead { struct model *m; size_t *next; struct arena *arena; };

static int load_ahead(void *arg, struct err *err)
{
	const struct ahead *a = arg;
	struct model *m = a->m;
	uint32_t last = 0; /* ids go up, as a rule: a table that many share is not read for each of them */
	size_t i;

	while ((i = __atomic_fetch_add(a->next, 1, __ATOMIC_RELAXED)) < m->ntasks) {
		struct model_task *t = &m->tasks[i];
		struct cores c = { m, t->threads, t->nthreads, a->arena };
		struct err ignore = ERR_INIT;
		ProtobufCMessage *msg;
		bool absent = true;

		if (load_cores(&c, &ignore))
			t->threads[0].core = NULL;
		if (t->zombie || load_mm(m, t, a->arena, &ignore) || load_fs(m, t, a->arena, &ignore) ||
		    image_read_one(m->dir, IMG_IDS, t->pstree->pid, a->arena, &msg, &ignore))
			continue;
		t->ids = (TaskKobjIdsEntry *)msg;
		if (t->ids->files_id > last) {
			t->fds_known = !image_read_all(m->dir, IMG_FDINFO, t->ids->files_id, a->arena, (ProtobufCMessage ***)&t->fds,
						       &t->nfds, NULL, &ignore);
			last = t->ids->files_id;
		}
		t->pagemap_known = !image_read_all(m->dir, IMG_PAGEMAP, t->pstree->pid, a->arena, &t->pagemap, &t->npagemap,
						   &absent, &ignore) && !absent;
	}
	return 0;
}

static int load_task(struct model *m, struct model_task *t, struct err *err)
{
	unsigned long pid = t->pstree->pid;
	ProtobufCMessage *msg;
	int ret = t->threads[0].core ? 0 : load_threads(m, t, err);

	if (ret || t->zombie)
		return ret;
	if (!t->ids) {
		ret = image_read_one(m->dir, IMG_IDS, pid, m->arena, &msg, err);
		if (ret)
			return ret;
		t->ids = (TaskKobjIdsEntry *)msg;
	}
	ret = check_namespaces(m, t, err);
	if (!ret)
		ret = check_sharing(m, t, err);
	if (ret)
		return ret;
	const size_t self = (size_t)(t - m->tasks);

	if (t->vm_owner != self)
		t->mm = NULL;
	else if (!t->mm)
		ret = load_mm(m, t, m->arena, err);
	if (!ret && t->fs_owner != self)
		t->fs = m->tasks[t->fs_owner].fs;
	else if (!ret && !t->fs)
		ret = load_fs(m, t, m->arena, err);
	if (!ret)
		ret = load_fds(m, t, self, err);
	if (ret || !t->mm)
		return ret;
	if (t->pagemap_known)
		return model_take_pages(m, IMG_PAGEMAP, pid, t->pagemap, t->npagemap, &t->pages, err);
	return model_load_pages(m, IMG_PAGEMAP, pid, &t->pages, err);
}

static int load_clocks(struct model *m, struct err *err)
{
	ProtobufCMessage **v;
	size_t n;
	int ret = image_read_all(m->dir, IMG_TIMENS, 0, m->arena, &v, &n, NULL, err);

	if (ret || !n)
		return ret;
	m->clocks = (const TimensEntry *)v[0];
	if (m->clocks->monotonic->tv_nsec > 999999999 || m->clocks->boottime->tv_nsec > 999999999)
		return bad_image(err, AT(TIMENS, 0, 0), "a second has no more than 999999999 nanoseconds");
	return 0;
}

/* In a check: this task is nobody of whom more than ids is known, and the others go on. Else ret. */
static int lose(struct model *m, struct model_task *t, int ret, struct err *err)
{
	if (!m->found || !ret)
		return ret;
	findings_take(m->found, err);
	for (size_t i = 0; i < t->nthreads; i++) {
		CoreEntry *core = t->threads[i].core = arena_msg(m->arena, CoreEntry, core_entry__init);

		core->tc = arena_msg(m->arena, TaskCoreEntry, task_core_entry__init);
		core->thread_core = arena_msg(m->arena, ThreadCoreEntry, thread_core_entry__init);
	}
	if (!t->ids)
		t->ids = arena_msg(m->arena, TaskKobjIdsEntry, task_kobj_ids_entry__init);
	t->lost = t->zombie = true;
	t->mm = NULL;
	t->fs = NULL;
	t->nfds = 0;
	return 0;
}

static int load_tasks(struct model *m, struct err *err)
{
	struct aside beside;
	size_t next = 0;
	int ret = 0;

	if (m->ntasks >= TASKS_FOR_TWO && !m->found) {
		struct ahead mine = { m, &next, m->arena }, hers = { m, &next, m->later = arena_new() };

		aside_start(&beside, load_ahead, &hers);
		load_ahead(&mine, err);
		ret = aside_join(&beside, err);
	}
	for (size_t i = 0; !ret && i < m->ntasks; i++)
		ret = lose(m, &m->tasks[i], load_task(m, &m->tasks[i], err), err);
	return ret;
}

static int load_beginning(struct model *m, struct err *err)
{
	int ret = findings_note(m->found, load_inventory(m, err), err);

	if (!ret && (!m->inventory || !m->inventory->root_ids)) {
		m->inventory = arena_msg(m->arena, InventoryEntry, inventory_entry__init);
		m->inventory->root_ids = arena_msg(m->arena, TaskKobjIdsEntry, task_kobj_ids_entry__init);
	}
	if (!ret)
		ret = load_tree(m, err);
	if (ret)
		m->ntasks = 0; /* a check has nobody to look at */
	return findings_note(m->found, ret, err);
}

/* The shared part of files.img and its like; a check goes on without. */
static int load_shared(struct model *m, bool *known, struct err *err)
{
	int ret = m->found && m->found->n ? 0 : model_resolve_cow(m, err);

	if (!ret)
		ret = m->ntasks ? model_load_files(m, err) : 0;
	*known = !ret;
	if (ret && m->found)
		m->nfiles = m->nremaps = m->npipe_data = m->nmemfds = m->nshmem = 0;
	return findings_note(m->found, ret, err);
}

static int load(struct model *m, struct err *err)
{
	int ret = load_beginning(m, err);
	bool files_known = true;

	if (!ret)
		ret = load_tasks(m, err);
	if (!ret)
		ret = load_shared(m, &files_known, err);
	if (!ret)
		ret = image_read_all(m->dir, IMG_FILE_LOCKS, 0, m->arena, (ProtobufCMessage ***)&m->locks, &m->nlocks,
				     NULL, err);
	if (!ret) {
		ProtobufCMessage **v;
		size_t n;

		ret = image_read_all(m->dir, IMG_SECCOMP, 0, m->arena, &v, &n, NULL, err);
		m->seccomp = !ret && n ? (const SeccompEntry *)v[0] : NULL;
		if (!ret)
			ret = image_read_all(m->dir, IMG_CGROUP, 0, m->arena, &v, &n, NULL, err);
		m->cgroup = !ret && n ? (const CgroupEntry *)v[0] : NULL;
	}
	if (!ret)
		ret = load_clocks(m, err);
	if (!ret && m->ntasks)
		ret = ipcns_load(m, err);
	ret = findings_note(m->found, ret, err);
	for (size_t i = 0; !ret && i < m->ntasks; i++) {
		struct model_task *t = &m->tasks[i];
		const char *comm;

		if (t->lost)
			continue;
		ret = verify_core(m, t, err);
		comm = t->threads[0].core->tc ? t->threads[0].core->tc->comm : NULL;
		if (!ret && !t->zombie && files_known)
			ret = verify_fds(m, t, err);
		if (!ret && !t->zombie && t->fs)
			ret = verify_fs(m, t, err);
		if (!ret && t->mm)
			ret = verify_mm(m, t, err);
		if (ret)
			err_task(err, (pid_t)t->pstree->pid, comm, ret);
		ret = lose(m, t, ret, err);
	}
	return ret;
}

static int make_model(struct image_dir *dir, struct findings *found, bool glance, struct model **out, struct err *err)
{
	struct model *m = xzalloc(sizeof(*m));
	int ret;

	m->found = found;
	m->glance = glance;
	m->arena = arena_new();
	m->dir = dir;
	ret = load(m, err);
	if (ret) {
		model_free(m);
		*out = NULL;
		return ret;
	}
	*out = m;
	return 0;
}

int model_load(struct image_dir *dir, struct model **out, struct err *err)
{
	return make_model(dir, NULL, false, out, err);
}

int model_check(struct image_dir *dir, struct findings *found, struct model **out, struct err *err)
{
	return make_model(dir, found, false, out, err);
}

int model_glance(struct image_dir *dir, struct model **out, struct err *err)
{
	return make_model(dir, NULL, true, out, err);
}

static void close_pages(struct model_pages *p)
{
	image_file_close(&p->file);
	for (size_t i = 1; i < p->nfiles; i++)
		if (p->files[i] >= 0)
			close(p->files[i]);
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->ntasks; i++)
		close_pages(&m->tasks[i].pages);
	for (size_t i = 0; i < m->nshmem; i++)
		close_pages(&m->shmem[i].pages);
	/* The first directory is not ours. */
	for (size_t i = 1; m->chain && i < m->chain->n; i++)
		image_dir_free(m->chain->dirs[i]);
	arena_free(m->arena);
	arena_free(m->beside);
	arena_free(m->later);
	free(m);
}

void model_freep(struct model **m)
{
	model_free(*m);
}
