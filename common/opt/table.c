/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table as data, and the binaries. */
#include "common/opt/private.h"

#include <string.h>

const struct opt_def opt_defs[OPT_COUNT_] = {
#define OPT_AS_DEF(id, name_, letter_, type_, arg_, default_, takes_, acts_, group_, help_, ...)                      \
	[OPT_##id] = { .name = name_, .letter = letter_, .type = type_, .arg = arg_, .deflt = default_,               \
		       .takes = takes_, .acts = acts_, .group = group_, .help = help_, ##__VA_ARGS__ },
	OPT_TABLE(OPT_AS_DEF)
};

static const struct opt_command image_commands[] = {
	{ "show", TOOL_IMAGE_SHOW, "FILE...", "print images as JSON for people", 1, -1,
	  "cr-image show --nopl /var/tmp/ckpt | jq '.[\"pstree.img\"]'" },
	{ "decode", TOOL_IMAGE_DECODE, "[FILE]", "image to JSON", 0, 1,
	  "cr-image decode -i core-12.img | jq '.entries[0].tc.comm'" },
	{ "encode", TOOL_IMAGE_ENCODE, "[FILE]", "JSON to image", 0, 1,
	  "cr-image encode -i core-12.json -o core-12.img" },
	{ "info", TOOL_IMAGE_INFO, "FILE...", "say what an image is and how much it holds", 1, -1,
	  "cr-image info /var/tmp/ckpt" },
	{ "x", TOOL_IMAGE_X, "DIR VIEW", "readable views: ps, fds, mems, rss, sockets, mounts, env, timers", 2, 2,
	  "cr-image x /var/tmp/ckpt ps" },
	{ "compress", TOOL_IMAGE_COMPRESS, "FILE...", "compress images in place; all tools read them as they are", 1, -1,
	  "cr-image compress --level 9 /var/tmp/ckpt" },
	{ "decompress", TOOL_IMAGE_DECOMPRESS, "FILE...", "the reverse", 1, -1,
	  "cr-image decompress /var/tmp/ckpt" },
	{ "seal", TOOL_IMAGE_SEAL, "DIR...", "write the manifest: which images there are, with sizes and checksums", 1, -1,
	  "cr-image seal /var/tmp/ckpt" },
	{ "check", TOOL_IMAGE_CHECK, "DIR...", "say whether a checkpoint is whole and consistent; exits with 1 when it is not", 1, -1,
	  "cr-image check --json ckpt | jq '.findings[]'" },
	{ "pack", TOOL_IMAGE_PACK, "DIR", "write a checkpoint as a tar stream to standard output", 1, 1,
	  "cr-image pack ckpt | ssh host cr-image unpack ckpt" },
	{ "unpack", TOOL_IMAGE_UNPACK, "DIR", "read a tar stream from standard input into a directory", 1, 1,
	  "zstd -dc ckpt.tar.zst | cr-image unpack ckpt" },
	{ "dedup", TOOL_IMAGE_DEDUP, "DIR", "drop the pages that a parent checkpoint holds already", 1, 1,
	  "cr-image dedup ckpt/2" },
	{ "flatten", TOOL_IMAGE_FLATTEN, "DIR -o DIR", "make one checkpoint of a chain of them", 1, 1,
	  "cr-image flatten ckpt/3 -o whole" },
	{ "mem", TOOL_IMAGE_MEM, "DIR ADDR[-END|+LEN]", "memory of a task, as a hex dump or raw", 2, 2,
	  "cr-image mem /var/tmp/ckpt --pid 4711 7ffc1000+64" },
	{ "search", TOOL_IMAGE_SEARCH, "DIR", "find text, bytes or a pattern in the memory of all tasks", 1, 1,
	  "cr-image search /var/tmp/ckpt --regex 'token=[0-9a-f]+'" },
	{ "strings", TOOL_IMAGE_STRINGS, "DIR", "text in the memory of all tasks", 1, 1,
	  "cr-image strings /var/tmp/ckpt -n 8 | grep -i password" },
	{ "core", TOOL_IMAGE_CORE, "DIR", "an ELF core file of a task, for debuggers", 1, 1,
	  "cr-image core /var/tmp/ckpt -o core && gdb -c core" },
	{ "diff", TOOL_IMAGE_DIFF, "DIR DIR", "what changed from one checkpoint to another", 2, 2,
	  "cr-image diff --json before after | jq 'group_by(.what)'" },
	{ "graph", TOOL_IMAGE_GRAPH, "DIR", "tasks, files, sockets and namespaces as a graph for dot", 1, 1,
	  "cr-image graph /var/tmp/ckpt | dot -Tsvg -o ckpt.svg" },
	{ "report", TOOL_IMAGE_REPORT, "DIR", "one HTML page that shows all of a checkpoint", 1, 1,
	  "cr-image report /var/tmp/ckpt -o ckpt.html" },
	{ "edit", TOOL_IMAGE_EDIT, "FILE", "change an image in $EDITOR, or by a jq program", 1, 1,
	  "cr-image edit fs-12.img --filter '.entries[0].umask = 18'" },
	{ "set", TOOL_IMAGE_SET, "FILE PATH=VALUE...", "change values of an image", 2, -1,
	  "cr-image set core-12.img tc.comm=worker" },
	{ NULL },
};

#define CODE(n) (1u << (n))
#define USUAL (CODE(ERR_NONE) | CODE(ERR_FAILED) | CODE(ERR_USAGE))

const struct opt_tool opt_tools[] = {
	{ .name = "cr-dump", .tools = TOOL_DUMP, .summary = "write the state of a running process tree to images",
	  .usage = "-t PID [OPTION...]", .config = true, .codes = USUAL | CODE(ERR_FEATURE) | CODE(ERR_REFUSED),
	  .failed = "the work failed, nothing was harmed; or --check found something" },
	{ .name = "cr-restore", .tools = TOOL_RESTORE, .summary = "bring a process tree back from its images",
	  .usage = "[OPTION...] [--exec-cmd -- COMMAND [ARGUMENT...]]", .max_operands = -1, .config = true,
	  .task_status = true, .codes = USUAL | CODE(ERR_FEATURE) | CODE(ERR_IMAGE) | CODE(ERR_REFUSED),
	  .failed = "the work failed, nothing is left of it; or --check found something",
	  .refused = "the checkpoint holds state that this version cannot bring back" },
	{ .name = "cr-check", .tools = TOOL_CHECK, .summary = "tell what checkpoint and restore can do on this system",
	  .usage = "[OPTION...]", .config = true, .codes = USUAL, .failed = "something that was asked for is not there" },
	{ .name = "cr-image", .tools = TOOL_IMAGE, .summary = "show, decode and encode the images of a checkpoint",
	  .config = true, .usage = "COMMAND [OPTION...] [FILE...]", .commands = image_commands, .codes = USUAL | CODE(ERR_IMAGE),
	  .failed = "a system call failed; no file was changed" },
	{ .name = "cr-config", .tools = TOOL_CONFIG, .summary = "tell which options apply and where each value came from",
	  .usage = "[OPTION...] [-- BINARY [ARGUMENT...]] | --validate [FILE...]", .max_operands = -1, .codes = USUAL,
	  .failed = "--validate found problems, or the result could not be written" },
	{ .name = NULL },
};

const struct opt_tool *opt_tool_of(unsigned tool)
{
	for (const struct opt_tool *t = opt_tools; t->name; t++)
		if (t->tools & tool)
			return t;
	return NULL;
}

const struct opt_tool *opt_tool_named(const char *name)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	for (const struct opt_tool *t = opt_tools; t->name; t++)
		if (!strcmp(base, t->name) || !strcmp(base, t->name + strlen("cr-")))
			return t;
	return NULL;
}

