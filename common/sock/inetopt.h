/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket options for which the format has no field: one table of all that getsockopt(2) shows and setsockopt(2) takes.
 * What differs from a fresh socket of the same kind is kept; so a host's own defaults stay its own.
 */
#ifndef CR_FILE_INETOPT_H
#define CR_FILE_INETOPT_H

#include "common/sock/alike.h"
#include "sk-opts.pb-c.h"

enum inetopt_when {
	INETOPT_EARLY, /* before bind(2), connect(2), listen(2) */
	INETOPT_LATE,
};

/* Values of a fresh socket, by family, type and protocol. Arena memory; asked for once in a dump. */
struct inetopt_fresh;

/* Appends to (*v)[0..*n), arena memory. connected: in a state other than closed and listening. */
int inetopt_dump(struct dump *d, const struct fd_source *src, bool connected, SockOptEntry ***v, size_t *n, struct err *err);
struct sock_told;
/* The same of one that has all but the asked rows (bits, INETOPT_WORDS of them) in common with another. Both NULL: asks for all. */
int inetopt_ask(struct dump *d, const struct fd_source *src, bool connected, const uint64_t *asked, const struct sock_told *others,
		SockOptEntry ***v, size_t *n, struct err *err);
/* Steps of one moment. Options that are not in the table, or not of that length: ERR_IMAGE. */
int inetopt_plan(struct plan *plan, uint32_t slot, int phase, enum inetopt_when when, SockOptEntry *const *v, size_t n,
		 struct err *err);

#endif
