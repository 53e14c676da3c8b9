/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON as hostile input: what is accepted must be an image that reads. */
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/image/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(const void *p, size_t n, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	int fd = memfd_create("image", MFD_CLOEXEC), ret;

	if (fd < 0 || write_full(fd, p, n))
		abort();
	ret = image_reader_fdopen(fd, "image", IMG_KINDS, &rd, err);
	if (ret)
		return ret;
	do {
		cleanup_arena struct arena *arena = arena_new();
		ProtobufCMessage *msg;

		ret = image_reader_next(rd, arena, &msg, err);
	} while (ret > 0);
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *bytes = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	FILE *in, *out;
	int ret;

	if (!size)
		return 0;
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	out = open_memstream(&bytes, &len);
	if (!in || !out)
		abort();
	ret = image_from_json(in, "json", out, &err);
	fclose(in);
	fclose(out);
	if (ret ? err.kind == ERR_NONE : check(bytes, len, &err)) {
		fprintf(stderr, "%s: %s\n", err.object, err.reason);
		abort();
	}
	return 0;
}
