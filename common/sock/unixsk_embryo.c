// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a client has sent before its connection was accepted. It lies in the receive queue of a socket that is there already, and has no
 * descriptor before accept(2) gives it one (unix_stream_connect() in net/unix/af_unix.c, Linux 6.18); but the client's own socket leads to
 * it, or the queue of the listening one if the client is closed, and the kernel's memory can be read (common/bpf/kmem.h). Nobody accepts
 * while the tree is frozen, and a second look finds out whether somebody did nevertheless. A restore connects and sends it again.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bpf/kmem.h"
#include "common/sock/skbuff.h"
#include "common/sock/unixsk.h"

#define TRIES 20
#define MESSAGE_MAX (256u << 20) /* bytes in one buffer, */
#define BYTES_MAX (1u << 30)	 /* and in all of one connection */

/* ---- what is where ---- */

enum field {
	FAMILY, TYPE, STATE, SOCKET, PEER, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN, URGENT, ASKS, ASKS_CRED, ASKS_PIDFD, LISTENER, ADDRESS,
	SHUTDOWN, CREATOR, CRED, FIELDS
};
#define SK "sk."
static const struct { const char *path; uint8_t size; bool optional; } fields[FIELDS] = {
	[FAMILY] = { SK "__sk_common.skc_family", 2 },
	[TYPE] = { SK "sk_type", 2 },
	[STATE] = { SK "__sk_common.skc_state", 1 },
	[SOCKET] = { SK "sk_socket", 8 },
	[PEER] = { "peer", 8 },
	[QUEUE_NEXT] = { SK "sk_receive_queue.next", 8 },
	[QUEUE_PREV] = { SK "sk_receive_queue.prev", 8 },
	[QUEUE_LEN] = { SK "sk_receive_queue.qlen", 4 },
	[URGENT] = { "oob_skb", 8, true },
	[ASKS] = { SK "sk_scm_recv_flags", 1, true }, /* since 6.16 */
	[ASKS_CRED] = { SK "sk_scm_credentials", 1, true },
	[ASKS_PIDFD] = { SK "sk_scm_pidfd", 1, true },
	[LISTENER] = { "listener", 8, true },
	[ADDRESS] = { "addr", 8 },
	[SHUTDOWN] = { SK "sk_shutdown", 1 },
	[CREATOR] = { SK "sk_peer_pid", 8 },
	[CRED] = { SK "sk_peer_cred", 8 },
};

enum other {
	CB_PID, CB_UID, CB_GID, CB_FILES, CB_CONSUMED, PID_LEVEL, PID_NUMBERS, UPID_NR, UPID_NS, SKB_SK, CRED_UID, CRED_GID, CRED_GROUPS,
	GROUPS_N, GROUPS_V, OTHERS
};
static const struct { const char *type, *path; uint8_t size; } others[OTHERS] = {
	[CB_PID] = { "unix_skb_parms", "pid", 8 },
	[CB_UID] = { "unix_skb_parms", "uid.val", 4 },
	[CB_GID] = { "unix_skb_parms", "gid.val", 4 },
	[CB_FILES] = { "unix_skb_parms", "fp", 8 },
	[CB_CONSUMED] = { "unix_skb_parms", "consumed", 4 },
	[PID_LEVEL] = { "pid", "level", 4 },
	[PID_NUMBERS] = { "pid", "numbers", 0 },
	[UPID_NR] = { "upid", "nr", 4 },
	[UPID_NS] = { "upid", "ns", 8 },
	[SKB_SK] = { "sk_buff", "sk", 8 },
	[CRED_UID] = { "cred", "euid.val", 4 },
	[CRED_GID] = { "cred", "egid.val", 4 },
	[CRED_GROUPS] = { "cred", "group_info", 8 },
	[GROUPS_N] = { "group_info", "ngroups", 4 },
	[GROUPS_V] = { "group_info", "gid", 0 },
};

struct unix_embryos {
	struct kmem *k;
	struct btf_bits at[FIELDS], other[OTHERS];
	bool has[FIELDS], ready;
	size_t size, upid_size;
	struct skb_layout skb;
	uint64_t pid_ns; /* ours */
	uint32_t level;
};

void unix_embryos_free(struct unix_embryos *all)
{
	if (all)
		kmem_close(all->k);
	free(all);
}

static uint64_t get(const struct unix_embryos *r, const char *sock, enum field f)
{
	return r->has[f] ? kmem_field(sock, &r->at[f], fields[f].size) : 0;
}

