/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of an image, whether its file is NAME or, compressed, NAME.zst. Nobody above this knows the difference. A directory has
 * one form of an image; while cr-image changes the form it has both for a moment, with the same content: the plain one counts.
 */
#ifndef CR_IMAGE_FILE_H
#define CR_IMAGE_FILE_H

#include <dirent.h>

#include "common/image/image.h"
#include "common/image/seekable.h"

#define IMAGE_ZST ".zst"

struct image_file {
	int fd;	       /* of the file as it is; -1: absent */
	uint64_t base; /* where the content begins in a plain file that others share */
	uint64_t size; /* of the content */
	uint64_t stored; /* bytes of the file */
	struct seekable *table; /* NULL: fd has the content itself */
	bool shared;   /* fd and table belong to another one */
	struct seekable_cursor *cursor;
};
#define IMAGE_FILE_INIT { .fd = -1 }

/* Opens NAME or NAME.zst of a directory, nothing outside of it, regular files only. Absent: 0 and fd -1. */
int image_file_open(int dirfd, const char *name, struct image_file *f, struct err *err);
/* This one file, in whatever form it is, and takes the descriptor, also on failure. A zstd file without a seek table goes to memory. */
int image_file_take(int fd, struct image_file *f, struct err *err);
/* Another place in the same file, for another thread. The first one must live longer. */
void image_file_share(const struct image_file *f, struct image_file *copy);
void image_file_close(struct image_file *f);
#define cleanup_image_file cleanup(image_file_close)

int image_file_pread(struct image_file *f, void *buf, size_t n, uint64_t off, struct err *err);
/* NAME of a directory, or of a folder of a stream, whatever a manifest says of it. Absent: 0 and fd -1. */
int image_dir_file(const struct image_dir *dir, const char *name, struct image_file *f, struct err *err);
/* The same, as its manifest says. One that has entries and at most so many bytes is read at once where *small is given; thousands of
 * threads have thousands of those, so nothing is read twice. */
int image_dir_image(const struct image_dir *dir, enum image_kind kind, const char *name, size_t most, struct image_file *f,
		    uint8_t **small, struct err *err);
/* A raw image of a directory in either form, for reading at any place: compressed, one frame at a time is unpacked. */
int image_raw_file(struct image_dir *dir, enum image_kind kind, unsigned long id, struct image_file *f, struct err *err);
/* The content as a plain descriptor, which becomes the caller's (a copy of it when the file is shared); compressed content goes to a memfd,
 * by several threads. */
int image_file_plain(struct image_file *f, int *fd, struct err *err);
/* Compares contents by several threads: 1 the same, 0 not, *at says where (the first difference of some thread). */
int image_file_same(const struct image_file *a, const struct image_file *b, unsigned threads, uint64_t *at, struct err *err);

/* One file of a directory and nothing outside of it, whatever symbolic links say; a descriptor or -1 and errno. */
int open_beneath(int dirfd, const char *name);

/* The entries of an open directory from the beginning, whoever else reads from dirfd. *dir is the caller's, to be closed by
 * closedir(). */
int open_listing(int dirfd, DIR **dir, struct err *err);

#endif
