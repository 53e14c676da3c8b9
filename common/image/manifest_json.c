/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manifest as a file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "common/base/io.h"
#include "common/image/chain.h"
#include "common/image/draft.h"
#include "common/image/json_scan.h"
#include "common/image/manifest_list.h"
#include "common/image/threads.h"

#define VERSION 2 /* 1 had sums of whole pieces */
#define TEXT_MAX (64u << 20)
#define GIVEN_MAX 4096

void manifest_print(const struct manifest *m, struct strbuf *b)
{
	const struct { const char *key, *value; } head[] = {
		{ "tool", m->tool }, { "kernel", m->kernel }, { "created", m->created },
	};

	strbuf_printf(b, "{\n  \"version\": %d,\n", VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
		strbuf_printf(b, "  \"%s\": \"", head[i].key);
		strbuf_put_json(b, head[i].value);
		strbuf_puts(b, "\",\n");
	}
	if (m->self.run[0])
		strbuf_printf(b, "  \"run\": \"%s\",\n", m->self.run);
	if (m->self.has_state)
		strbuf_printf(b, "  \"state\": \"%016" PRIx64 "\",\n", m->self.state);
	if (m->parent.run[0] || m->parent.has_state)
		strbuf_printf(b, "  \"parent\": {\"run\": \"%s\"", m->parent.run);
	if (m->parent.has_state)
		strbuf_printf(b, ", \"state\": \"%016" PRIx64 "\"", m->parent.state);
	strbuf_puts(b, m->parent.run[0] || m->parent.has_state ? "},\n" : "");
	for (size_t i = 0; i < m->ngiven; i++)
		strbuf_printf(b, "%s\"%s\"%s", i ? ", " : "  \"given\": [", m->given[i], i + 1 == m->ngiven ? "],\n" : "");
	strbuf_printf(b, "  \"piece\": %u,\n  \"images\": {", SUMS_PIECE);
	for (size_t i = 0; i < m->n; i++) {
		const struct manifest_file *f = &m->files[i];

		strbuf_printf(b, "%s\n    \"%s\": {\"size\": %" PRIu64, i ? "," : "", f->name, f->size);
		for (size_t k = 0; k < f->nsums; k++)
			strbuf_printf(b, "%s\"%016" PRIx64 "\"", k ? ", " : ", \"xxh64\": [", f->sums[k]);
		strbuf_puts(b, f->nsums ? "]}" : "}");
	}
	strbuf_puts(b, "\n  }\n}\n");
}

static int parse_sums(const char *name, json_object *list, uint64_t size, uint64_t **sums, struct err *err)
{
	cleanup_free uint64_t *v = NULL;
	size_t n = json_object_array_length(list);

	if (n != sums_pieces(size))
		return err_image(err, "%s: %zu checksums for %" PRIu64 " bytes", name, n, size);
	v = xreallocarray(NULL, n, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		json_object *s = json_object_array_get_idx(list, i);

		if (!json_object_is_type(s, json_type_string) || json_object_get_string_len(s) != 16 ||
		    parse_u64(json_object_get_string(s), 16, &v[i]))
			return err_image(err, "%s: checksum %zu is not 16 hexadecimal digits", name, i);
	}
	*sums = take_ptr(v);
	return 0;
}

static int parse_file(struct manifest *m, const char *name, json_object *o, struct err *err)
{
	unsigned long id;
	enum image_kind kind = image_kind_of_name(name, &id);
	json_object *size = NULL, *list = NULL;
	uint64_t *sums = NULL;
	int64_t bytes;

	if (!manifest_covers(kind) || strlen(name) >= sizeof(m->files->name) || strcmp(name + strlen(name) - 4, ".img"))
		return err_image(err, "\"%.60s\" is no name of an image", name);
	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "size", &size) ||
	    !json_object_is_type(size, json_type_int))
		return err_image(err, "%s: no size", name);
	bytes = json_object_get_int64(size);
	if (bytes < 0 || (uint64_t)bytes > IMAGE_PAYLOAD_MAX)
		return err_image(err, "%s: a size of %" PRId64, name, bytes);
	if (json_object_object_get_ex(o, "xxh64", &list)) {
		int ret = json_object_is_type(list, json_type_array) ? parse_sums(name, list, (uint64_t)bytes, &sums, err) :
								       err_image(err, "%s: xxh64 is no list", name);

		if (ret)
			return ret;
	}
	manifest_add(m, name, (uint64_t)bytes, sums);
	return 0;
}

