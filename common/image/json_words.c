/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of flags and values, and which fields have them. The values are those of the format, on every architecture. */
#include <string.h>

#include "common/image/json.h"

const struct word image_words[] = {
	{ "mmap.prot", NULL, "PROT_READ", 0x1 },
	{ "mmap.prot", NULL, "PROT_WRITE", 0x2 },
	{ "mmap.prot", NULL, "PROT_EXEC", 0x4 },
	{ "mmap.flags", NULL, "MAP_SHARED", 0x1 },
	{ "mmap.flags", NULL, "MAP_PRIVATE", 0x2 },
	{ "mmap.flags", NULL, "MAP_DROPPABLE", 0x8 },
	{ "mmap.flags", NULL, "MAP_ANON", 0x20 },
	{ "mmap.flags", NULL, "MAP_GROWSDOWN", 0x100 },
	{ "mmap.status", NULL, "VMA_AREA_NONE", 0x0 },
	{ "mmap.status", NULL, "VMA_AREA_REGULAR", 0x1 },
	{ "mmap.status", NULL, "VMA_AREA_STACK", 0x2 },
	{ "mmap.status", NULL, "VMA_AREA_VSYSCALL", 0x4 },
	{ "mmap.status", NULL, "VMA_AREA_VDSO", 0x8 },
	{ "mmap.status", NULL, "VMA_AREA_HEAP", 0x20 },
	{ "mmap.status", NULL, "VMA_FILE_PRIVATE", 0x40 },
	{ "mmap.status", NULL, "VMA_FILE_SHARED", 0x80 },
	{ "mmap.status", NULL, "VMA_ANON_SHARED", 0x100 },
	{ "mmap.status", NULL, "VMA_ANON_PRIVATE", 0x200 },
	{ "mmap.status", NULL, "VMA_AREA_SYSVIPC", 0x400 },
	{ "mmap.status", NULL, "VMA_AREA_SOCKET", 0x800 },
	{ "mmap.status", NULL, "VMA_AREA_VVAR", 0x1000 },
	{ "mmap.status", NULL, "VMA_AREA_AIORING", 0x2000 },
	{ "mmap.status", NULL, "VMA_AREA_MEMFD", 0x4000 },
	{ "mmap.status", NULL, "VMA_AREA_SHSTK", 0x8000 },
	{ "mmap.status", NULL, "VMA_AREA_UPROBES", 0x20000 },
	{ "mmap.status", NULL, "VMA_UNSUPP", 0x80000000 },
	{ "rfile.flags", NULL, "O_WRONLY", 01 },
	{ "rfile.flags", NULL, "O_RDWR", 02 },
	{ "rfile.flags", NULL, "O_CREAT", 0100 },
	{ "rfile.flags", NULL, "O_EXCL", 0200 },
	{ "rfile.flags", NULL, "O_NOCTTY", 0400 },
	{ "rfile.flags", NULL, "O_TRUNC", 01000 },
	{ "rfile.flags", NULL, "O_APPEND", 02000 },
	{ "rfile.flags", NULL, "O_NONBLOCK", 04000 },
	{ "rfile.flags", NULL, "O_DSYNC", 010000 },
	{ "rfile.flags", NULL, "FASYNC", 020000 },
	{ "rfile.flags", NULL, "O_DIRECT", 040000 },
	{ "rfile.flags", NULL, "O_LARGEFILE", 0100000 },
	{ "rfile.flags", NULL, "O_DIRECTORY", 0200000 },
	{ "rfile.flags", NULL, "O_NOFOLLOW", 0400000 },
	{ "rfile.flags", NULL, "O_NOATIME", 01000000 },
	{ "rfile.flags", NULL, "O_CLOEXEC", 02000000 },
	{ "seals.flags", NULL, "F_SEAL_SEAL", 0x1 },
	{ "seals.flags", NULL, "F_SEAL_SHRINK", 0x2 },
	{ "seals.flags", NULL, "F_SEAL_GROW", 0x4 },
	{ "seals.flags", NULL, "F_SEAL_WRITE", 0x8 },
	{ "seals.flags", NULL, "F_SEAL_FUTURE_WRITE", 0x10 },
	{ "pmap.flags", NULL, "PE_PARENT", 0x1 },
	{ "pmap.flags", NULL, "PE_LAZY", 0x2 },
	{ "pmap.flags", NULL, "PE_PRESENT", 0x4 },
	{ "pmap.flags", NULL, "PE_COW", 0x10000 },
	{ "gen", "task_state", "Alive", 1 },
	{ "gen", "task_state", "Zombie", 3 },
	{ "gen", "task_state", "Stopped", 6 },
	{ "sk", "family", "UNIX", 1 },
	{ "sk", "family", "INET", 2 },
	{ "sk", "family", "INET6", 10 },
	{ "sk", "family", "NETLINK", 16 },
	{ "sk", "family", "PACKET", 17 },
	{ "sk", "type", "STREAM", 1 },
	{ "sk", "type", "DGRAM", 2 },
	{ "sk", "type", "RAW", 3 },
	{ "sk", "type", "SEQPACKET", 5 },
	{ "sk", "type", "PACKET", 10 },
	{ "sk", "state", "ESTABLISHED", 1 },
	{ "sk", "state", "SYN_SENT", 2 },
	{ "sk", "state", "SYN_RECV", 3 },
	{ "sk", "state", "FIN_WAIT1", 4 },
	{ "sk", "state", "FIN_WAIT2", 5 },
	{ "sk", "state", "TIME_WAIT", 6 },
	{ "sk", "state", "CLOSE", 7 },
	{ "sk", "state", "CLOSE_WAIT", 8 },
	{ "sk", "state", "LAST_ACK", 9 },
	{ "sk", "state", "LISTEN", 10 },
	{ "sk", "proto", "IP", 0 },
	{ "sk", "proto", "TCP", 6 },
	{ "sk", "proto", "UDP", 17 },
	{ "sk", "proto", "UDPLITE", 136 },
	{ NULL, NULL, NULL, 0 },
};

struct hint_row {
	const char *message, *field, *hint;
};

static const struct hint_row rows[] = {
#define IMAGE_HINT(message_, field_, hint_) { message_, field_, hint_ },
#include "image-hints.inc"
#undef IMAGE_HINT
};

static int compare(const void *a, const void *b)
{
	const struct hint_row *x = a, *y = b;
	int c = strcmp(x->message, y->message);

	return c ? c : strcmp(x->field, y->field);
}

struct field_hint image_field_hint(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
				   struct field_hint outer)
{
	static const struct {
		const char *name;
		enum hint_kind kind;
	} simple[] = {
		{ "hex", HINT_HEX }, { "dev", HINT_DEV }, { "odev", HINT_ODEV }, { "ipadd", HINT_IPADD },
		{ "conv=unix_name", HINT_QUOTED },
	};
	const struct hint_row key = { desc->name, field->name, NULL };
	const struct hint_row *row = bsearch(&key, rows, ARRAY_SIZE(rows), sizeof(rows[0]), compare);

	if (!row)
		return outer.kind == HINT_HEX ? outer : (struct field_hint){ HINT_NONE, NULL };
	for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
		if (!strcmp(simple[i].name, row->hint))
			return (struct field_hint){ simple[i].kind, NULL };
	if (!strncmp(row->hint, "flags=", 6))
		return (struct field_hint){ HINT_FLAGS, row->hint + 6 };
	if (!strncmp(row->hint, "dict=", 5))
		return (struct field_hint){ HINT_DICT, row->hint + 5 };
	return (struct field_hint){ HINT_NONE, NULL };
}
