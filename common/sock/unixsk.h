/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of unix sockets share: unixsk.c (dump), _diag, _name, _queue, _plan, _preflight. */
#ifndef CR_FILE_UNIXSK_H
#define CR_FILE_UNIXSK_H

#include "common/sock/sock.h"

/* States in the words of the kernel: TCP_ESTABLISHED, TCP_CLOSE, TCP_LISTEN. */
enum { UNIX_CONNECTED = 1, UNIX_CLOSED = 7, UNIX_LISTEN = 10 };

#define UNIX_GROUPS_MAX 65536 /* NGROUPS_MAX */
#define UNIX_NAME_MAX 109 /* sun_path, and the NUL that the kernel adds to a path that fills it */

/* ---- sock_diag ---- */

/* One socket of our network namespace. */
struct unix_diag {
	uint32_t ino;
	uint8_t type, state, shutdown;
	uint32_t peer; /* inode, 0: none, gone, or not accepted yet */
	uint32_t file_ino, file_dev; /* of the file it is bound to, 0: none */
	uint32_t rqueue, wqueue;     /* listening: pending connections and backlog; else bytes waiting to be read, memory of sent ones */
	const void *name;
	uint32_t name_len;
	const uint32_t *icons; /* inodes of the clients that wait for accept(2), 0: closed */
	size_t nicons;
};

struct unix_diags {
	struct unix_diag *v; /* by inode */
	size_t n;
};

/* All of them, in one question (net/unix/diag.c). Arena memory. */
int unix_diag_all(struct arena *arena, struct unix_diags *out, struct err *err);
const struct unix_diag *unix_diag_find(const struct unix_diags *all, uint32_t ino);
/* The listening socket in whose accept queue the client waits, and at which place; NULL when there is none. */
const struct unix_diag *unix_diag_listener(const struct unix_diags *all, uint32_t client, uint32_t *place);
/* The live socket that is bound to the file, or that has the (abstract) name. */
const struct unix_diag *unix_diag_by_file(const struct unix_diags *all, const struct stat *st);
const struct unix_diag *unix_diag_by_name(const struct unix_diags *all, const void *name, size_t len);

/* ---- dump ---- */

/* A socket that was dumped, until all are known. */
struct unix_seen {
	uint32_t ino, peer;
	const struct unix_diag *diag;
	UnixSkEntry *entry;
	struct dump_task *task;
	int number;
	bool half; /* one end of a pair of which an end is not connected any more */
};

/* A message in a queue: what decides whether it can be sent again. */
struct unix_message {
	uint32_t ino; /* of the receiver */
	bool cred;
	uint32_t sender_len;
	const void *sender; /* name; arena */
};

/* Hangs on the file table. */
struct unix_table {
	struct unix_diags diags;
	dev_t dev; /* of all sockets */
	struct unix_seen *seen; /* malloc'ed */
	size_t nseen, cap;
	struct unix_message *messages; /* malloc'ed */
	size_t nmessages, messages_cap;
	struct unix_embryos *embryos;
};

/* What a client has sent that was not accepted yet (unixsk_embryo.c): can it be read here? Then it is stored under an id of its own, which
 * the client's entry gets, when there is anything. fd: the client. Refused by name: descriptors in it, credentials of strangers. */
bool unix_sent_readable(struct dump *d);
int unix_sent_dump(struct dump *d, int fd, UnixSkEntry *e, struct err *err);
/* Of a listening socket, those connections that wait to be accepted and whose clients are closed; diag tells that there are such. */
int unix_closed_dump(struct dump *d, int fd, const struct unix_diag *diag, UnixSkEntry *e, struct err *err);
void unix_embryos_free(struct unix_embryos *all); /* NULL is fine */

/* Name, file, its mode and owner. */
int unix_name_dump(struct dump *d, const struct fd_source *src, const struct unix_diag *diag, UnixSkEntry *e,
		   struct err *err);
/* NULL: not dumped. Only when all are known. */
struct unix_seen *unix_find_seen(const struct unix_table *t, uint32_t ino);
/* A task of the tree has it, although it was not dumped: a check has said why, and what is at its other end is no news. */
bool unix_is_in_tree(struct dump *d, const struct unix_table *t, uint32_t ino);
/* Takes note of a message that was read, in order; and when all sockets are known: can all be sent again? */
void unix_note_message(struct dump *d, uint32_t ino, bool cred, const void *sender, size_t len);
int unix_check_messages(struct dump *d, struct unix_table *t, struct err *err);
/* Asks sock_diag, once. */
int unix_table_of(struct dump *d, struct unix_table **table, struct err *err);

/* ---- restore ---- */

/* The name of an entry must be one that the kernel can have given. */
int unix_name_check(const ProtobufCBinaryData *name, struct err *err);
/* Where the file of a bound socket is, NULL: it has none (abstract, unnamed, deleted). */
const char *unix_file_path(struct arena *arena, const UnixSkEntry *e);
static inline bool unix_has_path(const ProtobufCBinaryData *name)
{
	return name->len && name->data[0];
}

/* Where names are bound and looked up: the address leads to the socket only between enter and leave. */
struct unix_place;
/* A socket with this name: the steps that bind it. fd: how steps reach the socket. e NULL: a temporary socket, whose file goes away at
 * once, and on which nobody else's may be. */
struct unix_place *unix_place_bind(struct plan *plan, const UnixSkEntry *e, const ProtobufCBinaryData *name, struct arg fd);
/* The address of somebody else's socket. */
struct unix_place *unix_place_outside(struct plan *plan, const ProtobufCBinaryData *name);
void unix_place_enter(struct plan *plan, struct unix_place *p);
void unix_place_leave(struct plan *plan, struct unix_place *p);
/* The file gets its place, mode and owner; nothing of ours is left. */
void unix_place_end(struct plan *plan, struct unix_place *p);
/* The address, for connect and sendto. */
struct data_ref unix_place_address(const struct unix_place *p);
/* Something that closes a slot: dup3 of it over the slot's number. */
uint32_t unix_root_slot(struct plan *plan);

/* Slots of the descriptors in a message, planned before any step that sends it. */
struct unix_rights { uint32_t *slots; size_t n; };
int unix_packet_prepare(const struct model *m, struct plan *plan, const struct sock_packet *p, struct unix_rights *r,
			struct err *err);
/* The step of program c that sends the packet through fd, to where it is connected or to the address. */
void unix_packet_send(struct program *c, int phase, const struct sock_packet *p, const struct unix_rights *r, struct arg fd,
		      const struct data_ref *to);

int unixsk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err);

#endif
