// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unix sockets as they are made again: all at once, because what one is hangs on the others. Order is meaning:
 *
 *	sockets and pairs; names; connections that were accepted, then those that wait for it; datagrams, while their receivers are
 *	connected to nobody, so that anybody can be their sender; connections of datagram sockets; then data of connections,
 *	shutdowns, options.
 *
 * An accepted socket has the name of the one that listened, so it comes out of that one, or, when it is gone, out of a temporary one
 * with its name. A peer that is gone is made too, and closed again.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/file/ghost.h"
#include "common/file/external.h"
#include "common/sock/unixsk_plan.h"

#define SMALL_QUEUE 65536 /* fits into any send buffer */

static int bad(const UnixSkEntry *e, const char *what, struct err *err)
{
	return err_image(err, "files.img: unix socket %u %s", e->id, what);
}

/* ---- who is who ---- */

static bool bad_cred(const PeerCredEntry *e)
{
	return e && (e->pid <= 0 || e->n_groups > UNIX_GROUPS_MAX);
}

static int check_entry(const UnixSkEntry *e, struct err *err)
{
	int ret = unix_name_check(&e->name, err);

	if (!ret && e->has_gone_name)
		ret = unix_name_check(&e->gone_name, err);
	if (ret < 0)
		return err_object(err, ret, "files.img: unix socket %u", e->id);
	if (e->uflags & ~1u)
		return err_refuse(err, "files.img: unix socket %u is special (0x%x), which this version cannot restore", e->id,
				  e->uflags);
	if (e->type != SOCK_STREAM && e->type != SOCK_DGRAM && e->type != SOCK_SEQPACKET)
		return bad(e, "is of no such type", err);
	if (!e->opts && !(e->uflags & 1))
		return bad(e, "has no options", err);
	if (e->file_perms && !xattrs_good(XATTRS(e->file_perms)))
		return bad(e, "has a file with an extended attribute that no file can have", err);
	if (e->has_shutdown && (unsigned)e->shutdown > 3)
		return bad(e, "is shut down in no such way", err);
	if (bad_cred(e->peer_cred) || bad_cred(e->own_cred))
		return bad(e, "has a peer that cannot be", err);
	if (e->state == UNIX_LISTEN && (e->type == SOCK_DGRAM || !e->name.len || e->peer || e->backlog > INT32_MAX))
		return bad(e, "cannot be listening", err);
	if ((e->file_path && (e->file_path[0] != '/' || !e->file_path[1])) || (e->name_dir && e->name_dir[0] != '/'))
		return bad(e, "has a path that is not absolute", err);
	return 0;
}

static struct sk *find_sk(struct topology *t, uint32_t id)
{
	uint32_t i;

	return id_map_get(&file_plan_of(t->plan)->unix_made, id, &i) ? &t->sks[i] : NULL;
}

/* A client that was closed before anybody accepted it is made like one that was not, and closed at the end. */
static int add_closed(struct topology *t, const UnixSkEntry *listener, struct err *err)
{
	for (size_t i = 0; i < listener->n_closed; i++) {
		const UnixClosedEntry *c = listener->closed[i];
		UnixSkEntry *e = arena_msg(t->plan->arena, UnixSkEntry, unix_sk_entry__init);
		struct sk *s = &t->sks[t->n++];

		if (listener->state != UNIX_LISTEN || bad_cred(c->cred))
			return bad(listener, "has clients that cannot be", err);
		e->id = listener->id;
		e->type = listener->type;
		e->state = UNIX_CONNECTED;
		e->peer = listener->ino;
		e->has_queue_place = true;
		e->queue_place = c->place;
		e->own_cred = c->cred;
		e->has_sent_id = c->has_sent_id;
		e->sent_id = c->sent_id;
		s->e = e;
		s->slot = plan_slot(t->plan, "unix socket, client that is closed");
		s->gone = s->gone_slot = true;
		s->feeder = A_SLOT(s->slot);
	}
	return 0;
}

