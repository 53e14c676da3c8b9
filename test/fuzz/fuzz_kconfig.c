/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel configurations as hostile input, packed or not. What is accepted, together with its own fragment, lacks nothing but the
 * option without a prompt.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/strbuf.h"
#include "common/feature/kconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t missing(const struct kconfig *k, struct strbuf *out)
{
	const struct kconfig_option *rows[64];
	size_t n;
	const struct kconfig_option *o = kconfig_table(&n);

	for (size_t i = 0; i < n; i++) {
		struct kconfig_verdict v;

		rows[i] = &o[i];
		kconfig_judge(k, &o[i], NULL, NULL, &v);
		if ((v.state == FEATURE_OK) != (v.value != KCONFIG_N))
			abort();
	}
	return kconfig_fragment(k, rows, n, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_kconfig struct kconfig *k = NULL, *merged = NULL;
	cleanup_strbuf struct strbuf fragment = STRBUF_INIT, both = STRBUF_INIT, again = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (kconfig_parse("fuzz", data, size, &k, &err) < 0) {
		if (err.kind != ERR_USAGE || !err.object[0] || !err.reason[0])
			abort(); /* an error without place or reason helps nobody */
		return 0;
	}
	missing(k, &fragment);
	if (size > 1 && data[0] == 0x1f && data[1] == 0x8b)
		return 0;
	strbuf_add(&both, data, size);
	strbuf_printf(&both, "\n%sCONFIG_SYSVIPC_SYSCTL=y\n", fragment.s ? fragment.s : "");
	if (kconfig_parse("merged", both.s, both.len, &merged, &err) < 0) {
		if (size < (3u << 20))
			abort();
		return 0;
	}
	if (missing(merged, &again))
		abort();
	return 0;
}
