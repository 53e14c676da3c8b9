/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "common/mm/previous.h"
#include "common/ipc/ipcns.h"
#include "common/task/cgroup.h"
#include "common/task/seccomp.h"
#include "common/sock/tcp.h"
#include "common/task/dead.h"
#include "common/task/kin.h"
#include "inventory.pb-c.h"
#include "pstree.pb-c.h"
#include "timens.pb-c.h"

/* Ids of the dumper's own objects; a task's (TASK_KOBJ) differ where it has its own. Any unique numbers do. */
enum { OWN_KOBJ = 1 };
static const struct ns {
	const char *name;
	size_t id, has; /* in TaskKobjIdsEntry */
	uint32_t own;
} namespaces[] = {
#define NS(link, field, n) { link, offsetof(TaskKobjIdsEntry, field), offsetof(TaskKobjIdsEntry, has_##field), n }
	NS("pid", pid_ns_id, 1),   NS("net", net_ns_id, 2), NS("ipc", ipc_ns_id, 3),   NS("uts", uts_ns_id, 4),
	NS("time", time_ns_id, 5), NS("mnt", mnt_ns_id, 6), NS("user", user_ns_id, 7), NS("cgroup", cgroup_ns_id, 8),
#undef NS
};

uint32_t identity_own_ns(const struct dump *d, const char *name)
{
	if (!strcmp(name, "ipc"))
		return ipcns_id(d);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (!strcmp(namespaces[i].name, name))
			return namespaces[i].own;
	return 0;
}

/* Links of /proc/self/ns: those of `namespaces`, then what children would get. */
static const char *const for_children[] = { "pid_for_children", "time_for_children" };
#define OWN_LINKS (ARRAY_SIZE(namespaces) + ARRAY_SIZE(for_children))
#define LINK_MAX 64
/* A task that does not live where the root does, in this kind of namespace. */
struct apart { bool looked; const char *kind; const struct dump_task *task; };
struct own_links { char link[OWN_LINKS][LINK_MAX]; struct apart apart; };

static const char *link_name(size_t i)
{
	return i < ARRAY_SIZE(namespaces) ? namespaces[i].name : for_children[i - ARRAY_SIZE(namespaces)];
}

void identity_read_own(struct dump *d)
{
	struct own_links *own = d->own_links = arena_alloc(d->arena, sizeof(*own));

	for (size_t i = 0; i < OWN_LINKS; i++) {
		char path[64];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", link_name(i));
		n = readlink(path, own->link[i], sizeof(own->link[i]) - 1);
		own->link[i][MAX(n, (ssize_t)0)] = 0;
	}
}

const char *identity_own_link(const struct dump *d, const char *name)
{
	for (size_t i = 0; i < OWN_LINKS; i++)
		if (!strcmp(link_name(i), name))
			return d->own_links->link[i];
	return "";
}

void identity_entered(struct dump *d, const char *name, const char *link)
{
	for (size_t i = 0; i < OWN_LINKS; i++)
		if (!strcmp(link_name(i), name))
			snprintf(d->own_links->link[i], sizeof(d->own_links->link[i]), "%s", link);
}

/* "net:[4026531840]"; false: the kernel has no such kind, or the task is gone. */
static bool read_link(const struct dump_task *t, const char *name, char out[LINK_MAX])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "ns/%s", name);
	n = readlinkat(t->proc_fd, path, out, LINK_MAX - 1);
	out[MAX(n, (ssize_t)0)] = 0;
	return n > 0;
}

/* The first living task that is not in the root's namespace of this kind; NULL: none. Who has his parent's is no news. */
static const struct dump_task *find_apart(const struct dump *d, const char *name)
{
	char roots[LINK_MAX], its[LINK_MAX];

	if (!read_link(d->tasks[0], name, roots))
		return NULL;
	for (size_t i = 1; i < d->ntasks; i++) {
		const struct dump_task *t = d->tasks[i];

		if (!t->zombie && !(t->kin & KIN_NAMESPACES) && read_link(t, name, its) && strcmp(roots, its))
			return t;
	}
	return NULL;
}