static int collect(struct topology *t, struct err *err)
{
	const struct model *m = t->m;
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < m->nfiles; i++)
		if (m->files[i]->type == FD_TYPES__UNIXSK && m->files[i]->usk)
			n += 1 + m->files[i]->usk->n_closed;
	t->sks = arena_alloc(t->plan->arena, (n + 1) * sizeof(*t->sks));
	for (size_t i = 0; i < m->nfiles; i++) {
		const FileEntry *f = m->files[i];
		if (f->type != FD_TYPES__UNIXSK)
			continue;
		if (!f->usk)
			return err_image(err, "files.img: entry %u of type UNIXSK is empty", f->id);
		ret = check_entry(f->usk, err);
		if (ret < 0)
			return ret;
		if (f->usk->uflags & 1)
			continue;
		struct sk *s = &t->sks[t->n];
		s->e = f->usk;
		s->slot = file_slot_get(t->plan, f, "unix socket");
		id_map_put(&file_plan_of(t->plan)->unix_made, t->plan->arena, f->id, (uint32_t)t->n++);
		ret = add_closed(t, f->usk, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int resolve(struct topology *t, struct sk *s, struct err *err)
{
	size_t n;

	if (!s->e->peer)
		return 0;
	const struct file_group_index *group = file_group(t->m, t->plan, GROUP_UNIX, s->e->peer, &n);
	if (n != 1)
		return err_image(err, "files.img: unix socket %u has no peer %u", s->e->id, s->e->peer);
	const UnixSkEntry *other = t->m->files[group->i]->usk;
	if (other->type != s->e->type)
		return bad(s->e, "and its peer are not of the same type", err);
	if (!(other->uflags & 1)) {
		s->peer = find_sk(t, other->id);
		return 0;
	}
	char id[16];
	snprintf(id, sizeof(id), "%u", other->ino);
	if (!other->name.len)
		return bad(other, "is external and has no name", err);
	if (!external_find(t->plan->given, "unix", id) && !external_find(t->plan->given, "unix", ""))
		return err_hint(err, err_refuse(err, "files.img: unix socket %u is connected to an external one", s->e->id),
				"--ext-unix-sk or --external unix[%s] connects it again", id);
	s->outside = other;
	return 0;
}

static bool mutual(const struct sk *s)
{
	return s->peer && s->peer != s && s->peer->peer == s;
}

/* ---- hosts ---- */

static uint64_t name_hash(uint32_t type, bool listens, const ProtobufCBinaryData *name)
{
	uint64_t h = 0xcbf29ce484222325ull ^ type << 1 ^ listens;

	for (size_t i = 0; i < name->len; i++)
		h = (h ^ name->data[i]) * 0x100000001b3ull;
	return h >> 1; /* id_map keys plus one */
}

struct host *unix_find_host(struct topology *t, uint32_t type, bool listens, const ProtobufCBinaryData *name)
{
	uint32_t i;

	if (!id_map_get(&t->by_name, name_hash(type, listens, name), &i))
		return NULL;
	for (; i; i = t->hosts[i - 1]->next) {
		struct host *h = t->hosts[i - 1];
		if (h->type == type && h->listens == listens && h->name->len == name->len &&
		    !memcmp(h->name->data, name->data, name->len))
			return h;
	}
	return NULL;
}

struct host *unix_add_host(struct topology *t, uint32_t type, bool listens, const ProtobufCBinaryData *name,
			     struct sk *sk)
{
	struct host *h = arena_alloc(t->plan->arena, sizeof(*h));
	const uint64_t hash = name_hash(type, listens, name);

	*h = (struct host){ .name = name, .type = type, .listens = listens, .sk = sk, .temporary = !sk };
	id_map_get(&t->by_name, hash, &h->next);
	array_reserve(&t->hosts, &t->cap, t->nhosts, sizeof(*t->hosts));
	t->hosts[t->nhosts++] = h;
	id_map_put(&t->by_name, t->plan->arena, hash, (uint32_t)t->nhosts);
	return h;
}

static struct host *get_host(struct topology *t, uint32_t type, bool listens, const ProtobufCBinaryData *name)
{
	struct host *h = unix_find_host(t, type, listens, name);

	return h ? h : unix_add_host(t, type, listens, name, NULL);
}

struct arg unix_new_socket(struct topology *t, uint32_t type, const char *note)
{
	return A_RESULT(program_call(t->plan->controller, MAKE_OBJECTS, note, SYS_socket, A(AF_UNIX), A(type | NEW_FLAGS),
				     A(0)));
}

/* A send buffer for so much: what hangs in a queue counts as its sender's, and sizes are set at the end. */
void unix_make_room(struct topology *t, struct arg fd, uint64_t bytes)
{
	const int size = (int)MIN(bytes, (uint64_t)INT32_MAX / 2);
	struct program *c = t->plan->controller;

	if (bytes > SMALL_QUEUE)
		program_call(c, MAKE_OBJECTS, "room for queued data", SYS_setsockopt, fd, A(SOL_SOCKET), A(SO_SNDBUFFORCE),
			     A_DATA(program_data(c, &size, sizeof(size))), A(sizeof(size)));
}

uint64_t unix_queue_room(const struct sock_packet *v, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i].len + (v[i].len >> 1) + 2048; /* the kernel's own structures count, too */
	return sum;
}

/* ---- making ---- */

static void make_one(struct topology *t, struct sk *s)
{
	if (s->made)
		return;
	s->made = true;
	plan_slot_is(t->plan, s->slot,
		     program_call(t->plan->controller, MAKE_OBJECTS, "unix socket", SYS_socket, A(AF_UNIX),
				  A(s->e->type | NEW_FLAGS), A(0)));
}

static void make_pair(struct topology *t, struct sk *a, struct sk *b)
{
	struct program *c = t->plan->controller;
	struct data_ref fds = program_data(c, NULL, 2 * sizeof(int));
	struct step_ref step = program_call(c, MAKE_OBJECTS, "unix socket pair", SYS_socketpair, A(AF_UNIX),
					    A(a->e->type | NEW_FLAGS), A(0), A_DATA(fds));
	unix_step_as(t, step, a->e->peer_cred ?: b ? b->e->peer_cred : NULL);
	const uint32_t other = b ? b->slot : plan_slot(t->plan, "unix socket, end that is gone");

	plan_slot_from_data(t->plan, a->slot, step, fds, 0);
	plan_slot_from_data(t->plan, other, step, fds, sizeof(int));
	a->made = a->fed = true;
	a->feeder = A_SLOT(other);
	a->role = PAIR;
	if (!b) {
		a->gone = a->gone_slot = true;
		return;
	}
	b->made = b->fed = true;
	b->feeder = A_SLOT(a->slot);
	b->role = PAIR;
}

/* acc comes out of a host by accept, cl connects to it. Either may be gone (NULL). */
static void make_accepted(struct topology *t, struct sk *cl, struct sk *acc, const ProtobufCBinaryData *name)
{
	struct sk *one = acc ? acc : cl;
	struct host *h = get_host(t, one->e->type, true, name);

	if (cl) {
		make_one(t, cl);
		cl->role = CLIENT;
		cl->host = h;
		cl->peer = acc;
	}
	if (acc) {
		acc->role = ACCEPTED;
		acc->host = h;
		acc->peer = cl;
		acc->made = true;
	}
}

static void make_connected(struct topology *t, struct sk *s)
{
	struct sk *p = s->peer;

	if (s->e->type == SOCK_DGRAM || (!s->e->name.len && !p->e->name.len)) {
		make_pair(t, s, p);
		return;
	}
	/* The name of the accepted one is a listening socket's, if that is still there; else it is the one with a name. */
	bool mine = s->e->name.len && unix_find_host(t, s->e->type, true, &s->e->name),
	     its = p->e->name.len && unix_find_host(t, p->e->type, true, &p->e->name);
	struct sk *acc = mine != its ? (mine ? s : p) : p->e->name.len ? p : s;
	make_accepted(t, acc == s ? p : s, acc, &acc->e->name);
}

static void make_gone(struct topology *t, struct sk *s)
{
	const UnixSkEntry *e = s->e;
	const bool theirs = e->has_gone_name && e->gone_name.len;

	s->gone = true;
	if (e->type == SOCK_DGRAM || (!theirs && !e->name.len)) {
		make_pair(t, s, NULL);
		if (theirs)
			unix_place_end(t->plan, unix_place_bind(t->plan, NULL, &e->gone_name, s->feeder));
	} else if (theirs) {
		make_accepted(t, s, NULL, &e->gone_name);
	} else {
		make_accepted(t, NULL, s, &e->name);
	}
}

/* A datagram socket connected to one that has no name: they were a pair once, and the other end went away from it. */
static int make_half(struct topology *t, struct sk *s, struct err *err)
{
	if (s->peer->made || s->made || s->peer->peer || s->peer->outside)
		return err_refuse(err, "files.img: unix socket %u is connected to one without a name, which is not its pair", s->e->id);
	make_pair(t, s, s->peer);
	s->half = true;
	return 0;
}

static int make_sk(struct topology *t, struct sk *s, struct err *err)
{
	const UnixSkEntry *e = s->e;

	if (s->made)
		return 0;
	if (mutual(s)) {
		make_connected(t, s);
		return 0;
	}
	if (e->peer && !s->outside) {
		if (e->type != SOCK_DGRAM && s->peer->e->state != UNIX_LISTEN)
			return bad(e, "has a peer that is connected to another one", err);
		s->role = e->type == SOCK_DGRAM ? LINKED : WAITING;
		s->host = s->peer->own;
		if (!s->host)
			return bad(e, "has a peer that nobody can connect to", err);
		if (s->role == WAITING)
			s->host->waiting++;
	} else if (!e->peer && (e->type == SOCK_DGRAM ? e->has_gone_name : e->state == UNIX_CONNECTED)) {
		make_gone(t, s);
	}
	make_one(t, s);
	return 0;
}

/* ---- content ---- */

/* It would get ours. */
int unix_no_credentials(const struct sock_packet *p, struct err *err)
{
	return err_refuse(err, "sk-queues.img: a message without credentials behind one with them, for socket %u", p->id_for);
}

static bool from_peer(const struct sk *s, const SkPacketEntry *p)
{
	const ProtobufCBinaryData *name = s->peer ? &s->peer->e->name : &s->e->gone_name;

	return !p->has_sender || (p->sender.len == name->len && !memcmp(p->sender.data, name->data, name->len));
}

/* What has this id, through feeder. */
static int send_all(struct topology *t, struct sk *s, uint32_t id, struct arg feeder, struct err *err)
{
	const struct sock_packet *v;
	size_t n;
	int ret = sock_packets(t->m, t->plan, id, &v, &n, err);

	if (ret < 0 || !n)
		return ret;
	if (!s->fed && !(s->role == WAITING && id != s->e->id))
		return err_image(err, "sk-queues.img: data for the unconnected socket %u", s->e->id);
	unix_make_room(t, feeder, unix_queue_room(v, n));
	for (size_t i = 0; i < n; i++) {
		struct unix_rights rights;
		if (!from_peer(s, v[i].entry))
			return err_refuse(err, "sk-queues.img: a datagram for socket %u is from another one than its peer", s->e->id);
		ret = unix_packet_prepare(t->m, t->plan, &v[i], &rights, err);
		if (ret < 0)
			return ret;
		s->late |= v[i].entry->cred != NULL;
		if (s->late && !v[i].entry->cred)
			return unix_no_credentials(&v[i], err);
		if (s->late)
			unix_packet_send(t->plan->last, 0, &v[i], &rights, feeder, NULL);
		else
			unix_packet_send(t->plan->controller, MAKE_CONTENT, &v[i], &rights, feeder, NULL);
	}
	return 0;
}

static int plan_queue(struct topology *t, struct sk *s, struct err *err)
{
	const UnixSkEntry *e = s->e;

	if (e->type == SOCK_DGRAM && e->name.len && !s->fed) /* datagrams by name are there already */
		return 0;
	if (e->has_sent_id && s->role != WAITING)
		return bad(e, "has sent something and does not wait to be accepted", err);
	/* Nobody can have sent anything to who waits; what he has sent is to be read by who accepts him. */
	return e->has_sent_id ? send_all(t, s, e->sent_id, A_SLOT(s->slot), err) : send_all(t, s, e->id, s->feeder, err);
}

/* The end of a pair that went away, and what its going leaves at this one. */
static void plan_half(struct topology *t, const struct sk *s)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct program *c = t->plan->controller;
	const socklen_t len = sizeof(int);
	struct data_ref value = program_data(c, NULL, sizeof(int));

	program_call(c, MAKE_CONTENT, "connected to nobody", SYS_connect, s->feeder,
		     A_DATA(program_data(c, &nobody, sizeof(nobody))), A(sizeof(nobody)));
	program_call(c, MAKE_CONTENT, "its end knows already", SYS_getsockopt, A_SLOT(s->slot), A(SOL_SOCKET), A(SO_ERROR),
		     A_DATA(value), A_DATA(program_data(c, &len, sizeof(len))));
}

