/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session keyring that holds a key is refused by the name of the key; one of a child that is empty is not. */
/* test: refused=\"cr-test-key\"_in_its_session_keyring */
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

static long keyctl_(int option, long a, const void *b, long c)
{
	return syscall(SYS_keyctl, option, a, b, c);
}

int main(void)
{
	long ring = keyctl_(KEYCTL_JOIN_SESSION_KEYRING, 0, NULL, 0), key;
	char text[16] = "";
	pid_t pid;

	if (ring < 0)
		TEST_SKIP("no keyrings here: %s", strerror(errno));
	pid = fork(); /* this one has a keyring of its own, and nothing in it */
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(keyctl_(KEYCTL_JOIN_SESSION_KEYRING, 0, NULL, 0) > 0);
		for (;;)
			pause();
	}
	key = syscall(SYS_add_key, "user", "cr-test-key", "secret", 6, ring);
	if (key < 0)
		TEST_SKIP("no key can be added: %s", strerror(errno));
	test_ready();
	CHECK_EQ(keyctl_(KEYCTL_READ, key, text, sizeof(text)), 6);
	CHECK(!strcmp(text, "secret"));
	CHECK(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
	pass();
}
