// SPDX-License-Identifier: GPL-2.0-or-later
/* Unix sockets as they are dumped: state, peers, options. What is outside of the tree is refused or named. */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/file/external.h"
#include "common/file/outside.h"
#include "common/sock/listeners.h"
#include "common/sock/unixsk.h"

static bool unixsk_match(const struct fd_source *src)
{
	return src->domain == AF_UNIX;
}

int unix_table_of(struct dump *d, struct unix_table **table, struct err *err)
{
	struct unix_table *t = d->files->sockets;
	int ret;

	if (!t) {
		t = d->files->sockets = xzalloc(sizeof(*t));
		ret = unix_diag_all(d->arena, &t->diags, err);
		if (ret < 0)
			return ret;
	}
	*table = t;
	return 0;
}

void unix_table_free(struct unix_table *t)
{
	if (!t)
		return;
	free(t->seen);
	free(t->messages);
	unix_embryos_free(t->embryos);
	free(t);
}

/* Who called listen(2), connect(2) or socketpair(2) at the other end. */
static void dump_peer_cred(struct dump *d, const struct fd_source *src, UnixSkEntry *e)
{
	PeerCredEntry *p = arena_msg(d->arena, PeerCredEntry, peer_cred_entry__init);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	char none;

	if (getsockopt(src->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 0)
		return;
	p->pid = cred.pid;
	p->uid = cred.uid;
	p->gid = cred.gid;
	len = 0; /* it says how much it would be */
	if (getsockopt(src->fd, SOL_SOCKET, SO_PEERGROUPS, &none, &len) < 0 && errno == ERANGE && len) {
		p->groups = arena_alloc(d->arena, len);
		if (getsockopt(src->fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &len) == 0)
			p->n_groups = len / sizeof(*p->groups);
	}
	e->peer_cred = p;
}

/* Whom the other end will show when it is accepted: who connected, as far as can be told. */
static void dump_own_cred(struct dump *d, UnixSkEntry *e)
{
	const struct proc_status *st = &d->task->threads[0].status;
	PeerCredEntry *p = e->own_cred = arena_msg(d->arena, PeerCredEntry, peer_cred_entry__init);

	p->pid = d->task->pid;
	p->uid = st->uid[1];
	p->gid = st->gid[1];
	p->n_groups = st->ngroups;
	p->groups = st->groups;
}

/* The name of a peer that is not there any more, which the socket still tells. */
static int dump_gone(struct dump *d, const struct fd_source *src, UnixSkEntry *e, struct err *err)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_storage other = { 0 }; /* longer than the longest */
	socklen_t len = sizeof(other);

	if (getpeername(src->fd, (struct sockaddr *)&other, &len) < 0)
		return errno == ENOTCONN ? 0 : err_sys(err, "cannot read the name of a socket's peer");
	e->has_gone_name = true;
	e->gone_name.len = len > head ? len - head : 0;
	e->gone_name.data = arena_dup(d->arena, (const char *)&other + head, e->gone_name.len);
	return 0;
}

static int dump_unaccepted_data(struct dump *d, const struct fd_source *src, UnixSkEntry *e, struct err *err)
{
	char what[256];
	int sent = 0;

	/* What it sent hangs on a socket without descriptor; only the memory that it takes shows. */
	if (ioctl(src->fd, SIOCOUTQ, &sent) < 0)
		return err_sys(err, "cannot read how much a socket has sent");
	if (!sent)
		return 0;
	if (unix_sent_readable(d))
		return unix_sent_dump(d, src->fd, e, err);
	sock_describe(src->fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s: it has sent data, but nobody has accepted the connection yet", what),
			"with CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN it can be read (Linux 5.14 and later); or try again when the server "
			"has accepted it");
}

/* Connected, and the other end has no inode: waits to be accepted, or is gone. */
static int dump_peerless(struct dump *d, const struct fd_source *src, const struct unix_table *t, UnixSkEntry *e,
			 struct err *err)
{
	uint32_t place = 0;
	const struct unix_diag *listener;

