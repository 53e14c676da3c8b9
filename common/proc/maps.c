/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/maps and smaps (fs/proc/task_mmu.c, show_map_vma and show_smap). A target may have 100,000 mappings, so lines are
 * scanned by hand; names that repeat from line to line (a library's segments) are stored once.
 */
#include "common/base/io.h"
#include "common/proc/scan.h"

#define MAPS_TEXT_MAX (1u << 30)

enum proc_vmflag proc_vmflag(char a, char b)
{
	/* A chain of comparisons with constants: the compiler makes a switch of it. */
#define WORD_IS(w) if (a == #w[0] && b == #w[1]) return VMF_##w;
	PROC_VMFLAGS(WORD_IS)
#undef WORD_IS
	return VMF_unknown;
}

static bool scan_flag(const char **p, char yes, char no, bool *out)
{
	*out = **p == yes;
	if (**p != yes && **p != no)
		return false;
	(*p)++;
	return true;
}

/* A copy in which \012 is a newline: the only byte that seq_path() escapes here. */
static const char *unescape(struct arena *arena, const char *s, size_t n)
{
	char *out = arena_alloc(arena, n + 1), *to = out;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && n - i >= 4 && !memcmp(s + i, "\\012", 4)) {
			*to++ = '\n';
			i += 3;
		} else {
			*to++ = s[i];
		}
	}
	return out;
}

struct name_cache { const char *raw; size_t len; const struct proc_map *map; };

static void take_name(struct arena *arena, struct name_cache *last, const char *raw, size_t len, struct proc_map *m)
{
	static const char deleted[] = " (deleted)";
	const size_t tail = sizeof(deleted) - 1;

	if (!len) {
		m->name = "";
		return;
	}
	if (last->map && last->len == len && !memcmp(last->raw, raw, len)) {
		m->name = last->map->name;
		m->deleted = last->map->deleted;
	} else {
		m->name = unescape(arena, raw, len);
		m->deleted = len > tail && !memcmp(raw + len - tail, deleted, tail);
	}
	*last = (struct name_cache){ raw, len, m };
}

/* One line of maps; *p ends at its newline. */
static int scan_map(const char **p, struct arena *arena, struct name_cache *last, struct proc_map *m)
{
	const char *s = *p, *eol;
	uint64_t maj, min;

	if (!scan_hex(&s, &m->start) || !scan_char(&s, '-') || !scan_hex(&s, &m->end) || !scan_char(&s, ' ') ||
	    !scan_flag(&s, 'r', '-', &m->read) || !scan_flag(&s, 'w', '-', &m->write) ||
	    !scan_flag(&s, 'x', '-', &m->exec) || !scan_flag(&s, 's', 'p', &m->shared) || !scan_char(&s, ' ') ||
	    !scan_hex(&s, &m->pgoff) || !scan_char(&s, ' ') || !scan_hex(&s, &maj) || !scan_char(&s, ':') ||
	    !scan_hex(&s, &min) || !scan_char(&s, ' ') || !scan_u64(&s, 10, &m->ino))
		return -EINVAL;
	if (m->start >= m->end || maj > UINT32_MAX || min > UINT32_MAX)
		return -EINVAL;
	m->dev_major = (uint32_t)maj;
	m->dev_minor = (uint32_t)min;
	eol = scan_eol(s);
	if (s != eol && *s != ' ')
		return -EINVAL;
	/* Blanks up to the column belong to the padding; a longer line has exactly one. No name begins with a blank. */
	while (*s == ' ')
		s++;
	take_name(arena, last, s, (size_t)(eol - s), m);
	*p = eol;
	return 0;
}

static int check_order(const struct proc_maps *maps)
{
	size_t n = maps->n;

	/* vsyscall stands last and above all others, so the order is strict everywhere. */
	return n > 1 && maps->v[n - 1].start < maps->v[n - 2].end ? -EINVAL : 0;
}

