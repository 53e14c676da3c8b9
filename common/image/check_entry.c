/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each kind of entry defines and refers to. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cgroup.pb-c.h"
#include "common/image/check_inside.h"
#include "common/image/pstree.h"
#include "core.pb-c.h"
#include "fdinfo.pb-c.h"
#include "file-lock.pb-c.h"
#include "fs.pb-c.h"
#include "ipc-shm.pb-c.h"
#include "memfd.pb-c.h"
#include "mnt.pb-c.h"
#include "pipe-data.pb-c.h"
#include "pstree.pb-c.h"
#include "remap-file-path.pb-c.h"
#include "seccomp.pb-c.h"
#include "sk-packet.pb-c.h"

#define TYPED(type, id) ((uint64_t)(type) << 32 | (uint32_t)(id))
enum { TASK_DEAD = 2, SIGACTIONS = 62, RLIMITS = 16, FS_TMPFS = 5, TCP = 6 };
enum { /* vma_entry.status */
	ST_REGULAR = 0x1, ST_VSYSCALL = 0x4, ST_FILE = 0xc0, ST_ANON_SHARED = 0x100, ST_SYSVIPC = 0x400, ST_SOCKET = 0x800,
	ST_MEMFD = 0x4000, ST_GUARD = 0x10000,
};
#define PKEYS 16 /* pkeys(7) */

static void inventory(struct check *c, const InventoryEntry *e)
{
	if (e->img_version < 1 || e->img_version > 3)
		check_here(c, "image version %u is not known", e->img_version);
	if (!e->root_ids)
		check_here(c, "root_ids is missing");
	if (e->has_root_cg_set)
		check_def(c, SPACE_CGROUP_SET, e->root_cg_set);
}

static void pstree(struct check *c, const PstreeEntry *e)
{
	check_def(c, SPACE_TASK, e->pid);
	if ((c->entry == 1) != (e->ppid == 0))
		check_here(c, c->entry == 1 ? "pid %u: the root of the tree has a parent" : "pid %u is a second root of the tree", e->pid);
	if (e->ppid)
		check_ref(c, SPACE_TASK, e->ppid);
	if (!e->n_threads) {
		check_here(c, "pid %u has no threads", e->pid);
		return;
	}
	check_need(c, IMG_CORE, e->pid);
	check_ref(c, SPACE_LEADER, e->pid);
	if (pstree_is_zombie(e))
		return;
	if (e->threads[0] != e->pid)
		check_here(c, "the first thread of pid %u is %u, not itself", e->pid, e->threads[0]);
	for (size_t i = 1; i < e->n_threads; i++) {
		check_need(c, IMG_CORE, e->threads[i]);
		check_ref(c, SPACE_THREAD, e->threads[i]);
	}
	check_need(c, IMG_IDS, e->pid);
	check_need(c, IMG_MM, e->pid);
	check_need(c, IMG_FS, e->pid);
	check_need(c, IMG_PAGEMAP, e->pid);
}

static void core(struct check *c, const CoreEntry *e, unsigned long id)
{
	const TaskCoreEntry *tc = e->tc;
	const ThreadCoreEntry *th = e->thread_core;

	check_def(c, tc ? SPACE_LEADER : SPACE_THREAD, id);
	if (tc && tc->has_cg_set && tc->cg_set)
		check_ref(c, SPACE_CGROUP_SET, tc->cg_set);
	if (tc && tc->task_state == TASK_DEAD)
		return;
	if (tc && !tc->timers)
		check_here(c, "timers are missing");
	if (tc && (!tc->rlimits || tc->rlimits->n_rlimits != RLIMITS))
		check_here(c, "%zu resource limits, not %d", tc->rlimits ? tc->rlimits->n_rlimits : 0, RLIMITS);
	/* Older dumpers have these in sigacts-N.img. */
	if (tc && tc->n_sigactions && tc->n_sigactions != SIGACTIONS)
		check_here(c, "%zu signal dispositions, not %d", tc->n_sigactions, SIGACTIONS);
	if (!th)
		check_here(c, "thread_core is missing");
	if (!e->thread_info)
		check_here(c, "thread_info (the registers) is missing");
	if (!th)
		return;
	if (!th->creds)
		check_here(c, "credentials are missing");
	if (th->has_cg_set && th->cg_set)
		check_ref(c, SPACE_CGROUP_SET, th->cg_set);
	if (th->has_seccomp_mode && (int)th->seccomp_mode == 2) /* SECCOMP_MODE_FILTER */
		check_ref(c, SPACE_SECCOMP, th->has_seccomp_filter ? th->seccomp_filter : 0);
}