int identity_nowhere(const struct dump *d, int ret, struct err *err)
{
	const struct dump_task *root = d->tasks[0];
	struct apart a = d->own_links->apart;

	for (size_t i = 0; i < ARRAY_SIZE(namespaces) && !a.looked && !a.task; i++)
		a = (struct apart){ false, namespaces[i].name, find_apart(d, namespaces[i].name) };
	a.looked = true;
	if (d->found) /* one thread, which may ask again of each task */
		d->own_links->apart = a;
	if (!a.task)
		return ret;
	return err_hint(err, ret, "no place to run cr-dump helps: pid %d (%s) and pid %d (%s) of the tree live in different %s namespaces;"
			" some programs have a setting to make none of their own", root->pid, root->stat.comm, a.task->pid,
			a.task->stat.comm, a.kind);
}

int identity_check(const struct dump *d, struct err *err)
{
	if (d->task->kin & KIN_NAMESPACES)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		const char *own = d->own_links->link[i];
		char theirs[LINK_MAX];

		if (!read_link(d->task, namespaces[i].name, theirs)) {
			if (!*own)
				continue; /* a kind that this kernel does not have */
			return err_sys(err, "cannot read its %s namespace", namespaces[i].name);
		}
		if (!strcmp(own, theirs))
			continue;
		const bool entered = d->ipc_back && !strcmp(namespaces[i].name, "ipc");
		err_refuse(err, "it lives in another %s namespace than %s (%s)", namespaces[i].name,
			   entered ? "the first of the tree" : "the dumper", theirs);
		err_hint(err, identity_nowhere(d, -EINVAL, err), "run cr-dump inside that namespace: nsenter -t %d -a", d->task->pid);
		if (dump_note(d, -EINVAL, err))
			return -EINVAL;
	}
	return 0;
}

static void fill_ids(TaskKobjIdsEntry *ids, const struct dump_task *t)
{
	ids->vm_id = t->vm_id;
	ids->files_id = t->files_id;
	ids->fs_id = t->fs_id;
	ids->sighand_id = t->sighand_id;
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		*(uint32_t *)((char *)ids + namespaces[i].id) = namespaces[i].own;
		*(protobuf_c_boolean *)((char *)ids + namespaces[i].has) = true;
	}
}

/* A random (version 4) UUID in its text form. */
const char *dump_run_id(struct dump *d)
{
	unsigned char b[16] = { 0 };
	char *out = d->run_id;

	if (*out)
		return out;
	ssize_t got = getrandom(b, sizeof(b), 0);

	if (got < 0)
		memset(b, 0, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0, at = 0; i < 16; i++)
		at += snprintf(out + at, 37 - (size_t)at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       b[i]);
	return out;
}

static void put_inventory(struct dump *d)
{
	InventoryEntry inv = INVENTORY_ENTRY__INIT;
	PluginsEntry plugins = PLUGINS_ENTRY__INIT;
	TaskKobjIdsEntry own = TASK_KOBJ_IDS_ENTRY__INIT;
	const struct dump_task self = { .vm_id = OWN_KOBJ, .files_id = OWN_KOBJ, .fs_id = OWN_KOBJ,
					.sighand_id = OWN_KOBJ };

	fill_ids(&own, &self);
	/* Who does not know about pages of the parent process must not take them for zeros. */
	inv.img_version = d->stats.pages_cow ? 3 : 2;
	inv.has_fdinfo_per_id = inv.fdinfo_per_id = true;
	inv.has_ns_per_id = inv.ns_per_id = true;
	inv.root_ids = &own;
	inv.has_lsmtype = true;
	inv.lsmtype = LSMTYPE__NO_LSM;
	/* Where nothing was locked, whoever restores must not try to unlock. */
	inv.has_network_lock_method = true;
	inv.root_cg_set = cgroup_put(d);
	inv.has_root_cg_set = inv.root_cg_set;
	inv.network_lock_method = (uint32_t)tcp_lock_method(d);
	inv.has_tcp_close = inv.tcp_close = d->opts->tcp_close;
	inv.plugins_entry = &plugins;
	inv.dump_criu_run_id = (char *)(uintptr_t)dump_run_id(d);
	if (d->opts->prev_images_dir || d->opts->track_mem) {
		inv.has_dump_uptime = true;
		inv.dump_uptime = previous_uptime();
	}
	image_store_put(d->store, IMG_INVENTORY, 0, &inv.base);
}

