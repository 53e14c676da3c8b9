/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images as hostile input, of any kind. What is read must come out as JSON in words and plain, and both must give one and
 * the same image again, which reads as the same JSON.
 */
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(const void *p, size_t n, bool words, struct strbuf *json)
{
	const struct image_json_opts opts = { .words = words, .indent = words };
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_free char *text = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int fd = memfd_create("image", MFD_CLOEXEC), ret;

	if (!out || fd < 0 || write_full(fd, p, n))
		abort();
	ret = image_reader_fdopen(fd, "image", IMG_KINDS, &rd, &err);
	if (!ret)
		ret = image_to_json(rd, &opts, out, &err);
	fclose(out);
	if (ret && err.kind == ERR_NONE)
		abort();
	strbuf_add(json, text, len);
	return ret;
}

static void encode(const struct strbuf *json, struct strbuf *image)
{
	cleanup_free char *bytes = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	FILE *in = fmemopen(json->s, json->len, "r"), *out = open_memstream(&bytes, &len);

	if (!in || !out || image_from_json(in, "json", out, &err)) {
		fprintf(stderr, "%s: %s\n%s\n", err.object, err.reason, json->s);
		abort();
	}
	fclose(in);
	fclose(out);
	strbuf_add(image, bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_strbuf struct strbuf plain = STRBUF_INIT, words = STRBUF_INIT, a = STRBUF_INIT, b = STRBUF_INIT,
				     again = STRBUF_INIT;

	if (decode(data, size, false, &plain))
		return 0;
	if (decode(data, size, true, &words))
		abort();
	encode(&plain, &a);
	encode(&words, &b);
	if (a.len != b.len || memcmp(a.s, b.s, a.len))
		abort();
	if (decode(a.s, a.len, false, &again) || again.len != plain.len || memcmp(again.s, plain.s, plain.len))
		abort();
	return 0;
}