static void plan_gone(struct topology *t, const struct sk *s, struct program *c, int phase)
{

	if (s->e->has_reset && s->e->reset) /* what a peer leaves unread when it closes makes the error */
		program_call_eq(c, phase, "nobody reads it", 1, SYS_sendto, A_SLOT(s->slot),
				A_DATA(program_string(c, "x")), A(1), A(MSG_DONTWAIT | MSG_NOSIGNAL), A(0), A(0));
	if (s->gone_slot) /* a slot must keep its number: something else takes it */
		program_call(c, phase, "the other end closes", SYS_dup3, A_SLOT(unix_root_slot(t->plan)), s->feeder,
			     A(O_CLOEXEC));
	else
		program_call(c, phase, "the other end closes", SYS_close, s->feeder);
}

static int plan_rest(struct topology *t, struct sk *s, struct err *err)
{
	/* What a shutdown would keep away comes before it. */
	const bool late = s->late || (s->peer && s->peer->late);
	struct program *c = late ? t->plan->last : t->plan->controller;
	const int phase = late ? 0 : MAKE_CONTENT;
	const UnixSkEntry *e = s->e;

	if (e->has_reset && e->reset && (!s->gone || e->type == SOCK_DGRAM))
		return bad(e, "has an error that nothing makes", err);
	if (s->gone)
		plan_gone(t, s, c, phase);
	if (s->gone && s->role == WAITING) /* nothing is left of it to have options */
		return 0;
	/* SHUT_RD, SHUT_WR, SHUT_RDWR are the kernel's bits minus one. */
	if (e->has_shutdown && e->shutdown && !(s->gone && e->type != SOCK_DGRAM))
		program_call(c, phase, "shutdown", SYS_shutdown, A_SLOT(s->slot), A((uint64_t)e->shutdown - 1));
	plan_setfl(t->plan, s->slot, O_NONBLOCK, e->flags);
	return sock_options_plan(t->plan, s->slot, e->opts, err);
}

