// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections of unix sockets as they are made again: through who listens. The kernel remembers who called listen(2), connect(2) and
 * socketpair(2), so those are made in their names (stand_in.c of the restore engine).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/unixsk_plan.h"

static uint64_t mix(uint64_t h, uint32_t v)
{
	return (h ^ v) * 0x100000001b3ull;
}

static bool same_identity(const struct plan_identity *who, const PeerCredEntry *e)
{
	return who->pid == e->pid && who->uid == e->uid && who->gid == e->gid && who->ngroups == e->n_groups &&
	       (!e->n_groups || !memcmp(who->groups, e->groups, e->n_groups * sizeof(*e->groups)));
}

/* The same one for the same credentials: a stand-in changes them only when they are others. */
static const struct plan_identity *identity_of(struct topology *t, const PeerCredEntry *e)
{
	uint64_t h = mix(mix(mix(0xcbf29ce484222325ull, (uint32_t)e->pid), e->uid), e->gid);
	struct plan_identity *who;
	uint32_t i;

	for (size_t k = 0; k < e->n_groups; k++)
		h = mix(h, e->groups[k]);
	if (id_map_get(&t->by_cred, h >> 1, &i) && same_identity(t->creds[i], e))
		return t->creds[i];
	who = arena_alloc(t->plan->arena, sizeof(*who));
	*who = (struct plan_identity){ e->pid, e->uid, e->gid, e->groups, e->n_groups };
	array_reserve(&t->creds, &t->creds_cap, t->ncreds, sizeof(*t->creds));
	t->creds[t->ncreds] = who;
	id_map_put(&t->by_cred, t->plan->arena, h >> 1, (uint32_t)t->ncreds++);
	return who;
}

void unix_step_as(struct topology *t, struct step_ref step, const PeerCredEntry *e)
{
	if (e)
		plan_step_as(t->plan, step, identity_of(t, e));
}

void unix_connect_to(struct topology *t, const struct host *h, struct arg fd, const PeerCredEntry *who)
{
	struct data_ref address = unix_place_address(h->place);

	unix_step_as(t, program_call(t->plan->controller, MAKE_OBJECTS, "connection", SYS_connect, fd, A_DATA(address),
				     A(address.len)), who);
}

static void listen_on(struct topology *t, struct host *h, uint64_t backlog, const PeerCredEntry *who)
{
	unix_step_as(t, program_call(t->plan->controller, MAKE_OBJECTS, "listening", SYS_listen, h->fd, A(backlog)), who);
	h->listener = who;
	h->backlog = backlog;
}

/* Who connects is shown who called listen(2) last. */
static void listen_as(struct topology *t, struct host *h, const PeerCredEntry *who)
{
	const PeerCredEntry *is = h->listener;

	if (who && !(is && identity_of(t, is) == identity_of(t, who)))
		listen_on(t, h, h->backlog, who);
}

void unix_bind_host(struct topology *t, struct host *h)
{
	h->fd = h->sk ? A_SLOT(h->sk->slot) : unix_new_socket(t, h->type, "unix socket, of the time being");
	h->place = unix_place_bind(t->plan, h->sk ? h->sk->e : NULL, h->name, h->fd);
	if (h->listens)
		listen_on(t, h, h->sk ? MAX(h->sk->e->backlog, h->waiting) : 1, h->sk ? h->sk->e->peer_cred : NULL);
}

/* An end that is gone, and is needed until the tasks exist: credentials are sent then. */
static int gone_end(struct topology *t, struct sk *s, uint32_t *slot, bool *late, struct err *err)
{
	const struct sock_packet *v;
	size_t n;
	int ret = sock_packets(t->m, t->plan, s->e->id, &v, &n, err);

	*late = false;
	for (size_t i = 0; i < n && !ret; i++)
		*late |= v[i].entry->cred != NULL;
	if (*late) {
		*slot = plan_slot(t->plan, "unix socket, end that is gone");
		s->gone_slot = true;
	}
	return ret;
}