/* A namespace that is not the dumper's is described by images with its number. */
static void ids(struct check *c, const TaskKobjIdsEntry *e)
{
	const TaskKobjIdsEntry *root = c->inventory ? c->inventory->root_ids : NULL;

	if (!root)
		return;
	if (e->has_uts_ns_id && root->has_uts_ns_id && e->uts_ns_id != root->uts_ns_id)
		check_need(c, IMG_UTSNS, e->uts_ns_id);
	if (e->has_ipc_ns_id && root->has_ipc_ns_id && e->ipc_ns_id != root->ipc_ns_id)
		check_need(c, IMG_IPC_VAR, e->ipc_ns_id);
	if (e->has_mnt_ns_id && root->has_mnt_ns_id && e->mnt_ns_id != root->mnt_ns_id)
		check_need(c, IMG_MNTS, e->mnt_ns_id);
	if (e->has_user_ns_id && root->has_user_ns_id && e->user_ns_id != root->user_ns_id)
		check_need(c, IMG_USERNS, e->user_ns_id);
	if (e->has_time_ns_id && root->has_time_ns_id && e->time_ns_id != root->time_ns_id)
		check_need(c, IMG_TIMENS, e->time_ns_id);
}

/* Ranges of pages, by turns with what is between them. */
static void copies(struct check *c, const VmaEntry *v)
{
	const VmaCopiesEntry *e = v->copies;
	uint64_t left = (v->end - v->start) / IMAGE_PAGE;
	bool good = e->n_runs && e->n_runs % 2 == 0 && v->status & ST_FILE;

	for (size_t i = 0; i < e->n_runs && good; i++) {
		good = e->runs[i] <= left && (e->runs[i] || !i);
		left -= good ? e->runs[i] : 0;
	}
	if (!good)
		check_here(c, "mapping %" PRIx64 "-%" PRIx64 ": its copies of pages of a file are not in it", v->start, v->end);
}

static void mapping(struct check *c, const VmaEntry *v, uint64_t *end, bool *guards)
{
	if (v->status & ST_VSYSCALL)
		return;
	if (v->start >= v->end || v->start % IMAGE_PAGE || v->end % IMAGE_PAGE) {
		check_here(c, "mapping %" PRIx64 "-%" PRIx64 " is no range of memory", v->start, v->end);
		return;
	}
	if (v->status & ST_GUARD) {
		*guards = true;
		return;
	}
	if (*guards || v->start < *end)
		check_here(c, "mapping %" PRIx64 "-%" PRIx64 " is out of order, or overlaps the one before", v->start, v->end);
	*end = MAX(*end, v->end);
	if (v->copies)
		copies(c, v);
	if (v->pkey >= PKEYS)
		check_here(c, "mapping %" PRIx64 "-%" PRIx64 " has protection key %u, and there are %u", v->start, v->end,
			   v->pkey, PKEYS);
	if (!(v->status & ST_REGULAR))
		return;
	if (v->status & ST_FILE)
		check_ref(c, SPACE_FILE, TYPED(v->status & ST_MEMFD ? FD_TYPES__MEMFD : FD_TYPES__REG, v->shmid));
	else if (v->status & ST_SOCKET)
		check_ref(c, SPACE_FILE, TYPED(FD_TYPES__PACKETSK, v->shmid));
	else if ((v->status & ST_ANON_SHARED) && !(v->status & ST_SYSVIPC))
		check_need(c, IMG_SHMEM_PAGEMAP, v->shmid);
}

static void mm(struct check *c, const MmEntry *e, unsigned long pid)
{
	struct check_mm *m;
	bool guards = false;
	uint64_t end = 0;

	check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, e->exe_file_id));
	array_reserve(&c->mms, &c->mms_cap, c->nmms, sizeof(*c->mms));
	m = &c->mms[c->nmms++];
	*m = (struct check_mm){ pid, xreallocarray(NULL, e->n_vmas + 1, sizeof(*m->vmas)), e->n_vmas };
	for (size_t i = 0; i < e->n_vmas; i++) {
		mapping(c, e->vmas[i], &end, &guards);
		m->vmas[i] = *e->vmas[i];
	}
}

/* The message that belongs to a file's type, and the id in it: by description, because each type is another struct. */
static const ProtobufCMessage *file_part(const FileEntry *e, uint32_t *id, unsigned *parts)
{
	const ProtobufCMessage *sub = NULL;

	*parts = 0;
	for (unsigned i = 0; i < e->base.descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &e->base.descriptor->fields[i], *own;
		const ProtobufCMessage *m = NULL;

		if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->label == PROTOBUF_C_LABEL_OPTIONAL)
			memcpy(&m, (const char *)e + f->offset, sizeof(m));
		if (!m)
			continue;
		++*parts;
		sub = m;
		own = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "id");
		*id = e->id;
		if (own)
			memcpy(id, (const char *)m + own->offset, sizeof(*id));
	}
	return sub;
}