	if (e->type == SOCK_DGRAM)
		return dump_gone(d, src, e, err);
	listener = unix_diag_listener(&t->diags, e->ino, &place);
	if (!listener && e->shutdown == SK_SHUTDOWN__BOTH)
		return dump_gone(d, src, e, err);
	if (!listener)
		return err_refuse(err, "unix socket:[%u] waits to be accepted by a socket of another network namespace", e->ino);
	e->peer = listener->ino;
	dump_own_cred(d, e);
	if (place) {
		e->has_queue_place = true;
		e->queue_place = place;
	}
	return dump_unaccepted_data(d, src, e, err);
}

/* SO_ERROR would take it away. ECONNRESET is the only error that such a socket can have: its peer closed without reading all. */
static int dump_error(const struct fd_source *src, UnixSkEntry *e, struct err *err)
{
	struct pollfd p = { .fd = src->fd };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	if (!(p.revents & POLLERR))
		return 0;
	if (e->type == SOCK_DGRAM || e->peer || e->state != UNIX_CONNECTED)
		return sock_refuse_errors(src->fd, "unix socket", err);
	e->has_reset = e->reset = true;
	return 0;
}

static void remember(struct dump *d, struct unix_table *t, const struct fd_source *src, UnixSkEntry *e,
		     const struct unix_diag *diag)
{
	array_reserve(&t->seen, &t->cap, t->nseen, sizeof(*t->seen));
	t->seen[t->nseen++] = (struct unix_seen){ .ino = e->ino, .peer = e->peer, .entry = e, .diag = diag,
						  .task = d->task, .number = src->number };
}

static bool has_closed(const struct unix_diag *diag)
{
	size_t i = 0;

	while (i < diag->nicons && diag->icons[i])
		i++;
	return i < diag->nicons;
}

static int dump_state(struct dump *d, const struct fd_source *src, const struct unix_table *t,
		      const struct unix_diag *diag, UnixSkEntry *e, struct err *err)
{
	e->state = diag->state;
	e->peer = diag->peer;
	if (e->state == UNIX_LISTEN) {
		e->backlog = diag->wqueue;
		if (!d->opts->unix_close)
			listeners_watch(d, src->fd, 0);
		if (has_closed(diag))
			return unix_closed_dump(d, src->fd, diag, e, err);
	}
	if (diag->shutdown) {
		e->has_shutdown = true;
		e->shutdown = (SkShutdown)diag->shutdown;
	}
	if (e->state == UNIX_CONNECTED && !e->peer)
		return dump_peerless(d, src, t, e, err);
	return 0;
}

static bool is_given(const struct dump *d, uint32_t ino)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", ino);
	return external_find(d->opts->given, "unix", id);
}

/* --unix-close: a connection from outside, which no other option makes again. What nobody has is on its way in a message. */
static bool is_to_close(struct dump *d, const struct unix_table *t, const struct unix_diag *diag, const UnixSkEntry *e)
{
	const struct stat st = { .st_dev = t->dev, .st_ino = e->peer };
	char link[32], who[96];
	size_t n;

	if (!d->opts->unix_close || e->state != UNIX_CONNECTED || !diag->peer || e->type == SOCK_DGRAM || is_given(d, e->ino) ||
	    is_given(d, e->peer))
		return false;
	file_same_inode(d, &st, &n);
	snprintf(link, sizeof(link), "socket:[%u]", e->peer);
	return !n && file_find_holder(d, link, who, sizeof(who));
}

/* As unix_release_sock() in net/unix/af_unix.c leaves one whose other end was closed: with what came, and an error if that has not read
 * all. */
static void close_outside(struct dump *d, const struct unix_table *t, UnixSkEntry *e)
{
	const struct unix_diag *peer = unix_diag_find(&t->diags, e->peer);

	e->peer = 0;
	e->has_shutdown = true;
	e->shutdown = SK_SHUTDOWN__BOTH;
	e->has_gone_name = true;
	e->gone_name.len = peer ? peer->name_len : 0;
	e->gone_name.data = arena_dup(d->arena, peer ? peer->name : "", e->gone_name.len);
	e->has_reset = e->reset = peer && peer->rqueue;
}