void identity_put_before(struct dump *d)
{
	InventoryEntry inv = INVENTORY_ENTRY__INIT;
	PluginsEntry plugins = PLUGINS_ENTRY__INIT;
	TaskKobjIdsEntry own = TASK_KOBJ_IDS_ENTRY__INIT;
	const struct dump_task self = { .vm_id = OWN_KOBJ, .files_id = OWN_KOBJ, .fs_id = OWN_KOBJ,
					.sighand_id = OWN_KOBJ };

	fill_ids(&own, &self);
	inv.img_version = 2;
	inv.has_fdinfo_per_id = inv.fdinfo_per_id = true;
	inv.has_ns_per_id = inv.ns_per_id = true;
	inv.root_ids = &own;
	inv.has_lsmtype = true;
	inv.lsmtype = LSMTYPE__NO_LSM;
	inv.plugins_entry = &plugins;
	inv.has_dump_uptime = true;
	inv.dump_uptime = previous_uptime();
	inv.has_pre_dump_mode = true;
	inv.pre_dump_mode = 2; /* read while the tasks run */
	inv.dump_criu_run_id = (char *)(uintptr_t)dump_run_id(d);
	image_store_put(d->store, IMG_INVENTORY, 0, &inv.base);
}

static void put_pstree(struct dump *d, const struct dump_task *t)
{
	PstreeEntry e = PSTREE_ENTRY__INIT;

	e.pid = (uint32_t)t->pid;
	e.ppid = t->parent ? (uint32_t)t->parent->pid : 0;
	e.pgid = (uint32_t)t->stat.pgrp;
	e.sid = (uint32_t)t->stat.session;
	e.n_threads = t->zombie ? 1 : t->nthreads;
	e.threads = arena_alloc(d->arena, e.n_threads * sizeof(*e.threads));
	for (size_t i = 0; i < t->nthreads; i++) /* of a zombie: a zero */
		e.threads[i] = (uint32_t)t->threads[i].frozen->tid;
	image_store_put(d->store, IMG_PSTREE, 0, &e.base);
}

/* A zombie is what its parent can still learn of it. */
static void put_zombie(struct dump *d, const struct dump_task *t)
{
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;

	core.mtype = d->tasks[0]->threads[0].core->mtype;
	core.tc = &tc;
	tc.task_state = 2;
	tc.exit_code = (uint32_t)t->stat.exit_code;
	tc.flags = t->stat.flags;
	tc.has_exit_signal = t->stat.exit_signal != SIGCHLD;
	tc.exit_signal = (uint32_t)t->stat.exit_signal;
	tc.comm = arena_strdup(d->arena, t->stat.comm);
	dead_put(d, t, &tc);
	image_store_put(d->store, IMG_CORE, (unsigned long)t->pid, &core.base);
}

static void put_task(struct dump *d, const struct dump_task *t)
{
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	put_pstree(d, t);
	if (t->zombie) {
		put_zombie(d, t);
		return;
	}
	fill_ids(&ids, t);
	ids.ipc_ns_id = ipcns_id(d);
	image_store_put(d->store, IMG_IDS, (unsigned long)t->pid, &ids.base);
}

static void put_clocks(struct dump *d)
{
	TimensEntry e = TIMENS_ENTRY__INIT;
	Timespec mono = TIMESPEC__INIT, boot = TIMESPEC__INIT;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	mono.tv_sec = (uint64_t)ts.tv_sec, mono.tv_nsec = (uint64_t)ts.tv_nsec;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	boot.tv_sec = (uint64_t)ts.tv_sec, boot.tv_nsec = (uint64_t)ts.tv_nsec;
	e.monotonic = &mono;
	e.boottime = &boot;
	image_store_put(d->store, IMG_TIMENS, 0, &e.base);
}

void identity_put(struct dump *d)
{
	for (size_t i = 0; i < d->ntasks; i++)
		put_task(d, d->tasks[i]);
	put_clocks(d);
	seccomp_put(d);
	put_inventory(d);
}
