// SPDX-License-Identifier: GPL-2.0-or-later
/* A range whose faults are served through userfaultfd is refused by its name.
 * test: refused=registered_with_userfaultfd */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "test.h"

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range.len = 4096 };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0)
		TEST_SKIP("no userfaultfd");
	CHECK(p != MAP_FAILED);
	CHECK(!ioctl(fd, UFFDIO_API, &api));
	reg.range.start = zero.range.start = (uintptr_t)p;
	CHECK(!ioctl(fd, UFFDIO_REGISTER, &reg));
	test_ready();
	CHECK(!ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	CHECK_EQ(*p, 0);
	pass();
}
