// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What waits in a unix socket to be read: data, borders of messages, who sent them, and the descriptors in them. It is looked at
 * with MSG_PEEK; with SO_PEEK_OFF each look begins where the last one ended (net/unix/af_unix.c). The offset belongs to the
 * socket, so it is put back; only when we are killed between the two is it not, and a program that peeks would see that. The same is
 * true of SO_PASSCRED of a packet socket whose connection has ended.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/unixsk.h"

#define RIGHTS_MAX 253 /* SCM_MAX_FD of net/core/scm.c */
#define FIRST_GUESS 65536
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

/* ---- dump ---- */

/* One look into the queue. */
struct look {
	char *buf;
	size_t cap;
	ssize_t n;	/* of bytes from the offset on; may be more than cap for a message */
	bool signed_;	/* SCM_CREDENTIALS came with it */
	int fds[RIGHTS_MAX];
	size_t nfds;
	struct ucred cred;
	unsigned char name[sizeof(struct sockaddr_storage)];
	size_t name_len;
};

static void drop_fds(struct look *l)
{
	for (size_t i = 0; i < l->nfds; i++)
		close(l->fds[i]);
	l->nfds = 0;
}

static void look_done(struct look *l)
{
	drop_fds(l);
	free(l->buf);
}

static void take_control(struct look *l, struct msghdr *msg)
{
	l->signed_ = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			l->nfds = MIN(len / sizeof(int), (size_t)RIGHTS_MAX);
			memcpy(l->fds, CMSG_DATA(c), l->nfds * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS && len >= sizeof(l->cred)) {
			memcpy(&l->cred, CMSG_DATA(c), sizeof(l->cred));
			l->signed_ = true;
		} else if (c->cmsg_type == SCM_PIDFD && len >= sizeof(int)) {
			int pidfd; /* made for the reader from the credentials */
			memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
			if (pidfd >= 0)
				close(pidfd);
		}
	}
}

/* At most `size` bytes from the current offset on. 1: something is there, 0: nothing, or a negative errno. */
static int look_at(int fd, size_t size, struct look *l, struct err *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + 1024];
	struct iovec iov = { l->buf, MIN(size, l->cap) };
	struct msghdr msg = { .msg_name = l->name, .msg_namelen = sizeof(l->name), .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof(control) };
	const size_t head = offsetof(struct sockaddr_un, sun_path);

	drop_fds(l);
	l->cred = (struct ucred){ 0 };
	l->n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	if (l->n < 0)
		return errno == EAGAIN || errno == ENOTCONN || errno == EINVAL ? 0 :
		       err_sys(err, "cannot look into the queue of a socket");
	take_control(l, &msg);
	l->name_len = msg.msg_namelen > head ? msg.msg_namelen - head : 0;
	if (msg.msg_flags & MSG_CTRUNC)
		return err_set(err, ERR_FAILED, EMFILE, "no room for all the descriptors in a socket's queue");
	return 1;
}

static int set_offset(int fd, int offset, struct err *err)
{
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0 ? err_sys(err, "cannot set SO_PEEK_OFF") :
										      0;
}

static int put_cred(struct dump *d, const struct ucred *cred, SkPacketEntry *p, SenderCredEntry *e, struct err *err)
{
	if (!cred->pid) /* sent before anybody asked for credentials */
		return 0;
	if (!dump_find_task(d, cred->pid))
		return err_refuse(err, "unix socket with a message that carries the credentials of process %d, which is not dumped",
				  (int)cred->pid);
	e->pid = cred->pid;
	e->uid = cred->uid;
	e->gid = cred->gid;
	p->cred = e;
	return 0;
}