int proc_parse_maps(const char *text, struct arena *arena, struct proc_maps *out)
{
	struct name_cache last = { NULL, 0, NULL };
	size_t lines = scan_lines(text);
	const char *p = text;

	out->n = 0;
	out->v = lines ? arena_alloc(arena, lines * sizeof(*out->v)) : NULL;
	for (; *p; p += *p == '\n') {
		int ret = scan_map(&p, arena, &last, &out->v[out->n]);

		if (ret < 0)
			return ret;
		out->n++;
		ret = check_order(out);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Lines of mappings begin with a lower case hexadecimal digit, those of values with a capital letter. */
static bool is_map_line(const char *p)
{
	return (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f');
}

static size_t count_map_lines(const char *text)
{
	size_t n = 0;

	while (*text) {
		n += is_map_line(text);
		text = scan_eol(text);
		text += *text == '\n';
	}
	return n;
}

static int scan_vmflags(const char *p, struct proc_map *m)
{
	m->has_flags = true;
	for (scan_blanks(&p); *p && *p != '\n'; scan_blanks(&p)) {
		if (!p[1] || p[1] == '\n' || p[1] == ' ' || (p[2] && p[2] != ' ' && p[2] != '\n'))
			return -EINVAL;
		m->vmflags |= 1ull << proc_vmflag(p[0], p[1]);
		p += 2;
	}
	return 0;
}

static int scan_kb(const char *p, uint64_t *out)
{
	scan_blanks(&p);
	if (!scan_u64(&p, 10, out) || !scan_word(&p, " kB") || (*p && *p != '\n'))
		return -EINVAL;
	return 0;
}

static int scan_smaps_value(const char *p, struct proc_map *m)
{
	switch (*p) {
	case 'A':
		return scan_word(&p, "Anonymous:") ? scan_kb(p, &m->anon_kb) : 0;
	case 'K':
		return scan_word(&p, "KernelPageSize:") ? scan_kb(p, &m->page_kb) : 0;
	case 'L':
		return scan_word(&p, "Locked:") ? scan_kb(p, &m->locked_kb) : 0;
	case 'R':
		return scan_word(&p, "Rss:") ? scan_kb(p, &m->rss_kb) : 0;
	case 'S':
		return scan_word(&p, "Swap:") ? scan_kb(p, &m->swap_kb) : 0;
	case 'V':
		return scan_word(&p, "VmFlags:") ? scan_vmflags(p, m) : 0;
	}
	return 0;
}

int proc_parse_smaps(const char *text, struct arena *arena, struct proc_maps *out)
{
	struct name_cache last = { NULL, 0, NULL };
	size_t lines = count_map_lines(text);
	const char *p = text;
	int ret;

	out->n = 0;
	out->v = lines ? arena_alloc(arena, lines * sizeof(*out->v)) : NULL;
	for (; *p; p += *p == '\n') {
		if (is_map_line(p)) {
			ret = scan_map(&p, arena, &last, &out->v[out->n]);
			if (ret < 0)
				return ret;
			out->n++;
			ret = check_order(out);
		} else if (*p >= 'A' && *p <= 'Z' && out->n) {
			ret = scan_smaps_value(p, &out->v[out->n - 1]);
		} else {
			ret = -EINVAL;
		}
		if (ret < 0)
			return ret;
		p = scan_eol(p);
	}
	return 0;
}

int proc_maps(int proc_fd, struct arena *arena, struct proc_maps *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read(proc_fd, "maps", MAPS_TEXT_MAX, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_maps(text, arena, out);
	return ret < 0 ? scan_bad(err, "maps", ret) : 0;
}

int proc_smaps(int proc_fd, struct arena *arena, struct proc_maps *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read(proc_fd, "smaps", MAPS_TEXT_MAX, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_smaps(text, arena, out);
	return ret < 0 ? scan_bad(err, "smaps", ret) : 0;
}