static void reg_file(struct check *c, const RegFileEntry *e)
{
	if (e->has_mnt_id && e->mnt_id >= 0)
		check_ref(c, SPACE_MOUNT_ID, (uint32_t)e->mnt_id);
	if (!e->name[0])
		check_here(c, "REG %u has no name", e->id);
}

static void unix_socket(struct check *c, const UnixSkEntry *e)
{
	check_def(c, SPACE_UNIX, e->ino);
	if (e->peer && !(e->uflags & 1))
		check_ref(c, SPACE_UNIX, e->peer);
	if (e->has_sent_id)
		check_def(c, SPACE_FILE_ID, e->sent_id);
	for (size_t i = 0; i < e->n_closed; i++)
		if (e->closed[i]->has_sent_id)
			check_def(c, SPACE_FILE_ID, e->closed[i]->sent_id);
}

/* Connections that wait to be accepted. */
static void waiting(struct check *c, const InetSkEntry *e)
{
	uint64_t bytes = 0;

	if (e->n_waiting && (e->proto != TCP || e->state != 10))
		check_here(c, "INETSK %u has connections that wait to be accepted, and does not listen", e->id);
	for (size_t i = 0; i < e->n_waiting; i++) {
		const WaitingTcpEntry *w = e->waiting[i];

		bytes += w->unread;
		if (w->n_src_addr != e->n_src_addr || w->n_dst_addr != e->n_src_addr || !w->src_port || w->src_port > UINT16_MAX ||
		    !w->dst_port || w->dst_port > UINT16_MAX)
			check_here(c, "INETSK %u: connection %zu that waits has no address", e->id, i + 1);
		if (w->has_error && (!w->error || w->error > 4095))
			check_here(c, "INETSK %u: connection %zu that waits has an error that it cannot have: %u", e->id, i + 1, w->error);
	}
	if (bytes)
		check_need(c, IMG_TCP_STREAM, e->ino);
}

static void inet_socket(struct check *c, const InetSkEntry *e)
{
	/* Closed (7) and listening (10) ones have no stream; dumps made with --tcp-close have none at all. */
	if (e->proto == TCP && e->dst_port && e->state != 7 && e->state != 10 &&
	    !(c->inventory && c->inventory->has_tcp_close && c->inventory->tcp_close))
		check_need(c, IMG_TCP_STREAM, e->ino);
	if (e->ended && e->ended->unread)
		check_need(c, IMG_TCP_STREAM, e->ino);
	if (e->has_error && (!e->error || e->error > 4095 || (e->proto == TCP && !e->ended)))
		check_here(c, "INETSK %u has an error that it cannot have: %u", e->id, e->error);
	if (e->ended && ((e->ended->attempt && (e->ended->unread || e->ended->fin)) || (e->ended->report && !e->ended->attempt)))
		check_here(c, "INETSK %u has ended in a way that no connection has", e->id);
	waiting(c, e);
}

/* What a file of any type refers to; here for entries of files.img and of the older images by type. */
static void file_refs(struct check *c, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	if (d == &reg_file_entry__descriptor) {
		reg_file(c, (const RegFileEntry *)m);
	} else if (d == &fifo_entry__descriptor) {
		if (((const FifoEntry *)m)->has_regf_id)
			check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, ((const FifoEntry *)m)->regf_id));
	} else if (d == &tty_file_entry__descriptor) {
		check_ref(c, SPACE_TTY_INFO, ((const TtyFileEntry *)m)->tty_info_id);
		if (((const TtyFileEntry *)m)->has_regf_id)
			check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, ((const TtyFileEntry *)m)->regf_id));
	} else if (d == &memfd_file_entry__descriptor) {
		check_ref(c, SPACE_MEMFD, ((const MemfdFileEntry *)m)->inode_id);
	} else if (d == &unix_sk_entry__descriptor) {
		unix_socket(c, (const UnixSkEntry *)m);
	} else if (d == &inet_sk_entry__descriptor) {
		inet_socket(c, (const InetSkEntry *)m);
	} else if (d == &pidfd_entry__descriptor) {
		/* With PIDFD_THREAD (O_EXCL) it may be any thread of any task. */
		if (((const PidfdEntry *)m)->nspid != -1 && !(((const PidfdEntry *)m)->flags & O_EXCL))
			check_ref(c, SPACE_TASK, (uint32_t)((const PidfdEntry *)m)->nspid);
	}
}