/* Writes `len` bytes from `from` on as one packet; with the descriptors when `with`. */
static int put(struct dump *d, const UnixSkEntry *e, struct look *l, size_t from, size_t len, bool with, struct err *err)
{
	SkPacketEntry p = SK_PACKET_ENTRY__INIT;
	SenderCredEntry cred = SENDER_CRED_ENTRY__INIT;
	ScmEntry scm = SCM_ENTRY__INIT, *scms[1] = { &scm };
	uint32_t ids[RIGHTS_MAX];
	int ret = put_cred(d, &l->cred, &p, &cred, err);

	for (size_t i = 0; with && i < l->nfds && !ret; i++) {
		int fd = l->fds[i];
		l->fds[i] = -1;
		ret = inflight_id(d, fd, &ids[i], err);
	}
	if (ret < 0)
		return ret;
	if (with && l->nfds) {
		scm.type = SCM_RIGHTS;
		scm.n_rights = l->nfds;
		scm.rights = ids;
		p.n_scm = 1;
		p.scm = scms;
		l->nfds = 0;
	}
	p.id_for = e->id;
	p.length = (uint32_t)len;
	if (e->type == SOCK_DGRAM && l->name_len) {
		p.has_sender = true;
		p.sender = (ProtobufCBinaryData){ l->name_len, l->name + offsetof(struct sockaddr_un, sun_path) };
	}
	unix_note_message(d, e->ino, p.cred != NULL, p.sender.data, p.sender.len);
	image_store_put(d->store, IMG_SK_QUEUES, 0, &p.base);
	image_store_payload(d->store, IMG_SK_QUEUES, 0, l->buf + from, len);
	return 0;
}

static void reserve(struct look *l, size_t n)
{
	if (n <= l->cap)
		return;
	free(l->buf);
	l->buf = xmalloc(n);
	l->cap = n;
}

/* The end of a closed connection looks like an empty packet, but for the credentials that come with each of those if they are asked for. */
static int ask_credentials(int fd, int on, struct err *err)
{
	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? err_sys(err, "cannot set SO_PASSCRED") : 0;
}

struct messages {
	struct dump *d;
	const UnixSkEntry *e;
	int fd;
	bool ends;  /* behind the last packet comes the end, again and again */
	bool asked; /* credentials were asked for by us, not by its owner */
	size_t offset;
};

/* One look; 0: there is nothing more. A second one where the room did not suffice. */
static int dump_message(struct messages *q, struct look *l, struct err *err)
{
	int ret = look_at(q->fd, SIZE_MAX, l, err);

	if (ret <= 0 || (!l->n && q->ends && !l->signed_))
		return MIN(ret, 0);
	if ((size_t)l->n > l->cap) {
		reserve(l, (size_t)l->n);
		ret = set_offset(q->fd, (int)q->offset, err);
		if (!ret)
			ret = look_at(q->fd, SIZE_MAX, l, err);
		if (ret < 0)
			return ret;
	}
	if (q->asked)
		l->cred = (struct ucred){ 0 };
	ret = put(q->d, q->e, l, 0, (size_t)l->n, true, err);
	q->offset += (size_t)l->n;
	return ret < 0 ? ret : 1;
}

/*
 * Datagrams and packets, one look each. A look without an offset shows the first one, always; one with an offset of 0 steps over what
 * is empty and was looked at before (skb->peeked; __skb_try_recv_from_queue() in net/core/datagram.c, 6.18). So the first one is
 * looked at without, and is stepped over by the others if it is empty.
 */
static int dump_messages(struct messages *q, struct look *l, struct err *err)
{
	int ret, bytes = 0;

	if (ioctl(q->fd, FIONREAD, &bytes) < 0)
		return err_sys(err, "cannot read the size of a socket's queue");
	reserve(l, MAX((size_t)bytes, (size_t)FIRST_GUESS));
	ret = set_offset(q->fd, -1, err);
	if (!ret)
		ret = look_at(q->fd, 0, l, err);
	if (ret <= 0)
		return ret;
	if (!l->n) {
		ret = dump_message(q, l, err);
		if (ret <= 0)
			return ret;
	}
	ret = set_offset(q->fd, 0, err);
	while (!ret && (ret = dump_message(q, l, err)) > 0)
		ret = 0;
	return ret;
}

/*
 * A stream shows the data of all messages up to and with the first that holds descriptors (unix_stream_read_generic()), so it
 * does not tell with which byte they come. But a message that cannot be copied whole ends a look as if it were not there: in a
 * buffer that lacks one byte, only those before it arrive.
 */
