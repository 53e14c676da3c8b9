/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs: lists of system calls as data. One language serves all: questions that a dump asks inside a task,
 * what the restore controller does itself, and what every restored thread does to become what it was.
 * Building one is pure: no system call is made, so plans are tested without a live process.
 */
#ifndef CR_AGENT_PROGRAM_H
#define CR_AGENT_PROGRAM_H

#include "common/agent/step.h"
#include "common/base/err.h"
#include "common/base/strbuf.h"

struct program;

/* Handles stay valid while the program grows. The index of a step is its order of *insertion*. */
struct step_ref { uint32_t i; };
struct data_ref { uint32_t off, len; };

enum arg_kind {
	ARG_CONST,  /* v */
	ARG_DATA,   /* address of data at offset v of the program's data area */
	ARG_RESULT, /* result of the earlier step v of the same program */
	ARG_PAGE,   /* address of the page that the data at offset v is in */
	ARG_LOAD,   /* the 8 bytes at offset v of the data area, as earlier steps left them */
	ARG_SLOT,   /* descriptor that the controller's program put in slot v (struct plan) */
};
struct arg { enum arg_kind kind; uint64_t v; };

static inline struct arg A(uint64_t v) { return (struct arg){ ARG_CONST, v }; }
static inline struct arg A_PTR(const void *p) { return (struct arg){ ARG_CONST, (uint64_t)(uintptr_t)p }; }
static inline struct arg A_DATA(struct data_ref d) { return (struct arg){ ARG_DATA, d.off }; }
static inline struct arg A_DATA_AT(struct data_ref d, uint32_t off) { return (struct arg){ ARG_DATA, d.off + off }; }
static inline struct arg A_PAGE(struct data_ref d) { return (struct arg){ ARG_PAGE, d.off }; }
static inline struct arg A_LOAD(struct data_ref d) { return (struct arg){ ARG_LOAD, d.off }; }
static inline struct arg A_RESULT(struct step_ref s) { return (struct arg){ ARG_RESULT, s.i }; }
static inline struct arg A_SLOT(uint32_t slot) { return (struct arg){ ARG_SLOT, slot }; }

struct program *program_new(void);
/* The same steps and data again, for a second thread; handles are the same. */
struct program *program_copy(const struct program *p);
void program_free(struct program *p);
void program_freep(struct program **p);
#define cleanup_program cleanup(program_freep)

/* Reserves len bytes (16-aligned) in the data area, copied from bytes, or zero when bytes is NULL. */
struct data_ref program_data(struct program *p, const void *bytes, size_t len);
struct data_ref program_string(struct program *p, const char *s);
/* Stores, when the program is linked, the address of `to` in the 8 bytes at from+off: pointers inside data (iovecs). */
void program_data_pointer(struct program *p, struct data_ref from, uint32_t off, struct data_ref to, uint32_t to_off);
/* Stores, when the program is linked, the descriptor of a slot as an int at from+off: struct prctl_mm_map. */
void program_data_slot(struct program *p, struct data_ref from, uint32_t off, uint32_t slot);
/* For an interpreter that fills slots on the way: how many such places there are; offset in the data and slot of the i-th. */
size_t program_slots(const struct program *p);
uint32_t program_slot_at(const struct program *p, size_t i, uint32_t *slot);

/*
 * Adds a step to a phase (steps run in order of phase, and in order of insertion within one). note is a
 * static or long-lived string that says what for; it appears in --plan and in errors. Trailing args may be absent.
 */
#define PROGRAM_ARGS(...) (const struct arg[6]){ __VA_ARGS__ }
struct step_ref program_add(struct program *p, int phase, const char *note, enum step_expect expect, int64_t want,
			    long nr, const struct arg args[6]);
/* The usual forms: the call must not fail; the call must give exactly want; any result will do. */
#define program_call(p, phase, note, nr, ...) \
	program_add(p, phase, note, EXPECT_OK, 0, nr, PROGRAM_ARGS(__VA_ARGS__))
#define program_call_eq(p, phase, note, want, nr, ...) \
	program_add(p, phase, note, EXPECT_EQ, (int64_t)(want), nr, PROGRAM_ARGS(__VA_ARGS__))
#define program_try(p, phase, note, nr, ...) \
	program_add(p, phase, note, EXPECT_ANY, 0, nr, PROGRAM_ARGS(__VA_ARGS__))
/* clone3 of a thread that goes on with `child`, a program linked into the same region. */
struct step_ref program_clone(struct program *p, int phase, const char *note, struct data_ref clone_args, size_t size,
			      pid_t want_tid, struct program *child);

size_t program_steps(const struct program *p);

/*
 * Linking. program_size() bytes at `base` (an address in the task) hold header, steps in execution order, and data.
 * slots resolves ARG_SLOT (NULL when the program has none). exit, left and fpu go into the header; steps of a phase >=
 * epilogue_phase run even after a failure. Child programs of program_clone() must be placed or linked first. out receives the bytes.
 */
struct program_link {
	uint64_t base;
	uint64_t exit;
	uint64_t left;
	uint64_t fpu;
	int epilogue_phase;
	const int *slots;
	size_t nslots;
};
size_t program_size(const struct program *p);
/* Where it will be linked, for programs that refer to each other by program_clone(). */
void program_place(struct program *p, uint64_t base);
void program_link(struct program *p, const struct program_link *l, void *out);

/* After a run: takes header, results and data back from bytes laid out by program_link(). */
void program_absorb(struct program *p, const void *in);
/* Index (of insertion) of the step that failed, or -1. */
int program_failed(const struct program *p);
int64_t program_result(const struct program *p, struct step_ref s);
const void *program_answer(const struct program *p, struct data_ref d);

/*
 * For interpreters and printers: program_seal() fixes the execution order, program_at() gives the index of the step at a
 * place of it; the rest look at step i (insertion index). program_run_here() (run.c) executes a program in this process.
 */
void program_seal(struct program *p);
size_t program_at(const struct program *p, size_t place);
const struct arg *program_args(const struct program *p, size_t i);
long program_nr(const struct program *p, size_t i);
const char *program_note(const struct program *p, size_t i);
enum step_expect program_expect(const struct program *p, size_t i, int64_t *want);
void program_set_result(struct program *p, size_t i, int64_t result);
/* The same for what a step would have written at the beginning of d. */
void program_set_answer(struct program *p, struct data_ref d, const void *bytes, size_t len);
/* Whether two copies of one program have the same results and data. */
bool program_same_answers(const struct program *a, const struct program *b);
const void *program_data_bytes(const struct program *p, size_t *len);
/* Whether a result meets an expectation: the rule that agent.S implements too. */
bool program_met(enum step_expect expect, int64_t want, int64_t result);

/* "mmap(0x7f.., 4096, PROT_READ, ...) = -1 EPERM" for step i (insertion index); result shown when with_result. */
void program_print_step(const struct program *p, size_t i, bool with_result, struct strbuf *out);
/* All steps in execution order, one a line, indented by `indent`, note behind a '#'. */
void program_print(const struct program *p, const char *indent, struct strbuf *out);

#endif