static void file(struct check *c, const FileEntry *e)
{
	unsigned parts;
	uint32_t id;
	const ProtobufCMessage *m = file_part(e, &id, &parts);

	check_def(c, SPACE_FILE, TYPED(e->type, e->id));
	check_def(c, SPACE_FILE_ID, e->id);
	if (parts != 1)
		check_here(c, "file %u of type %d has %u bodies, not one", e->id, (int)e->type, parts);
	if (!m)
		return;
	if (id != e->id)
		check_here(c, "file %u has the id %u in its body", e->id, id);
	file_refs(c, m);
}

/* Entries of the images that there were before files.img. */
static void old_file(struct check *c, enum image_kind kind, const ProtobufCMessage *m)
{
	static const struct { enum image_kind kind; FdTypes type; } types[] = {
		{ IMG_REG_FILES, FD_TYPES__REG },	    { IMG_PIPES, FD_TYPES__PIPE },
		{ IMG_FIFO, FD_TYPES__FIFO },		    { IMG_INETSK, FD_TYPES__INETSK },
		{ IMG_UNIXSK, FD_TYPES__UNIXSK },	    { IMG_EVENTFD_FILE, FD_TYPES__EVENTFD },
		{ IMG_EVENTPOLL_FILE, FD_TYPES__EVENTPOLL }, { IMG_INOTIFY_FILE, FD_TYPES__INOTIFY },
		{ IMG_FANOTIFY_FILE, FD_TYPES__FANOTIFY },  { IMG_SIGNALFD, FD_TYPES__SIGNALFD },
		{ IMG_PACKETSK, FD_TYPES__PACKETSK },	    { IMG_TTY_FILES, FD_TYPES__TTY },
		{ IMG_NETLINK_SK, FD_TYPES__NETLINKSK },    { IMG_NS_FILES, FD_TYPES__NS },
		{ IMG_TUNFILE, FD_TYPES__TUNF },	    { IMG_EXT_FILES, FD_TYPES__EXT },
		{ IMG_TIMERFD, FD_TYPES__TIMERFD },	    { IMG_BPFMAP_FILE, FD_TYPES__BPFMAP },
		{ IMG_PIDFD, FD_TYPES__PIDFD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "id");
		uint32_t id;

		if (types[i].kind != kind || !f)
			continue;
		memcpy(&id, (const char *)m + f->offset, sizeof(id));
		check_def(c, SPACE_FILE, TYPED(types[i].type, id));
		check_def(c, SPACE_FILE_ID, id);
		file_refs(c, m);
	}
}

static void remap(struct check *c, const RemapFilePathEntry *e)
{
	RemapType type = e->remap_id >> 31 ? REMAP_TYPE__GHOST : REMAP_TYPE__LINKED;

	if (e->has_remap_type)
		type = e->remap_type;
	check_def(c, SPACE_REMAP, e->orig_id);
	check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, e->orig_id));
	if (type == REMAP_TYPE__GHOST)
		check_need(c, IMG_GHOST_FILE, e->has_remap_type ? e->remap_id : e->remap_id & 0x7fffffff);
	else if (type == REMAP_TYPE__LINKED)
		check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, e->remap_id));
}

static void mount(struct check *c, const MntEntry *e, unsigned long ns)
{
	check_def(c, SPACE_MOUNT, TYPED(ns, e->mnt_id));
	check_def(c, SPACE_MOUNT_ID, e->mnt_id);
	if (strcmp(e->mountpoint, "/") != 0)
		check_ref(c, SPACE_MOUNT, TYPED(ns, e->parent_mnt_id));
	if (e->fstype == FS_TMPFS && !e->ext_key && !strcmp(e->root, "/"))
		check_need(c, IMG_TMPFS_DEV, e->root_dev);
}

static void seccomp(struct check *c, const SeccompEntry *e)
{
	for (size_t i = 0; i < e->n_seccomp_filters; i++) {
		const SeccompFilter *f = e->seccomp_filters[i];

		check_def(c, SPACE_SECCOMP, i);
		if (f->has_prev && f->prev >= e->n_seccomp_filters)
			check_here(c, "filter %zu follows filter %u, of %zu", i, f->prev, e->n_seccomp_filters);
		if (!f->filter.len || f->filter.len % 8)
			check_here(c, "filter %zu has %zu bytes, no whole number of instructions", i, f->filter.len);
	}
}

