/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that are inside the agent: what the holder (remote.c) and its guests (guests.c) have in common. */
#ifndef CR_REMOTE_INSIDE_H
#define CR_REMOTE_INSIDE_H

#include "common/remote/cave.h"
#include "common/remote/remote.h"

#define REGION_HEAD 64u /* how long the holder allows guests to show up, then a flag for each of them */
#define FLAGS_OFF 16u
#define GUEST_PERHAPS_NS 250000000l /* to execute its first two instructions */
#define GUEST_INSIDE 2 /* a flag; agent.S sets it, too */
#define REGION_SLACK 1024u /* epilogue */
#define GUEST_SLACK 256u   /* a guest's */

enum role { HOLDER, GUEST };

struct remote {
	struct freeze *fz;
	const struct log *log;
	struct cave cave;
	uint64_t region, region_len; /* its data; 0 until the holder made it */
	size_t room, guest_room; /* for one program: the holder's, a guest's */
	size_t holder;	/* index of the thread */
	bool holder_in; /* the holder's registers are inside the agent */
	/* What the holder is on its way to, and has not been waited for. */
	enum { AT_REST, TO_MAP, FROM_MAP, TO_ANSWERS, TO_UNMAP, FROM_UNMAP } way;
	bool stuck;	/* a thread did not come to a stop in time */
	int stop_signal;
	bool matters; /* the target handles it or waits for it */
	bool filtered; /* a seccomp filter looks at the holder when we are gone */
	pid_t owed;   /* the thread that is to get one in the end, because somebody sent one while we used it */
	unsigned char *out, *in; /* region contents: as programs are written, as they are read */
};

/* Where a thread has its slots, its flag, and its program. 0 is the holder, which is still inside its last program while guests run. */
static inline uint64_t slots_home(const struct remote *r, size_t home)
{
	return r->cave.code + arch_agent_dump_len + home * SLOT_BYTES;
}

/* The holder has none. */
static inline uint64_t flag_home(const struct remote *r, size_t home)
{
	return r->region + FLAGS_OFF + (home - 1) * sizeof(uint32_t);
}

static inline size_t program_off(const struct remote *r, size_t home)
{
	return REGION_HEAD + (home ? r->room + (home - 1) * r->guest_room : 0);
}

/* Makes what the thread needs to find its way back, to be written before its registers are touched; and writes that of neighbours. */
void inside_make_slots(const struct remote *r, size_t home, const struct frozen_thread *t, uint64_t slots[ARCH_AGENT_SLOTS]);
int inside_write_slots(struct remote *r, size_t home, const uint64_t *slots, size_t n, struct err *err);
/* Puts a program's bytes where they go in the region of thread `home`; they are copied by the next one. */
int inside_place(struct remote *r, size_t home, struct program *prog, struct err *err);
/* Copies the programs of neighbours in one go. */
int inside_copy_programs(struct remote *r, size_t home, size_t n, size_t size, bool to, struct err *err);
int inside_copy(struct remote *r, void *buf, uint64_t at, size_t n, bool to, struct err *err);
/* Sends a thread to its program. What it needs to find back is in its slots. */
int inside_enter(struct remote *r, size_t home, struct frozen_thread *t, struct err *err);
int inside_let_run(struct frozen_thread *t, struct err *err);
/* Waits for a stop of tid. A SIGSTOP that comes meanwhile is sent again when all is over. */
int inside_wait(struct remote *r, pid_t tid, int want, struct err *err);
/* Takes the answers of a thread that stopped with a stop signal. It may have been somebody else's, or of a dumper that
 * died here: then the program goes on. */
int inside_take_answers(struct remote *r, size_t home, struct frozen_thread *t, struct program *prog, struct err *err);
int inside_all_went_well(const struct program *prog, struct err *err);
/* Gives a thread its own registers back. */
int inside_put_back(struct frozen_thread *t, struct err *err);

#endif
