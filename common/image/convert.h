/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form of an image in its directory: plain to compressed and back. The new file is written without a name, compared with the old
 * one, named, and only then is the old one taken away; so at every moment one whole form is there, and a second run goes on where the
 * first one ended.
 */
#ifndef CR_IMAGE_CONVERT_H
#define CR_IMAGE_CONVERT_H

#include "common/image/file.h"

struct convert_opts {
	int level;	  /* of zstd */
	unsigned threads;
	bool always;	  /* compress what does not get smaller too */
	void (*progress)(void *arg, const char *name, uint64_t done, uint64_t size); /* may be NULL */
	void *arg;
};

struct convert_result {
	bool changed;	 /* false: it stays as it is */
	uint64_t plain, packed; /* bytes of both forms */
};

/* name is the plain one. An image that has the form already is left alone. */
int image_compress(int dirfd, const char *name, const struct convert_opts *opts, struct convert_result *res, struct err *err);
int image_decompress(int dirfd, const char *name, const struct convert_opts *opts, struct convert_result *res, struct err *err);

#endif
