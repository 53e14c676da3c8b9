// SPDX-License-Identifier: GPL-2.0-or-later
/* A range whose faults another process serves through userfaultfd is refused by its name.
 * test: refused=registered_with_userfaultfd */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range.len = 4096 };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pid_t pid;

	if (fd < 0)
		TEST_SKIP("no userfaultfd");
	CHECK(p != MAP_FAILED);
	CHECK(!ioctl(fd, UFFDIO_API, &api));
	reg.range.start = zero.range.start = (uintptr_t)p;
	CHECK(!ioctl(fd, UFFDIO_REGISTER, &reg));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) { /* whose child is not in the tree */
		if (fork())
			_exit(0);
		setsid();
		test_wait_told();
		_exit(ioctl(fd, UFFDIO_ZEROPAGE, &zero) ? 1 : 0);
	}
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK(!close(fd));
	test_ready();
	CHECK_EQ(*(volatile char *)p, 0);
	pass();
}
