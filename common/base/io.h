/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole reads and writes. All retry on EINTR and short counts; none retries close(). */
#ifndef CR_BASE_IO_H
#define CR_BASE_IO_H

#include <sys/types.h>

#include "common/base/util.h"

/* Return 0, or a negative errno; reading past the end gives -ENODATA. */
int read_full(int fd, void *buf, size_t n);
int pread_full(int fd, void *buf, size_t n, off_t off);
int write_full(int fd, const void *buf, size_t n);
int pwrite_full(int fd, const void *buf, size_t n, off_t off);

/* n bytes at off of a file into a pipe without copying them, where both can do that: 0, -EINVAL: nothing was done, they cannot; or
 * another negative errno. The file must not change until they were read. */
int splice_full(int file, off_t off, int pipe, size_t n);
/* A pipe gets the size that anybody may give it: fewer and longer turns of both sides. Other files are left as they are. */
void pipe_widen(int fd);

/* Reads a whole file of unknown size (as in /proc) relative to dirfd. *out is malloc'ed, NUL-terminated and the
 * caller's; *len does not count the NUL. More than max bytes: -EFBIG. */
int read_file_at(int dirfd, const char *path, size_t max, char **out, size_t *len);
/* The same for files of /proc that the kernel makes as a whole (single_open(), simple_read_from_buffer()): a read that leaves room was
 * the last one, and no other is spent on finding the end. */
int read_piece_at(int dirfd, const char *path, size_t max, char **out, size_t *len);

/*
 * A small file that readers see whole or not at all: begin makes a private temporary file beside path (so that what can
 * fail fails early), commit writes it and renames it into place, release removes what was not committed. A link at path
 * is replaced, not followed. The mode is 0644 less the umask.
 */
struct new_file { char *path, *tmp; int fd; };
#define NEW_FILE_INIT { NULL, NULL, -1 }
int new_file_begin(struct new_file *f, const char *path);		     /* 0 or -errno */
int new_file_commit(struct new_file *f, const void *buf, size_t n); /* 0 or -errno */
void new_file_release(struct new_file *f);
#define cleanup_new_file cleanup(new_file_release)

/* path itself when it is absolute, else dir/path. malloc'ed. */
char *path_join(const char *dir, const char *path);

struct err;
/* Can a program of that name be run, as execvp(3) looks for it? what says what it is: "command". 0, or ERR_USAGE. */
int find_executable(const char *name, const char *what, struct err *err);

/* Strict numbers: the whole string, no sign surprises, in range. Return 0, -EINVAL or -ERANGE. */
int parse_u64(const char *s, int base, uint64_t *out);
int parse_i64(const char *s, int base, int64_t *out);

#endif
