/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands of cr-image. Each takes its resolved options and returns the exit status or a
 * negative errno with err filled. */
#ifndef CR_IMAGE_CR_IMAGE_H
#define CR_IMAGE_CR_IMAGE_H

#include "common/image/image.h"
#include "common/opt/opt.h"

int cmd_show(const struct opts *o, struct err *err);
int cmd_decode(const struct opts *o, struct err *err);
int cmd_encode(const struct opts *o, struct err *err);
int cmd_info(const struct opts *o, struct err *err);
int cmd_edit(const struct opts *o, struct err *err);
int cmd_set(const struct opts *o, struct err *err);
int cmd_diff(const struct opts *o, struct err *err);
int cmd_graph(const struct opts *o, struct err *err);
int cmd_report(const struct opts *o, struct err *err);
int cmd_core(const struct opts *o, struct err *err);
int cmd_mem(const struct opts *o, struct err *err);
int cmd_search(const struct opts *o, struct err *err);
int cmd_strings(const struct opts *o, struct err *err);
int cmd_compress(const struct opts *o, struct err *err);
int cmd_decompress(const struct opts *o, struct err *err);
int cmd_check(const struct opts *o, struct err *err);
int cmd_dedup(const struct opts *o, struct err *err);
int cmd_flatten(const struct opts *o, struct err *err);
int cmd_pack(const struct opts *o, struct err *err);
int cmd_unpack(const struct opts *o, struct err *err);
int cmd_seal(const struct opts *o, struct err *err);
int cmd_x(const struct opts *o, struct err *err);

/* Opens an image for reading; "-" and NULL are standard input. */
int open_image(const char *path, struct image_reader **rd, struct err *err);

/* Opens a device, fifo or socket for writing, which no new file may take the place of. -1: path is none of these. */
int open_special(const char *path);

/* Calls f for the operand, or for each image in it, by name, when it is a directory. Other files in it are passed over. */
typedef int (*each_image_fn)(const char *path, void *data, struct err *err);
bool is_directory(const char *path);
int each_image(const char *path, each_image_fn f, void *data, struct err *err);

#endif