static void queued(struct check *c, const SkPacketEntry *e)
{
	check_ref(c, SPACE_FILE_ID, e->id_for);
	for (size_t i = 0; i < e->n_scm; i++)
		for (size_t k = 0; k < e->scm[i]->n_rights; k++)
			check_ref(c, SPACE_FILE_ID, e->scm[i]->rights[k]);
}

static void pagemap(struct check *c, enum image_kind kind, unsigned long id, const ProtobufCMessage *msg)
{
	struct check_pages *p;
	const char *why;

	if (c->entry == 1) {
		array_reserve(&c->pages, &c->pages_cap, c->npages, sizeof(*c->pages));
		p = &c->pages[c->npages++];
		*p = (struct check_pages){ .kind = kind, .id = id };
		p->set.pages_id = ((const PagemapHead *)msg)->pages_id;
		return;
	}
	p = &c->pages[c->npages - 1];
	why = page_set_add(&p->set, (const PagemapEntry *)msg);
	if (!why)
		return;
	check_here(c, "pages at 0x%" PRIx64 ": %s", ((const PagemapEntry *)msg)->vaddr, why);
	p->damaged = true;
}

static void fdinfo(struct check *c, const FdinfoEntry *e, unsigned long files)
{
	check_def(c, SPACE_FD, TYPED(files, e->fd));
	check_ref(c, SPACE_FILE, TYPED(e->type, e->id));
}

static void files_and_memory(struct check *c, const struct check_image *img, const ProtobufCMessage *msg)
{
	switch (img->kind) {
	case IMG_FILES: file(c, (const FileEntry *)msg); break;
	case IMG_FDINFO: fdinfo(c, (const FdinfoEntry *)msg, img->id); break;
	case IMG_REMAP_FPATH: remap(c, (const RemapFilePathEntry *)msg); break;
	case IMG_SK_QUEUES: queued(c, (const SkPacketEntry *)msg); break;
	case IMG_PIPES_DATA: check_def(c, SPACE_PIPE_DATA, ((const PipeDataEntry *)msg)->pipe_id); break;
	case IMG_FIFO_DATA: check_def(c, SPACE_FIFO_DATA, ((const PipeDataEntry *)msg)->pipe_id); break;
	case IMG_TTY_INFO: check_def(c, SPACE_TTY_INFO, ((const TtyInfoEntry *)msg)->id); break;
	case IMG_TTY_DATA: check_ref(c, SPACE_TTY_INFO, ((const TtyDataEntry *)msg)->tty_id); break;
	case IMG_FILE_LOCKS: check_ref(c, SPACE_TASK, (uint32_t)((const FileLockEntry *)msg)->pid); break;
	case IMG_MEMFD_INODE: {
		const MemfdInodeEntry *e = (const MemfdInodeEntry *)msg;

		check_def(c, SPACE_MEMFD, e->inode_id);
		if (e->size)
			check_need(c, IMG_SHMEM_PAGEMAP, e->shmid);
		break;
	}
	case IMG_PAGEMAP:
	case IMG_SHMEM_PAGEMAP: pagemap(c, img->kind, img->id, msg); break;
	case IMG_IPCNS_SHM: {
		const IpcShmEntry *e = (const IpcShmEntry *)msg;

		if (e->has_in_pagemaps && e->in_pagemaps)
			check_need(c, IMG_SHMEM_PAGEMAP, e->desc->id);
		break;
	}
	default: old_file(c, img->kind, msg);
	}
}

void check_entry(struct check *c, const struct check_image *img, const ProtobufCMessage *msg)
{
	switch (img->kind) {
	case IMG_INVENTORY: inventory(c, (const InventoryEntry *)msg); break;
	case IMG_PSTREE: pstree(c, (const PstreeEntry *)msg); break;
	case IMG_CORE: core(c, (const CoreEntry *)msg, img->id); break;
	case IMG_IDS: ids(c, (const TaskKobjIdsEntry *)msg); break;
	case IMG_MM: mm(c, (const MmEntry *)msg, img->id); break;
	case IMG_FS:
		check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, ((const FsEntry *)msg)->cwd_id));
		check_ref(c, SPACE_FILE, TYPED(FD_TYPES__REG, ((const FsEntry *)msg)->root_id));
		break;
	case IMG_CGROUP:
		for (size_t i = 0; i < ((const CgroupEntry *)msg)->n_sets; i++)
			check_def(c, SPACE_CGROUP_SET, ((const CgroupEntry *)msg)->sets[i]->id);
		break;
	case IMG_SECCOMP: seccomp(c, (const SeccompEntry *)msg); break;
	case IMG_MNTS: mount(c, (const MntEntry *)msg, img->id); break;
	default: files_and_memory(c, img, msg);
	}
}
