/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/maps and smaps (fs/proc/task_mmu.c, show_map_vma and show_smap). A target may have 100,000 mappings, so
 * lines are scanned by hand; names that repeat from line to line (a library's segments) are stored once.
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "common/base/io.h"
#include "common/proc/scan.h"

#define MAPS_TEXT_MAX (1u << 30)
#define SMAPS_BUFFER (64u << 10) /* more than the longest line: a name of PATH_MAX, each byte escaped */

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

/* The name that was taken last: as it stands in the text, and what became of it. */
struct name_cache { const char *raw; size_t len; const char *name; bool deleted; };

/* escaped: as text shows it. */
static void set_name(struct arena *arena, struct name_cache *last, const char *raw, size_t len, bool escaped, struct proc_map *m)
{
	static const char deleted[] = " (deleted)";
	const size_t tail = sizeof(deleted) - 1;

	if (!len) {
		m->name = "";
		return;
	}
	if (last->name && last->len == len && !memcmp(last->raw, raw, len)) {
		m->name = last->name;
		m->deleted = last->deleted;
	} else {
		m->name = escaped ? unescape(arena, raw, len) : arena_printf(arena, "%.*s", (int)len, raw);
		m->deleted = len > tail && !memcmp(raw + len - tail, deleted, tail);
	}
	*last = (struct name_cache){ raw, len, m->name, m->deleted };
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
	set_name(arena, last, s, (size_t)(eol - s), true, m);
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
	struct name_cache last = { .name = NULL };
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

static int scan_vmflags(const char *p, struct proc_map *m)
{
	bool nameless = false;

	m->has_flags = true;
	for (scan_blanks(&p); *p && *p != '\n'; scan_blanks(&p)) {
		if (!p[1] || p[1] == '\n' || p[1] == ' ' || (p[2] && p[2] != ' ' && p[2] != '\n'))
			return -EINVAL;
		m->vmflags |= 1ull << proc_vmflag(p[0], p[1]);
		nameless |= p[0] == '?' && p[1] == '?';
		p += 2;
	}
	/* Kernels without a word for VM_LOCKONFAULT show "??", which no other mapping that can be locked has. */
	if (nameless && m->vmflags & VMF(lo))
		m->vmflags = (m->vmflags & ~(1ull << VMF_unknown)) | VMF(lf);
	return 0;
}

static int scan_kb(const char *p, uint64_t *out)
{
	scan_blanks(&p);
	if (!scan_u64(&p, 10, out) || !scan_word(&p, " kB") || (*p && *p != '\n'))
		return -EINVAL;
	return 0;
}

/* arch_show_smap() in arch/x86/kernel/setup.c: only where the processor has such keys. */
static int scan_key(const char *p, uint32_t *out)
{
	uint64_t key;

	scan_blanks(&p);
	if (!scan_u64(&p, 10, &key) || (*p && *p != '\n') || key > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)key;
	return 0;
}

static int any_kb(const char *p, bool *any)
{
	uint64_t kb;
	int ret = scan_kb(p, &kb);

	*any |= !ret && kb;
	return ret;
}

static int scan_smaps_value(const char *p, struct proc_map *m)
{
	switch (*p) {
	case 'K':
		return scan_word(&p, "KernelPageSize:") ? scan_kb(p, &m->page_kb) : 0;
	case 'P':
		return scan_word(&p, "ProtectionKey:") ? scan_key(p, &m->pkey) : 0;
	case 'S':
		return scan_word(&p, "Swap:") || scan_word(&p, "Shared_Clean:") || scan_word(&p, "Shared_Dirty:") ?
			       any_kb(p, &m->may_share) : 0;
	case 'V':
		return scan_word(&p, "VmFlags:") ? scan_vmflags(p, m) : 0;
	}
	return 0;
}

/* Mappings as their lines come in. */
struct smaps { struct arena *arena; struct proc_map *v; size_t n, cap; struct name_cache last; };

static void smaps_release(struct smaps *s)
{
	free(s->v);
}

/* Whole lines, ended by NUL. */
static int smaps_lines(struct smaps *s, const char *p)
{
	int ret;

	for (; *p; p += *p == '\n') {
		if (is_map_line(p)) {
			array_reserve(&s->v, &s->cap, s->n, sizeof(*s->v));
			s->v[s->n] = (struct proc_map){ 0 };
			ret = scan_map(&p, s->arena, &s->last, &s->v[s->n]);
			if (ret < 0)
				return ret;
			s->n++;
			ret = check_order(&(struct proc_maps){ s->v, s->n });
		} else if (*p >= 'A' && *p <= 'Z' && s->n) {
			ret = scan_smaps_value(p, &s->v[s->n - 1]);
		} else {
			ret = -EINVAL;
		}
		if (ret < 0)
			return ret;
		p = scan_eol(p);
	}
	return 0;
}

/* The text is about to go: a name is compared with its copy from here on, unless that differs from the text. */
static void smaps_forget_text(struct smaps *s)
{
	if (s->last.name && strlen(s->last.name) == s->last.len)
		s->last.raw = s->last.name;
	else
		s->last = (struct name_cache){ .name = NULL };
}

static void smaps_give(struct smaps *s, struct proc_maps *out)
{
	out->n = s->n;
	out->v = s->n ? arena_dup(s->arena, s->v, s->n * sizeof(*s->v)) : NULL;
}

int proc_parse_smaps(const char *text, struct arena *arena, struct proc_maps *out)
{
	cleanup(smaps_release) struct smaps s = { .arena = arena };
	int ret = smaps_lines(&s, text);

	smaps_give(&s, out);
	return ret;
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

/*
 * The kernel gives a few kilobytes for each read, however large the buffer is; so lines are taken as they come, and
 * the text of ten thousand mappings, seven megabytes, is never there as a whole.
 */
int proc_smaps(int proc_fd, struct arena *arena, struct proc_maps *out, size_t enough, bool *more, struct err *err)
{
	cleanup(smaps_release) struct smaps s = { .arena = arena };
	cleanup_free char *buf = xmalloc(SMAPS_BUFFER + 1);
	cleanup_fd int fd = openat(proc_fd, "smaps", O_RDONLY | O_CLOEXEC);
	uint64_t total = 0;
	size_t have = 0;

	*more = false;
	*out = (struct proc_maps){ 0 };
	while (fd >= 0) {
		ssize_t got = read(fd, buf + have, SMAPS_BUFFER - have);
		char *end, after;
		int ret;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got < 0)
				return proc_fail(proc_fd, "smaps", -errno, err);
			break;
		}
		have += (size_t)got;
		total += (uint64_t)got;
		end = memrchr(buf, '\n', have);
		if (!end && have < SMAPS_BUFFER)
			continue;
		if (!end++ || total > MAPS_TEXT_MAX)
			return scan_bad(err, "smaps", -E2BIG);
		after = *end;
		*end = 0;
		ret = smaps_lines(&s, buf);
		if (ret < 0)
			return scan_bad(err, "smaps", ret);
		*more = s.n > enough;
		if (*more)
			return 0;
		smaps_forget_text(&s);
		*end = after;
		have -= (size_t)(end - buf);
		memmove(buf, end, have);
	}
	if (fd < 0)
		return proc_fail(proc_fd, "smaps", -errno, err);
	if (have)
		return scan_bad(err, "smaps", -EINVAL);
	smaps_give(&s, out);
	return 0;
}

/* include/uapi/linux/fs.h of Linux 6.11 and later */
struct query {
	uint64_t size, flags, addr, start, end, vma_flags, page_size, offset, ino;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name_addr, build_id_addr;
};
#define QUERY _IOWR('f', 17, struct query)
enum { QUERY_READ = 1, QUERY_WRITE = 2, QUERY_EXEC = 4, QUERY_SHARED = 8, QUERY_NEXT = 16 };

/* flags: QUERY_NEXT and what it must have. A name like the last one's is the same string. -ENOENT: there is none. */
static int query(int fd, uint64_t addr, uint64_t flags, struct arena *arena, struct name_cache *last, struct proc_map *out)
{
	char name[4096 + 64];
	struct query q = { .size = sizeof(q), .flags = flags, .addr = addr, .name_size = sizeof(name), .name_addr = (uintptr_t)name };

	if (ioctl(fd, QUERY, &q) < 0)
		return -errno;
	*out = (struct proc_map){
		.start = q.start, .end = q.end, .pgoff = q.offset, .read = q.vma_flags & QUERY_READ,
		.write = q.vma_flags & QUERY_WRITE, .exec = q.vma_flags & QUERY_EXEC, .shared = q.vma_flags & QUERY_SHARED,
		.dev_major = q.dev_major, .dev_minor = q.dev_minor, .ino = q.ino,
	};
	if (q.end <= addr || q.name_size > sizeof(name))
		return -EINVAL;
	set_name(arena, last, name, q.name_size ? strnlen(name, q.name_size) : 0, false, out);
	last->raw = out->name;
	return 0;
}

int proc_map_at(int maps_fd, uint64_t addr, struct arena *arena, const struct proc_map *before, struct proc_map *out)
{
	struct name_cache last = { .name = NULL };

	if (before && *before->name)
		last = (struct name_cache){ before->name, strlen(before->name), before->name, before->deleted };
	return query(maps_fd, addr, 0, arena, &last, out);
}

/* By PROCMAP_QUERY, which jumps over all that is not asked for. */
static int query_exec(int fd, struct arena *arena, struct smaps *s)
{
	uint64_t at = 0;

	for (;;) {
		struct proc_map m;
		int ret = query(fd, at, QUERY_EXEC | QUERY_NEXT, arena, &s->last, &m);

		if (ret < 0)
			return ret == -ENOENT ? 0 : ret;
		array_reserve(&s->v, &s->cap, s->n, sizeof(*s->v));
		s->v[s->n++] = m;
		at = m.end;
	}
}

int proc_exec_maps(int proc_fd, struct arena *arena, struct proc_maps *out, struct err *err)
{
	cleanup(smaps_release) struct smaps s = { .arena = arena };
	cleanup_fd int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	int ret;

	if (fd >= 0 && !query_exec(fd, arena, &s)) {
		smaps_give(&s, out);
		return 0;
	}
	ret = proc_maps(proc_fd, arena, out, err);
	for (size_t i = 0; !ret && i < out->n; i++)
		if (out->v[i].exec)
			out->v[n++] = out->v[i];
	out->n = ret ? 0 : n;
	return ret;
}
