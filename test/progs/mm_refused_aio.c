// SPDX-License-Identifier: GPL-2.0-or-later
/* The ring of an AIO context is refused by its name.
 * test: refused=AIO_ring */
#include <linux/aio_abi.h>
#include <sys/syscall.h>

#include "test.h"

int main(void)
{
	aio_context_t ctx = 0;
	struct io_event event;
	struct timespec none = { 0 };

	if (syscall(SYS_io_setup, 4, &ctx) && errno == ENOSYS)
		TEST_SKIP("no AIO");
	CHECK(ctx);
	test_ready();
	CHECK_EQ(syscall(SYS_io_getevents, ctx, 0, 1, &event, &none), 0);
	CHECK(!syscall(SYS_io_destroy, ctx));
	pass();
}