/* ---- all of it ---- */

static int plan_who(struct topology *t, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < t->n && !ret; i++)
		ret = resolve(t, &t->sks[i], err);
	/* Names that somebody can connect to; what was accepted has its name from there. */
	for (size_t i = 0; i < t->n && !ret; i++) {
		struct sk *s = &t->sks[i];
		if (s->e->state == UNIX_LISTEN || (s->e->type == SOCK_DGRAM && s->e->name.len))
			s->own = unix_add_host(t, s->e->type, s->e->state == UNIX_LISTEN, &s->e->name, s);
	}
	for (size_t i = 0; i < t->n && !ret; i++) {
		struct sk *s = &t->sks[i];
		if (s->e->type == SOCK_DGRAM && s->peer && !mutual(s) && !s->peer->e->name.len)
			ret = make_half(t, s, err);
	}
	for (size_t i = 0; i < t->n && !ret; i++)
		ret = make_sk(t, &t->sks[i], err);
	return ret;
}

static int plan_how(struct topology *t, struct err *err)
{
	const size_t n = t->nhosts; /* more may come */
	int ret = 0;

	/* Temporary ones first: their names may be others' afterwards. */
	for (size_t i = 0; i < n; i++)
		if (t->hosts[i]->temporary)
			unix_bind_host(t, t->hosts[i]);
	ret = unix_plan_accepts(t, true, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++)
		if (t->hosts[i]->temporary) {
			unix_place_end(t->plan, t->hosts[i]->place);
			program_call(t->plan->controller, MAKE_OBJECTS, "no longer needed", SYS_close, t->hosts[i]->fd);
		}
	for (size_t i = 0; i < n; i++)
		if (!t->hosts[i]->temporary)
			unix_bind_host(t, t->hosts[i]);
	for (size_t i = 0; i < t->n; i++) { /* names that nobody connects to */
		struct sk *s = &t->sks[i];
		if (s->e->name.len && s->e->state != UNIX_LISTEN && s->e->type != SOCK_DGRAM && s->role != ACCEPTED)
			unix_place_end(t->plan, unix_place_bind(t->plan, s->e, &s->e->name, A_SLOT(s->slot)));
	}
	ret = unix_plan_accepts(t, false, err);
	if (ret < 0)
		return ret;
	unix_plan_waiting(t);
	for (size_t i = 0; i < n && !ret; i++)
		if (t->hosts[i]->sk && t->hosts[i]->type == SOCK_DGRAM && !t->hosts[i]->sk->fed)
			ret = unix_plan_datagrams(t, t->hosts[i], err);
	if (ret < 0)
		return ret;
	unix_plan_links(t);
	for (size_t i = 0; i < t->nhosts; i++) {
		if (t->hosts[i]->sk || i >= n)
			unix_place_end(t->plan, t->hosts[i]->place);
		if (i >= n)
			program_call(t->plan->controller, MAKE_OBJECTS, "no longer needed", SYS_close, t->hosts[i]->fd);
	}
	if (t->nobody)
		program_call(t->plan->controller, MAKE_OBJECTS, "no longer needed", SYS_close, t->nobody->fd);
	return 0;
}

