/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/agent/program.h"

#include <errno.h>
#include <string.h>

#define PAGE_BYTES 4096u

/* A step as it was added; it becomes a struct agent_step only when the program is linked. */
struct entry {
	int phase;
	uint32_t place; /* index in execution order, known once sealed */
	long nr;
	const char *note;
	enum step_expect expect;
	int64_t want, result;
	struct arg arg[6];
	struct program *child; /* EXPECT_CLONE */
};

struct pointer { uint32_t at, to; };

struct program {
	struct entry *v;
	size_t n, cap;
	unsigned char *data;
	size_t len, data_cap;
	struct pointer *pointers;
	size_t npointers, pointers_cap;
	struct pointer *slots; /* at: where, to: slot */
	size_t nslots, slots_cap;
	uint32_t *order; /* execution order: order[place] = index */
	bool sealed;
	uint64_t base;
	int failed;
};

struct program *program_new(void)
{
	struct program *p = xzalloc(sizeof(*p));

	p->failed = -1;
	return p;
}

static void *copy_array(const void *v, size_t n, size_t size)
{
	void *out = xreallocarray(NULL, n, size);

	if (n)
		memcpy(out, v, n * size);
	return out;
}

struct program *program_copy(const struct program *p)
{
	struct program *q = program_new();

	q->v = copy_array(p->v, p->n, sizeof(*p->v));
	q->n = q->cap = p->n;
	q->data = copy_array(p->data, p->len, 1);
	q->len = q->data_cap = p->len;
	q->pointers = copy_array(p->pointers, p->npointers, sizeof(*p->pointers));
	q->npointers = q->pointers_cap = p->npointers;
	return q;
}

void program_free(struct program *p)
{
	if (!p)
		return;
	free(p->v);
	free(p->data);
	free(p->pointers);
	free(p->slots);
	free(p->order);
	free(p);
}

void program_freep(struct program **p)
{
	program_free(*p);
}

struct data_ref program_data(struct program *p, const void *bytes, size_t len)
{
	struct data_ref d = { (uint32_t)p->len, (uint32_t)len };
	size_t end = (p->len + len + 15) & ~(size_t)15;

	array_reserve(&p->data, &p->data_cap, end, 1);
	memset(p->data + p->len, 0, end - p->len);
	if (bytes && len)
		memcpy(p->data + p->len, bytes, len);
	p->len = end;
	return d;
}

struct data_ref program_string(struct program *p, const char *s)
{
	return program_data(p, s, strlen(s) + 1);
}

void program_data_pointer(struct program *p, struct data_ref from, uint32_t off, struct data_ref to, uint32_t to_off)
{
	array_reserve(&p->pointers, &p->pointers_cap, p->npointers, sizeof(*p->pointers));
	p->pointers[p->npointers++] = (struct pointer){ from.off + off, to.off + to_off };
}

void program_data_slot(struct program *p, struct data_ref from, uint32_t off, uint32_t slot)
{
	array_reserve(&p->slots, &p->slots_cap, p->nslots, sizeof(*p->slots));
	p->slots[p->nslots++] = (struct pointer){ from.off + off, slot };
}

size_t program_slots(const struct program *p)
{
	return p->nslots;
}

uint32_t program_slot_at(const struct program *p, size_t i, uint32_t *slot)
{
	*slot = p->slots[i].to;
	return p->slots[i].at;
}

struct step_ref program_add(struct program *p, int phase, const char *note, enum step_expect expect, int64_t want,
			    long nr, const struct arg args[6])
{
	struct entry *e;

	array_reserve(&p->v, &p->cap, p->n, sizeof(*p->v));
	e = &p->v[p->n];
	*e = (struct entry){ .phase = phase, .nr = nr, .note = note, .expect = expect, .want = want };
	memcpy(e->arg, args, sizeof(e->arg));
	p->sealed = false;
	return (struct step_ref){ (uint32_t)p->n++ };
}

struct step_ref program_clone(struct program *p, int phase, const char *note, struct data_ref clone_args, size_t size,
			      pid_t want_tid, struct program *child)
{
	struct step_ref s = program_add(p, phase, note, EXPECT_CLONE, want_tid, 435 /* clone3 */,
					PROGRAM_ARGS(A_DATA(clone_args), A(size)));

	p->v[s.i].child = child;
	return s;
}

size_t program_steps(const struct program *p)
{
	return p->n;
}

/* Fixes the execution order: by phase, and by insertion within one. Phases are small numbers, and steps may be many. */
static void seal(struct program *p)
{
	cleanup_free uint32_t *next = NULL; /* of each phase: the place of its next step */
	size_t phases = 0;

	if (p->sealed)
		return;
	for (size_t i = 0; i < p->n; i++)
		phases = MAX(phases, (size_t)p->v[i].phase + 1);
	next = xzalloc((phases + 1) * sizeof(*next));
	for (size_t i = 0; i < p->n; i++)
		next[p->v[i].phase + 1]++;
	for (size_t k = 0; k < phases; k++)
		next[k + 1] += next[k];
	p->order = xreallocarray(p->order, p->n, sizeof(*p->order));
	for (uint32_t i = 0; i < p->n; i++) {
		p->v[i].place = next[p->v[i].phase]++;
		p->order[p->v[i].place] = i;
	}
	p->sealed = true;
}

