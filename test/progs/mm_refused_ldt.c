/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process with a local descriptor table cannot be brought back, and is told so. */
/* test: refused=local_descriptor_table */
#include <asm/ldt.h>
#include <sys/syscall.h>

#include "test.h"

int main(void)
{
	struct user_desc d = { .entry_number = 3, .base_addr = 0x1000, .limit = 0xfffff, .limit_in_pages = 1, .seg_32bit = 1,
			       .useable = 1 };

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		TEST_SKIP("no local descriptor tables here: %s", strerror(errno));
	test_ready();
	asm volatile("mov %0, %%es" ::"r"(3 << 3 | 7)); /* a segmentation fault without the table */
	pass();
}
