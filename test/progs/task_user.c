/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ordinary user's process: ids, no capabilities at all, no_new_privs, a parent death signal, and it is still
 * not dumpable. */
#include <grp.h>
#include <sys/prctl.h>

#include "test.h"

int main(void)
{
	uid_t r, e, s;
	gid_t groups[8];
	int sig = 0;

	CHECK(!setgroups(2, (gid_t[]){ 1234, 5678 }));
	CHECK(!setresgid(1001, 1002, 1003));
	CHECK(!setresuid(1001, 1002, 1003));
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_PDEATHSIG, SIGURG));
	CHECK(!prctl(PR_SET_DUMPABLE, 0));
	test_ready();
	CHECK(!getresuid(&r, &e, &s));
	CHECK(r == 1001 && e == 1002 && s == 1003);
	CHECK_EQ(getgroups(8, groups), 2);
	CHECK(groups[0] == 1234 && groups[1] == 5678);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK(!prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(sig, SIGURG);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK(setresuid(0, 0, 0) < 0);
	pass();
}
