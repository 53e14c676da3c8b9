/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How cr-check shows what it found. */
#ifndef CR_CHECK_REPORT_H
#define CR_CHECK_REPORT_H

#include "common/base/strbuf.h"
#include "common/feature/kconfig.h"

/* What is asked for. result NULL: only listed. */
struct feature_row { const struct feature *f; const struct feature_result *result; };
struct option_row { const struct kconfig_option *o; const struct kconfig_verdict *verdict; };
struct findings {
	struct feature_row *features; /* in the order of their groups */
	size_t nfeatures;
	struct option_row *options;
	size_t noptions;
	bool listed;	    /* nothing was tested */
	const char *source; /* of the configuration, NULL when there is none */
	const char *note;   /* why there is none, "" otherwise */
	size_t total, bad, forbidden;
	struct strbuf names; /* of the bad ones */
	struct strbuf locks; /* tables of network locks that are kept, a line each */
};

void report_text(const struct findings *f);
void report_json(const struct findings *f);

#endif
