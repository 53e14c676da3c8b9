/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files, sockets, mounts, timers and namespaces as rows. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bin/cr-image/x.h"

static json_object *new_row(json_object *rows, const struct ckpt_task *t)
{
	json_object *row = json_object_new_object();

	json_object_array_add(rows, row);
	if (t) {
		row_number(row, "pid", t->pid);
		row_text(row, "comm", t->comm);
	}
	return row;
}

const char *fd_type_name(FdTypes type, char buf[16])
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&fd_types__descriptor, (int)type);

	if (v)
		snprintf(buf, 16, "%s", v->name);
	else
		snprintf(buf, 16, "type %d", (int)type);
	return buf;
}

static const char *reg_name(const struct ckpt *c, uint32_t id)
{
	const FileEntry *f = ckpt_file(c, id);

	return f && f->reg ? f->reg->name : "";
}

/* sun_path as /proc/net/unix shows it: an abstract name behind an @. */
static const char *unix_name(const struct ckpt *c, const UnixSkEntry *u)
{
	size_t n = u->name.len;
	char *s;

	if (!n)
		return "";
	s = arena_alloc(c->arena, n + 1);
	memcpy(s, u->name.data, n);
	if (!s[0]) {
		s[0] = '@';
		for (size_t i = 1; i < n; i++)
			if (!s[i])
				s[i] = '@';
	}
	return s;
}

const char *ckpt_file_name(const struct ckpt *c, const FileEntry *f)
{
	struct arena *a = c->arena;

	if (f->reg)
		return f->reg->name;
	if (f->pipe)
		return arena_printf(a, "pipe:[%u]", f->pipe->pipe_id);
	if (f->fifo)
		return f->fifo->has_regf_id ? reg_name(c, f->fifo->regf_id) : reg_name(c, f->id);
	if (f->isk || f->usk || f->nlsk)
		return arena_printf(a, "socket:[%u]", f->isk ? f->isk->ino : f->usk ? f->usk->ino : f->nlsk->ino);
	if (f->psk)
		return "socket:[packet]";
	if (f->efd)
		return "anon_inode:[eventfd]";
	if (f->epfd)
		return "anon_inode:[eventpoll]";
	if (f->sgfd)
		return "anon_inode:[signalfd]";
	if (f->tfd)
		return "anon_inode:[timerfd]";
	if (f->ify)
		return "anon_inode:inotify";
	if (f->ffy)
		return "anon_inode:[fanotify]";
	if (f->bpf)
		return "anon_inode:bpf-map";
	if (f->pidfd)
		return arena_printf(a, "pidfd:[%d]", f->pidfd->nspid);
	if (f->nsf)
		return arena_printf(a, "namespace:[%u]", f->nsf->ns_id);
	if (f->tty)
		return f->tty->has_regf_id ? reg_name(c, f->tty->regf_id) : reg_name(c, f->id);
	if (f->tunf)
		return arena_printf(a, "/dev/net/tun (%s)", f->tunf->netdev ?: "detached");
	if (f->memfd)
		return arena_printf(a, "memfd:[%u]", f->memfd->inode_id);
	return "";
}

/* Open flags, whatever kind the file is. */
static bool open_flags(const FileEntry *f, uint32_t *flags)
{
	for (unsigned i = 0; i < f->base.descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *d = &f->base.descriptor->fields[i], *m;
		const ProtobufCMessage *inner;

		if (d->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		inner = *(ProtobufCMessage *const *)((const char *)f + d->offset);
		if (!inner)
			continue;
		m = protobuf_c_message_descriptor_get_field_by_name(inner->descriptor, "flags");
		if (!m || m->type != PROTOBUF_C_TYPE_UINT32)
			continue;
		*flags = *(const uint32_t *)((const char *)inner + m->offset);
		return true;
	}
	return false;
}

static void put_mode(json_object *row, uint32_t flags)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{ O_APPEND, "append" }, { O_NONBLOCK, "nonblock" }, { O_SYNC & ~O_DSYNC, "sync" }, { O_DSYNC, "dsync" },
		{ O_DIRECT, "direct" }, { O_DIRECTORY, "directory" }, { O_NOATIME, "noatime" }, { O_ASYNC, "async" },
		{ O_PATH, "path" },
	};
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_puts(&b, (flags & O_ACCMODE) == O_RDONLY ? "r" : (flags & O_ACCMODE) == O_WRONLY ? "w" : "rw");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].bit)
			strbuf_printf(&b, ",%s", names[i].name);
	row_text(row, "mode", b.s);
	row_hex(row, "flags", flags);
}

