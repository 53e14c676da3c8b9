// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that several mappings show: memfds, shared anonymous memory, System V segments. One object, one page set. */
#include <errno.h>
#include <string.h>

#include "common/restore/verify.h"

#define PAGE 4096u
enum { ST_REGULAR = 0x1, ST_ANON_SHARED = 0x100, ST_SYSVIPC = 0x400, ST_MEMFD = 0x4000 };

/* Something that refers to an object. */
struct use {
	uint64_t shmid, size;
	const MemfdInodeEntry *memfd;
	IpcShmEntry *segment;
	const VmaEntry *vma;
	unsigned long pid;
};
struct uses { struct use *v; size_t n, cap; };

static void add_use(struct uses *u, struct use use)
{
	array_reserve(&u->v, &u->cap, u->n, sizeof(*u->v));
	u->v[u->n++] = use;
}

static int by_shmid(const void *va, const void *vb)
{
	const struct use *a = va, *b = vb;

	if (a->shmid != b->shmid)
		return a->shmid < b->shmid ? -1 : 1;
	return (a->vma != NULL) - (b->vma != NULL); /* what says more comes first */
}

static int use_memfds(const struct model *m, struct uses *u, struct err *err)
{
	for (size_t i = 0; i < m->nmemfds; i++) {
		const MemfdInodeEntry *e = m->memfds[i];

		if (e->size > INT64_MAX)
			return bad_image(err, AT(MEMFD_INODE, 0, (long)i), "size %lu", e->size);
		if (strlen(e->name) > 249) /* mm/memfd.c: MFD_NAME_MAX_LEN */
			return bad_image(err, AT(MEMFD_INODE, 0, (long)i), "the name is longer than a memfd can have");
		if (e->size)
			add_use(u, (struct use){ .shmid = e->shmid, .size = e->size, .memfd = e });
	}
	return 0;
}

/* Segments of the namespace that the tasks live in, as far as the tree owns them. */
static int use_segments(const struct model *m, struct uses *u, struct err *err)
{
	const TaskKobjIdsEntry *ids = m->tasks[0].ids;
	unsigned long ns = ids && ids->has_ipc_ns_id ? ids->ipc_ns_id : 0;
	ProtobufCMessage **v;
	size_t n;
	int ret = ns ? image_read_all(m->dir, IMG_IPCNS_SHM, ns, m->arena, &v, &n, NULL, err) : 0;

	for (size_t i = 0; ns && !ret && i < n; i++) {
		IpcShmEntry *e = (IpcShmEntry *)v[i];
		const struct where *at = AT(IPCNS_SHM, ns, (long)i);
		uint32_t huge = e->has_hugetlb_flag ? e->hugetlb_flag : 0;

		if (!e->in_pagemaps)
			return cannot_restore(err, at, "the content of segment %u stands behind it", e->desc->id);
		if (e->desc->id > INT32_MAX || !e->size || e->size > INT64_MAX / 2)
			return bad_image(err, at, "segment %u of %lu bytes", e->desc->id, e->size);
		if (huge && (!(huge & 04000) || huge & 0x3ffffff & ~04000u || huge >> 26 > 40))
			return bad_image(err, at, "segment %u: flags 0x%x for huge pages", e->desc->id, huge);
		add_use(u, (struct use){ .shmid = e->desc->id, .size = e->size, .segment = e });
	}
	return ret;
}

static int use_mappings(const struct model *m, struct uses *u, struct err *err)
{
	for (size_t t = 0; t < m->ntasks; t++) {
		const MmEntry *mm = m->tasks[t].mm;
		unsigned long pid = m->tasks[t].pstree->pid;

		for (size_t i = 0; mm && i < mm->n_vmas; i++) {
			const VmaEntry *v = mm->vmas[i];

			if (!(v->status & ST_REGULAR) || !(v->status & ST_ANON_SHARED) || v->status & ST_MEMFD)
				continue;
			if (v->start >= v->end || v->pgoff % PAGE || v->pgoff > INT64_MAX - (v->end - v->start))
				return bad_image(err, AT(MM, pid, 0), "mapping %lx-%lx: offset 0x%lx", v->start, v->end,
						 v->pgoff);
			if (v->object_size > INT64_MAX - PAGE || v->object_size % PAGE)
				return bad_image(err, AT(MM, pid, 0), "mapping %lx-%lx: of an object of %lu bytes",
						 v->start, v->end, v->object_size);
			add_use(u, (struct use){ .shmid = v->shmid, .size = v->pgoff + (v->end - v->start), .vma = v,
						 .pid = pid });
		}
	}
	return 0;
}

