// SPDX-License-Identifier: GPL-2.0-or-later
/* The file of a bound socket has a second name, which would lead to nobody: refused, and it goes on with both. */
/* test: refused=unix_socket_.*named:_its_file_has_2_names_.hard_links.*remove_the_others */
#include "unix.h"

int main(void)
{
	char cwd[4096], path[4200], byte;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c;

	CHECK(getcwd(cwd, sizeof(cwd)));
	snprintf(path, sizeof(path), "%s/named", cwd);
	unlink("named");
	unlink("other");
	struct sockaddr_un a = { .sun_family = AF_UNIX }, b = { .sun_family = AF_UNIX, .sun_path = "other" };

	CHECK(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path) + 1);
	CHECK(!bind(l, (struct sockaddr *)&a, sizeof(a)) && !listen(l, 2) && !link("named", "other"));

	test_ready();

	c = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(!connect(c, (struct sockaddr *)&b, sizeof(b)));
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(write(c, "x", 1), 1);
	CHECK_EQ(read(s, &byte, 1), 1);
	unlink("other");
	unlink("named");
	pass();
}
