/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's memory by address, against what is known of our own process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/bpf/kmem.h"
#include "test/unit/bpf.h"

static struct kmem *open_it(void)
{
	struct err err = ERR_INIT;
	struct kmem *k;

	if (!kmem_open(&k, &err))
		return k;
	print_message("the kernel's memory: %s: %s\n", err.reason, strerror(err.errnum));
	skip();
	return NULL;
}

static void test_task(void **state)
{
	struct kmem *k = open_it();
	struct err err = ERR_INIT;
	struct btf_bits where;
	struct timespec now;
	uint64_t task, ns, pid;
	char name[16];

	prctl(PR_SET_NAME, "by-address");
	assert_int_equal(kmem_self(k, &task, &ns, &err), 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_true(ns <= (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	assert_true(btf_bits(kmem_types(k), "task_struct", "comm", &where));
	assert_int_equal(kmem_read(k, task + where.at / 8, name, sizeof(name), &err), 0);
	assert_string_equal(name, "by-address");
	assert_int_equal(kmem_follow(k, task, "task_struct", "signal->leader_pid", &pid, &err) < 0, true); /* there is no such field */
	err = (struct err)ERR_INIT;
	assert_int_equal(kmem_follow(k, task, "task_struct", "thread_pid->numbers[0].nr", &pid, &err), 0);
	assert_true(pid > 0);
	kmem_close(k);
}

static void test_file(void **state)
{
	struct kmem *k = open_it();
	struct err err = ERR_INIT;
	struct btf_bits reuse, family;
	uint64_t file, at;
	char sock[256];
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(kmem_file(k, fd, &file, &err), 0);
	assert_int_equal(kmem_follow(k, file, "file", "private_data->(socket)sk", &at, &err), 0);
	assert_int_equal(kmem_read(k, at, sock, btf_size(kmem_types(k), "sock_common"), &err), 0);
	assert_true(btf_bits(kmem_types(k), "sock", "__sk_common.skc_reuse", &reuse));
	assert_int_equal(reuse.width, 4);
	assert_int_equal(kmem_field(sock, &reuse, 0), 1);
	assert_true(btf_bits(kmem_types(k), "sock", "__sk_common.skc_family", &family));
	assert_int_equal(family.width, 0);
	assert_int_equal(kmem_field(sock, &family, 2), AF_INET6);
	assert_false(btf_bits(kmem_types(k), "sock", "__sk_common.skc_reuse.more", &reuse));
	assert_false(btf_bits(kmem_types(k), "sock", "__sk_common->skc_family", &reuse));
	assert_int_equal(btf_size(kmem_types(k), "no such struct"), 0);
	close(fd);
	kmem_close(k);
}

/* Pages that a pipe holds: what was written, more than is read at once. */
static void test_pages(void **state)
{
	static char said[200000], got[200000];
	struct kmem *k = open_it();
	struct err err = ERR_INIT;
	uint64_t file, bufs, page, bytes;
	int fds[2];

	memset(said, 'x', 100);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], said, 100), 100);
	if (kmem_learn_pages(k, &err)) {
		print_message("pages: %s\n", err.reason);
		skip();
	}
	assert_int_equal(kmem_file(k, fds[0], &file, &err), 0);
	assert_int_equal(kmem_follow(k, file, "file", "private_data->(pipe_inode_info)bufs", &bufs, &err), 0);
	assert_int_equal(kmem_follow(k, bufs, "pipe_buffer", "page", &page, &err), 0);
	assert_int_equal(kmem_page(k, page, &bytes, &err), 0);
	assert_int_equal(kmem_read(k, bytes, got, 100, &err), 0);
	assert_memory_equal(got, said, 100);
	assert_true(kmem_page(k, page + 1, &bytes, &err) < 0);
	err = (struct err)ERR_INIT;
	assert_true(kmem_page(k, 8, &bytes, &err) < 0);
	err = (struct err)ERR_INIT;
	/* In pieces. */
	assert_int_equal(kmem_read(k, bytes & ~0xfffffull, got, sizeof(got), &err), 0);
	close(fds[0]);
	close(fds[1]);
	kmem_close(k);
}

/* No address of the kernel is an error, not a fault. */
static void test_nowhere(void **state)
{
	static const uint64_t nowhere[] = { 0, 8, 0x7fffffffe000, 0x800000000000, UINT64_MAX - 7 };
	struct kmem *k = open_it();
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		struct err err = ERR_INIT;

		assert_true(kmem_read(k, nowhere[i], &v, sizeof(v), &err) < 0);
		assert_int_equal(err.kind, ERR_FEATURE);
	}
	kmem_close(k);
}

static void test_not_allowed(void **state)
{
	struct err err = ERR_INIT;
	struct kmem *k = NULL;

	bpf_allowed(false);
	assert_true(kmem_open(&k, &err) < 0);
	assert_int_equal(err.kind, ERR_FEATURE);
	assert_null(k);
	bpf_allowed(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task),	cmocka_unit_test(test_file),	    cmocka_unit_test(test_pages),
		cmocka_unit_test(test_nowhere), cmocka_unit_test(test_not_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
