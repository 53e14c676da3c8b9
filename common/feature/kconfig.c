/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads a kernel configuration and judges the options of the table. */
#include "common/feature/kconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"

#define FILE_MAX (8u << 20) /* as it lies on disk; modules.dep is the largest that is read */
#define TEXT_MAX (4u << 20) /* unpacked; that of a distribution has 300 KiB */
#define NAME_MAX_LEN 128

struct line { const char *name; uint32_t nr; enum kconfig_value value; };

struct kconfig {
	char *source, *text;
	struct line *lines; /* sorted by name, then by number */
	size_t n, cap;
};

void kconfig_free(struct kconfig *k)
{
	if (!k)
		return;
	free(k->source);
	free(k->text);
	free(k->lines);
	free(k);
}

void kconfig_freep(struct kconfig **k)
{
	kconfig_free(*k);
}

const char *kconfig_source(const struct kconfig *k)
{
	return k->source;
}

bool kconfig_hides(const struct kconfig_option *o)
{
	return !strcmp(o->name, "EXPERT") || !strcmp(o->name, "EMBEDDED");
}

/* ---- reading ---- */

static int unpack(const void *data, size_t len, char **text, size_t *size)
{
	z_stream z = { .next_in = (void *)(uintptr_t)data, .avail_in = (uInt)len };
	size_t cap = 256 << 10;
	int ret;

	if (inflateInit2(&z, 15 + 16) != Z_OK) /* 16: with the frame of gzip */
		return -ENOMEM;
	*text = xmalloc(cap + 1);
	do {
		if (z.total_out == cap) {
			cap *= 2;
			*text = xreallocarray(*text, cap + 1, 1);
		}
		z.next_out = (Bytef *)*text + z.total_out;
		z.avail_out = (uInt)(cap - z.total_out);
		ret = inflate(&z, Z_NO_FLUSH);
	} while (ret == Z_OK && z.total_out <= TEXT_MAX && (z.avail_in || !z.avail_out));
	*size = z.total_out;
	inflateEnd(&z);
	if (ret == Z_STREAM_END && *size <= TEXT_MAX)
		return 0;
	free(take_ptr(*text));
	return *size > TEXT_MAX ? -EFBIG : -EBADMSG;
}

static bool name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* One line without its end. 1: an option, 0: nothing of interest, -1: not a line of a configuration. */
static int parse_line(char *s, struct line *out)
{
	static const char prefix[] = "CONFIG_", unset[] = " is not set";
	bool comment = s[0] == '#';
	size_t len;

	if (!s[0])
		return 0;
	if (comment) {
		s++;
		s += *s == ' ';
	}
	if (strncmp(s, prefix, strlen(prefix)))
		return comment ? 0 : -1;
	s += strlen(prefix);
	for (len = 0; name_char(s[len]); len++)
		;
	if (comment && strcmp(s + len, unset))
		return 0;
	if (!len || len > NAME_MAX_LEN || (!comment && (s[len] != '=' || !s[len + 1])))
		return -1;
	out->name = s;
	out->value = KCONFIG_Y; /* numbers and strings: set */
	if (comment || !strcmp(s + len, "=n"))
		out->value = KCONFIG_N;
	else if (!strcmp(s + len, "=m"))
		out->value = KCONFIG_M;
	s[len] = 0;
	return 1;
}

static int by_name(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->nr > y->nr) - (x->nr < y->nr);
}

static int parse_text(struct kconfig *k, size_t size, struct err *err)
{
	uint32_t nr = 0;

	k->text[size] = 0;
	for (char *line = k->text, *next; line < k->text + size; line = next) {
		size_t len = strcspn(line, "\n");
		struct line got = { .nr = ++nr };
		int kind;

		next = line + len + 1;
		if (!line[len] && line + len < k->text + size)
			kind = -1; /* a zero byte */
		else {
			while (len && strchr(" \t\r", line[len - 1]))
				len--;
			line[len] = 0;
			kind = parse_line(line, &got);
		}
		if (kind < 0) {
			err_set(err, ERR_USAGE, 0, "line %u is not a line of a kernel configuration", nr);
			return err_object(err, -EINVAL, "%s", k->source);
		}
		if (!kind)
			continue;
		array_reserve(&k->lines, &k->cap, k->n, sizeof(*k->lines));
		k->lines[k->n++] = got;
	}
	if (!k->n) {
		err_set(err, ERR_USAGE, 0, "there is no option of a kernel in it");
		return err_object(err, -EINVAL, "%s", k->source);
	}
	qsort(k->lines, k->n, sizeof(*k->lines), by_name);
	return 0;
}

