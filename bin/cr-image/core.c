/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-image core: an ELF core file of a task. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "bin/cr-image/core.h"
#include "bin/cr-image/cr-image.h"
#include "common/arch/arch.h"
#include "common/base/io.h"

/* Reserved address space of this size and more that nobody may touch is left out; less is a hole in the file. */
#define HUGE_GAP (1ull << 30)
enum { CHUNK = 256 << 10 };

struct writer {
	struct new_file file;
	int fd, special; /* special: a device or a fifo, -1: none */
	bool holes; /* zeros need not be written */
	uint64_t pos;
	uint8_t *buf; /* CHUNK bytes */
};

struct segments {
	struct ckpt *c;
	struct ckpt_task *t;
	const VmaEntry *vma;
	Elf64_Phdr *v;
	size_t n, cap;
	struct writer *w; /* NULL: only plan */
};

static int put(struct writer *w, const void *p, size_t n, struct err *err)
{
	int ret = w->holes ? pwrite_full(w->fd, p, n, (off_t)w->pos) : write_full(w->fd, p, n);

	w->pos += n;
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write the core file") : 0;
}

static int put_zeros(struct writer *w, uint64_t n, struct err *err)
{
	int ret = 0;

	if (w->holes)
		w->pos += n;
	else
		memset(w->buf, 0, CHUNK);
	while (!w->holes && n && !ret) {
		size_t part = (size_t)MIN(n, (uint64_t)CHUNK);

		ret = put(w, w->buf, part, err);
		n -= part;
	}
	return ret;
}

static bool is_content(const struct segments *s, const struct ckpt_span *span)
{
	if (span->what == CKPT_ZERO)
		return s->vma->prot || span->len < HUGE_GAP;
	return span->what == CKPT_STORED;
}

static int add_segment(const struct ckpt_span *span, void *data, struct err *err)
{
	struct segments *s = data;
	Elf64_Phdr *last = s->n ? &s->v[s->n - 1] : NULL;
	bool content = is_content(s, span);

	if (span->what == CKPT_KERNEL)
		return 0;
	if (last && last->p_vaddr + last->p_memsz == span->addr && span->addr != s->vma->start && !!last->p_filesz == content) {
		last->p_memsz += span->len;
		last->p_filesz += content ? span->len : 0;
		return 0;
	}
	array_reserve(&s->v, &s->cap, s->n, sizeof(*s->v));
	s->v[s->n++] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = span->addr, .p_memsz = span->len, .p_filesz = content ? span->len : 0,
		.p_align = CKPT_PAGE, .p_flags = (s->vma->prot & 1 ? PF_R : 0u) | (s->vma->prot & 2 ? PF_W : 0u) |
						 (s->vma->prot & 4 ? PF_X : 0u),
	};
	return 0;
}

static int write_content(const struct ckpt_span *span, void *data, struct err *err)
{
	struct segments *s = data;
	int ret = 0;

	if (!is_content(s, span))
		return 0;
	if (span->what == CKPT_ZERO)
		return put_zeros(s->w, span->len, err);
	for (uint64_t at = 0; at < span->len && !ret; at += CHUNK) {
		size_t n = (size_t)MIN(span->len - at, (uint64_t)CHUNK);

		ret = ckpt_raw_read(span->content, span->off + at, s->w->buf, n, err);
		if (!ret)
			ret = put(s->w, s->w->buf, n, err);
	}
	return ret;
}

static int each_mapping(struct segments *s, ckpt_span_fn f, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < s->t->nvmas && !ret; i++) {
		s->vma = s->t->vmas[i];
		ret = ckpt_spans(s->c, s->t, s->vma, s->vma->start, s->vma->end, f, s, err);
	}
	return ret;
}