static int plan_all(struct topology *t, struct err *err)
{
	int ret = collect(t, err);

	if (!ret)
		ret = plan_who(t, err);
	if (!ret)
		ret = plan_how(t, err);
	/* A socket that another one's end went away from gets its data before, the one that went away behind that. */
	for (size_t i = 0; i < t->n && !ret; i++)
		if (t->sks[i].half) {
			ret = plan_queue(t, &t->sks[i], err);
			plan_half(t, &t->sks[i]);
		}
	for (size_t i = 0; i < t->n && !ret; i++)
		if (!t->sks[i].half)
			ret = plan_queue(t, &t->sks[i], err);
	for (size_t i = 0; i < t->n && !ret; i++) {
		ret = plan_rest(t, &t->sks[i], err);
		if (ret < 0)
			err_object(err, ret, "unix socket %u", t->sks[i].e->id);
	}
	return ret;
}

int unixsk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	struct topology t = { .m = m, .plan = plan };
	struct file_plan *fp = file_plan_of(plan);
	uint32_t i;
	int ret = 0;

	if (entry->usk->uflags & 1)
		return bad(entry->usk, "is external, so nobody can have it", err);
	if (!fp->unix_planned) {
		fp->unix_planned = true;
		ret = plan_all(&t, err);
		free(t.hosts);
		free(t.creds);
	}
	return !ret && !id_map_get(&fp->unix_made, entry->id, &i) ? bad(entry->usk, "is not there", err) : ret;
}
