/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The questions of cr-config. Each prints to standard output and returns 0, an exit code above 0, or a negative errno. */
#ifndef CR_CONFIG_H
#define CR_CONFIG_H

#include "common/base/strbuf.h"
#include "common/opt/opt.h"

/* own: the command line of cr-config itself, which stands for that of a binary when none is given. */
int cmd_resolve(const struct opts *o, char **own, struct err *err);
int cmd_validate(const struct opts *o, struct err *err); /* 1: there are problems */
int cmd_list(const struct opts *o, struct err *err);
int cmd_explain(const struct opts *o, struct err *err);
int cmd_init(const struct opts *o, struct err *err);

/* The option that an argument names, with dashes or without. */
int find_name(const char *name, enum opt_id *id, struct err *err);

#endif
