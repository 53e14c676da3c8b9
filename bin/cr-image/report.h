/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A checkpoint as one HTML page. */
#ifndef CR_IMAGE_REPORT_H
#define CR_IMAGE_REPORT_H

#include "bin/cr-image/x.h"

/* The whole page. */
int report_write(struct ckpt *c, FILE *f, struct err *err);
/* Text between tags or in a quoted attribute. */
void html_text(FILE *f, const char *s);

#endif
