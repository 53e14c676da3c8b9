/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tar archives as hostile input: no member has a name or a link that leads anywhere, and no more bytes than the archive has. */
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/image/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = memfd_create("tar", MFD_CLOEXEC);
	struct tar_reader r = { .fd = fd };
	struct err err = ERR_INIT;
	uint64_t bytes = 0;

	if (fd < 0 || write_full(fd, data, size) || lseek(fd, 0, SEEK_SET))
		abort();
	for (;;) {
		struct tar_member m;
		char buf[1000];
		size_t got;
		int ret = tar_next(&r, &m, &err);

		if (ret < 0 && err.kind == ERR_NONE)
			abort();
		if (ret <= 0)
			return 0;
		const char *name = m.name;
		int round = tar_round(&name);

		if (round < 0 || round > TAR_ROUNDS_MAX || !name[0] || name[0] == '.' || strchr(name, '/') || strlen(m.name) > 255)
			abort();
		if (m.link[0] && (strcmp(name, "parent") != 0 || (round && strncmp(m.link, "../" TAR_ROUND, 3 + strlen(TAR_ROUND)) != 0)))
			abort();
		do {
			if (tar_read(&r, buf, sizeof(buf), &got, &err))
				return 0;
			bytes += got;
		} while (got && m.size % 3); /* some members are passed over */
		if (bytes > size)
			abort();
	}
}