void opt_tool_names(unsigned mask, char *buf, size_t size)
{
	const char *names[8];
	size_t n = 0;

	for (const struct opt_tool *t = opt_tools; t->name && n < ARRAY_SIZE(names); t++)
		if (t->tools & mask)
			names[n++] = t->name;
	buf[0] = 0;
	for (size_t i = 0; i < n; i++) {
		const char *glue = i == 0 ? "" : i + 1 == n ? " and " : ", ";
		size_t len = strlen(buf);

		snprintf(buf + len, size - len, "%s%s", glue, names[i]);
	}
}

enum { NEAR_MAX = 48 }; /* longer words are not compared: no option is that long */

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][NEAR_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2], *t;
	size_t na = strlen(a), nb = strlen(b);

	if (na > NEAR_MAX || nb > NEAR_MAX)
		return NEAR_MAX;
	for (size_t j = 0; j <= nb; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, last[j] + 1);
			d = MIN(d, now[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			now[j] = d;
		}
		t = before;
		before = last;
		last = now;
		now = t;
	}
	return last[nb];
}

const char *opt_nearest(const char *name, const char *const *names, size_t n)
{
	size_t len = strlen(name);
	/* One edit in three letters is a slip; more is another word. */
	unsigned best = (unsigned)MIN(len / 3, (size_t)4) + 1;
	const char *near = NULL;

	if (len < 2)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(name, names[i]);

		/* The beginning of a longer name is what those who expect abbreviations write. */
		if (len >= 3 && !strncmp(name, names[i], len))
			d = MIN(d, 1u);
		if (d < best) {
			best = d;
			near = names[i];
		}
	}
	return near;
}

enum opt_id opt_find(const char *name, const char **near)
{
	const char *names[OPT_COUNT_];
	size_t n = 0;

	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		if (!strcmp(name, opt_defs[i].name))
			return (enum opt_id)i;
		if (!(opt_defs[i].flags & OPT_F_HIDDEN))
			names[n++] = opt_defs[i].name;
	}
	if (near)
		*near = opt_nearest(name, names, n);
	return OPT_COUNT_;
}
