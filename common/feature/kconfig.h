/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's configuration: which options checkpoint and restore want, where they are in the menus, and what fails without
 * them. It explains and helps to build a kernel; what a running kernel can do is decided by the probes.
 */
#ifndef CR_FEATURE_KCONFIG_H
#define CR_FEATURE_KCONFIG_H

#include "common/feature/feature.h"

struct kconfig_option {
	const char *name; /* without CONFIG_ */
	enum feature_level level;
	const char *menu;    /* path in menuconfig */
	const char *why;
	const char *without; /* what fails */
	const char *feature; /* row of the features that shows it, NULL when none does */
	/* The feature is there exactly when the option is on. Otherwise it proves the option, but its lack proves nothing. */
	bool exact;
	const char *module; /* name of the module when it can be one */
	/* Options to set with it, blank-separated, for a fragment: what it depends on and what it is set by. */
	const char *needs;
	bool silent; /* without a prompt: only what it needs can be set */
};

const struct kconfig_option *kconfig_table(size_t *n);
const struct kconfig_option *kconfig_find(const char *name); /* without CONFIG_; NULL when it is not in the table */

enum kconfig_value { KCONFIG_N, KCONFIG_M, KCONFIG_Y };
enum kconfig_module { KCONFIG_NO_MODULE, KCONFIG_LOADED, KCONFIG_LOADABLE, KCONFIG_ABSENT };

struct kconfig;

/* Where the running kernel is looked for; an empty root is the real one. For tests. */
struct kconfig_host { const char *root, *release; };

/* Reads text, which may be compressed with gzip. name is what messages call it. 0, or ERR_USAGE. */
int kconfig_parse(const char *name, const void *data, size_t len, struct kconfig **out, struct err *err);
/* One file. 0, or ERR_USAGE. */
int kconfig_read(const char *path, struct kconfig **out, struct err *err);
/*
 * The configuration of the running kernel: the first of /proc/config.gz, /boot/config-RELEASE, /lib/modules/RELEASE/config that
 * can be read and understood. -ENOENT with ERR_FEATURE, and what is wrong with each, when none can: that is no reason to stop,
 * because the probes know better. host may be NULL.
 */
int kconfig_of_host(const struct kconfig_host *host, struct kconfig **out, struct err *err);
void kconfig_free(struct kconfig *k);
void kconfig_freep(struct kconfig **k);
#define cleanup_kconfig cleanup(kconfig_freep)

const char *kconfig_source(const struct kconfig *k); /* the path */
enum kconfig_value kconfig_get(const struct kconfig *k, const char *name); /* what is not mentioned is n */

struct kconfig_verdict {
	enum feature_state state;
	enum kconfig_value value;    /* y, m or n */
	enum kconfig_module module;  /* of an m of the running kernel */
	bool disagrees;		     /* the probe says something else than the configuration; state is the probe's */
	char text[FEATURE_WHY_MAX];  /* "" when there is nothing to add */
};

/*
 * Judges one option. k NULL: no configuration was found. probe NULL: of a kernel that does not run here. host as in
 * kconfig_of_host(): where modules are looked for, only with a probe.
 */
void kconfig_judge(const struct kconfig *k, const struct kconfig_option *o, const struct feature_result *probe,
		   const struct kconfig_host *host, struct kconfig_verdict *v);

/* True when the option hides others: EXPERT and EMBEDDED of old kernels, of interest only while CHECKPOINT_RESTORE is off. */
bool kconfig_hides(const struct kconfig_option *o);

/*
 * The lines that k lacks for these options, for scripts/kconfig/merge_config.sh: what can be a module is one where the kernel
 * has modules. Appends to out; returns how many options are missing.
 */
struct strbuf;
size_t kconfig_fragment(const struct kconfig *k, const struct kconfig_option *const *options, size_t n, struct strbuf *out);

#endif
