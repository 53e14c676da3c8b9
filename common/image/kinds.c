/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of image kinds, file names, and the sizes of payloads. */
#include <string.h>

#include "apparmor.pb-c.h"
#include "autofs.pb-c.h"
#include "binfmt-misc.pb-c.h"
#include "bpfmap-data.pb-c.h"
#include "cgroup.pb-c.h"
#include "common/base/io.h"
#include "common/image/image.h"
#include "core.pb-c.h"
#include "cpuinfo.pb-c.h"
#include "fdinfo.pb-c.h"
#include "fh.pb-c.h"
#include "file-lock.pb-c.h"
#include "fs.pb-c.h"
#include "ghost-file.pb-c.h"
#include "inventory.pb-c.h"
#include "ipc-msg.pb-c.h"
#include "ipc-sem.pb-c.h"
#include "ipc-shm.pb-c.h"
#include "ipc-var.pb-c.h"
#include "memfd.pb-c.h"
#include "mm.pb-c.h"
#include "mnt.pb-c.h"
#include "netdev.pb-c.h"
#include "pagemap.pb-c.h"
#include "pidns.pb-c.h"
#include "pipe-data.pb-c.h"
#include "pstree.pb-c.h"
#include "remap-file-path.pb-c.h"
#include "seccomp.pb-c.h"
#include "sk-packet.pb-c.h"
#include "stats.pb-c.h"
#include "timens.pb-c.h"
#include "userns.pb-c.h"
#include "utsns.pb-c.h"

#define WORD_0 0
#define WORD_COMMON IMAGE_COMMON
#define WORD_SERVICE IMAGE_SERVICE
#define MESSAGE_NONE NULL
#define MESSAGE_M(m) &m##__descriptor

const struct image_kind_info image_kinds[IMG_KINDS] = {
#define IMAGE_KIND(id_, pattern_, first_, magic_, message_, head_, payload_)                      \
	[IMG_##id_] = { #id_, pattern_, WORD_##first_, magic_, MESSAGE_##message_, MESSAGE_##head_, \
			PAYLOAD_##payload_ },
#include "common/image/kinds.inc"
#undef IMAGE_KIND
};

/* The two files that have a word in their name instead of a number. */
static const char *const stats_words[] = { "dump", "restore" };

/* Splits a pattern at its conversion: prefix length, the conversion's letter (0 = none) and the rest. */
static char split_pattern(const char *pattern, size_t *prefix, const char **rest)
{
	const char *p = strchr(pattern, '%');

	if (!p) {
		*prefix = strlen(pattern);
		*rest = "";
		return 0;
	}
	*prefix = (size_t)(p - pattern);
	p++;
	if (*p == 'l')
		p++;
	*rest = p + 1;
	return *p;
}

void image_name(enum image_kind kind, unsigned long id, char out[64])
{
	const char *pattern = image_kinds[kind].pattern, *rest;
	size_t prefix;

	switch (split_pattern(pattern, &prefix, &rest)) {
	case 0:
		snprintf(out, 64, "%s", pattern);
		break;
	case 'x':
		snprintf(out, 64, "%.*s%lx%s", (int)prefix, pattern, id, rest);
		break;
	case 's':
		snprintf(out, 64, "%.*s%s%s", (int)prefix, pattern, stats_words[id != 0], rest);
		break;
	default:
		snprintf(out, 64, "%.*s%lu%s", (int)prefix, pattern, id, rest);
	}
}

static bool parse_id(char conversion, const char *s, size_t len, unsigned long *id)
{
	char number[32];
	uint64_t v;

	if (conversion == 's') {
		for (*id = 0; *id < ARRAY_SIZE(stats_words); ++*id)
			if (strlen(stats_words[*id]) == len && !memcmp(stats_words[*id], s, len))
				return true;
		return false;
	}
	if (!len || len >= sizeof(number))
		return false;
	memcpy(number, s, len);
	number[len] = 0;
	if (parse_u64(number, conversion == 'x' ? 16 : 10, &v))
		return false;
	*id = v;
	return true;
}

enum image_kind image_kind_of_name(const char *file, unsigned long *id)
{
	size_t len = strlen(file);
	char canonical[64], plain[64];

	/* A compressed image: the same one, in another form. */
	if (len > 4 && len < sizeof(plain) && !strcmp(file + len - 4, ".zst")) {
		len -= 4;
		memcpy(plain, file, len);
		plain[len] = 0;
		file = plain;
	}
	*id = 0;
	for (unsigned k = 0; k < IMG_KINDS; k++) {
		const char *pattern = image_kinds[k].pattern, *rest;
		size_t prefix, suffix;
		char conversion = split_pattern(pattern, &prefix, &rest);

		suffix = strlen(rest);
		if (len < prefix + suffix || memcmp(file, pattern, prefix) || strcmp(file + len - suffix, rest))
			continue;
		if (conversion ? !parse_id(conversion, file + prefix, len - prefix - suffix, id) : len != prefix)
			continue;
		image_name(k, *id, canonical); /* "core-007.img" is nobody's */
		if (!strcmp(canonical, file))
			return k;
	}
	return IMG_KINDS;
}

enum image_kind image_kind_by_name(const char *name)
{
	enum image_kind k = 0;

	while (k < IMG_KINDS && strcmp(image_kinds[k].name, name))
		k++;
	return k;
}

const char *image_magic_name(enum image_kind kind)
{
	const struct image_kind_info *info = &image_kinds[kind];

	for (unsigned k = 0; k < IMG_KINDS; k++)
		if (info->message && image_kinds[k].message == info->message && image_kinds[k].magic == info->magic &&
		    image_kinds[k].first_magic == info->first_magic)
			return k == IMG_BINFMT_MISC_OLD ? image_kinds[IMG_BINFMT_MISC].name : image_kinds[k].name;
	return info->name;
}

static uint64_t padded(uint64_t n, uint64_t to)
{
	return n > IMAGE_PAYLOAD_MAX ? n : (n + to - 1) / to * to;
}

uint64_t image_payload_size(enum image_kind kind, const ProtobufCMessage *msg)
{
	switch (image_kinds[kind].payload) {
	case PAYLOAD_BYTES:
		return ((const PipeDataEntry *)msg)->bytes;
	case PAYLOAD_LENGTH:
		return ((const SkPacketEntry *)msg)->length;
	case PAYLOAD_SHM: {
		const IpcShmEntry *shm = (const IpcShmEntry *)msg;

		return shm->in_pagemaps ? 0 : padded(shm->size, 4);
	}
	case PAYLOAD_SEM:
		return padded(2ull * ((const IpcSemEntry *)msg)->nsems, 8);
	case PAYLOAD_TCP: {
		const TcpStreamEntry *tcp = (const TcpStreamEntry *)msg;

		return (uint64_t)tcp->inq_len + tcp->outq_len;
	}
	case PAYLOAD_BPFMAP: {
		const BpfmapDataEntry *map = (const BpfmapDataEntry *)msg;

		return (uint64_t)map->keys_bytes + map->values_bytes;
	}
	case PAYLOAD_GHOST:
		if (msg->descriptor == &ghost_chunk_entry__descriptor)
			return ((const GhostChunkEntry *)msg)->len;
		return ((const GhostFileEntry *)msg)->chunks ? 0 : UINT64_MAX;
	case PAYLOAD_MSG:
	case PAYLOAD_NONE:
		break;
	}
	return 0;
}
