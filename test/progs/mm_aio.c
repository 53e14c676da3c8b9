// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AIO contexts: an empty one, one with events that nobody took, one whose events go over the end of the ring, one as full
 * as it can be. They keep their ids and events, and go on working as far as they go.
 */
#include <linux/aio_abi.h>
#include <sys/syscall.h>

#include "test.h"

enum { RINGS = 4 };
struct ring { unsigned int id, nr, head, tail; };

static aio_context_t ctx[RINGS];
static unsigned int left[RINGS]; /* events that wait in each, numbered from 1000 * ring on */
static unsigned int total[RINGS]; /* how many there were ever */
static int fd;

static int submit(int i, unsigned int data)
{
	struct iocb iocb = { .aio_data = data, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (unsigned)fd,
			     .aio_buf = (uintptr_t)"x", .aio_nbytes = 1, .aio_offset = (long long)data };
	struct iocb *v[] = { &iocb };

	return syscall(SYS_io_submit, ctx[i], 1, v) == 1 ? 0 : errno;
}

static void put(int i, unsigned int n)
{
	for (unsigned int k = 0; k < n; k++)
		CHECK_EQ(submit(i, 1000u * (unsigned)i + total[i]++), 0);
	left[i] += n;
}

static void take(int i, unsigned int n)
{
	struct timespec none = { 0 };

	for (unsigned int k = 0; k < n; k++) {
		struct io_event e = { 0 };

		CHECK_EQ(syscall(SYS_io_getevents, ctx[i], 1, 1, &e, &none), 1);
		CHECK_EQ(e.data, 1000u * (unsigned)i + total[i] - left[i]);
		CHECK_EQ(e.res, 1);
		left[i]--;
	}
}

int main(void)
{
	struct ring r[RINGS], *now;
	struct io_event e;
	struct timespec none = { 0 };
	aio_context_t gone = 0;

	if (syscall(SYS_io_setup, 4, &gone) && errno == ENOSYS)
		TEST_SKIP("no AIO");
	fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(gone && fd >= 0);
	for (int i = 0; i < RINGS; i++)
		CHECK(!syscall(SYS_io_setup, i == 2 ? 1 : 20, &ctx[i]));
	CHECK(!syscall(SYS_io_destroy, gone)); /* so the indices of the others begin at 1 */
	put(1, 7);
	take(1, 3);
	now = (void *)(uintptr_t)ctx[2];
	while (now->tail < now->nr - 3) {
		put(2, 1);
		take(2, 1);
	}
	put(2, 9);
	take(2, 1);
	CHECK(now->tail < now->head);
	while (!submit(3, 3000u + total[3])) {
		total[3]++;
		left[3]++;
	}
	unsigned int full = left[3];
	for (int i = 0; i < RINGS; i++)
		r[i] = *(struct ring *)(uintptr_t)ctx[i];

	test_ready();

	for (int i = 0; i < RINGS; i++) {
		now = (void *)(uintptr_t)ctx[i];
		CHECK_EQ(now->nr, r[i].nr);
		CHECK_EQ(now->head, r[i].head);
		CHECK_EQ(now->tail, r[i].tail);
	}
	for (int i = 0; i < 3; i++)
		put(i, 2);
	for (int i = 0; i < RINGS; i++) {
		while (left[i])
			take(i, 1);
		CHECK_EQ(syscall(SYS_io_getevents, ctx[i], 0, 1, &e, &none), 0);
		/*
		 * Their room is not lost, nor is too much of it given. The kernel deals it out to CPUs in portions
		 * (fs/aio.c, get_reqs_available), so some of it may be out of reach where we run.
		 */
		while (!submit(i, 1000u * (unsigned)i + total[i])) {
			total[i]++;
			left[i]++;
		}
		if (r[i].nr == r[3].nr)
			CHECK(left[i] * 2 >= full && left[i] <= r[i].nr - 1);
		take(i, left[i]);
		CHECK(!syscall(SYS_io_destroy, ctx[i]));
	}
	pass();
}
