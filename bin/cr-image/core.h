/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ELF core file of a task: its notes, and its memory. */
#ifndef CR_IMAGE_CORE_H
#define CR_IMAGE_CORE_H

#include "bin/cr-image/checkpoint.h"
#include "common/base/strbuf.h"

/* All notes, in the order in which the kernel writes them. */
int core_notes(struct ckpt *c, struct ckpt_task *t, struct strbuf *out, struct err *err);

#endif
