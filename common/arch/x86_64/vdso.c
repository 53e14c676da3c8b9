// SPDX-License-Identifier: GPL-2.0-or-later
/* The x86-64 vdso: a small ELF shared object (arch/x86/entry/vdso). */
#include "common/arch/vdso.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

struct symbol { const char *name; uint64_t off; };
struct symbols { struct symbol v[VDSO_SYMBOLS_MAX]; size_t n; };

struct table { const Elf64_Sym *sym; size_t nsym; const char *str; size_t strsize; };

/* [off, off+size) lies in len bytes and is aligned for what is read from it. */
static bool inside(uint64_t off, uint64_t size, size_t len)
{
	return off % 8 == 0 && off <= len && size <= len - off;
}

/* Section headers are in the image too: simpler to read than hash tables, and always there. */
static bool find_table(const unsigned char *img, size_t len, struct table *t)
{
	const Elf64_Ehdr *eh = (const void *)img;

	if (len < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_machine != EM_X86_64 || eh->e_shentsize != sizeof(Elf64_Shdr) ||
	    !inside(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr), len))
		return false;
	const Elf64_Shdr *sh = (const void *)(img + eh->e_shoff);
	for (size_t i = 0; i < eh->e_shnum; i++) {
		const Elf64_Shdr *str;

		if (sh[i].sh_type != SHT_DYNSYM || sh[i].sh_link >= eh->e_shnum || !inside(sh[i].sh_offset, sh[i].sh_size, len))
			continue;
		str = &sh[sh[i].sh_link];
		if (str->sh_offset > len || str->sh_size > len - str->sh_offset || !str->sh_size ||
		    img[str->sh_offset + str->sh_size - 1])
			return false;
		*t = (struct table){ (const void *)(img + sh[i].sh_offset), sh[i].sh_size / sizeof(Elf64_Sym),
				     (const char *)img + str->sh_offset, str->sh_size };
		return true;
	}
	return false;
}

static bool read_symbols(const void *img, size_t len, struct symbols *out)
{
	struct table t;

	out->n = 0;
	if ((uintptr_t)img % 8 || !find_table(img, len, &t))
		return false;
	for (size_t i = 0; i < t.nsym; i++) {
		const Elf64_Sym *s = &t.sym[i];
		int type = ELF64_ST_TYPE(s->st_info);

		if (s->st_shndx == SHN_UNDEF || s->st_shndx >= SHN_LORESERVE || (type != STT_FUNC && type != STT_NOTYPE))
			continue;
		if (s->st_name >= t.strsize || s->st_value >= len || out->n == VDSO_SYMBOLS_MAX)
			return false;
		out->v[out->n++] = (struct symbol){ t.str + s->st_name, s->st_value };
	}
	return out->n;
}

static const struct symbol *find(const struct symbols *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

bool vdso_same_symbols(const void *a, size_t alen, const void *b, size_t blen)
{
	struct symbols x, y;

	if (alen != blen || !read_symbols(a, alen, &x) || !read_symbols(b, blen, &y) || x.n != y.n)
		return false;
	for (size_t i = 0; i < x.n; i++)
		if (x.v[i].off != y.v[i].off || strcmp(x.v[i].name, y.v[i].name))
			return false;
	return true;
}

/* movabs $to, %rax; jmp *%rax. rax is scratch at the entry of every function of the C ABI. */
static size_t encode_jump(unsigned char *code, uint64_t to)
{
	memcpy(code, "\x48\xb8", 2);
	memcpy(code + 2, &to, sizeof(to));
	memcpy(code + 10, "\xff\xe0", 2);
	return 12;
}

int vdso_redirect(const void *old, size_t olen, const void *now, size_t nlen, uint64_t now_at,
		  struct vdso_patch patches[VDSO_SYMBOLS_MAX], struct err *err)
{
	struct symbols from, to;
	int n = 0;

	if (!read_symbols(old, olen, &from))
		return err_image(err, "the dumped vdso is no ELF image with symbols");
	if (!read_symbols(now, nlen, &to))
		return err_set(err, ERR_FEATURE, 0, "this kernel's vdso is no ELF image with symbols");
	for (size_t i = 0; i < from.n; i++) {
		const struct symbol *s = find(&to, from.v[i].name);
		struct vdso_patch *p = &patches[n];
		bool alias = false;

		if (!s)
			return err_set(err, ERR_FEATURE, 0, "the vdso of this kernel lacks %.64s, which the task may call",
				       from.v[i].name);
		/* __vdso_time and time are one function. */
		for (int k = 0; k < n; k++)
			alias |= patches[k].off == from.v[i].off;
		if (alias)
			continue;
		p->off = from.v[i].off;
		p->len = encode_jump(p->code, now_at + s->off);
		for (size_t k = 0; k < from.n; k++)
			if ((from.v[k].off > p->off && from.v[k].off - p->off < p->len) || olen - p->off < p->len)
				return err_set(err, ERR_FEATURE, 0, "the dumped vdso has functions too short to be redirected");
		n++;
	}
	return n;
}