int kconfig_parse(const char *name, const void *data, size_t len, struct kconfig **out, struct err *err)
{
	cleanup_kconfig struct kconfig *k = xzalloc(sizeof(*k));
	const unsigned char *bytes = data;
	size_t size = len;
	int ret = 0;

	k->source = xstrdup(name);
	if (len >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
		ret = unpack(data, len, &k->text, &size);
	} else if (len > TEXT_MAX) {
		ret = -EFBIG;
	} else {
		k->text = xmalloc(len + 1);
		memcpy(k->text, data, len);
	}
	if (ret) {
		err_set(err, ERR_USAGE, ret == -EBADMSG ? 0 : -ret, "%s", ret == -EBADMSG ? "cannot be unpacked" : "cannot be read");
		return err_object(err, ret, "%s", name);
	}
	ret = parse_text(k, size, err);
	if (!ret)
		*out = take_ptr(k);
	return ret;
}

int kconfig_read(const char *path, struct kconfig **out, struct err *err)
{
	cleanup_free char *data = NULL;
	size_t len = 0;
	int ret = read_file_at(AT_FDCWD, path, FILE_MAX, &data, &len);

	if (ret < 0) {
		err_set(err, ERR_USAGE, -ret, "cannot read the kernel configuration");
		return err_object(err, ret, "%s", path);
	}
	return kconfig_parse(path, data, len, out, err);
}

static char *host_path(const struct kconfig_host *host, const char *before, bool release, const char *after)
{
	struct utsname u = { .release = "" };
	const char *name = host ? host->release : u.release;

	if (!host)
		uname(&u);
	return xasprintf("%s%s%s%s", host ? host->root : "", before, release ? name : "", after);
}

int kconfig_of_host(const struct kconfig_host *host, struct kconfig **out, struct err *err)
{
	static const struct { const char *before; bool release; const char *after; } places[] = {
		{ "/proc/config.gz", false, "" },
		{ "/boot/config-", true, "" },
		{ "/lib/modules/", true, "/config" },
	};
	cleanup_strbuf struct strbuf tried = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		cleanup_free char *path = host_path(host, places[i].before, places[i].release, places[i].after);
		struct err e = ERR_INIT;

		if (!kconfig_read(path, out, &e))
			return 0;
		strbuf_printf(&tried, "%s%s: %s", i ? "; " : "", path, e.errnum ? strerror(e.errnum) : e.reason);
	}
	err_set(err, ERR_FEATURE, 0, "the configuration of this kernel is not to be had: %s", tried.s);
	return err_hint(err, -ENOENT, "name a file with --kconfig");
}

enum kconfig_value kconfig_get(const struct kconfig *k, const char *name)
{
	size_t low = 0, high = k->n;

	/* The last line with this name: the first that is greater, less one. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(k->lines[mid].name, name) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low && !strcmp(k->lines[low - 1].name, name) ? k->lines[low - 1].value : KCONFIG_N;
}

/* ---- modules ---- */

/* Whether a line of modules.dep ("kernel/net/unix/unix_diag.ko.xz: ...") is about this module. File names may have - for _. */
static bool dep_line(const char *line, const char *module)
{
	size_t end = strcspn(line, ":\n"), at = end, i;

	while (at && line[at - 1] != '/')
		at--;
	for (i = 0; module[i] && at + i < end; i++)
		if (line[at + i] != module[i] && !(line[at + i] == '-' && module[i] == '_'))
			return false;
	return !module[i] && end - at - i >= 3 && !strncmp(line + at + i, ".ko", 3);
}

static enum kconfig_module find_module(const struct kconfig_host *host, const char *module)
{
	cleanup_free char *loaded = host_path(host, "/sys/module/", false, module);
	cleanup_free char *dep = host_path(host, "/lib/modules/", true, "/modules.dep");
	cleanup_free char *text = NULL;

