/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* The lowest and the highest page that a program may have: page 0 (CAP_SYS_RAWIO), one at 0x8000, and the last one below the gap. */
#include "test.h"

#include <sys/mman.h>

static const uintptr_t at[] = { 0, 0x8000, 0x7fffffffe000 };

static unsigned char look(uintptr_t addr)
{
	unsigned char c;

	/* The compiler may think what it likes of a null pointer. */
	__asm__ volatile("movb (%1), %0" : "=r"(c) : "r"(addr) : "memory");
	return c;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		void *p = mmap((void *)at[i], 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (p == MAP_FAILED && (errno == EPERM || errno == EACCES))
			TEST_SKIP("this host allows no mapping at %#lx", (unsigned long)at[i]);
		CHECK((uintptr_t)p == at[i]);
		__asm__ volatile("movb %0, (%1)" ::"q"((unsigned char)(7 + i)), "r"(at[i] + 100) : "memory");
	}
	test_ready();
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		CHECK_EQ(look(at[i] + 100), 7 + i);
		CHECK_EQ(look(at[i] + 4095), 0);
	}
	pass();
}
