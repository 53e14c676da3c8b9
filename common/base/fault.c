/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/io.h"

bool fault_wanted(void)
{
	return getenv("CR_FAULT");
}

int fault(const char *name)
{
	const char *want = getenv("CR_FAULT");
	uint64_t errnum = 0;
	size_t n;

	if (__builtin_expect(!want, 1))
		return 0;
	n = strlen(name);
	if (strncmp(want, name, n) != 0)
		return 0;
	if (!strcmp(want + n, "=stop")) {
		kill(getpid(), SIGSTOP);
		return 0;
	}
	if (want[n] == '=')
		return parse_u64(want + n + 1, 10, &errnum) || errnum > 4095 ? 0 : (int)errnum;
	if (want[n] == 0)
		kill(getpid(), SIGKILL);
	return 0;
}
