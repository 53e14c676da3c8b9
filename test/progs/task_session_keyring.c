/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session keyring of its own in which is nothing but the user's keyring, as every login has one, stands in no dump's way.
 * test: */
#include <linux/keyctl.h>
#include <sys/syscall.h>

#include "test.h"

int main(void)
{
	long before = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);

	if (before < 0 && errno == EKEYREVOKED)
		TEST_SKIP("the session that a restored task has here has ended: its keyring is revoked");
	if (ring < 0)
		TEST_SKIP("no keyrings here: %s", strerror(errno));
	CHECK(!syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, ring));
	test_ready();
	CHECK(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) > 0);
	pass();
}
