/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of sockets that wait to be read (SO_ERROR, or the next call). Whoever asks for one takes it, so a dump reads them in the kernel's
 * own records (common/bpf/iter.h); a restore lets them happen again, over the loopback device.
 */
#ifndef CR_SOCK_SOCKERR_H
#define CR_SOCK_SOCKERR_H

#include "common/sock/inet.h"

/* ---- dump ---- */

enum sock_stage { SOCK_UNCONNECTED = 1, SOCK_CONNECTING, SOCK_CONNECTED, SOCK_DISCONNECTING }; /* include/uapi/linux/net.h, SS_* */

struct sock_error {
	int error; /* errno; 0: none waits, and nothing else is filled */
	enum sock_stage stage;
	uint32_t queued; /* datagrams in its queue: of UDP */
	/* Of TCP: the peer has said its end; bytes that came and were not read, however marks of urgent data part them. */
	bool fin;
	uint32_t unread;
	bool report; /* of an attempt to connect: MSG_ERRQUEUE has it, too */
};
/*
 * What waits, without taking it. Refuses, by the name `what`: other queues of errors (MSG_ERRQUEUE), and where this kernel or these
 * privileges do not tell (CAP_BPF, CAP_PERFMON).
 */
int sock_error_look(struct dump *d, const struct fd_source *src, const char *what, struct sock_error *out, struct err *err);
/* Refuses this error, which cannot be made again. */
int sock_error_refuse(const char *what, const struct sock_error *e, struct err *err);
/* Of a UDP or ping socket, into its entry; refuses what cannot be made again. */
int sock_error_dump(struct dump *d, const struct fd_source *src, InetSkEntry *e, const char *what, struct err *err);

/* ---- restore ---- */

#define SOCK_ERRNO_MAX 4095 /* MAX_ERRNO */
#define SOCK_LOOPBACK_HINT "is the loopback device up, and does no packet filter of this host drop packets there?"

/* The slot of a raw socket for icmp_answer(), made on first use. */
uint32_t sock_error_raw(struct plan *plan, bool v6);
/* Checks the entry of a UDP or ping socket, and notes its error for sock_errors_run(). */
int sock_error_plan(const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);
/* The socket hears what comes to this host and must not have heard what a restore says: sock_errors_run() empties its queue. */
void sock_error_plan_deaf(struct plan *plan, uint32_t slot);
/* When the controller has made all sockets, and before any task is there. fds: descriptors by slot. */
int sock_errors_run(const struct plan *plan, const int *fds, struct err *err);

/* Ends it as an administrator does (SOCK_DESTROY): ECONNABORTED. */
int sock_destroy(int fd, struct err *err);

/*
 * Options that would be in the way while it hears an error are off, until they get their values back: reports of each error, a device,
 * which hears nothing of the loopback device (but link-local addresses need theirs).
 */
struct sock_quiet { int was[6]; };
void sock_quiet_begin(int fd, const union inet_address *own, struct sock_quiet *q);
void sock_quiet_end(int fd, const struct sock_quiet *q);

#endif
