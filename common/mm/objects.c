// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Objects without a path that mappings and descriptors refer to: shared anonymous memory, memfds, System V segments. They
 * live on mounts of the kernel's own, one for each size of pages; what we make there ourselves tells which.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "common/mm/private.h"

/* A file on the mount for pages of this size; it has none. */
static int probe(uint64_t page, dev_t *dev)
{
	unsigned huge = page == PAGE_BYTES ? 0 : MFD_HUGETLB | (unsigned)__builtin_ctzll(page) << VM_FLAG_HUGE_SHIFT;
	cleanup_fd int fd = memfd_create("probe", MFD_CLOEXEC | huge);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*dev = st.st_dev;
	return 0;
}

int mm_objects_start(struct dump *d, struct err *err)
{
	struct mm_objects *all = arena_alloc(d->arena, sizeof(*all));
	int ret = probe(PAGE_BYTES, &all->domains[0].dev);

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot make a memfd");
	all->domains[0].page = PAGE_BYTES;
	all->ndomains = 1;
	d->objects = all;
	return 0;
}

int mm_domain(struct dump *d, dev_t dev, uint64_t page)
{
	struct mm_objects *all = d->objects;
	size_t i = 0;

	while (i < all->ndomains && all->domains[i].page != page)
		i++;
	if (i == all->ndomains) {
		if (i == ARRAY_SIZE(all->domains) || !page || page & (page - 1) || probe(page, &all->domains[i].dev))
			return -1;
		all->domains[all->ndomains++].page = page;
	}
	return all->domains[i].dev == dev ? (int)i : -1;
}

/* Names of page sets are the kernel's ids for System V segments, so ours are others. */
static uint32_t next_shmid(struct mm_objects *all)
{
	struct shmid_ds ds;

	do
		all->last_shmid++;
	while (!shmctl((int)all->last_shmid, IPC_STAT, &ds) || errno == EACCES);
	return all->last_shmid;
}

struct mm_object *mm_object(struct dump *d, int domain, uint64_t ino)
{
	struct mm_objects *all = d->objects;
	uint64_t key = ino * (SYSV_DOMAIN + 1) + (unsigned)domain;
	struct mm_object *o;
	uint32_t known;

	if (id_map_get(&all->by_ino, key, &known))
		return &all->v[known];
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 16;
		struct mm_object *v = arena_alloc(d->arena, cap * sizeof(*v));

		if (all->n)
			memcpy(v, all->v, all->n * sizeof(*v));
		all->v = v;
		all->cap = cap;
	}
	id_map_put(&all->by_ino, d->arena, key, (uint32_t)all->n);
	o = &all->v[all->n++];
	*o = (struct mm_object){ .ino = ino };
	if (domain == SYSV_DOMAIN)
		return o;
	o->page = all->domains[domain].page;
	o->shmid = next_shmid(all);
	return o;
}