static char *text_of(json_object *o, const char *key)
{
	json_object *v = NULL;

	return xstrdup(json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ?
			       json_object_get_string(v) : "");
}

/* A name of a run: what is printed again as it is. */
static int parse_run(json_object *v, char run[37], struct err *err)
{
	const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;

	if (!text || strlen(text) > 36 || strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz-") != strlen(text))
		return err_image(err, "what should name a run does not");
	snprintf(run, 37, "%s", text);
	return 0;
}

static int parse_id(json_object *o, struct checkpoint_id *id, struct err *err)
{
	json_object *v = NULL;
	int ret = 0;

	if (!json_object_is_type(o, json_type_object))
		return err_image(err, "its parent is not described");
	if (json_object_object_get_ex(o, "run", &v))
		ret = parse_run(v, id->run, err);
	if (ret || !json_object_object_get_ex(o, "state", &v))
		return ret;
	id->has_state = true;
	if (!json_object_is_type(v, json_type_string) || json_object_get_string_len(v) != 16 ||
	    parse_u64(json_object_get_string(v), 16, &id->state))
		return err_image(err, "a state is not 16 hexadecimal digits");
	return 0;
}

/* What it says of itself and of others; nothing of it has to be there. */
static int parse_ids(json_object *o, struct manifest *m, struct err *err)
{
	json_object *v = NULL;
	int ret = parse_id(o, &m->self, err);

	if (!ret && json_object_object_get_ex(o, "parent", &v))
		ret = parse_id(v, &m->parent, err);
	if (ret || !json_object_object_get_ex(o, "given", &v))
		return ret;
	if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) > GIVEN_MAX)
		return err_image(err, "whom its pages were given to is no list, or too long a one");
	for (size_t i = 0; i < json_object_array_length(v) && !ret; i++) {
		char run[37];

		ret = parse_run(json_object_array_get_idx(v, i), run, err);
		if (!ret)
			manifest_give(m, run);
	}
	return ret;
}

/* m may have its images already. */
static int parse(json_object *o, struct manifest *m, struct err *err)
{
	json_object *v = NULL, *images = NULL;
	int ret = 0;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "version", &v) ||
	    !json_object_is_type(v, json_type_int))
		return err_image(err, "not a manifest: no version");
	if (json_object_get_int64(v) == 1)
		return err_hint(err, err_image(err, "version 1 of manifests is no longer read"), "cr-image seal makes a new one");
	if (json_object_get_int64(v) != VERSION)
		return err_hint(err, err_image(err, "version %" PRId64 " of manifests is not known", json_object_get_int64(v)),
				"a later cr-utils wrote it");
	if (!json_object_object_get_ex(o, "piece", &v) || json_object_get_int64(v) != SUMS_PIECE)
		return err_image(err, "checksums of pieces of another size than %u bytes", SUMS_PIECE);
	if (!json_object_object_get_ex(o, "images", &images) || !json_object_is_type(images, json_type_object))
		return err_image(err, "not a manifest: no images");
	m->tool = text_of(o, "tool");
	m->kernel = text_of(o, "kernel");
	m->created = text_of(o, "created");
	ret = parse_ids(o, m, err);
	if (ret)
		return ret;
	json_object_object_foreach(images, name, file) {
		ret = parse_file(m, name, file, err);
		if (ret)
			return ret;
	}
	manifest_sort(m);
	if (!m->self.has_state)
		m->self.state = manifest_state(m);
	m->self.has_state = true;
	return 0;
}

static int parse_text(const char *text, size_t len, struct manifest *m, struct err *err)
{
	struct json_tokener *t = json_tokener_new();
	cleanup_json json_object *o = NULL;
	enum json_tokener_error e;

	if (!t)
		return err_set(err, ERR_FAILED, ENOMEM, "no memory");
	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(t, text, (int)MIN(len, (size_t)TEXT_MAX));
	e = json_tokener_get_error(t);
	len = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	if (e != json_tokener_success)
		return err_image(err, "byte %zu: %s", len, e == json_tokener_continue ? "it is cut short" : json_tokener_error_desc(e));
	return parse(o, m, err);
}

/* Thousands of images, each of them some objects of JSON, take long; what is not right in any way is read so, which says why. */
int manifest_parse(const char *text, size_t len, struct manifest **out, struct err *err)
{
	cleanup_manifest struct manifest *m = xzalloc(sizeof(*m));
	cleanup_strbuf struct strbuf rest = STRBUF_INIT;
	struct err ignore = ERR_INIT;
	int ret;

	*out = NULL;
	if (!manifest_take_list(text, len, m, &rest) || parse_text(rest.s, rest.len, m, &ignore)) {
		manifest_free(m);
		m = xzalloc(sizeof(*m));
		ret = parse_text(text, len, m, err);
		if (ret)
			return ret;
	}
	*out = take_ptr(m);
	return 0;
}