/* One connection through a listening host, accepted at once. */
static int plan_accept(struct topology *t, struct host *h, struct sk *cl, struct sk *acc, struct err *err)
{
	struct program *c = t->plan->controller;
	bool late = false;
	uint32_t slot = 0;
	int ret = cl && acc ? 0 : gone_end(t, cl ? cl : acc, &slot, &late, err);
	struct arg client;

	if (ret < 0)
		return ret;
	if (cl) {
		client = A_SLOT(cl->slot);
	} else if (late) {
		plan_slot_is(t->plan, slot, program_call(c, MAKE_OBJECTS, "unix socket, end that is gone", SYS_socket, A(AF_UNIX),
							 A(h->type | NEW_FLAGS), A(0)));
		client = A_SLOT(slot);
	} else {
		client = unix_new_socket(t, h->type, "unix socket, end that is gone");
	}
	if (cl)
		listen_as(t, h, cl->e->peer_cred);
	unix_place_enter(t->plan, h->place);
	unix_connect_to(t, h, client, acc ? acc->e->peer_cred : NULL);
	unix_place_leave(t->plan, h->place);
	struct step_ref accepted = program_call(c, MAKE_OBJECTS, "accepted", SYS_accept4, h->fd, A(0), A(0), A(NEW_FLAGS));
	if (acc) {
		plan_slot_is(t->plan, acc->slot, accepted);
		acc->fed = true;
		acc->feeder = client;
	}
	if (cl) {
		cl->fed = true;
		cl->feeder = acc ? A_SLOT(acc->slot) : late ? A_SLOT(slot) : A_RESULT(accepted);
		if (!acc && late)
			plan_slot_is(t->plan, slot, accepted);
	}
	return 0;
}

int unix_plan_accepts(struct topology *t, bool temporary, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < t->n && !ret; i++) {
		struct sk *s = &t->sks[i];
		if ((s->role != CLIENT && s->role != ACCEPTED) || s->fed || s->host->temporary != temporary)
			continue;
		ret = plan_accept(t, s->host, s->role == CLIENT ? s : s->peer, s->role == CLIENT ? s->peer : s, err);
	}
	return ret;
}

static int by_place(const void *va, const void *vb)
{
	const struct sk *a = *(struct sk *const *)va, *b = *(struct sk *const *)vb;
	uint32_t pa = a->e->has_queue_place ? a->e->queue_place : 0, pb = b->e->has_queue_place ? b->e->queue_place : 0;

	return pa != pb ? (pa < pb ? -1 : 1) : (a->e->id > b->e->id) - (a->e->id < b->e->id);
}

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Since Linux 6.16, a connection has from its listening socket what that asks for when it comes, not when it is accepted. */
static void ask_before(struct topology *t, const struct host *h)
{
	const SkOptsEntry *o = h->sk ? h->sk->e->opts : NULL;

	if (!h->waiting || !o)
		return;
	if (o->so_passcred)
		plan_sockopt(t->plan, MAKE_OBJECTS, h->sk->slot, "SO_PASSCRED", SOL_SOCKET, SO_PASSCRED, 1);
	if (o->so_passsec)
		plan_sockopt(t->plan, MAKE_OBJECTS, h->sk->slot, "SO_PASSSEC", SOL_SOCKET, SO_PASSSEC, 1);
	if (o->so_passpidfd)
		plan_sockopt(t->plan, MAKE_OBJECTS, h->sk->slot, "SO_PASSPIDFD", SOL_SOCKET, SO_PASSPIDFD, 1);
	if (o->has_so_passrights && !o->so_passrights)
		plan_sockopt(t->plan, MAKE_OBJECTS, h->sk->slot, "SO_PASSRIGHTS", SOL_SOCKET, SO_PASSRIGHTS, 0);
}

void unix_plan_waiting(struct topology *t)
{
	struct sk **v = arena_alloc(t->plan->arena, (t->n + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->sks[i].role == WAITING)
			v[n++] = &t->sks[i];
	if (n)
		qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0; i < t->nhosts; i++)
		ask_before(t, t->hosts[i]);
	for (size_t i = 0; i < n; i++) {
		listen_as(t, v[i]->host, v[i]->e->peer_cred);
		unix_place_enter(t->plan, v[i]->host->place);
		unix_connect_to(t, v[i]->host, A_SLOT(v[i]->slot), v[i]->e->own_cred);
		unix_place_leave(t->plan, v[i]->host->place);
	}
	for (size_t i = 0; i < t->nhosts; i++) {
		struct host *h = t->hosts[i];
		if (h->sk && h->listens && (h->backlog != h->sk->e->backlog || h->listener != h->sk->e->peer_cred))
			listen_on(t, h, h->sk->e->backlog, h->sk->e->peer_cred);
	}
}