static int unixsk_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	UnixSkEntry *e = arena_msg(d->arena, UnixSkEntry, unix_sk_entry__init);
	struct unix_table *t;
	int ret = unix_table_of(d, &t, err);

	if (ret < 0)
		return ret;
	const struct unix_diag *diag = unix_diag_find(&t->diags, (uint32_t)src->st.st_ino);
	if (!diag)
		return err_refuse(err, "unix socket of another network namespace");
	t->dev = src->st.st_dev;
	entry->usk = e;
	e->id = entry->id;
	e->ino = (uint32_t)src->st.st_ino;
	e->type = (uint32_t)src->type;
	e->flags = (uint32_t)src->flags;
	ret = dump_state(d, src, t, diag, e, err);
	if (!ret && is_to_close(d, t, diag, e))
		close_outside(d, t, e);
	dump_peer_cred(d, src, e);
	if (!ret)
		ret = unix_name_dump(d, src, diag, e, err);
	if (!ret)
		ret = fown_dump(d, src, &e->fown, err);
	if (!ret)
		ret = sock_options_dump(d, src, &e->opts, err);
	if (!ret)
		ret = dump_error(src, e, err);
	if (ret < 0)
		return ret;
	remember(d, t, src, e, diag);
	return ret;
}

/* ---- when all are known ---- */

static int by_ino(const void *va, const void *vb)
{
	const struct unix_seen *a = va, *b = vb;

	return (a->ino > b->ino) - (a->ino < b->ino);
}

struct unix_seen *unix_find_seen(const struct unix_table *t, uint32_t ino)
{
	const struct unix_seen key = { .ino = ino };

	return t->nseen ? bsearch(&key, t->seen, t->nseen, sizeof(key), by_ino) : NULL;
}

static bool seen(const struct unix_table *t, uint32_t ino)
{
	return unix_find_seen(t, ino);
}

bool unix_is_in_tree(struct dump *d, const struct unix_table *t, uint32_t ino)
{
	const struct stat st = { .st_dev = t->dev, .st_ino = ino };
	size_t n = 0;

	if (d->found)
		file_same_inode(d, &st, &n);
	return n;
}

static void who_has(struct dump *d, uint32_t ino, char *who, size_t n)
{
	char link[32];

	snprintf(link, sizeof(link), "socket:[%u]", ino);
	if (!file_find_holder(d, link, who, n))
		snprintf(who, n, "nobody in sight");
}

static void show_name(const char *name, size_t len, char *out, size_t n)
{
	const bool abstract = len && !name[0];

	snprintf(out, n, "%s%.*s", abstract ? "@" : "", (int)len - abstract, len ? name + abstract : "");
}

static const char let_go[] = "dump a tree that has both processes, or let one of them close it";

/* Without a name it is a client's end, as a rule, or one of a pair. */
static int refuse_nameless(const struct unix_seen *s, const char *who, struct err *err)
{
	return err_hint(err, err_refuse(err, "unix socket, whose other end (socket:[%u] without a name) is not dumped: %s has it",
					s->peer, who),
			s->entry->type == SOCK_DGRAM ? "only a name can be connected to again: %s" :
						       "--unix-close brings it back as if that had closed; to keep it, %s", let_go);
}

/* Of connections each is named, for the server takes a new one for another client. */
static int refuse_named(const struct unix_seen *s, const char *shown, const char *who, bool all, struct err *err)
{
	int ret = err_refuse(err, "unix socket, whose other end (socket:[%u] %s) is not dumped: %s has it", s->peer, shown, who);

	if (s->entry->type == SOCK_DGRAM)
		return err_hint(err, ret, "--ext-unix-sk connects it again to that name at the restore");
	return err_hint(err, ret, "%s--external unix[%u] makes a new connection to that name at the restore",
			all ? "--ext-unix-sk without this inode is for datagrams; " : "", s->peer);
}