static int write_core(struct segments *s, const struct strbuf *notes, struct err *err)
{
	Elf64_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE },
		.e_type = ET_CORE, .e_machine = ARCH_ELF_MACHINE, .e_version = EV_CURRENT, .e_phoff = sizeof(h),
		.e_ehsize = sizeof(h), .e_phentsize = sizeof(Elf64_Phdr), .e_shentsize = sizeof(Elf64_Shdr),
	};
	Elf64_Shdr many = { .sh_info = (uint32_t)(s->n + 1) };
	uint64_t heads = sizeof(h) + (s->n + 1) * sizeof(Elf64_Phdr), at;
	bool too_many = s->n + 1 >= PN_XNUM;
	Elf64_Phdr note = { .p_type = PT_NOTE, .p_filesz = notes->len, .p_align = 4 };
	int ret;

	h.e_phnum = too_many ? PN_XNUM : (uint16_t)(s->n + 1);
	if (too_many) { /* the number of segments is in the one section then */
		h.e_shoff = heads;
		h.e_shnum = 1;
		heads += sizeof(many);
	}
	note.p_offset = heads;
	at = (heads + notes->len + CKPT_PAGE - 1) / CKPT_PAGE * CKPT_PAGE;
	for (size_t i = 0; i < s->n; i++) {
		s->v[i].p_offset = at;
		at += s->v[i].p_filesz;
	}
	ret = put(s->w, &h, sizeof(h), err);
	if (!ret)
		ret = put(s->w, &note, sizeof(note), err);
	if (!ret)
		ret = put(s->w, s->v, s->n * sizeof(*s->v), err);
	if (!ret && too_many)
		ret = put(s->w, &many, sizeof(many), err);
	if (!ret)
		ret = put(s->w, notes->s, notes->len, err);
	if (!ret)
		ret = put_zeros(s->w, -s->w->pos % CKPT_PAGE, err);
	if (!ret)
		ret = each_mapping(s, write_content, err);
	if (!ret && s->w->holes && ftruncate(s->w->fd, (off_t)s->w->pos) < 0)
		ret = err_sys(err, "cannot give the core file its size of %llu bytes", (unsigned long long)s->w->pos);
	return ret;
}

static int open_output(struct writer *w, const char *path, struct err *err)
{
	int ret;

	w->fd = STDOUT_FILENO;
	if (!path || !strcmp(path, "-"))
		return isatty(STDOUT_FILENO) ? err_hint(err, err_set(err, ERR_USAGE, 0, "a core file is nothing for a terminal"),
							"name a file with -o, or use a pipe") : 0;
	w->fd = w->special = open_special(path);
	if (w->fd >= 0)
		return 0;
	ret = new_file_begin(&w->file, path);
	if (ret)
		return err_object(err, err_set(err, ERR_FAILED, -ret, "cannot create"), "%s", path);
	w->fd = w->file.fd;
	w->holes = true;
	return 0;
}

static void segments_release(struct segments *s)
{
	free(s->v);
}

static void writer_release(struct writer *w)
{
	new_file_release(&w->file);
	if (w->special >= 0)
		close(w->special);
	free(w->buf);
}

int cmd_core(const struct opts *o, struct err *err)
{
	cleanup_ckpt struct ckpt *c = NULL;
	cleanup_strbuf struct strbuf notes = STRBUF_INIT;
	cleanup(writer_release) struct writer w = { .file = NEW_FILE_INIT, .special = -1, .buf = xmalloc(CHUNK) };
	cleanup(segments_release) struct segments s = { .w = &w };
	const char *path = opt_str(o, OPT_OUT);
	int ret = ckpt_open(opt_operands(o, NULL)[0], &c, err);

	if (!ret)
		ret = ckpt_pick(c, opt_int(o, OPT_PID), &s.t, err);
	s.c = c;
	if (!ret && !s.t->mm)
		ret = err_task(err, (pid_t)s.t->pid, s.t->comm,
			       err_set(err, ERR_USAGE, 0, "a zombie has no memory and no registers"));
	if (!ret)
		ret = core_notes(c, s.t, &notes, err);
	if (!ret)
		ret = each_mapping(&s, add_segment, err);
	if (!ret)
		ret = open_output(&w, path, err);
	if (!ret)
		ret = write_core(&s, &notes, err);
	if (!ret && w.holes && (ret = new_file_commit(&w.file, "", 0)))
		ret = err_object(err, err_set(err, ERR_FAILED, -ret, "cannot write"), "%s", path);
	return ret;
}
