// SPDX-License-Identifier: GPL-2.0-or-later
/* Datagram sockets as they are made again: what waits in them, from each sender by its name, and who is connected to whom. */
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/unixsk_plan.h"

static struct arg sender_of(struct topology *t, const struct sock_packet *p)
{
	const SkPacketEntry *e = p->entry;
	struct host *h;

	if (!e->has_sender || !e->sender.len) {
		if (!t->nobody) {
			t->nobody = arena_alloc(t->plan->arena, sizeof(*h));
			t->nobody->fd = unix_new_socket(t, SOCK_DGRAM, "sender without a name");
		}
		return t->nobody->fd;
	}
	h = unix_find_host(t, SOCK_DGRAM, false, &e->sender);
	if (!h) {
		h = unix_add_host(t, SOCK_DGRAM, false, &e->sender, NULL);
		unix_bind_host(t, h);
	}
	return h->fd;
}

/*
 * A message with the credentials of a process is sent when that exists, and all behind it then; names lead nowhere by then, so
 * only somebody who is connected to the receiver can send it.
 */
static int late_sender(struct topology *t, struct host *h, const SkPacketEntry *e, struct arg *from, struct err *err)
{
	if (h->sk->peer || h->sk->outside)
		return err_refuse(err, "sk-queues.img: credentials in a datagram for socket %u, which is connected itself", e->id_for);
	if (e->has_sender && e->sender.len) {
		const struct host *s = unix_find_host(t, SOCK_DGRAM, false, &e->sender);
		if (!s || !s->sk || s->sk->role != LINKED || s->sk->host != h)
			return err_refuse(err, "sk-queues.img: credentials in a datagram for socket %u from one that is not connected "
					  "to it", e->id_for);
		*from = s->fd;
		return 0;
	}
	if (!h->nobody) {
		const uint32_t slot = plan_slot(t->plan, "sender without a name");
		plan_slot_is(t->plan, slot, program_call(t->plan->controller, MAKE_OBJECTS, "sender without a name", SYS_socket,
							 A(AF_UNIX), A(SOCK_DGRAM | NEW_FLAGS), A(0)));
		h->nobody = slot + 1;
		unix_place_enter(t->plan, h->place);
		unix_connect_to(t, h, A_SLOT(slot), NULL);
		unix_place_leave(t->plan, h->place);
	}
	*from = A_SLOT(h->nobody - 1);
	return 0;
}

int unix_plan_datagrams(struct topology *t, struct host *h, struct err *err)
{
	const struct sock_packet *v;
	struct data_ref to;
	bool late = false;
	size_t n;
	int ret = sock_packets(t->m, t->plan, h->sk->e->id, &v, &n, err);

	for (size_t i = 0; i < n && !ret; i++) {
		struct unix_rights rights;
		ret = v[i].entry->has_sender ? unix_name_check(&v[i].entry->sender, err) : 0;
		if (!ret)
			ret = unix_packet_prepare(t->m, t->plan, &v[i], &rights, err);
		if (ret < 0)
			return ret;
		struct arg from;
		late |= v[i].entry->cred != NULL;
		if (late && !v[i].entry->cred)
			return unix_no_credentials(&v[i], err);
		if (late) {
			ret = late_sender(t, h, v[i].entry, &from, err);
			if (!ret)
				unix_packet_send(t->plan->last, 0, &v[i], &rights, from, NULL);
			continue;
		}
		from = sender_of(t, &v[i]);
		unix_make_room(t, from, unix_queue_room(v, n));
		to = unix_place_address(h->place);
		unix_place_enter(t->plan, h->place);
		unix_packet_send(t->plan->controller, MAKE_OBJECTS, &v[i], &rights, from, &to);
		unix_place_leave(t->plan, h->place);
	}
	return ret;
}

void unix_plan_links(struct topology *t)
{
	struct program *c = t->plan->controller;

	for (size_t i = 0; i < t->n; i++) {
		struct sk *s = &t->sks[i];
		if (s->outside) {
			struct unix_place *p = unix_place_outside(t->plan, &s->outside->name);
			struct data_ref address = unix_place_address(p);
			program_call(c, MAKE_OBJECTS, "connection to an external socket", SYS_connect, A_SLOT(s->slot),
				     A_DATA(address), A(address.len));
		} else if (s->role == LINKED) {
			unix_place_enter(t->plan, s->host->place);
			unix_connect_to(t, s->host, A_SLOT(s->slot), NULL);
			unix_place_leave(t->plan, s->host->place);
		}
	}
}