static void put_file(const struct ckpt *c, json_object *row, uint32_t id)
{
	const FileEntry *f = ckpt_file(c, id);
	uint32_t flags;
	char type[16];

	row_number(row, "id", id);
	if (!f) {
		row_text(row, "name", "");
		return;
	}
	row_text(row, "type", fd_type_name(f->type, type));
	if (open_flags(f, &flags))
		put_mode(row, flags);
	if (f->reg && f->reg->pos != UINT64_MAX)
		row_number(row, "position", f->reg->pos);
	if (f->memfd)
		row_number(row, "position", f->memfd->pos);
	row_text(row, "name", ckpt_file_name(c, f));
}

static void special_file(const struct ckpt *c, const struct ckpt_task *t, json_object *rows, const char *what, uint32_t id)
{
	json_object *row = new_row(rows, t);

	row_text(row, "fd", what);
	put_file(c, row, id);
}

int rows_fds(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		const struct ckpt_task *t = &c->tasks[i];

		if (only && only != t)
			continue;
		if (t->mm)
			special_file(c, t, rows, "exe", t->mm->exe_file_id);
		if (t->fs) {
			special_file(c, t, rows, "cwd", t->fs->cwd_id);
			special_file(c, t, rows, "root", t->fs->root_id);
		}
		for (size_t k = 0; k < t->nfds; k++) {
			json_object *row = new_row(rows, t);
			char type[16];

			row_number(row, "fd", t->fds[k]->fd);
			row_text(row, "cloexec", t->fds[k]->flags & FD_CLOEXEC ? "yes" : "");
			row_text(row, "type", fd_type_name(t->fds[k]->type, type));
			put_file(c, row, t->fds[k]->id);
		}
	}
	return 0;
}

/* ---- sockets ---- */

static const char *tcp_state(uint32_t state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "ESTABLISHED", [TCP_SYN_SENT] = "SYN_SENT", [TCP_SYN_RECV] = "SYN_RECV",
		[TCP_FIN_WAIT1] = "FIN_WAIT1", [TCP_FIN_WAIT2] = "FIN_WAIT2", [TCP_TIME_WAIT] = "TIME_WAIT",
		[TCP_CLOSE] = "CLOSE", [TCP_CLOSE_WAIT] = "CLOSE_WAIT", [TCP_LAST_ACK] = "LAST_ACK", [TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
	};

	return state < ARRAY_SIZE(names) && names[state] ? names[state] : "";
}

static const char *sock_type(uint32_t type)
{
	switch (type) {
	case SOCK_STREAM: return "STREAM";
	case SOCK_DGRAM: return "DGRAM";
	case SOCK_RAW: return "RAW";
	case SOCK_SEQPACKET: return "SEQPACKET";
	default: return "";
	}
}

static const char *inet_name(const struct ckpt *c, uint32_t family, const uint32_t *words, size_t n, uint32_t port)
{
	char text[INET6_ADDRSTRLEN] = "*";
	bool v6 = family == AF_INET6;

	if (n == (v6 ? 4u : 1u))
		inet_ntop((int)family, words, text, sizeof(text));
	return arena_printf(c->arena, v6 ? "[%s]:%u" : "%s:%u", text, port);
}

static const char *inet_kind(const InetSkEntry *s)
{
	switch (s->proto) {
	case IPPROTO_TCP: return "TCP";
	case IPPROTO_UDP: return "UDP";
	case IPPROTO_UDPLITE: return "UDPLITE";
	case IPPROTO_ICMP: return "ICMP";
	default: return sock_type(s->type);
	}
}

static void put_socket(const struct ckpt *c, json_object *row, const FileEntry *f)
{
	if (f->isk) {
		row_text(row, "family", f->isk->family == AF_INET6 ? "INET6" : "INET");
		row_text(row, "kind", inet_kind(f->isk));
		row_text(row, "state", tcp_state(f->isk->state));
		row_number(row, "inode", f->isk->ino);
		row_text(row, "local", inet_name(c, f->isk->family, f->isk->src_addr, f->isk->n_src_addr, f->isk->src_port));
		if (f->isk->dst_port)
			row_text(row, "peer", inet_name(c, f->isk->family, f->isk->dst_addr, f->isk->n_dst_addr, f->isk->dst_port));
	} else if (f->usk) {
		row_text(row, "family", "UNIX");
		row_text(row, "kind", sock_type(f->usk->type));
		row_text(row, "state", tcp_state(f->usk->state));
		row_number(row, "inode", f->usk->ino);
		row_text(row, "local", unix_name(c, f->usk));
		if (f->usk->peer)
			row_text(row, "peer", arena_printf(c->arena, "socket:[%u]", f->usk->peer));
	} else if (f->nlsk) {
		row_text(row, "family", "NETLINK");
		row_number(row, "protocol", f->nlsk->protocol);
		row_number(row, "inode", f->nlsk->ino);
		row_text(row, "local", arena_printf(c->arena, "port %u", f->nlsk->portid));
	} else if (f->psk) {
		row_text(row, "family", "PACKET");
		row_text(row, "kind", sock_type(f->psk->type));
	}
}