/* The uses of one object, which are of one sort. */
static int make_object(const struct use *u, size_t n, struct model_shmem *s, struct err *err)
{
	uint64_t told = 0;

	*s = (struct model_shmem){ .shmid = u->shmid, .pages.fd = -1, .pages.file.fd = -1, .memfd = u->memfd, .segment = u->segment };
	for (size_t i = 0; i < n; i++) {
		const VmaEntry *v = u[i].vma;

		s->size = MAX(s->size, u[i].size);
		if (!v) {
			if (i)
				return bad_image(err, AT(MEMFD_INODE, 0, -1), "shmid %lu is there twice", u->shmid);
			continue;
		}
		if (v->status & ST_SYSVIPC && !s->segment)
			return bad_image(err, AT(MM, u[i].pid, 0),
					 "mapping %lx-%lx: System V shared memory %lu is in no ipcns-shm image",
					 v->start, v->end, v->shmid);
		/* A private mapping of shared anonymous memory is written as one of a memfd of that name. */
		if ((s->memfd && strcmp(s->memfd->name, "/dev/zero")) || !(v->status & ST_SYSVIPC) != !s->segment)
			return bad_image(err, AT(MM, u[i].pid, 0), "mapping %lx-%lx: object %lu is of another sort",
					 v->start, v->end, v->shmid);
		s->first = s->first ? s->first : v;
		s->views++;
		told = MAX(told, v->object_size);
	}
	if (s->segment)
		s->size = s->segment->size;
	else if (s->memfd)
		s->size = s->memfd->size;
	else if (told)
		s->size = told; /* views may be larger than what they show */
	return 0;
}

static int load_content(struct model *m, struct model_shmem *s, struct err *err)
{
	int ret = model_load_pages(m, IMG_SHMEM_PAGEMAP, s->shmid, &s->pages, err);

	for (size_t i = 0; !ret && i < s->pages.nentries; i++) {
		const PagemapEntry *e = s->pages.entries[i];

		if (e->vaddr + e->nr_pages * PAGE > ((s->size + PAGE - 1) & ~(PAGE - 1ull)))
			ret = bad_image(err, AT(SHMEM_PAGEMAP, s->shmid, (long)i + 1),
					"pages at 0x%lx lie behind the end of the object", e->vaddr);
	}
	return ret;
}

static int load_objects(struct model *m, struct uses *u, struct err *err)
{
	int ret = use_memfds(m, u, err);

	if (!ret)
		ret = use_segments(m, u, err);
	if (!ret)
		ret = use_mappings(m, u, err);
	if (ret)
		return ret;
	if (u->n)
		qsort(u->v, u->n, sizeof(*u->v), by_shmid);
	m->shmem = arena_alloc(m->arena, (u->n + 1) * sizeof(*m->shmem));
	for (size_t i = 0, end; i < u->n && !ret; i = end) {
		struct model_shmem *s = &m->shmem[m->nshmem];

		for (end = i + 1; end < u->n && u->v[end].shmid == u->v[i].shmid;)
			end++;
		ret = make_object(&u->v[i], end - i, s, err);
		m->nshmem += !ret;
		if (!ret)
			ret = load_content(m, s, err);
	}
	return ret;
}

int model_load_shmem(struct model *m, struct err *err)
{
	struct uses u = { 0 };
	int ret = load_objects(m, &u, err);

	free(u.v);
	return ret;
}

const struct model_shmem *model_shmem(const struct model *m, uint64_t shmid)
{
	size_t lo = 0, hi = m->nshmem;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->shmem[mid].shmid < shmid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->nshmem && m->shmem[lo].shmid == shmid ? &m->shmem[lo] : NULL;
}