int manifest_load(int dirfd, struct manifest **m, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	cleanup_free char *text = NULL;
	int ret, fd = open_beneath(dirfd, MANIFEST_NAME);

	*m = NULL;
	if (fd < 0 && errno == ENOENT)
		return 0;
	ret = fd < 0 ? err_sys(err, "cannot open") : image_file_take(fd, &f, err);
	if (!ret && f.size > TEXT_MAX)
		ret = err_image(err, "%" PRIu64 " bytes are too many", f.size);
	if (!ret) {
		text = xmalloc((size_t)f.size + 1);
		ret = image_file_pread(&f, text, (size_t)f.size, 0, err);
	}
	if (!ret)
		ret = manifest_parse(text, (size_t)f.size, m, err);
	return ret ? err_object(err, ret, MANIFEST_NAME) : 0;
}

int manifest_store(int dirfd, const struct manifest *m, struct err *err)
{
	cleanup_draft struct draft d = DRAFT_INIT;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	int ret = draft_open(&d, dirfd, "manifest", false, err), errnum;

	if (ret)
		return err_object(err, ret, MANIFEST_NAME);
	manifest_print(m, &b);
	errnum = -write_full(d.fd, b.s, b.len);
	if (!errnum && fsync(d.fd) < 0 && errno != EINVAL)
		errnum = errno;
	ret = errnum ? err_set(err, ERR_FAILED, errnum, "cannot write") : draft_name(&d, MANIFEST_NAME, err);
	return ret ? err_object(err, ret, MANIFEST_NAME) : 0;
}

static int add_one(struct manifest *m, int dirfd, const char *name, unsigned threads, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	uint64_t *sums = NULL;
	int ret = image_file_open(dirfd, name, &f, err);

	if (!ret && f.fd < 0)
		return 0;
	if (!ret)
		ret = manifest_sums(&f, threads, &sums, err);
	if (ret)
		return err_object(err, ret, "%s", name);
	manifest_add(m, name, f.size, sums);
	return 0;
}

int manifest_seal(int dirfd, const char *tool, unsigned threads, size_t *images, struct err *err)
{
	cleanup_manifest struct manifest *m = manifest_new(tool), *old = NULL;
	struct err ignored = ERR_INIT; /* a damaged one says nothing */
	struct dirent *e;
	DIR *dir;
	int ret = open_listing(dirfd, &dir, err);

	if (ret)
		return ret;
	while (!ret && (e = readdir(dir))) {
		unsigned long id;
		enum image_kind kind = image_kind_of_name(e->d_name, &id);
		char name[64];

		if (!manifest_covers(kind))
			continue;
		image_name(kind, id, name);
		/* Both forms of one image: it counts once, under the plain name. */
		if (strcmp(name, e->d_name) && !faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW))
			continue;
		ret = add_one(m, dirfd, name, threads, err);
	}
	closedir(dir);
	if (!ret && !m->n)
		ret = err_set(err, ERR_IMAGE, ENOENT, "no image is in this directory");
	if (ret)
		return ret;
	manifest_sort(m);
	if (images)
		*images = m->n;
	if (!manifest_load(dirfd, &old, &ignored) && old)
		manifest_inherit(m, old);
	m->self.has_state = true;
	m->self.state = manifest_state(m);
	ret = chain_identify_parent(dirfd, &m->parent, err);
	return ret ? ret : manifest_store(dirfd, m, err);
}

int manifest_update(int dirfd, const char *name, struct err *err)
{
	cleanup_manifest struct manifest *m = NULL;
	unsigned long id;
	enum image_kind kind = image_kind_of_name(name, &id);
	int ret = manifest_load(dirfd, &m, err);

	if (ret || !m || !manifest_covers(kind))
		return ret;
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->files[i].name, name))
			continue;
		free(m->files[i].sums);
		memmove(&m->files[i], &m->files[i + 1], (m->n - i - 1) * sizeof(*m->files));
		m->n--;
		break;
	}
	ret = add_one(m, dirfd, name, image_threads_default(), err);
	if (ret)
		return ret;
	manifest_sort(m);
	if (kind == IMG_PAGES || kind == IMG_PAGEMAP || kind == IMG_SHMEM_PAGEMAP)
		m->self.state = manifest_state(m);
	return manifest_store(dirfd, m, err);
}
