// SPDX-License-Identifier: GPL-2.0-or-later
/* test: once timeout=240 */
/* A tree of two hundred thousand mappings, as many as four processes may have together without a larger vm.max_map_count. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

enum { TASKS = 4, MANY = 50000 };
#define PAGE 4096ul

static void check(const char *area)
{
	for (size_t i = 0; i < MANY; i += 2) {
		const char *p = area + i * PAGE;
		char want[32];

		snprintf(want, sizeof(want), "mapping %zu", i);
		CHECK(!strcmp(p, want));
	}
}

/* Every other page may be written. */
static void child(int told, int go)
{
	char *area = mmap(NULL, MANY * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), c = 0;

	CHECK(area != MAP_FAILED);
	for (size_t i = 0; i < MANY; i += 2) {
		CHECK(!mprotect(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE));
		snprintf(area + i * PAGE, PAGE, "mapping %zu", i);
	}
	CHECK(write(told, &c, 1) == 1);
	CHECK(read(go, &c, 1) == 0);
	check(area);
	_exit(0);
}

int main(void)
{
	int told[2], go[2], status;
	pid_t pid[TASKS];
	char c;

	CHECK(!pipe(told) && !pipe(go));
	for (int i = 0; i < TASKS; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			close(go[1]);
			child(told[1], go[0]);
		}
	}
	for (int i = 0; i < TASKS; i++)
		CHECK(read(told[0], &c, 1) == 1);
	test_ready();
	close(go[1]);
	for (int i = 0; i < TASKS; i++) {
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		CHECK_EQ(status, 0);
	}
	pass();
}
