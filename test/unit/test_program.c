/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs: order, linking, expectations, printing. And the agent itself, run in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/agent/program.h"
#include "common/arch/arch.h"

static void steps_run_by_phase_then_insertion(void **state)
{
	cleanup_program struct program *p = program_new();
	struct step_ref late = program_call(p, 2, "late", SYS_getpid, A(0));
	struct step_ref first = program_call(p, 1, "first", SYS_getpid, A(0));
	struct step_ref second = program_call(p, 1, "second", SYS_gettid, A(0));

	program_seal(p);
	assert_int_equal(program_at(p, 0), first.i);
	assert_int_equal(program_at(p, 1), second.i);
	assert_int_equal(program_at(p, 2), late.i);
}

static void linking_resolves_every_kind_of_argument(void **state)
{
	cleanup_program struct program *p = program_new();
	struct data_ref s = program_string(p, "/dev/null");
	struct data_ref ptr = program_data(p, NULL, 8);
	struct step_ref open = program_call(p, 0, "open", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(s), A(O_RDONLY));
	const int slots[] = { 77 };
	struct program_link l = { .base = 0x10000, .exit = 0x1234, .epilogue_phase = 9, .slots = slots, .nslots = 1 };
	cleanup_free unsigned char *out = NULL;
	const struct agent_header *h;
	const struct agent_step *steps;
	uint64_t to;

	program_data_pointer(p, ptr, 0, s, 4);
	program_call(p, 0, "close", SYS_close, A_RESULT(open));
	program_call(p, 9, "slot", SYS_close, A_SLOT(0));
	out = xmalloc(program_size(p));
	program_link(p, &l, out);
	h = (const void *)out;
	steps = (const void *)(h + 1);
	assert_int_equal(h->exit, 0x1234);
	assert_int_equal(h->end - h->step, 3 * sizeof(*steps));
	assert_int_equal(h->epilogue, h->step + 2 * sizeof(*steps));
	assert_string_equal((char *)out + (steps[0].arg[1] - l.base), "/dev/null");
	assert_int_equal(steps[1].arg[0], h->step + STEP_RESULT);
	assert_true(steps[1].expect & STEP_INDIRECT(0));
	assert_int_equal(steps[2].arg[0], 77);
	memcpy(&to, out + program_size(p) - 16, sizeof(to));
	assert_string_equal((char *)out + (to - l.base), "/null");
}

/* Runs a program with the agent's own code, in a child, on memory that both see. Returns the child's fate. */
static int run_agent(struct program *p)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *area = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *left = (int *)area;
	struct program_link l = { .base = (uintptr_t)area + 64, .left = (uintptr_t)left, .epilogue_phase = 1000 };
	int status = 0;
	pid_t child;

	assert_true(code != MAP_FAILED && area != MAP_FAILED);
	memcpy(code, arch_agent_start, (size_t)(arch_agent_end - arch_agent_start));
	assert_int_equal(mprotect(code, 4096, PROT_READ | PROT_EXEC), 0);
	l.exit = (uintptr_t)code + arch_agent_park;
	*left = 1;
	program_link(p, &l, area + 64);
	child = fork();
	if (!child)
		arch_agent_jump((uintptr_t)code, l.base);
	while (__atomic_load_n(left, __ATOMIC_ACQUIRE) == 1 && !waitpid(child, &status, WNOHANG))
		syscall(SYS_futex, left, FUTEX_WAIT, 1, &(struct timespec){ 0, 1000000 });
	program_absorb(p, area + 64);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	munmap(area, 65536);
	munmap(code, 4096);
	return status;
}

static void agent_chains_results_and_stops_at_the_first_surprise(void **state)
{
	cleanup_program struct program *p = program_new();
	struct data_ref path = program_string(p, "/proc/self/comm");
	struct data_ref buf = program_data(p, NULL, 64);
	struct step_ref fd = program_call(p, 0, "open", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(path), A(O_RDONLY));
	struct step_ref got = program_call(p, 0, "read", SYS_read, A_RESULT(fd), A_DATA(buf), A(64));
	struct step_ref shut = program_call_eq(p, 0, "close", 0, SYS_close, A_RESULT(fd));
	struct step_ref any = program_try(p, 0, "bad close is tolerated", SYS_close, A(4000));
	struct step_ref bad = program_call(p, 0, "bad close is not", SYS_close, A(4001));
	struct step_ref never = program_call(p, 0, "never reached", SYS_getpid, A(0));
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	run_agent(p);
	assert_true(program_result(p, fd) >= 0);
	assert_true(program_result(p, got) > 0);
	assert_memory_equal(program_answer(p, buf), "test_program", 12);
	assert_int_equal(program_result(p, shut), 0);
	assert_int_equal(program_result(p, any), -EBADF);
	assert_int_equal(program_result(p, bad), -EBADF);
	assert_int_equal(program_failed(p), bad.i);
	assert_int_equal(program_result(p, never), 0);
	program_print_step(p, bad.i, true, &line);
	assert_string_equal(line.s, "close(4001) = -1 EBADF (Bad file descriptor)  # bad close is not");
}

