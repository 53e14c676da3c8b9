/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image info: what an image is and how much it holds, one line each. */
#include <errno.h>
#include <inttypes.h>

#include "bin/cr-image/cr-image.h"

struct info {
	bool json;
	bool started;
};

static int count(struct image_reader *rd, uint64_t *entries, uint64_t *payload, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	int ret;

	for (*entries = *payload = 0;; ++*entries, arena_reset(arena)) {
		ProtobufCMessage *msg;

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret <= 0)
			return ret;
		*payload += image_reader_payload_left(rd);
	}
}

static void print_path_json(const char *path)
{
	for (; *path; path++)
		printf(*path == '"' || *path == '\\' ? "\\%c" : (unsigned char)*path < 0x20 ? "\\u%04x" : "%c", *path);
}

static int info_one(const char *path, void *data, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	struct info *s = data;
	uint64_t entries = 0, payload = 0;
	enum image_kind kind;
	int ret = open_image(path, &rd, err);

	if (ret)
		return ret;
	kind = image_reader_kind(rd);
	if (image_kinds[kind].message)
		ret = count(rd, &entries, &payload, err);
	else
		payload = image_reader_size(rd);
	if (ret)
		return ret;
	if (!s->json) {
		if (!s->started)
			printf("%-15s %10s %14s %14s  %s\n", "KIND", "ENTRIES", "PAYLOAD", "BYTES", "FILE");
		printf("%-15s %10" PRIu64 " %14" PRIu64 " %14" PRIu64 "  %s\n", image_kinds[kind].name, entries, payload,
		       image_reader_size(rd), path);
	} else {
		printf("{\"file\": \"");
		print_path_json(path);
		printf("\", \"kind\": \"%s\", \"entries\": %" PRIu64 ", \"payload\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n",
		       image_kinds[kind].name, entries, payload, image_reader_size(rd));
	}
	s->started = true;
	return 0;
}

int cmd_info(const struct opts *o, struct err *err)
{
	struct info s = { .json = opt_bool(o, OPT_JSON) };
	int n, ret = 0;
	char **paths = opt_operands(o, &n);

	for (int i = 0; i < n && !ret; i++)
		ret = each_image(paths[i], info_one, &s, err);
	if (!ret && fflush(stdout))
		ret = err_sys(err, "cannot write");
	return ret;
}
