/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Most of many TCP sockets have the same options. Where the kernel keeps options, a BPF iterator reads as numbers, and whose numbers
 * are those of another socket has that one's options: of a hundred questions ten are left. Which options they are that these numbers
 * tell is found out in the same run, from sockets of our own that differ in one option each.
 */
#ifndef CR_SOCK_ALIKE_H
#define CR_SOCK_ALIKE_H

#include "common/sock/ahead.h"

#define INETOPT_WORDS 2

/*
 * One value of an option, to be tried on a fresh TCP socket of ours. value NULL: any numbers that it takes; with a length: not to be tried.
 * bit: of SOL_SOCKET options, as in sock_options_ask(). All values with one bit together show whether numbers tell that option.
 */
struct sock_change { uint64_t bit; int level, name; const void *value; socklen_t len; };
/* The i-th of options of SOL_SOCKET, and that of row i of inetopt.c; false: there are no more. */
bool sock_option_change(size_t i, struct sock_change *c);
bool inetopt_change(size_t i, struct sock_change *c);

/* What each socket is asked for, although its numbers are those of another. */
struct sock_asked {
	uint64_t options; /* of sock_options_ask() */
	uint64_t rows[INETOPT_WORDS]; /* of inetopt_ask() */
	bool fields; /* options of IP and TCP with fields of their own */
};

/* Sockets with the same numbers. */
struct sock_like {
	const uint64_t *numbers;
	struct sock_told told; /* of the first one */
	enum { LIKE_NEW, LIKE_ONE /* told is there */, LIKE_TRUSTED /* a second one had the same options */, LIKE_WRONG } state;
};

/* Descriptors of this process, as they are now. Takes some ms. ERR_FEATURE: not on this kernel or with these privileges, or of no use. */
struct sock_alike;
int sock_alike_open(struct sock_alike **out, struct err *err);
void sock_alike_free(struct sock_alike *all); /* NULL is fine */
/* Those with the numbers of TCP socket fd over IPv4. NULL: nothing is known of it, or too many differ. One thread at a time. */
struct sock_like *sock_alike_of(struct sock_alike *all, int fd);
const struct sock_asked *sock_alike_asked(const struct sock_alike *all);
/* Whether two sockets were told the same. */
bool sock_told_same(const struct sock_told *a, const struct sock_told *b);

#endif
