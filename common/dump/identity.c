/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "inventory.pb-c.h"
#include "pstree.pb-c.h"
#include "seccomp.pb-c.h"
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

static int check_namespaces(const struct dump *d, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		char path[64], own[64], theirs[64];
		ssize_t a, b;

		snprintf(path, sizeof(path), "ns/%s", namespaces[i].name);
		a = readlinkat(d->task->proc_fd, path, theirs, sizeof(theirs));
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i].name);
		b = readlink(path, own, sizeof(own));
		if (a < 0 && b < 0)
			continue; /* a kind that this kernel does not have */
		if (a < 0 || b < 0)
			return err_sys(err, "cannot read its %s namespace", namespaces[i].name);
		if (a != b || memcmp(own, theirs, (size_t)a))
			return err_hint(err,
					err_refuse(err, "it lives in another %s namespace than the dumper (%.*s)",
						   namespaces[i].name, (int)a, theirs),
					"run cr-dump inside that namespace: nsenter -t %d -a", d->opts->pid);
	}
	return 0;
}

static int check_children(const struct dump *d, struct err *err)
{
	for (size_t i = 0; i < d->task->nthreads; i++) {
		cleanup_arena struct arena *arena = arena_new();
		cleanup_fd int fd = -1;
		struct proc_stat st = { 0 };
		struct err ignore = ERR_INIT;
		char path[64];
		int *pids = NULL, ret;
		size_t n = 0;

		snprintf(path, sizeof(path), "task/%d/children", d->task->threads[i].frozen->tid);
		ret = proc_numbers(d->task->proc_fd, path, arena, &pids, &n, err);
		if (ret)
			return ret;
		if (!n)
			continue;
		if (!proc_open(pids[0], &fd, &ignore))
			proc_stat(fd, "stat", &st, &ignore);
		return err_refuse(err, "it has %zu %s (pid %d, %s): this version dumps single processes", n,
				  n == 1 ? "child" : "children", pids[0], st.comm[0] ? st.comm : "?");
	}
	return 0;
}

int identity_check(const struct dump *d, struct err *err)
{
	int ret = check_children(d, err);

	return ret ? ret : check_namespaces(d, err);
}

static void fill_ids(TaskKobjIdsEntry *ids, uint32_t kobj)
{
	ids->vm_id = ids->files_id = ids->fs_id = ids->sighand_id = kobj;
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		*(uint32_t *)((char *)ids + namespaces[i].id) = namespaces[i].own;
		*(protobuf_c_boolean *)((char *)ids + namespaces[i].has) = true;
	}
}

/* A random (version 4) UUID in its text form. */
static void run_id(char out[37])
{
	unsigned char b[16] = { 0 };
	ssize_t got = getrandom(b, sizeof(b), 0);

	if (got < 0)
		memset(b, 0, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (int i = 0, at = 0; i < 16; i++)
		at += snprintf(out + at, 37 - (size_t)at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       b[i]);
}

static void put_inventory(struct dump *d)
{
	InventoryEntry inv = INVENTORY_ENTRY__INIT;
	PluginsEntry plugins = PLUGINS_ENTRY__INIT;
	TaskKobjIdsEntry own = TASK_KOBJ_IDS_ENTRY__INIT;
	char uuid[37];

	fill_ids(&own, OWN_KOBJ);
	run_id(uuid);
	inv.img_version = 2;
	inv.has_fdinfo_per_id = inv.fdinfo_per_id = true;
	inv.has_ns_per_id = inv.ns_per_id = true;
	inv.root_ids = &own;
	inv.has_lsmtype = true;
	inv.lsmtype = LSMTYPE__NO_LSM;
	/* Nothing was locked, so whoever restores must not try to unlock. */
	inv.has_network_lock_method = true;
	inv.network_lock_method = 2;
	inv.plugins_entry = &plugins;
	inv.dump_criu_run_id = uuid;
	image_store_put(d->store, IMG_INVENTORY, 0, &inv.base);
}

static void put_pstree(struct dump *d)
{
	PstreeEntry e = PSTREE_ENTRY__INIT;

	e.pid = (uint32_t)d->opts->pid;
	e.ppid = 0;
	e.pgid = (uint32_t)d->task->stat.pgrp;
	e.sid = (uint32_t)d->task->stat.session;
	e.n_threads = d->task->nthreads;
	e.threads = arena_alloc(d->arena, d->task->nthreads * sizeof(*e.threads));
	for (size_t i = 0; i < d->task->nthreads; i++)
		e.threads[i] = (uint32_t)d->task->threads[i].frozen->tid;
	image_store_put(d->store, IMG_PSTREE, 0, &e.base);
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
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	SeccompEntry seccomp = SECCOMP_ENTRY__INIT;

	fill_ids(&ids, TASK_KOBJ);
	image_store_put(d->store, IMG_IDS, (unsigned long)d->opts->pid, &ids.base);
	put_pstree(d);
	put_clocks(d);
	image_store_put(d->store, IMG_SECCOMP, 0, &seccomp.base);
	put_inventory(d);
}
