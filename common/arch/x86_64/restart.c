/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls that were interrupted with time left (ERESTART_RESTARTBLOCK). */
#include <string.h>
#include <sys/syscall.h>

#include "common/arch/arch.h"

void arch_in_syscall(struct arch_regs *regs, long nr, int64_t result)
{
	regs->r.orig_rax = (uint64_t)nr;
	if (nr != -1)
		regs->r.rax = (uint64_t)result;
}

/*
 * A thread that was interrupted before is inside restart_syscall(2), and only the kernel knows what that restarts. But all other registers
 * are those of the original call, and compilers put its number right before the instruction: mov $nr, %eax, or
 * mov $nr, %rax. Only the four calls that can be meant are looked for, the nearest one wins.
 */
static const uint32_t calls[] = { SYS_poll, SYS_nanosleep, SYS_futex, SYS_clock_nanosleep };

static bool is_known(uint32_t nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (nr == calls[i])
			return true;
	return false;
}

long arch_restarted_call(const unsigned char *code, size_t n)
{
	for (size_t at = n; at-- > 0;) {
		uint32_t nr;
		size_t len;

		if (code[at] == 0xb8)
			len = 1;
		else if (n - at >= 7 && code[at] == 0x48 && code[at + 1] == 0xc7 && code[at + 2] == 0xc0)
			len = 3;
		else
			continue;
		if (n - at < len + sizeof(nr))
			continue;
		memcpy(&nr, code + at + len, sizeof(nr));
		if (is_known(nr))
			return (long)nr;
	}
	return -1;
}

/* glibc's and musl's syscall(3) move the number from their first argument: mov %rdi, %rax, and later the others. */
bool arch_is_wrapped_call(const unsigned char *code, size_t n)
{
	return memmem(n > 40 ? code + n - 40 : code, MIN(n, (size_t)40), "\x48\x89\xf8", 3) != NULL;
}

/* Who calls a function with that as its first argument: mov $nr, %edi, or mov $nr, %rdi, the nearest one before a direct call or one
 * through a table. */
long arch_wrapped_call(const unsigned char *code, size_t n)
{
	if (n < 6 || (code[n - 5] != 0xe8 && !(code[n - 6] == 0xff && code[n - 5] == 0x15)))
		return -1;
	for (size_t at = n - 5; at-- > 0;) {
		uint32_t nr;
		size_t len = code[at] == 0xbf ? 1 : n - at >= 12 && !memcmp(code + at, "\x48\xc7\xc7", 3) ? 3 : 0;

		if (!len || n - at < len + sizeof(nr) + 5)
			continue;
		memcpy(&nr, code + at + len, sizeof(nr));
		if (is_known(nr))
			return (long)nr;
	}
	return -1;
}