/* The other end belongs to somebody else: named, so that a restore connects to it again, or refused. */
static int check_outside(struct dump *d, const struct unix_table *t, const struct unix_seen *s, struct err *err)
{
	const struct unix_diag *peer = unix_diag_find(&t->diags, s->peer);
	const bool one = is_given(d, s->ino), other = is_given(d, s->peer), given = one || other, dgram = s->entry->type == SOCK_DGRAM,
		   all = external_find(d->opts->given, "unix", "");
	const ProtobufCBinaryData name = { peer ? peer->name_len : 0, peer ? (uint8_t *)(uintptr_t)peer->name : NULL };
	char who[96], shown[UNIX_NAME_MAX + 2];
	UnixSkEntry *e;

	who_has(d, s->peer, who, sizeof(who));
	show_name((const char *)name.data, name.len, shown, sizeof(shown));
	if (!name.len)
		return refuse_nameless(s, who, err);
	if (!given && !(dgram && all))
		return refuse_named(s, shown, who, all, err);
	if (!dgram && s->diag->rqueue)
		return err_refuse(err, "unix socket with data that %s sent: a new connection to %s would not have it", who, shown);
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	entry->type = FD_TYPES__UNIXSK;
	entry->usk = e = arena_msg(d->arena, UnixSkEntry, unix_sk_entry__init);
	e->id = entry->id = file_new_id(d);
	e->ino = s->peer;
	e->type = s->entry->type;
	e->state = UNIX_CLOSED;
	e->flags = O_RDWR;
	e->uflags = 1;
	e->name = name;
	e->fown = arena_msg(d->arena, FownEntry, fown_entry__init);
	e->opts = arena_msg(d->arena, SkOptsEntry, sk_opts_entry__init);
	file_put(d, entry);
	return 0;
}

/* Who waits in the accept queue of a socket of ours. */
static int check_waiting(struct dump *d, const struct unix_table *t, const struct unix_seen *s, struct err *err)
{
	char who[96];

	if (s->entry->has_sent_id && !seen(t, s->peer) && !unix_is_in_tree(d, t, s->peer))
		return err_refuse(err, "it has sent data, but nobody has accepted the connection yet, and who listens is not dumped");
	for (size_t i = 0; i < s->diag->nicons; i++) {
		const uint32_t client = s->diag->icons[i];

		if (!client || seen(t, client) || unix_is_in_tree(d, t, client) || d->opts->unix_close)
			continue;
		who_has(d, s->diag->icons[i], who, sizeof(who));
		return err_hint(err, err_refuse(err, "listening unix socket with a connection from socket:[%u], which is not dumped:"
						" %s has it", s->diag->icons[i], who),
				"--unix-close drops it; to keep it, %s", let_go);
	}
	return 0;
}

/* Another process has this end, too. A socket without name and peer is nobody's to find. */
static int check_shared(struct dump *d, const struct unix_seen *s, struct err *err)
{
	const struct stat st = { .st_mode = S_IFSOCK, .st_ino = s->ino };
	char shown[UNIX_NAME_MAX + 2], what[UNIX_NAME_MAX + 40];

	if (!s->peer && !s->diag->name_len && s->entry->state == UNIX_CLOSED)
		return 0;
	show_name(s->diag->name, s->diag->name_len, shown, sizeof(shown));
	snprintf(what, sizeof(what), "%sunix socket%s%s", s->entry->state == UNIX_LISTEN ? "listening " : "", *shown ? " " : "", shown);
	return outside_hint(outside_refuse(d, &st, "", what, err), err);
}

int unixsk_finish(struct dump *d, struct err *err)
{
	struct unix_table *t = d->files->sockets;
	struct dump_task *task = d->task;
	cleanup_free uint32_t *outside = NULL;
	size_t noutside = 0, cap = 0, k;
	int ret = 0;

	if (!t || !t->nseen)
		return 0;
	qsort(t->seen, t->nseen, sizeof(*t->seen), by_ino);
	for (size_t i = 0; i < t->nseen && !ret; i++) {
		const struct unix_seen *s = &t->seen[i];
		d->task = s->task;
		ret = check_waiting(d, t, s, err);
		if (!ret && s->peer && !seen(t, s->peer)) {
			for (k = 0; k < noutside && outside[k] != s->peer; k++)
				;
			if (k < noutside)
				continue;
			ret = unix_is_in_tree(d, t, s->peer) ? 0 : check_outside(d, t, s, err); /* one that is connected again may be two */
			array_reserve(&outside, &cap, noutside, sizeof(*outside));
			outside[noutside++] = s->peer;
		} else if (!ret) {
			ret = check_shared(d, s, err);
		}
		if (ret < 0)
			ret = err_task(err, d->task->pid, d->task->stat.comm, file_blame(s->number, ret, err));
		ret = dump_note(d, ret, err);
	}
	d->task = task;
	return ret < 0 ? ret : unix_check_messages(d, t, err);
}

const struct file_kind unixsk_kind = {
	.name = "unix socket",
	.type = FD_TYPES__UNIXSK,
	.match = unixsk_match,
	.dump = unixsk_dump,
	.plan = unixsk_plan,
};
