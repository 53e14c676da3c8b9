/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network lock: packets of the connections of a checkpoint are dropped while nobody could answer them, so that their
 * peers wait and send again instead of seeing a reset. One nftables table with one set for each family holds all
 * connections: locking is one transaction, whatever their number.
 *
 * While a dump runs, the table belongs to its netlink socket (NFT_TABLE_F_OWNER): whatever becomes of the dumper, the kernel
 * takes the lock away with it. Only when the tree is about to be killed the same table is made again without an owner.
 */
#ifndef CR_NET_LOCK_H
#define CR_NET_LOCK_H

#include <netinet/in.h>

#include "common/base/err.h"

/* Packets with this mark pass. */
#define NET_LOCK_MARK 0xC114

/* inventory_entry.network_lock_method */
enum net_lock_method { NET_LOCK_IPTABLES, NET_LOCK_NFTABLES, NET_LOCK_SKIP };

struct net_connection {
	bool v6;
	uint8_t local[16], remote[16]; /* IPv4: the first four */
	uint16_t local_port, remote_port; /* network order */
};

struct net_lock;

/* id: the run id of the dump, which names the table. On failure nothing is locked. */
int net_lock(const char *id, const struct net_connection *v, size_t n, struct net_lock **lock, struct err *err);
/* From here on the lock outlives us, until net_unlock(). */
int net_lock_keep(struct net_lock *lock, struct err *err);
/* For somebody who watches over us: the socket, and the bytes that unlock when they are sent there. */
int net_lock_socket(const struct net_lock *lock);
size_t net_lock_undo(const struct net_lock *lock, void *out, size_t size);
bool net_lock_is_kept(const struct net_lock *lock); /* NULL: no */
/* Takes the lock away, unless it was kept. NULL is fine. */
void net_lock_free(struct net_lock *lock);

/* The kept lock of an earlier dump: *lock stays NULL when there is none. Unlock of a lock that is gone since is fine. */
int net_lock_find(const char *id, struct net_lock **lock, struct err *err);
int net_unlock(struct net_lock *lock, struct err *err);

/* Tables of locks that are kept, of a dump whose checkpoint was not restored here: by name. */
int net_locks_kept(void (*found)(void *ctx, const char *table), void *ctx, struct err *err);

#endif