static int find_rights(int fd, size_t offset, size_t n, size_t *at, struct err *err)
{
	const size_t page = 4096, room = (n + page - 1) / page * page;
	char *buf = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (buf == MAP_FAILED)
		return err_sys(err, "no memory for the queue of a socket");
	ret = mprotect(buf + room, page, PROT_NONE) < 0 ? err_sys(err, "cannot protect a page") : 0;
	if (!ret)
		ret = set_offset(fd, (int)offset, err);
	if (!ret) {
		ssize_t got = recv(fd, buf + room - (n - 1), n, MSG_PEEK | MSG_DONTWAIT);
		if (got < 0 && errno != EFAULT)
			ret = err_sys(err, "cannot look into the queue of a socket");
		*at = got < 0 ? 0 : (size_t)got;
	}
	munmap(buf, room + page);
	return ret;
}

static int dump_stream(struct dump *d, int fd, const UnixSkEntry *e, struct look *l, struct err *err)
{
	int bytes = 0, ret;

	if (ioctl(fd, FIONREAD, &bytes) < 0)
		return err_sys(err, "cannot read the size of a socket's queue");
	reserve(l, (size_t)bytes + 1);
	for (size_t offset = 0; offset < (size_t)bytes; offset += (size_t)l->n) {
		size_t at = 0;
		ret = set_offset(fd, (int)offset, err);
		if (!ret)
			ret = look_at(fd, (size_t)bytes - offset, l, err);
		if (ret < 0)
			return ret;
		if (!ret || !l->n)
			return err_set(err, ERR_FAILED, EBUSY, "the queue of a socket changed while it was read");
		if (l->nfds) {
			ret = find_rights(fd, offset, (size_t)l->n, &at, err);
			if (!ret && at)
				ret = put(d, e, l, 0, at, false, err);
			if (ret < 0)
				return ret;
		}
		ret = put(d, e, l, at, (size_t)l->n - at, true, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The byte of MSG_OOB is not seen by other looks, and its place cannot be asked. */
static int check_urgent(int fd, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	return p.revents & POLLPRI ? err_refuse(err, "unix socket with an out-of-band byte (MSG_OOB) that waits to be read") : 0;
}

static int queue_dump(struct dump *d, int fd, const UnixSkEntry *e, struct err *err)
{
	struct look cleanup(look_done) l = { 0 };
	struct messages q = { .d = d, .e = e, .fd = fd, .ends = e->type == SOCK_SEQPACKET && e->shutdown & 1 };
	const int was = sock_option(fd, SO_PEEK_OFF);
	struct err ignore = ERR_INIT;
	int ret = e->type == SOCK_STREAM ? check_urgent(fd, err) : 0, back;

	if (!ret)
		ret = set_offset(fd, 0, err);
	if (ret < 0)
		return ret;
	if (q.ends && sock_option(fd, SO_PASSCRED) == 0) {
		ret = ask_credentials(fd, 1, err);
		q.asked = !ret;
	}
	if (!ret)
		ret = e->type == SOCK_STREAM ? dump_stream(d, fd, e, &l, err) : dump_messages(&q, &l, err);
	if (q.asked) {
		back = ask_credentials(fd, 0, ret ? &ignore : err);
		ret = ret ? ret : back;
	}
	back = set_offset(fd, was < 0 ? -1 : was, ret ? &ignore : err);
	return ret ? ret : back;
}

/* Nearly always there is nothing, and then nothing of the socket is touched. Not by a look: that would hide an empty message. */
static bool is_empty(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLIN);
}

static int scan_one(struct dump *d, int fd, const struct unix_diag *diag, uint32_t id, struct err *err)
{
	UnixSkEntry e = UNIX_SK_ENTRY__INIT;

	e.id = id;
	e.ino = diag->ino;
	e.type = diag->type;
	e.has_shutdown = true;
	e.shutdown = (SkShutdown)diag->shutdown;
	return e.type != SOCK_STREAM && is_empty(fd) ? 0 : queue_dump(d, fd, &e, err);
}

/* A stream without a byte needs no look, and listening sockets hold connections. */
static const struct unix_diag *worth_it(const struct unix_table *t, const struct file_fd *f)
{
	const struct unix_diag *s = S_ISSOCK(f->st.st_mode) && !(f->flags & O_PATH) ?
					    unix_diag_find(&t->diags, (uint32_t)f->st.st_ino) :
					    NULL;

	return !s || s->state == UNIX_LISTEN || (s->type == SOCK_STREAM && !s->rqueue) ? NULL : s;
}

int unix_queues_dump(struct dump *d, struct err *err)
{
	struct file_table *ft = d->files;
	struct dump_task *task = d->task;
	struct dump_task *opened = NULL;
	cleanup_fd int pidfd = -1; /* of that one */
	struct unix_table *t;
	size_t i = 0;
	int ret;

	while (i < ft->nfds && !S_ISSOCK(ft->fds[i].st.st_mode))
		i++;
	if (i == ft->nfds)
		return 0;
	ret = unix_table_of(d, &t, err);
	for (; i < ft->nfds && !ret; i++) {
		const struct file_fd *f = &ft->fds[i];
		const struct unix_diag *diag = f->duplicate ? NULL : worth_it(t, f);
		if (!diag)
			continue;
		if (f->task != opened) {
			if (pidfd >= 0)
				close(pidfd);
			pidfd = dump_task_pidfd(f->task);
			opened = f->task;
		}
		cleanup_fd int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, f->number, 0);
		d->task = f->task;
		ret = fd < 0 ? err_sys(err, "cannot get a duplicate (pidfd_getfd)") : scan_one(d, fd, diag, f->id, err);
		if (ret < 0)
			ret = err_task(err, f->task->pid, f->task->stat.comm, err_object(err, ret, "fd %d", f->number));
		ret = dump_note(d, ret, err);
	}
	/* Sockets in messages have queues, too; the list grows meanwhile. */
	for (size_t k = 0; k < ft->ninflight && !ret; k++) {
		const struct unix_diag *diag = worth_it(t, &ft->inflight[k]);
		d->task = ft->inflight[k].task;
		if (diag)
			ret = dump_note(d, scan_one(d, ft->inflight[k].number, diag, ft->inflight[k].id, err), err);
	}
	d->task = task;
	return ret;
}

/* ---- restore ---- */

/* File entries are sorted by type, and only the id is known: ids are of all types together. */
static const FileEntry *entry_by_id(const struct model *m, uint32_t id)
{
	for (unsigned i = 0; i < fd_types__descriptor.n_values; i++) {
		const FileEntry *e = model_file(m, (FdTypes)fd_types__descriptor.values[i].value, id);
		if (e)
			return e;
	}
	return NULL;
}

/* Nobody does for them what only a task with such a descriptor can do. */
static int check_in_table(const struct model *m, struct plan *plan, const FileEntry *e, struct err *err)
{
	struct file_plan *fp = file_plan_of(plan);
	const FownEntry *fown;
	uint32_t flags = 0, held;

	if (!fp->held_built) {
		for (size_t t = 0; t < m->ntasks; t++)
			for (size_t i = 0; i < m->tasks[t].nfds; i++)
				id_map_put(&fp->held, plan->arena, m->tasks[t].fds[i]->id, 1);
		fp->held_built = true;
	}
	if (id_map_get(&fp->held, e->id, &held))
		return 0;
	fown = file_fown(m, e, &flags);
	if (e->type == FD_TYPES__EVENTPOLL || (e->type == FD_TYPES__TIMERFD) || (fown && fown->pid) || flags & O_ASYNC)
		return err_refuse(err, "sk-queues.img: file %u is only in a message, and cannot be made without a task that has it",
				  e->id);
	return 0;
}

static int rights_slot(const struct model *m, struct plan *plan, uint32_t id, uint32_t *slot, struct err *err)
{
	const FileEntry *e = entry_by_id(m, id);
	int ret;

	if (!e)
		return err_image(err, "sk-queues.img: no file with id %u, which is in a message", id);
	if (file_opened_late(m, e))
		return err_refuse(err, "sk-queues.img: file %u is in a message, and only a task that is restored can open it", id);
	ret = check_in_table(m, plan, e, err);
	return ret < 0 ? ret : file_slot(m, plan, e->type, e->id, slot, err);
}

int unix_packet_prepare(const struct model *m, struct plan *plan, const struct sock_packet *p, struct unix_rights *r,
			struct err *err)
{
	const SkPacketEntry *e = p->entry;
	size_t n = 0;
	int ret = 0;

	*r = (struct unix_rights){ 0 };
	for (size_t i = 0; i < e->n_scm; i++) {
		if (e->scm[i]->type != SCM_RIGHTS)
			return err_image(err, "sk-queues.img: control message of type %u for socket %u", e->scm[i]->type, e->id_for);
		n += e->scm[i]->n_rights;
	}
	if (n > RIGHTS_MAX)
		return err_image(err, "sk-queues.img: %zu descriptors in a message for socket %u", n, e->id_for);
	r->slots = arena_alloc(plan->arena, (n + 1) * sizeof(*r->slots));
	for (size_t i = 0; i < e->n_scm && !ret; i++)
		for (size_t k = 0; k < e->scm[i]->n_rights && !ret; k++)
			ret = rights_slot(m, plan, e->scm[i]->rights[k], &r->slots[r->n++], err);
	return ret;
}

const char unix_signed_note[] = "queued data and its sender";

/* Descriptors and credentials, as sendmsg(2) takes them. */
static void put_control(struct program *c, struct data_ref head, const struct unix_rights *r, const SenderCredEntry *cred)
{
	_Alignas(struct cmsghdr) char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	const size_t len = r->n ? CMSG_SPACE(r->n * sizeof(int)) : 0, more = cred ? CMSG_SPACE(sizeof(struct ucred)) : 0;
	struct cmsghdr h = { .cmsg_len = CMSG_LEN(r->n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };

	if (len)
		memcpy(bytes, &h, sizeof(h));
	if (more) {
		struct ucred u = { cred->pid, cred->uid, cred->gid };
		h.cmsg_len = CMSG_LEN(sizeof(u));
		h.cmsg_type = SCM_CREDENTIALS;
		memcpy(bytes + len, &h, sizeof(h));
		memcpy(bytes + len + CMSG_LEN(0), &u, sizeof(u));
	}
	struct data_ref control = program_data(c, bytes, len + more);
	for (size_t i = 0; i < r->n; i++)
		program_data_slot(c, control, (uint32_t)(CMSG_LEN(0) + i * sizeof(int)), r->slots[i]);
	program_data_pointer(c, head, offsetof(struct msghdr, msg_control), control, 0);
}

void unix_packet_send(struct program *c, int phase, const struct sock_packet *p, const struct unix_rights *r, struct arg fd,
		      const struct data_ref *to)
{
	const SenderCredEntry *cred = p->entry->cred;
	const struct arg flags = A(MSG_DONTWAIT | MSG_NOSIGNAL);

	if (!r->n && !cred) {
		if (to)
			program_call_eq(c, phase, "queued data", p->len, SYS_sendto, fd, A_PTR(p->bytes), A(p->len), flags,
					A_DATA(*to), A(to->len));
		else
			program_call_eq(c, phase, "queued data", p->len, SYS_sendto, fd, A_PTR(p->bytes), A(p->len), flags, A(0),
					A(0));
		return;
	}
	struct iovec iov = { (void *)(uintptr_t)p->bytes, p->len };
	struct msghdr msg = { .msg_iovlen = 1, .msg_namelen = to ? to->len : 0,
			      .msg_controllen = (r->n ? CMSG_SPACE(r->n * sizeof(int)) : 0) +
						(cred ? CMSG_SPACE(sizeof(struct ucred)) : 0) };
	struct data_ref vec = program_data(c, &iov, sizeof(iov)), head = program_data(c, &msg, sizeof(msg));
	program_data_pointer(c, head, offsetof(struct msghdr, msg_iov), vec, 0);
	if (to)
		program_data_pointer(c, head, offsetof(struct msghdr, msg_name), *to, 0);
	put_control(c, head, r, cred);
	program_call_eq(c, phase, cred ? unix_signed_note : "queued descriptors", p->len, SYS_sendmsg, fd,
			A_DATA(head), flags);
}