void program_seal(struct program *p)
{
	seal(p);
}

size_t program_at(const struct program *p, size_t place)
{
	return p->order[place];
}

static size_t data_start(const struct program *p)
{
	return (sizeof(struct agent_header) + p->n * sizeof(struct agent_step) + 15) & ~(size_t)15;
}

size_t program_size(const struct program *p)
{
	return data_start(p) + p->len;
}

void program_place(struct program *p, uint64_t base)
{
	p->base = base;
}

void program_link(struct program *p, const struct program_link *l, void *out)
{
	struct agent_header *h = out;
	struct agent_step *steps = (void *)(h + 1);
	uint64_t steps_at = l->base + sizeof(*h), data_at = l->base + data_start(p);
	size_t epilogue = p->n;

	seal(p);
	p->base = l->base;
	p->failed = -1;
	memset(out, 0, data_start(p));
	if (p->len)
		memcpy((char *)out + data_start(p), p->data, p->len);
	for (size_t i = 0; i < p->npointers; i++) {
		uint64_t to = data_at + p->pointers[i].to;

		memcpy((char *)out + data_start(p) + p->pointers[i].at, &to, sizeof(to));
	}
	for (size_t i = 0; i < p->nslots; i++) {
		int32_t fd = p->slots[i].to < l->nslots ? l->slots[p->slots[i].to] : -1;

		memcpy((char *)out + data_start(p) + p->slots[i].at, &fd, sizeof(fd));
	}
	for (size_t place = 0; place < p->n; place++) {
		const struct entry *e = &p->v[p->order[place]];
		struct agent_step *s = &steps[place];

		s->nr = (uint32_t)e->nr;
		s->expect = e->expect;
		s->want = e->want;
		if (e->child)
			s->store = e->child->base;
		if (e->phase >= l->epilogue_phase && epilogue == p->n)
			epilogue = place;
		for (int a = 0; a < 6; a++) {
			switch (e->arg[a].kind) {
			case ARG_CONST:
				s->arg[a] = e->arg[a].v;
				break;
			case ARG_DATA:
				s->arg[a] = data_at + e->arg[a].v;
				break;
			case ARG_PAGE:
				s->arg[a] = (data_at + e->arg[a].v) & -(uint64_t)PAGE_BYTES;
				break;
			case ARG_LOAD:
				s->arg[a] = data_at + e->arg[a].v;
				s->expect |= STEP_INDIRECT(a);
				break;
			case ARG_SLOT:
				s->arg[a] = e->arg[a].v < l->nslots ? (uint64_t)l->slots[e->arg[a].v] : (uint64_t)-1;
				break;
			case ARG_RESULT: {
				uint32_t from = p->v[e->arg[a].v].place;

				s->arg[a] = steps_at + from * sizeof(*s) + STEP_RESULT;
				s->expect |= STEP_INDIRECT(a);
				break;
			}
			}
		}
	}
	*h = (struct agent_header){ .step = steps_at, .end = steps_at + p->n * sizeof(*steps),
				    .epilogue = steps_at + epilogue * sizeof(*steps), .exit = l->exit, .left = l->left,
				    .fpu = l->fpu };
}

void program_absorb(struct program *p, const void *in)
{
	const struct agent_header *h = in;
	const struct agent_step *steps = (const void *)(h + 1);

	for (size_t place = 0; place < p->n; place++)
		p->v[p->order[place]].result = steps[place].result;
	if (p->len)
		memcpy(p->data, (const char *)in + data_start(p), p->len);
	p->failed = -1;
	if (h->failed >= h->step && h->failed < h->end)
		p->failed = (int)p->order[(h->failed - h->step) / sizeof(*steps)];
}

int program_failed(const struct program *p)
{
	return p->failed;
}

int64_t program_result(const struct program *p, struct step_ref s)
{
	return p->v[s.i].result;
}

void program_set_answer(struct program *p, struct data_ref d, const void *bytes, size_t len)
{
	memcpy(p->data + d.off, bytes, len);
}

bool program_same_answers(const struct program *a, const struct program *b)
{
	if (a->n != b->n || a->len != b->len || (a->len && memcmp(a->data, b->data, a->len)))
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].result != b->v[i].result)
			return false;
	return true;
}

const void *program_answer(const struct program *p, struct data_ref d)
{
	return p->data + d.off;
}

/* ---- for the printer and the in-process interpreter ---- */

const struct arg *program_args(const struct program *p, size_t i)
{
	return p->v[i].arg;
}

long program_nr(const struct program *p, size_t i)
{
	return p->v[i].nr;
}

const char *program_note(const struct program *p, size_t i)
{
	return p->v[i].note;
}

enum step_expect program_expect(const struct program *p, size_t i, int64_t *want)
{
	*want = p->v[i].want;
	return p->v[i].expect;
}

void program_set_result(struct program *p, size_t i, int64_t result)
{
	p->v[i].result = result;
}

const void *program_data_bytes(const struct program *p, size_t *len)
{
	*len = p->len;
	return p->data;
}

bool program_met(enum step_expect expect, int64_t want, int64_t result)
{
	switch (expect) {
	case EXPECT_ANY:
		return true;
	case EXPECT_OK:
		return result < -4095 || result >= 0;
	case EXPECT_EQ:
	case EXPECT_CLONE:
		return result == want;
	}
	return false;
}
