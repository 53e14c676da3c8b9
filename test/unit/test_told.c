/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which threads need not be asked, what they are said to say, and that all are asked where that is not what one of them says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/dump/told.h"
#include "common/kinds.h"

enum { MANY = 40 };

/* Questions of three kinds: one of which equal numbers have equal answers, one whose answer is a number, one about the process. */
struct number_slot { struct step_ref result; struct data_ref data; };

static int ask_number(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct number_slot *s = slot;

	s->data = program_data(prog, NULL, sizeof(uint64_t));
	s->result = program_try(prog, 0, "a number", 0, A(0));
	return 0;
}

static struct told_rule same_rule(const void *slot)
{
	return (struct told_rule){ .same = TOLD(CRED) };
}

static struct told_rule own_rule(const void *slot)
{
	return (struct told_rule){ .own = TOLD(SLACK) | TOLD(STACK) };
}

static void tell_own(const uint64_t numbers[TOLDS], struct program *prog, const void *slot)
{
	const struct number_slot *s = slot;

	program_set_result(prog, s->result.i, (int64_t)numbers[TOLD_SLACK]);
	program_set_answer(prog, s->data, &numbers[TOLD_STACK], sizeof(uint64_t));
}

static struct state_kind same_kind, own_kind, task_kind;
const struct state_kind *const state_kinds[] = { &same_kind, &own_kind, &task_kind, NULL };

struct crowd {
	struct dump_task task;
	struct dump_thread threads[MANY];
	uint64_t numbers[MANY][TOLDS];
	struct number_slot slot[2];
	void *slots[3];
	struct program *prog;
};

/* Thread i has credentials of (i - 1) % kinds and a slack of i; the first one speaks for the process. */
static void crowd_begin(struct crowd *c, uint64_t kinds)
{
	memset(c, 0, sizeof(*c));
	same_kind = (struct state_kind){ .scope = SCOPE_THREAD, .ask = ask_number, .told = same_rule };
	own_kind = (struct state_kind){ .scope = SCOPE_THREAD, .ask = ask_number, .told = own_rule, .tell = tell_own };
	task_kind = (struct state_kind){ .scope = SCOPE_TASK, .ask = ask_number };
	c->task = (struct dump_task){ .threads = c->threads, .nthreads = MANY, .told_known = UINT64_MAX };
	c->prog = program_new();
	for (size_t i = 0; i < 2; i++) {
		c->slots[i] = &c->slot[i];
		assert_int_equal(ask_number(NULL, c->prog, c->slots[i], NULL), 0);
	}
	for (size_t i = 0; i < MANY; i++) {
		c->numbers[i][TOLD_CRED] = 100 + (i - 1) % kinds;
		c->numbers[i][TOLD_SLACK] = i;
		c->numbers[i][TOLD_STACK] = 1000 * i;
		c->threads[i].told = c->numbers[i];
	}
}

/* What thread i says: word for what the numbers tell. */
static void answer(struct crowd *c, struct told_threads *told, size_t i)
{
	const uint64_t stack = 1000 * i;

	program_set_result(c->prog, c->slot[0].result.i, (int64_t)(7 * c->numbers[i][TOLD_CRED]));
	program_set_result(c->prog, c->slot[1].result.i, (int64_t)i);
	program_set_answer(c->prog, c->slot[1].data, &stack, sizeof(stack));
	told_take(told, i, c->prog);
}

static size_t count_asked(const struct told_threads *told)
{
	size_t n = 0;

	for (size_t i = 1; i < MANY; i++)
		n += told_asks(told, i);
	return n;
}

static void test_groups(void **state)
{
	struct crowd c;
	struct told_threads *told;

	crowd_begin(&c, 3);
	told = told_new(&c.task, c.slots);
	assert_int_equal(count_asked(told), 3);
	for (size_t i = 1; i < MANY; i++)
		assert_null(told_by(told, i)); /* nobody has said anything */
	for (size_t i = 1; i <= 3; i++) {
		assert_true(told_asks(told, i));
		answer(&c, told, i);
		assert_false(told_asks(told, i));
		assert_null(told_by(told, i));
	}
	assert_int_equal(count_asked(told), 0);
	for (size_t i = 4; i < MANY; i++) {
		struct program *p = told_by(told, i);
		uint64_t stack;

		assert_non_null(p);
		assert_int_equal(program_result(p, c.slot[0].result), 7 * (100 + (i - 1) % 3));
		assert_int_equal(program_result(p, c.slot[1].result), i);
		memcpy(&stack, program_answer(p, c.slot[1].data), sizeof(stack));
		assert_int_equal(stack, 1000 * i);
	}
	told_free(told);
	program_free(c.prog);
}

/* Where one does not say what its numbers tell, in a result or in what was written, nothing is told of its group, and of it alone. */
static void test_other_meaning(void **state)
{
	for (int result = 0; result < 2; result++) {
		struct crowd c;
		struct told_threads *told;

		crowd_begin(&c, 2);
		c.numbers[1][result ? TOLD_SLACK : TOLD_STACK] = 12345;
		told = told_new(&c.task, c.slots);
		assert_int_equal(count_asked(told), 2);
		answer(&c, told, 1);
		answer(&c, told, 2);
		for (size_t i = 3; i < MANY; i++) {
			assert_int_equal(told_asks(told, i), i % 2);
			assert_int_equal(told_by(told, i) != NULL, i % 2 == 0);
		}
		for (size_t i = 3; i < MANY; i += 2)
			answer(&c, told, i);
		assert_int_equal(count_asked(told), 0);
		told_free(told);
		program_free(c.prog);
	}
}

static void expect_all(struct crowd *c, size_t n)
{
	struct told_threads *told = told_new(&c->task, c->slots);

	assert_int_equal(count_asked(told), n);
	told_free(told);
	program_free(c->prog);
}

/* What is not known is asked. */
static void test_unknown(void **state)
{
	struct crowd c;

	crowd_begin(&c, 1);
	expect_all(&c, 1);
	crowd_begin(&c, 1);
	same_kind.told = NULL;
	expect_all(&c, MANY - 1);
	crowd_begin(&c, 1);
	same_kind.told = told_nothing;
	for (size_t i = 0; i < MANY; i++)
		c.numbers[i][TOLD_CRED] = i;
	expect_all(&c, 1);
	crowd_begin(&c, 1);
	c.task.told_known &= ~TOLD(CRED);
	expect_all(&c, MANY - 1);
	crowd_begin(&c, 1);
	c.task.told_known &= ~TOLD(SLACK);
	expect_all(&c, MANY - 1);
	crowd_begin(&c, 1);
	c.task.told_known &= ~TOLD(PDEATH); /* which nobody names */
	expect_all(&c, 1);
	crowd_begin(&c, 1);
	c.threads[7].told = c.threads[8].told = NULL;
	expect_all(&c, 3);
	crowd_begin(&c, MANY); /* more groups than are kept */
	expect_all(&c, MANY - 1);
	crowd_begin(&c, 1); /* another filter may answer something else */
	c.numbers[5][TOLD_SECCOMP_FILTER] = 1;
	expect_all(&c, 2);
	crowd_begin(&c, 1); /* a first thread that has ended: others speak */
	c.task.fz.speaker = 3;
	expect_all(&c, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_groups), cmocka_unit_test(test_other_meaning), cmocka_unit_test(test_unknown) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