int rows_sockets(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++)
		for (size_t k = 0; k < c->tasks[i].nfds && (!only || only == &c->tasks[i]); k++) {
			const FdinfoEntry *fd = c->tasks[i].fds[k];
			const FileEntry *f = ckpt_file(c, fd->id);
			json_object *row;

			if (!f || !(f->isk || f->usk || f->nlsk || f->psk))
				continue;
			row = new_row(rows, &c->tasks[i]);
			row_number(row, "fd", fd->fd);
			row_number(row, "id", fd->id);
			put_socket(c, row, f);
		}
	return 0;
}

/* ---- mounts ---- */

static int mounts_of(struct ckpt *c, uint32_t ns, json_object *rows, struct err *err)
{
	ProtobufCMessage **msgs;
	size_t n;
	int ret = image_read_all(c->dir, IMG_MNTS, ns, c->arena, &msgs, &n, NULL, err);

	for (size_t i = 0; i < n && !ret; i++) {
		const MntEntry *m = (MntEntry *)msgs[i];
		const ProtobufCEnumValue *type = protobuf_c_enum_descriptor_get_value(&fstype__descriptor, (int)m->fstype);
		json_object *row = new_row(rows, NULL);

		row_number(row, "ns", ns);
		row_number(row, "id", m->mnt_id);
		row_number(row, "parent", m->parent_mnt_id);
		row_text(row, "type", m->fsname && m->fsname[0] ? m->fsname : type ? type->name : "");
		row_text(row, "source", m->source);
		row_text(row, "root", m->root);
		row_text(row, "mountpoint", m->mountpoint);
		row_text(row, "options", m->options);
		row_hex(row, "flags", m->flags);
		if (m->has_ext_mount && m->ext_mount)
			row_text(row, "external", m->ext_key && m->ext_key[0] ? m->ext_key : "yes");
	}
	return ret;
}

