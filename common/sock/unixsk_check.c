// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages that no restore could send again (the rules of unixsk_plan.c and unixsk_dgram.c), found while the target still lives,
 * and clients outside of the tree that will have to connect again.
 */
#include <string.h>
#include <sys/socket.h>

#include "common/sock/unixsk.h"

void unix_note_message(struct dump *d, uint32_t ino, bool cred, const void *sender, size_t len)
{
	struct unix_table *t = d->files->sockets;

	array_reserve(&t->messages, &t->messages_cap, t->nmessages, sizeof(*t->messages));
	t->messages[t->nmessages++] = (struct unix_message){ .ino = ino, .cred = cred, .sender_len = (uint32_t)len,
							     .sender = len ? arena_dup(d->arena, sender, len) : NULL };
}

static bool same_name(const struct unix_message *m, const ProtobufCBinaryData *name)
{
	return m->sender_len == name->len && (!name->len || !memcmp(m->sender, name->data, name->len));
}

static bool mutual(const struct unix_seen *s, const struct unix_seen *peer)
{
	return peer && peer != s && peer->peer == s->ino;
}

/* Datagram sockets that are connected to one without a name, which is not connected to them: once a pair. */
static int check_half(struct unix_table *t, struct unix_seen *s, struct err *err)
{
	struct unix_seen *peer = s->entry->type == SOCK_DGRAM && s->peer ? unix_find_seen(t, s->peer) : NULL;

	if (!peer || mutual(s, peer) || peer->entry->name.len)
		return 0;
	if (peer->peer || peer->half || s->half)
		return err_refuse(err, "unix socket that is connected to one without a name, which is not its pair");
	peer->half = s->half = true;
	return 0;
}

static bool linked_to(const struct unix_table *t, const struct unix_message *m, uint32_t ino)
{
	for (size_t i = 0; i < t->nseen; i++) {
		const struct unix_seen *s = &t->seen[i];
		if (s->entry->type == SOCK_DGRAM && s->peer == ino && same_name(m, &s->entry->name))
			return true;
	}
	return false;
}

static int read_first(struct err *err, int ret)
{
	return err_hint(err, ret, "let the program read it, and try again");
}

static int check_message(struct unix_table *t, const struct unix_seen *s, const struct unix_message *m, bool late,
			 struct err *err)
{
	const UnixSkEntry *e = s->entry;
	const struct unix_seen *peer = s->peer ? unix_find_seen(t, s->peer) : NULL;
	const ProtobufCBinaryData *theirs = peer ? &peer->entry->name : &e->gone_name;

	/* Whoever restores would be named in it. */
	if (late && !m->cred)
		return read_first(err, err_refuse(err, "unix socket with a message without credentials (SCM_CREDENTIALS) behind one"
						  " with them"));
	if (e->type != SOCK_DGRAM)
		return 0;
	if (mutual(s, peer) || e->has_gone_name || s->half)
		return !m->sender_len || same_name(m, theirs) ? 0 :
		       read_first(err, err_refuse(err, "unix socket with a datagram from another socket than the one that it is"
						  " connected to"));
	if (!e->name.len)
		return read_first(err, err_refuse(err, "unix socket without a name, with a datagram that nobody can send again"));
	if (late && s->peer)
		return read_first(err, err_refuse(err, "unix socket with credentials in a datagram, which is connected to another"
						  " one itself"));
	if (late && m->sender_len && !linked_to(t, m, s->ino))
		return read_first(err, err_refuse(err, "unix socket with credentials in a datagram from a socket with a name that is"
						  " not connected to it"));
	return 0;
}

/* Who sends to a socket of ours and is not dumped gets ECONNREFUSED from its next datagram on, until it connects again. */
static void warn_outside(struct dump *d, struct unix_table *t)
{
	const struct unix_diag *first = NULL;
	char who[96], link[32];
	size_t n = 0;

	for (size_t i = 0; i < t->diags.n; i++) {
		const struct unix_diag *s = &t->diags.v[i];
		const struct unix_seen *server = s->type == SOCK_DGRAM && s->peer ? unix_find_seen(t, s->peer) : NULL;
		if (!server || server->peer == s->ino || unix_find_seen(t, s->ino) || unix_is_in_tree(d, t, s->ino))
			continue;
		first = first ?: s;
		n++;
	}
	if (!n || d->opts->leave_running)
		return;
	snprintf(link, sizeof(link), "socket:[%u]", first->ino);
	if (!file_find_holder(d, link, who, sizeof(who)))
		snprintf(who, sizeof(who), "%s", link);
	log_warn(d->log, "%zu unix datagram socket%s outside of the tree (the first: %s) %s connected to one in it, and must"
		 " connect again after the restore", n, n == 1 ? "" : "s", who, n == 1 ? "is" : "are");
}

int unix_check_messages(struct dump *d, struct unix_table *t, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < t->nseen && !ret; i++) {
		ret = check_half(t, &t->seen[i], err);
		if (ret < 0)
			return err_task(err, t->seen[i].task->pid, t->seen[i].task->stat.comm,
					file_blame(t->seen[i].number, ret, err));
	}
	/* Those of one socket follow each other, in the order of the queue. */
	bool late = false;
	for (size_t i = 0; i < t->nmessages; i++) {
		const struct unix_message *m = &t->messages[i];
		const struct unix_seen *s = unix_find_seen(t, m->ino);

		late = m->cred || (late && i && m[-1].ino == m->ino);
		if (s && s->peer && !unix_find_seen(t, s->peer) && unix_is_in_tree(d, t, s->peer))
			continue; /* from there, as likely as not */
		ret = s ? check_message(t, s, m, late, err) : 0;
		if (ret < 0)
			return err_task(err, s->task->pid, s->task->stat.comm, file_blame(s->number, ret, err));
	}
	warn_outside(d, t);
	return 0;
}
