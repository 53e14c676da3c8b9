/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checkpoints of other dumpers whose connections are held by rules of iptables: two for each, in INPUT and OUTPUT of the filter
 * table, that drop what has not the mark. Our own lock takes their place during a restore; here they are found and taken away.
 */
#ifndef CR_NET_IPTABLES_H
#define CR_NET_IPTABLES_H

#include "common/net/lock.h"

/*
 * Takes away those rules of the n connections that are there; *removed says how many. None is fine: the checkpoint may come from
 * another host. Without the programs iptables-save and iptables-restore: ERR_FEATURE.
 */
int iptables_unlock(const struct net_connection *v, size_t n, size_t *removed, struct err *err);

#endif