static uint64_t get_other(const struct unix_embryos *r, const void *p, enum other o)
{
	return kmem_field(p, &r->other[o], others[o].size);
}

/* A struct upid: what a process is called in the namespace of that level. */
static int read_upid(struct unix_embryos *r, uint64_t pid, uint32_t level, uint64_t *ns, uint32_t *nr, struct err *err)
{
	char upid[64];
	int ret = r->upid_size > sizeof(upid) ? err_set(err, ERR_FEATURE, 0, "struct upid of this kernel is a large one") :
		  kmem_read(r->k, pid + r->other[PID_NUMBERS].at / 8 + level * r->upid_size, upid, r->upid_size, err);

	if (ret < 0)
		return ret;
	*ns = get_other(r, upid, UPID_NS);
	*nr = (uint32_t)get_other(r, upid, UPID_NR);
	return 0;
}

/* A field of an object at that address, of which nothing else is of interest. */
static int read_other(struct unix_embryos *r, uint64_t at, enum other o, void *to, struct err *err)
{
	return kmem_read(r->k, at + r->other[o].at / 8, to, others[o].size, err);
}

static int find_own_namespace(struct unix_embryos *r, struct err *err)
{
	uint64_t task, now, pid;
	uint32_t nr;
	int ret = kmem_self(r->k, &task, &now, err);

	if (!ret)
		ret = kmem_follow(r->k, task, "task_struct", "thread_pid", &pid, err);
	if (!ret)
		ret = read_other(r, pid, PID_LEVEL, &r->level, err);
	return ret ? ret : read_upid(r, pid, r->level, &r->pid_ns, &nr, err);
}

static int prepare(struct unix_embryos *r, struct err *err)
{
	int ret = kmem_open(&r->k, err);

	if (ret < 0)
		return ret;
	const struct btf *b = kmem_types(r->k);
	r->size = btf_size(b, "unix_sock");
	r->upid_size = btf_size(b, "upid");
	for (size_t i = 0; i < FIELDS; i++) {
		r->has[i] = btf_bits(b, "unix_sock", fields[i].path, &r->at[i]);
		if (!r->has[i] && !fields[i].optional)
			return btf_lacks("unix_sock", fields[i].path, err);
	}
	for (size_t i = 0; i < OTHERS; i++)
		if (!btf_bits(b, others[i].type, others[i].path, &r->other[i]))
			return btf_lacks(others[i].type, others[i].path, err);
	ret = skb_layout_find(b, &r->skb, err);
	if (!ret)
		ret = find_own_namespace(r, err);
	return ret ? ret : kmem_learn_pages(r->k, err);
}

static struct unix_embryos *all_of(struct dump *d)
{
	struct unix_table *t = d->files->sockets;
	struct unix_embryos *all = t->embryos;
	struct err why = ERR_INIT;

	if (all)
		return all;
	all = t->embryos = xzalloc(sizeof(*all));
	all->ready = !prepare(all, &why);
	if (!all->ready)
		log_debug(d->log, "what connections of unix sockets hold before they are accepted cannot be read: %s", why.reason);
	return all;
}

/* ---- what was sent ---- */

struct message { uint8_t *bytes; size_t len; struct ucred cred; /* pid 0: none */ bool stranger; /* of no process that we see */ };
struct messages { struct message *v; size_t n, cap, bytes; bool asked; /* its reader is to see who sent it */ };

static void drop(struct messages *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].bytes);
	free(m->v);
	*m = (struct messages){ 0 };
}

/* What we call the process, 0: nothing. */
static int read_pid(struct unix_embryos *r, uint64_t pid, pid_t *number, struct err *err)
{
	uint32_t level = 0, nr = 0;
	uint64_t ns = 0;
	int ret = pid ? read_other(r, pid, PID_LEVEL, &level, err) : 0;

	if (!ret && pid && level >= r->level)
		ret = read_upid(r, pid, r->level, &ns, &nr, err);
	*number = ns == r->pid_ns ? (pid_t)nr : 0;
	return ret;
}

static int read_cred(struct unix_embryos *r, const char *cb, struct message *to, struct err *err)
{
	const uint64_t pid = get_other(r, cb, CB_PID);
	int ret = read_pid(r, pid, &to->cred.pid, err);

	to->stranger = pid && !to->cred.pid;
	to->cred.uid = (uid_t)get_other(r, cb, CB_UID);
	to->cred.gid = (gid_t)get_other(r, cb, CB_GID);
	return ret;
}

