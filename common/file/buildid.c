// SPDX-License-Identifier: GPL-2.0-or-later
/* The GNU build-id of an ELF file: tells one build of a program or library from another. */
#include <elf.h>
#include <endian.h>
#include <string.h>
#include <sys/uio.h>

#include "common/file/file.h"

#define HEAD_BYTES (1u << 20)

static bool inside(uint64_t off, uint64_t len, size_t n)
{
	return off <= n && len <= n - off;
}

/* Notes are {namesz, descsz, type}, name and descriptor, each padded to 4 bytes. */
static size_t find_note(const unsigned char *p, size_t n, uint32_t words[BUILD_ID_WORDS])
{
	size_t at = 0;

	while (inside(at, sizeof(Elf64_Nhdr), n)) {
		Elf64_Nhdr h;
		memcpy(&h, p + at, sizeof(h));
		uint64_t name = at + sizeof(h), desc = name + ((uint64_t)h.n_namesz + 3) / 4 * 4;
		uint64_t end = desc + ((uint64_t)h.n_descsz + 3) / 4 * 4;

		if (end > n || !inside(desc, h.n_descsz, n))
			return 0;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && !memcmp(p + name, "GNU", 4)) {
			if (!h.n_descsz || h.n_descsz > BUILD_ID_WORDS * 4)
				return 0;
			memset(words, 0, BUILD_ID_WORDS * sizeof(*words));
			memcpy(words, p + desc, h.n_descsz);
			size_t count = (h.n_descsz + 3) / 4;
			for (size_t i = 0; i < count; i++)
				words[i] = le32toh(words[i]);
			return count;
		}
		at = end;
	}
	return 0;
}

#define SCAN(Ehdr, Phdr)                                                                   \
	do {                                                                               \
		Ehdr eh;                                                                   \
		if (n < sizeof(eh))                                                        \
			return 0;                                                          \
		memcpy(&eh, elf, sizeof(eh));                                              \
		if (eh.e_phentsize != sizeof(Phdr))                                        \
			return 0;                                                          \
		for (size_t i = 0; i < eh.e_phnum; i++) {                                  \
			Phdr ph;                                                           \
			uint64_t at = (uint64_t)eh.e_phoff + i * sizeof(ph);               \
			if (at < eh.e_phoff || !inside(at, sizeof(ph), n))                 \
				return 0;                                                  \
			memcpy(&ph, elf + at, sizeof(ph));                                 \
			if (ph.p_type != PT_NOTE || !inside(ph.p_offset, ph.p_filesz, n))  \
				continue;                                                  \
			size_t got = find_note(elf + ph.p_offset, ph.p_filesz, words);     \
			if (got)                                                           \
				return got;                                                \
		}                                                                          \
	} while (0)

size_t build_id_parse(const unsigned char *elf, size_t n, uint32_t words[BUILD_ID_WORDS])
{
	const unsigned char here = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;

	if (n < EI_NIDENT || memcmp(elf, ELFMAG, SELFMAG) || elf[EI_DATA] != here)
		return 0;
	if (elf[EI_CLASS] == ELFCLASS64)
		SCAN(Elf64_Ehdr, Elf64_Phdr);
	else if (elf[EI_CLASS] == ELFCLASS32)
		SCAN(Elf32_Ehdr, Elf32_Phdr);
	return 0;
}

/* Where the file is: behind a descriptor, or in the memory of a task. */
struct elf_source { int fd; pid_t tid; uint64_t addr, len; };

static size_t read_upto(const struct elf_source *src, unsigned char *buf, size_t n)
{
	size_t got = 0;

	n = src->tid ? MIN(n, src->len) : n;
	while (got < n) {
		struct iovec local = { buf + got, n - got }, remote = { (void *)(uintptr_t)(src->addr + got), n - got };
		ssize_t r = src->tid ? process_vm_readv(src->tid, &local, 1, &remote, 1, 0) :
				       pread(src->fd, local.iov_base, local.iov_len, (off_t)got);

		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static size_t read_id(const struct elf_source *src, uint32_t words[BUILD_ID_WORDS])
{
	/* The note follows the program headers in nearly every file, so the first page as a rule is all that is read. */
	unsigned char page[4096];
	size_t n = read_upto(src, page, sizeof(page)), got = build_id_parse(page, n, words);

	if (got || n < sizeof(page) || memcmp(page, ELFMAG, SELFMAG) != 0)
		return got;
	cleanup_free unsigned char *head = xmalloc(HEAD_BYTES);
	n = read_upto(src, head, HEAD_BYTES);
	return build_id_parse(head, n, words);
}

size_t build_id_read(int fd, uint32_t words[BUILD_ID_WORDS])
{
	return read_id(&(struct elf_source){ .fd = fd }, words);
}

size_t build_id_mapped(pid_t tid, uint64_t addr, uint64_t len, uint32_t words[BUILD_ID_WORDS])
{
	return read_id(&(struct elf_source){ .fd = -1, .tid = tid, .addr = addr, .len = len }, words);
}
