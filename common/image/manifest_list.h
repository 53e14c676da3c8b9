/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the reading of manifests. */
#ifndef CR_IMAGE_MANIFEST_LIST_H
#define CR_IMAGE_MANIFEST_LIST_H

#include "common/base/strbuf.h"
#include "common/image/manifest.h"

/*
 * Takes all images of a manifest that has them in the very form in which manifest_print() writes them, as nearly all have, into m,
 * sorted; *rest gets the text without them. False: another form, or something is wrong; m may have some of them then.
 */
bool manifest_take_list(const char *text, size_t len, struct manifest *m, struct strbuf *rest);

#endif
