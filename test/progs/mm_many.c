// SPDX-License-Identifier: GPL-2.0-or-later
/* Ten thousand mappings, of which every other has content. */
#include <sys/mman.h>

#include "test.h"

#define PAGE 4096ul
#define MANY 10000ul

int main(void)
{
	char *area = mmap(NULL, 2 * MANY * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(area != MAP_FAILED);
	for (size_t i = 0; i < MANY; i += 2) {
		char *p = area + 2 * i * PAGE;

		CHECK(!mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		snprintf(p, PAGE, "mapping %zu", i);
		if (i % 4)
			CHECK(!mprotect(p, PAGE, PROT_READ));
	}
	test_ready();
	for (size_t i = 0; i < MANY; i += 2) {
		char *p = area + 2 * i * PAGE, want[32];

		snprintf(want, sizeof(want), "mapping %zu", i);
		CHECK(!strcmp(p, want));
	}
	pass();
}
