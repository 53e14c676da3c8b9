// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of hugetlbfs is refused by its name.
 * test: refused=hugetlbfs */
#include <sys/mman.h>

#include "test.h"

int main(void)
{
	/* Without a reservation no huge page need exist. */
	char *p = mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		TEST_SKIP("no hugetlb memory");
	test_ready();
	CHECK(!munmap(p, 2 << 20));
	pass();
}