	if (access(loaded, F_OK) == 0)
		return KCONFIG_LOADED;
	if (read_file_at(AT_FDCWD, dep, FILE_MAX, &text, NULL) < 0)
		return KCONFIG_ABSENT;
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (dep_line(line, module))
			return KCONFIG_LOADABLE;
	return KCONFIG_ABSENT;
}

/* ---- judging ---- */

static void judge_alone(const struct kconfig_option *o, struct kconfig_verdict *v)
{
	v->state = FEATURE_OK;
	if (v->value == KCONFIG_N) {
		v->state = FEATURE_MISSING;
		snprintf(v->text, sizeof(v->text), "it is not set");
	} else if (v->module == KCONFIG_ABSENT) {
		v->state = FEATURE_MISSING;
		snprintf(v->text, sizeof(v->text), "the module %s is neither loaded nor installed for this kernel", o->module);
	} else if (v->module == KCONFIG_LOADED || v->module == KCONFIG_LOADABLE)
		snprintf(v->text, sizeof(v->text), "the module %s is %s", o->module,
			 v->module == KCONFIG_LOADED ? "loaded" : "not loaded; the kernel loads it when it is needed");
}

void kconfig_judge(const struct kconfig *k, const struct kconfig_option *o, const struct feature_result *probe,
		   const struct kconfig_host *host, struct kconfig_verdict *v)
{
	*v = (struct kconfig_verdict){ .value = k ? kconfig_get(k, o->name) : KCONFIG_N };
	if (probe && v->value == KCONFIG_M && o->module)
		v->module = find_module(host, o->module);
	if (k)
		judge_alone(o, v);
	if (!probe || kconfig_hides(o))
		return;
	if (probe->state == FEATURE_OK && o->feature) {
		v->disagrees = k && v->state != FEATURE_OK;
		v->state = FEATURE_OK;
		if (v->disagrees)
			snprintf(v->text, sizeof(v->text), "by the configuration it is not there, but the probe of %s worked", o->feature);
	} else if (probe->state == FEATURE_MISSING && o->feature && o->exact) {
		v->disagrees = k && v->state == FEATURE_OK;
		v->state = FEATURE_MISSING;
		if (v->disagrees)
			snprintf(v->text, sizeof(v->text), "by the configuration it is there, but the probe says: %.100s", probe->why);
		else if (!k)
			snprintf(v->text, sizeof(v->text), "%s", probe->why);
	} else if (!k) {
		v->state = o->feature && probe->state != FEATURE_MISSING ? probe->state : FEATURE_UNKNOWN;
		snprintf(v->text, sizeof(v->text), "%s", o->feature ? probe->why : "there is no configuration to read");
	}
}

/* ---- fragments ---- */

static bool emitted(const struct strbuf *out, const char *name)
{
	cleanup_free char *line = xasprintf("CONFIG_%s=", name);

	return out->s && strstr(out->s, line);
}

static void emit(const struct kconfig *k, const char *name, char value, struct strbuf *out)
{
	if (kconfig_get(k, name) == KCONFIG_N && !emitted(out, name))
		strbuf_printf(out, "CONFIG_%s=%c\n", name, value);
}

size_t kconfig_fragment(const struct kconfig *k, const struct kconfig_option *const *options, size_t n, struct strbuf *out)
{
	bool modules = kconfig_get(k, "MODULES") == KCONFIG_Y;
	size_t missing = 0;

	for (size_t i = 0; i < n; i++) {
		const struct kconfig_option *o = options[i];
		cleanup_free char *needs = xstrdup(o->needs ? o->needs : "");
		char *rest = needs, *name;

		if (kconfig_hides(o) || kconfig_get(k, o->name) != KCONFIG_N)
			continue;
		missing++;
		strbuf_printf(out, "# %s: %s\n", o->name, o->why);
		if (!strcmp(o->name, "CHECKPOINT_RESTORE"))
			emit(k, "EXPERT", 'y', out);
		while ((name = strsep(&rest, " ")))
			if (*name)
				emit(k, name, 'y', out);
		if (!o->silent)
			emit(k, o->name, modules && o->module ? 'm' : 'y', out);
	}
	return missing;
}
