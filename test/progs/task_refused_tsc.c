/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch that no image holds is refused by its name, and the program goes on.
 * test: refused=PR.SET.TSC */
#include <sys/prctl.h>

#include "test.h"

int main(void)
{
	int v = 0;

	CHECK(!prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	test_ready();
	CHECK(!prctl(PR_GET_TSC, &v));
	CHECK_EQ(v, PR_TSC_SIGSEGV);
	pass();
}