/* skb: a copy of the buffer. */
static int take(struct unix_embryos *r, const char *skb, struct messages *all, struct err *err)
{
	const char *cb = skb + r->skb.at[SKB_CB].at / 8;
	const size_t len = skb_get(&r->skb, skb, SKB_LEN);
	struct message *m;
	int ret;

	if (get_other(r, cb, CB_FILES))
		return err_refuse(err, "there are descriptors in it (SCM_RIGHTS)");
	if (get_other(r, cb, CB_CONSUMED) || len > MESSAGE_MAX || all->bytes + len > BYTES_MAX)
		return err_set(err, ERR_FAILED, EPROTO, "buffers that are not what they are taken for");
	array_reserve(&all->v, &all->cap, all->n, sizeof(*all->v));
	m = &all->v[all->n++];
	*m = (struct message){ .bytes = xmalloc(len + 1), .len = len };
	all->bytes += len;
	struct skb_sink s = { .to = m->bytes, .left = len };
	ret = skb_copy(r->k, &r->skb, &s, skb, err);
	if (!ret && s.left)
		ret = err_set(err, ERR_FAILED, EPROTO, "%zu bytes less than there must be", s.left);
	return ret ? ret : read_cred(r, cb, m, err);
}

static int take_all(struct unix_embryos *r, uint64_t sk, const char *sock, struct messages *all, struct err *err)
{
	const uint64_t end = sk + r->at[QUEUE_NEXT].at / 8; /* the head of the list has its pointers where a buffer has them */
	const size_t n = get(r, sock, QUEUE_LEN);
	cleanup_free char *skb = xmalloc(r->skb.skb_size);
	uint64_t at = get(r, sock, QUEUE_NEXT);
	int ret = 0;

	if (get(r, sock, URGENT))
		return err_refuse(err, "there is an out-of-band byte in it (MSG_OOB)");
	for (size_t i = 0; !ret && i < n && at != end && i < SKB_QUEUE_MAX; i++) {
		ret = kmem_read(r->k, at, skb, r->skb.skb_size, err);
		if (!ret)
			ret = take(r, skb, all, err);
		at = skb_get(&r->skb, skb, SKB_NEXT);
	}
	return ret || (at == end && all->n == n) ? ret : err_set(err, ERR_FAILED, EPROTO, "its queue is not what it is taken for");
}

/* What it asks for (SO_PASSCRED and others) it has from its listening socket, and will have from it again. */
static int check_inherited(struct unix_embryos *r, const char *sock, struct err *err)
{
	cleanup_free char *listener = xmalloc(r->size);
	int ret;

	if (!get(r, sock, LISTENER))
		return 0;
	ret = kmem_read(r->k, get(r, sock, LISTENER), listener, r->size, err);
	if (!ret && get(r, listener, ASKS) != get(r, sock, ASKS))
		ret = err_refuse(err, "it came when who listens had other options (SO_PASSCRED, SO_PASSPIDFD, SO_PASSRIGHTS)");
	return ret;
}

static const char strange[] = "fields of struct unix_sock are not what they are taken for", changed[] = "it changes while it is read";

/* The socket at sk, into sock, and what waits in it. -EAGAIN: it has changed meanwhile. */
static int read_embryo(struct unix_embryos *r, uint64_t sk, uint64_t client, char *sock, struct messages *all, struct err *err)
{
	static const enum field same[] = { FAMILY, STATE, SOCKET, PEER, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN };
	cleanup_free char *again = xmalloc(r->size);
	struct err why = ERR_INIT;
	int ret = kmem_read(r->k, sk, sock, r->size, err), found;

	if (ret < 0)
		return ret;
	if (get(r, sock, SOCKET))
		return err_hint(err, err_refuse(err, "somebody has accepted it meanwhile"), "try again");
	if (get(r, sock, FAMILY) != AF_UNIX || get(r, sock, STATE) != UNIX_CONNECTED || get(r, sock, PEER) != client)
		return err_set(err, ERR_FEATURE, 0, "%s", strange);
	all->asked = !r->has[ASKS_CRED] || get(r, sock, ASKS_CRED) || get(r, sock, ASKS_PIDFD);
	found = check_inherited(r, sock, &why);
	if (!found)
		found = take_all(r, sk, sock, all, &why);
	ret = kmem_read(r->k, sk, again, r->size, err);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(same); i++)
		if (get(r, sock, same[i]) != get(r, again, same[i]))
			return -EAGAIN;
	if (!ret && found)
		*err = why;
	return ret ? ret : found;
}

