// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared anonymous memory that is open, too, through /proc/self/map_files: by either way one sees what was written by the other. */
#include <sys/mman.h>

#include "test.h"

int main(void)
{
	enum { SIZE = 12288 };
	char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), path[80], buf[8] = "";
	struct stat st;

	CHECK(m != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)m, (unsigned long)m + SIZE);
	int fd = open(path, O_RDWR), ro = open(path, O_RDONLY);
	if (fd < 0 || ro < 0)
		TEST_SKIP("cannot open %s: %s", path, strerror(errno));
	strcpy(m + 5000, "first");
	CHECK_EQ(lseek(fd, 5000, SEEK_SET), 5000);
	test_ready();
	CHECK(!strcmp(m + 5000, "first"));
	CHECK_EQ(read(fd, buf, 6), 6);
	CHECK(!strcmp(buf, "first"));
	strcpy(m + 100, "there");
	CHECK_EQ(pread(ro, buf, 6, 100), 6);
	CHECK(!strcmp(buf, "there"));
	CHECK_EQ(pwrite(fd, "back", 5, 9000), 5);
	CHECK(!strcmp(m + 9000, "back"));
	CHECK_EQ(fcntl(ro, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(!fstat(fd, &st) && st.st_size == SIZE);
	pass();
}