static void agent_is_given_the_page_of_its_data(void **state)
{
	cleanup_program struct program *p = program_new();
	struct data_ref far = program_data(p, NULL, 5000);
	struct step_ref first, last;

	far.off += 4900;
	first = program_call(p, 0, "a page", SYS_msync, A_PAGE((struct data_ref){ 0, 0 }), A(4096), A(MS_INVALIDATE));
	last = program_call(p, 0, "another page", SYS_madvise, A_PAGE(far), A(4096), A(MADV_DONTFORK));
	run_agent(p);
	assert_int_equal(program_failed(p), -1);
	assert_int_equal(program_result(p, first), 0);
	assert_int_equal(program_result(p, last), 0);
}

static void agent_tells_a_wrong_value_from_a_right_one(void **state)
{
	cleanup_program struct program *good = program_new(), *wrong = program_new();

	program_call_eq(good, 0, "umask", 022, SYS_umask, A(022));
	program_call_eq(wrong, 0, "umask", 07777, SYS_umask, A(022));
	umask(022);
	run_agent(good);
	assert_int_equal(program_failed(good), -1);
	run_agent(wrong);
	assert_int_equal(program_failed(wrong), 0);
}

static void agent_has_no_relocation_and_fits_where_it_must(void **state)
{
	/* The tail of a page, with the vdso of current kernels in mind: the first thread and six others. */
	assert_true(arch_agent_dump_len > 256 && arch_agent_dump_len + 7 * ARCH_AGENT_SLOTS * 8 < 1504);
	assert_true(arch_agent_dump_len <= (size_t)(arch_agent_end - arch_agent_start));
	/* No code of a dump is outside what is copied. */
	assert_true(arch_agent_leave[0] < arch_agent_dump_len && arch_agent_leave[1] < arch_agent_dump_len);
	assert_true(arch_agent_boot < arch_agent_dump_len && arch_agent_guest < arch_agent_dump_len);
}

static void results_meet_expectations_by_one_rule(void **state)
{
	assert_true(program_met(EXPECT_ANY, 0, -5));
	assert_true(program_met(EXPECT_OK, 0, 0));
	assert_true(program_met(EXPECT_OK, 0, (int64_t)0xffff800000000000ull));
	assert_false(program_met(EXPECT_OK, 0, -1));
	assert_false(program_met(EXPECT_OK, 0, -4095));
	assert_true(program_met(EXPECT_OK, 0, -4096));
	assert_true(program_met(EXPECT_EQ, 7, 7));
	assert_false(program_met(EXPECT_EQ, 7, 8));
}

static void printing_reads_like_strace(void **state)
{
	cleanup_program struct program *p = program_new();
	struct data_ref path = program_string(p, "/a\"b\n");
	cleanup_strbuf struct strbuf out = STRBUF_INIT;

	program_call(p, 0, "text", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(path), A(O_RDWR | O_APPEND));
	program_call_eq(p, 1, "", 0x10000, SYS_mmap, A(0x10000), A(4096), A(PROT_READ),
			A(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED), A((uint64_t)-1), A(0));
	program_print(p, "  ", &out);
	assert_string_equal(out.s, "  openat(AT_FDCWD, \"/a\\\"b\\012\", O_RDWR|O_APPEND)  # text\n"
				   "  mmap(0x10000, 0x1000, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x10000\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_run_by_phase_then_insertion),
		cmocka_unit_test(linking_resolves_every_kind_of_argument),
		cmocka_unit_test(agent_chains_results_and_stops_at_the_first_surprise),
		cmocka_unit_test(agent_is_given_the_page_of_its_data),
		cmocka_unit_test(agent_tells_a_wrong_value_from_a_right_one),
		cmocka_unit_test(agent_has_no_relocation_and_fits_where_it_must),
		cmocka_unit_test(results_meet_expectations_by_one_rule),
		cmocka_unit_test(printing_reads_like_strace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