static int read_often(struct unix_embryos *r, uint64_t sk, uint64_t client, char *sock, struct messages *all, struct err *err)
{
	int ret = -EAGAIN;

	for (int i = 0; i < TRIES && ret == -EAGAIN && !err->kind; i++) {
		drop(all);
		ret = read_embryo(r, sk, client, sock, all, err);
	}
	return ret == -EAGAIN && !err->kind ? err_hint(err, err_refuse(err, "%s", changed), "try again") : ret;
}

/* The socket of a descriptor of ours: where it is, and a copy. */
static int read_own(struct unix_embryos *r, int fd, uint32_t type, uint64_t *sk, char *sock, struct err *err)
{
	uint64_t file;
	int ret = kmem_file(r->k, fd, &file, err);

	if (!ret)
		ret = kmem_follow(r->k, file, "file", "private_data->(socket)sk", sk, err);
	if (!ret)
		ret = kmem_read(r->k, *sk, sock, r->size, err);
	if (!ret && (get(r, sock, FAMILY) != AF_UNIX || get(r, sock, TYPE) != type))
		ret = err_set(err, ERR_FEATURE, 0, "%s", strange);
	return ret;
}

static int read_sent(struct unix_embryos *r, int fd, const UnixSkEntry *e, struct messages *all, struct err *err)
{
	cleanup_free char *sock = xmalloc(r->size);
	uint64_t client;
	int ret = read_own(r, fd, e->type, &client, sock, err);

	return ret ? ret : read_often(r, get(r, sock, PEER), client, sock, all, err);
}

/* Whom the accepted socket will show (SO_PEERCRED, SO_PEERGROUPS). sock: a copy of it. */
static int read_creator(struct unix_embryos *r, const char *sock, struct arena *arena, PeerCredEntry *p, struct err *err)
{
	const uint64_t cred = get(r, sock, CRED);
	uint64_t groups = 0;
	uint32_t n = 0;
	int ret = read_pid(r, get(r, sock, CREATOR), &p->pid, err);

	if (!ret && (!p->pid || !cred))
		return err_refuse(err, "it was made by a process of another pid namespace");
	if (!ret)
		ret = read_other(r, cred, CRED_UID, &p->uid, err);
	if (!ret)
		ret = read_other(r, cred, CRED_GID, &p->gid, err);
	if (!ret)
		ret = read_other(r, cred, CRED_GROUPS, &groups, err);
	if (!ret && groups)
		ret = read_other(r, groups, GROUPS_N, &n, err);
	if (!ret && n > UNIX_GROUPS_MAX)
		return err_set(err, ERR_FEATURE, 0, "%s", strange);
	p->n_groups = n;
	p->groups = arena_alloc(arena, n * sizeof(*p->groups) + 1);
	return ret || !n ? ret : kmem_read(r->k, groups + r->other[GROUPS_V].at / 8, p->groups, n * sizeof(*p->groups), err);
}

/* Its client is closed, but is not gone as long as this one leads to it. */
static int read_closed(struct unix_embryos *r, uint64_t sk, struct arena *arena, PeerCredEntry *cred, struct messages *all, struct err *err)
{
	cleanup_free char *sock = xmalloc(r->size), *client = xmalloc(r->size);
	int ret = kmem_read(r->k, sk, sock, r->size, err);

	if (!ret)
		ret = kmem_read(r->k, get(r, sock, PEER), client, r->size, err);
	if (ret < 0)
		return ret;
	if (get(r, client, SOCKET) || get(r, sock, SHUTDOWN) != SK_SHUTDOWN__BOTH)
		return err_hint(err, err_refuse(err, "%s", changed), "try again");
	if (get(r, client, ADDRESS))
		return err_refuse(err, "it had a name, which nobody has any more");
	ret = read_often(r, sk, get(r, sock, PEER), sock, all, err);
	return ret ? ret : read_creator(r, sock, arena, cred, err);
}

/* ---- into the images ---- */

/*
 * The kernel puts the sender into all that is sent to such a socket, for its reader may ask later (unix_maybe_add_creds()). Where the
 * listening socket does not ask (SO_PASSCRED), senders that are gone are left out, as from what waits in sockets that do not ask; and
 * then all: whoever restores would be named in a message behind one with a sender.
 */
