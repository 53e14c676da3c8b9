/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the model: its loaders and checks. Nothing outside common/restore includes this. */
#ifndef CR_RESTORE_VERIFY_H
#define CR_RESTORE_VERIFY_H

#include "common/restore/model.h"

/* Where an error in an image is: entry is counted from 0, -1 when the whole image is meant. */
struct where {
	enum image_kind kind;
	unsigned long id;
	long entry;
};
#define AT(k, i, e) (&(const struct where){ IMG_##k, (i), (e) })

/* "core-12.img: entry 0: REASON" */
int bad_image(struct err *err, const struct where *at, const char *fmt, ...) printf_like(3, 4);
/* The same for a sound image whose content cannot be brought back. */
int cannot_restore(struct err *err, const struct where *at, const char *fmt, ...) printf_like(3, 4);

/* files.img (or the older images by type), remaps, memfds, queued bytes of pipes, page sets of shared memory. */
int model_load_files(struct model *m, struct err *err);
/* pagemap image of the kind and its pages, flags and lengths normalised (has_flags and has_nr_pages always set). */
int model_load_pages(struct model *m, enum image_kind kind, unsigned long id, struct model_pages *out, struct err *err);
/* The same, of the n entries of a pagemap image that was read already. */
int model_take_pages(struct model *m, enum image_kind kind, unsigned long id, ProtobufCMessage **v, size_t n, struct model_pages *out,
		     struct err *err);
/* Unpacks them into memory if they are compressed: for those who need a descriptor. */
int model_pages_plain(struct model_pages *pages, struct err *err);
/* Where pages are that the set leaves to older checkpoints. */
int model_resolve_parents(struct model *m, enum image_kind kind, unsigned long id, struct model_pages *p, struct err *err);
/* Where pages are that tasks have of their parents; after the page sets of all tasks. */
int model_resolve_cow(struct model *m, struct err *err);
/* Memory that several mappings show; after the memfds and the mappings of all tasks. */
int model_load_shmem(struct model *m, struct err *err);
/* Descriptors of the task: numbers, references. */
int verify_fds(const struct model *m, const struct model_task *t, struct err *err);
int verify_core(const struct model *m, const struct model_task *t, struct err *err);
int verify_fs(const struct model *m, const struct model_task *t, struct err *err);
int verify_mm(const struct model *m, const struct model_task *t, struct err *err);

#endif
