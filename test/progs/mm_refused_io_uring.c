// SPDX-License-Identifier: GPL-2.0-or-later
/* Rings of io_uring are refused by their name, also when their descriptor is closed.
 * test: refused=rings_of_io.uring.*;_many_programs_can_be_told_to_do_without_it */
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "test.h"

int main(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);
	size_t len = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
	uint32_t *ring;

	if (fd < 0)
		TEST_SKIP("no io_uring");
	ring = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	CHECK(ring != MAP_FAILED && !close(fd));
	test_ready();
	CHECK_EQ(ring[params.sq_off.ring_entries / 4], params.sq_entries);
	pass();
}
