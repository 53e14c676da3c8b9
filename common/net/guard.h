/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard of sockets in repair mode (TCP_REPAIR). That mode belongs to the socket, not to whoever set it: when a dumper dies, its
 * targets run on at once, and one of them would find a connection that neither sends nor takes anything. So a small child of ours
 * that shares our descriptors enters the mode for us, for some microseconds each time, and no signal to us stops it in between. It
 * hears of our end when that has just begun, and enters the mode no more; the rest of our end takes some hundred microseconds, and
 * only then do the targets run. What must be done when we have died, it does, too.
 */
#ifndef CR_NET_GUARD_H
#define CR_NET_GUARD_H

#include "common/base/err.h"

/* What it does when we die. */
enum guard_act {
	GUARD_NOTHING,
	GUARD_KILLING, /* if the watched task dies within a moment: as GUARD_SILENCE; else as GUARD_UNLOCK */
	GUARD_SILENCE, /* sockets enter repair mode: what closes them then sends nothing; nobody lives who uses them */
	GUARD_UNLOCK,  /* the lock goes */
};

struct guard;

/*
 * For at most n sockets. part is what guard_run() lets the child do with memory of `size` bytes that both see: some microseconds of
 * a job, and true when more is to be done, which is not if we die meanwhile; it may make system calls, and nothing else of libc.
 * The thread that calls this is the tracer, and stops the guard.
 */
int guard_start(size_t n, bool (*part)(void *memory), size_t size, struct guard **g, struct err *err);
void *guard_memory(struct guard *g);
/* Lets the child do its job, in parts, and waits. point: a fault point (fault.h) that is passed while it works. */
int guard_run(struct guard *g, const char *point, struct err *err);
/* One more socket for GUARD_SILENCE. */
void guard_add(struct guard *g, int fd);
/* A listening one, of which n connections that wait to be accepted are to be silent. */
void guard_add_listening(struct guard *g, int fd, unsigned n);
/* The task of GUARD_KILLING. */
void guard_watch(struct guard *g, int pidfd);
/* Bytes that unlock when they are sent to this netlink socket. */
void guard_unlock(struct guard *g, int netlink, const void *bytes, size_t n);
void guard_act(struct guard *g, enum guard_act act);
/* NULL is fine. */
void guard_stop(struct guard *g);

/* 0 or -errno. Leaving resets SO_REUSEADDR, so its value is given. */
int repair_enter(int fd);
int repair_leave(int fd, int reuse);
/* Up to n connections that wait at a listening socket, which nobody will accept any more, go without a word to their peers. */
void repair_waiting(int fd, unsigned n);

#endif