int rows_mounts(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	/* Old checkpoints name the image by the pid of the root. */
	if (c->ntasks && !(c->inventory && c->inventory->ns_per_id))
		return mounts_of(c, c->tasks[0].pid, rows, err);
	for (size_t i = 0; i < c->ntasks; i++) {
		const TaskKobjIdsEntry *ids = c->tasks[i].ids;
		bool seen = !ids || !ids->has_mnt_ns_id || (only && only != &c->tasks[i]);
		int ret;

		for (size_t k = 0; k < i && !seen && !only; k++)
			seen = c->tasks[k].ids && c->tasks[k].ids->mnt_ns_id == ids->mnt_ns_id;
		ret = seen ? 0 : mounts_of(c, ids->mnt_ns_id, rows, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- timers ---- */

static const char *seconds(const struct ckpt *c, uint64_t sec, uint64_t fraction, unsigned digits)
{
	return arena_printf(c->arena, "%llu.%0*llu", (unsigned long long)sec, (int)digits, (unsigned long long)fraction);
}

static const char *clock_name(const struct ckpt *c, uint32_t id)
{
	static const char *const names[] = {
		[CLOCK_REALTIME] = "REALTIME", [CLOCK_MONOTONIC] = "MONOTONIC", [CLOCK_PROCESS_CPUTIME_ID] = "PROCESS_CPUTIME",
		[CLOCK_THREAD_CPUTIME_ID] = "THREAD_CPUTIME", [CLOCK_BOOTTIME] = "BOOTTIME",
		[CLOCK_REALTIME_ALARM] = "REALTIME_ALARM", [CLOCK_BOOTTIME_ALARM] = "BOOTTIME_ALARM", [CLOCK_TAI] = "TAI",
	};

	return id < ARRAY_SIZE(names) && names[id] ? names[id] : arena_printf(c->arena, "clock %d", (int)id);
}

static void itimer(const struct ckpt *c, const struct ckpt_task *t, json_object *rows, const char *clock, const ItimerEntry *e)
{
	json_object *row;

	if (!e || !(e->vsec | e->vusec | e->isec | e->iusec))
		return;
	row = new_row(rows, t);
	row_text(row, "kind", "itimer");
	row_text(row, "clock", clock);
	row_text(row, "left", seconds(c, e->vsec, e->vusec, 6));
	row_text(row, "interval", seconds(c, e->isec, e->iusec, 6));
}

static void posix_timer(const struct ckpt *c, const struct ckpt_task *t, json_object *rows, const PosixTimerEntry *e)
{
	json_object *row = new_row(rows, t);

	row_text(row, "kind", "posix");
	row_number(row, "id", e->it_id);
	row_text(row, "clock", clock_name(c, e->clock_id));
	row_text(row, "left", seconds(c, e->vsec, e->vnsec, 9));
	row_text(row, "interval", seconds(c, e->isec, e->insec, 9));
	if ((e->it_sigev_notify & 7) == 1)
		row_text(row, "notify", "none");
	else if (e->it_sigev_notify & 4)
		row_text(row, "notify", arena_printf(c->arena, "signal %u to thread %d", e->si_signo, e->notify_thread_id));
	else
		row_text(row, "notify", arena_printf(c->arena, "signal %u", e->si_signo));
}

static void timerfd(const struct ckpt *c, const struct ckpt_task *t, json_object *rows, const FdinfoEntry *fd, const TimerfdEntry *e)
{
	json_object *row = new_row(rows, t);

	row_text(row, "kind", "timerfd");
	row_number(row, "id", fd->fd);
	row_text(row, "clock", clock_name(c, e->clockid));
	row_text(row, "left", seconds(c, e->vsec, e->vnsec, 9));
	row_text(row, "interval", seconds(c, e->isec, e->insec, 9));
	row_number(row, "ticks", e->ticks);
}

int rows_timers(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	for (size_t i = 0; i < c->ntasks; i++) {
		const struct ckpt_task *t = &c->tasks[i];
		const CoreEntry *core = t->threads[0].core;
		const TaskTimersEntry *timers = core && core->tc ? core->tc->timers : NULL;

		if (only && only != t)
			continue;
		if (timers) {
			itimer(c, t, rows, "REAL", timers->real);
			itimer(c, t, rows, "VIRTUAL", timers->virt);
			itimer(c, t, rows, "PROF", timers->prof);
			for (size_t k = 0; k < timers->n_posix; k++)
				posix_timer(c, t, rows, timers->posix[k]);
		}
		for (size_t k = 0; k < t->nfds; k++) {
			const FileEntry *f = ckpt_file(c, t->fds[k]->id);

			if (f && f->tfd)
				timerfd(c, t, rows, t->fds[k], f->tfd);
		}
	}
	return 0;
}

/* ---- namespaces ---- */

static void namespace(json_object *rows, const struct ckpt_task *t, const char *kind, bool has, uint32_t id, bool has_root,
		      uint32_t root)
{
	json_object *row;

	if (!has)
		return;
	row = new_row(rows, t);
	row_text(row, "kind", kind);
	row_number(row, "id", id);
	row_text(row, "whose", has_root && id == root ? "of the host" : "own");
}

int rows_namespaces(struct ckpt *c, const struct ckpt_task *only, json_object *rows, struct err *err)
{
	static const TaskKobjIdsEntry none;
	const TaskKobjIdsEntry *r = c->inventory && c->inventory->root_ids ? c->inventory->root_ids : &none;

	for (size_t i = 0; i < c->ntasks; i++) {
		const struct ckpt_task *t = &c->tasks[i];
		const TaskKobjIdsEntry *e = t->ids;

		if ((only && only != t) || !e)
			continue;
		namespace(rows, t, "pid", e->has_pid_ns_id, e->pid_ns_id, r->has_pid_ns_id, r->pid_ns_id);
		namespace(rows, t, "net", e->has_net_ns_id, e->net_ns_id, r->has_net_ns_id, r->net_ns_id);
		namespace(rows, t, "ipc", e->has_ipc_ns_id, e->ipc_ns_id, r->has_ipc_ns_id, r->ipc_ns_id);
		namespace(rows, t, "uts", e->has_uts_ns_id, e->uts_ns_id, r->has_uts_ns_id, r->uts_ns_id);
		namespace(rows, t, "mnt", e->has_mnt_ns_id, e->mnt_ns_id, r->has_mnt_ns_id, r->mnt_ns_id);
		namespace(rows, t, "user", e->has_user_ns_id, e->user_ns_id, r->has_user_ns_id, r->user_ns_id);
		namespace(rows, t, "cgroup", e->has_cgroup_ns_id, e->cgroup_ns_id, r->has_cgroup_ns_id, r->cgroup_ns_id);
		namespace(rows, t, "time", e->has_time_ns_id, e->time_ns_id, r->has_time_ns_id, r->time_ns_id);
	}
	return 0;
}