static int check_senders(const struct dump *d, struct messages *all, struct err *err)
{
	bool gone = false, signed_ = false;

	for (size_t i = 0; i < all->n; i++) {
		const struct message *m = &all->v[i];
		const bool stranger = m->stranger || (m->cred.pid && !dump_find_task(d, m->cred.pid));

		if (stranger && all->asked)
			return err_refuse(err, "it carries the credentials of a process that is not dumped (%d)", (int)m->cred.pid);
		if (signed_ && !m->cred.pid && all->asked)
			return err_hint(err, err_refuse(err, "a message without credentials (SCM_CREDENTIALS) is behind one with them"),
					"let the program read it, and try again");
		gone |= stranger || !m->cred.pid;
		signed_ |= m->cred.pid != 0;
	}
	for (size_t i = 0; gone && i < all->n; i++)
		all->v[i].cred.pid = all->asked ? all->v[i].cred.pid : 0;
	return 0;
}

static void put(struct dump *d, uint32_t id, const struct message *m)
{
	SkPacketEntry p = SK_PACKET_ENTRY__INIT;
	SenderCredEntry cred = SENDER_CRED_ENTRY__INIT;

	p.id_for = id;
	p.length = (uint32_t)m->len;
	if (m->cred.pid) {
		cred.pid = m->cred.pid;
		cred.uid = m->cred.uid;
		cred.gid = m->cred.gid;
		p.cred = &cred;
	}
	image_store_put(d->store, IMG_SK_QUEUES, 0, &p.base);
	image_store_payload(d->store, IMG_SK_QUEUES, 0, m->bytes, m->len);
}

bool unix_sent_readable(struct dump *d)
{
	return all_of(d)->ready;
}

static uint32_t put_all(struct dump *d, const struct messages *all)
{
	const uint32_t id = file_new_id(d);

	for (size_t i = 0; i < all->n; i++)
		put(d, id, &all->v[i]);
	return id;
}

int unix_sent_dump(struct dump *d, int fd, UnixSkEntry *e, struct err *err)
{
	struct messages all cleanup(drop) = { 0 };
	char what[256];
	int ret = read_sent(all_of(d), fd, e, &all, err);

	if (!ret)
		ret = check_senders(d, &all, err);
	if (ret < 0) {
		sock_describe(fd, what, sizeof(what));
		return err_object(err, ret, "%s: what it has sent before anybody accepted the connection", what);
	}
	e->has_sent_id = all.n;
	e->sent_id = all.n ? put_all(d, &all) : 0;
	return 0;
}

static int dump_closed(struct dump *d, uint64_t sk, uint32_t place, UnixClosedEntry *c, struct err *err)
{
	struct messages all cleanup(drop) = { 0 };
	int ret;

	c->place = place;
	c->cred = arena_msg(d->arena, PeerCredEntry, peer_cred_entry__init);
	ret = read_closed(all_of(d), sk, d->arena, c->cred, &all, err);
	if (!ret)
		ret = check_senders(d, &all, err);
	if (ret < 0)
		return ret;
	c->has_sent_id = all.n;
	c->sent_id = all.n ? put_all(d, &all) : 0;
	return 0;
}

static int dump_queue(struct dump *d, int fd, const struct unix_diag *diag, UnixSkEntry *e, struct err *err)
{
	struct unix_embryos *r = all_of(d);
	cleanup_free char *sock = xmalloc(r->size), *skb = xmalloc(r->skb.skb_size);
	uint64_t listener, at;
	int ret = read_own(r, fd, e->type, &listener, sock, err);

	if (ret < 0)
		return ret;
	at = get(r, sock, QUEUE_NEXT);
	if (get(r, sock, QUEUE_LEN) < diag->nicons)
		return err_hint(err, err_refuse(err, "%s", changed), "try again");
	for (size_t i = 0; !ret && i < diag->nicons; i++) {
		ret = kmem_read(r->k, at, skb, r->skb.skb_size, err);
		if (!ret && !diag->icons[i]) {
			UnixClosedEntry *c = arena_msg(d->arena, UnixClosedEntry, unix_closed_entry__init);

			ret = dump_closed(d, get_other(r, skb, SKB_SK), (uint32_t)i, c, err);
			e->closed[e->n_closed++] = c;
		}
		at = skb_get(&r->skb, skb, SKB_NEXT);
	}
	return ret;
}

int unix_closed_dump(struct dump *d, int fd, const struct unix_diag *diag, UnixSkEntry *e, struct err *err)
{
	int ret;

	if (!unix_sent_readable(d))
		return err_hint(err, err_refuse(err, "listening unix socket with a connection that its client has closed already: what "
						"it sent cannot be seen"),
				"with CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN it can be read (Linux 5.14 and later)");
	e->closed = arena_alloc(d->arena, diag->nicons * sizeof(*e->closed));
	ret = dump_queue(d, fd, diag, e, err);
	return err_object(err, ret, "listening unix socket with a connection that its client has closed already");
}
