/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: timeout=400 */
/* A thousand children that share pipes with their parent: every second one waits to read, the others wait to write. */
#include "test.h"

#include <sys/wait.h>

enum { WIDTH = 1000 };

int main(void)
{
	int down[2], up[2], status;
	pid_t pid[WIDTH];
	long sum = 0;

	CHECK(!pipe(down));
	CHECK(!pipe(up));
	for (int i = 0; i < WIDTH; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			int n;

			CHECK(read(down[0], &n, sizeof(n)) == sizeof(n));
			n += i;
			CHECK(write(up[1], &n, sizeof(n)) == sizeof(n));
			_exit(i % 251);
		}
	}
	test_ready();
	for (int i = 0; i < WIDTH; i++) {
		CHECK(write(down[1], &i, sizeof(i)) == sizeof(i));
	}
	for (int i = 0; i < WIDTH; i++) {
		int n;

		CHECK(read(up[0], &n, sizeof(n)) == sizeof(n));
		sum += n;
	}
	CHECK_EQ(sum, (long)WIDTH * (WIDTH - 1));
	for (int i = 0; i < WIDTH; i++) {
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, i % 251 << 8);
	}
	pass();
}
