/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel configurations: files of several kernels, files that lie, where they are looked for, modules, and the probe's last word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/feature/kconfig.h"

static struct kconfig *of_text(const char *text)
{
	struct kconfig *k = NULL;
	struct err err = ERR_INIT;

	if (kconfig_parse("text", text, strlen(text), &k, &err))
		fail_msg("%s: %s", err.object, err.reason);
	return k;
}

static struct kconfig *of_file(const char *name)
{
	cleanup_free char *path = xasprintf("test/unit/data/kconfig/%s.config", name);
	struct kconfig *k = NULL;
	struct err err = ERR_INIT;

	if (access("test/unit/data", F_OK))
		skip(); /* run from elsewhere */
	if (kconfig_read(path, &k, &err))
		fail_msg("%s: %s", err.object, err.reason);
	return k;
}

static void test_table(void **state)
{
	static const char *const wanted[] = {
		"CHECKPOINT_RESTORE", "NAMESPACES", "UTS_NS", "IPC_NS", "SYSVIPC_SYSCTL", "PID_NS", "NET_NS", "FHANDLE", "EVENTFD",
		"EPOLL", "UNIX_DIAG", "INET_DIAG", "INET_UDP_DIAG", "PACKET_DIAG", "NETLINK_DIAG", "NETFILTER_XT_MARK", "TUN",
		"INOTIFY_USER", "FANOTIFY", "MEMCG", "CGROUP_DEVICE", "MACVLAN", "BRIDGE", "BINFMT_MISC", "IA32_EMULATION",
		"MEM_SOFT_DIRTY", "USERFAULTFD", "EXPERT", "EMBEDDED",
	};
	size_t n;
	const struct kconfig_option *o = kconfig_table(&n);

	assert_int_equal(n, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < n; i++) {
		assert_non_null(kconfig_find(wanted[i]));
		assert_ptr_equal(kconfig_find(o[i].name), &o[i]);
		assert_true(o[i].menu && o[i].why && o[i].without);
		if (o[i].feature)
			assert_non_null(feature_find(o[i].feature));
		else
			assert_true(kconfig_hides(&o[i]));
	}
	assert_int_equal(kconfig_find("CHECKPOINT_RESTORE")->level, FEATURE_REQUIRED);
	assert_int_equal(kconfig_find("MEM_SOFT_DIRTY")->level, FEATURE_EXTRA);
}

static void test_values(void **state)
{
	cleanup_kconfig struct kconfig *k = of_text("# a comment\r\n\r\nCONFIG_A=y\r\nCONFIG_B=m \n# CONFIG_C is not set\nCONFIG_D=n\n"
						    "CONFIG_E=\"text with = and #\"\nCONFIG_F=250\n#CONFIG_G is not set\n"
						    "# CONFIG_H is odd\nCONFIG_A=m\nCONFIG_AB=y\nCONFIG_LAST=y");
	static const struct { const char *name; enum kconfig_value value; } want[] = {
		{ "A", KCONFIG_M }, /* the last line counts */
		{ "B", KCONFIG_M }, { "C", KCONFIG_N }, { "D", KCONFIG_N }, { "E", KCONFIG_Y },	 { "F", KCONFIG_Y },
		{ "G", KCONFIG_N }, { "H", KCONFIG_N }, { "AB", KCONFIG_Y }, { "LAST", KCONFIG_Y }, { "", KCONFIG_N },
		{ "ZZZ", KCONFIG_N },
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(kconfig_get(k, want[i].name), want[i].value);
}

static void refused(const void *data, size_t len, const char *reason)
{
	struct kconfig *k = NULL;
	struct err err = ERR_INIT;

	assert_true(kconfig_parse("text", data, len, &k, &err) < 0);
	assert_null(k);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(err.object, "text");
	if (!strstr(err.reason, reason))
		fail_msg("%s", err.reason);
}

static size_t pack(const void *data, size_t len, void *out, size_t size)
{
	z_stream z = { .next_in = (void *)(uintptr_t)data, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)size };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static void test_hostile(void **state)
{
	static const char *const lines[] = { "CONFIG_=y", "CONFIG_A", "CONFIG_A=", "CONFIG_A y", "A=y", "<html>", "CONFIG_A-B=y",
					     "# CONFIG_ is not set" };
	static char big[9 << 20], packed[64 << 10];
	char text[256];
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(text, sizeof(text), "CONFIG_OK=y\n%s\n", lines[i]);
		refused(text, strlen(text), "line 2 is not");
	}
	refused("", 0, "no option");
	refused("# nothing\n\n", 11, "no option");
	refused("CONFIG_A=y\0CONFIG_B=y\n", 22, "line 1");
	memset(big, 'A', 200);
	memcpy(big, "CONFIG_", 7);
	memcpy(big + 198, "=y", 2);
	refused(big, 200, "line 1");
	/* A small file that unpacks to a large one, one that ends early, one that is no gzip after its first bytes. */
	memset(big, '\n', sizeof(big));
	refused(big, sizeof(big), "cannot be read");
	n = pack(big, sizeof(big), packed, sizeof(packed));
	refused(packed, n, "cannot be read");
	n = pack("CONFIG_A=y\n", 11, packed, sizeof(packed));
	for (size_t cut = 2; cut < n; cut++)
		refused(packed, cut, "cannot be unpacked");
	packed[12] = (char)~packed[12];
	refused(packed, n, "cannot be unpacked");
	refused("\x1f\x8b hello", 8, "cannot be unpacked");
}

static void test_packed(void **state)
{
	cleanup_kconfig struct kconfig *k = NULL;
	struct err err = ERR_INIT;
	char packed[256];
	size_t n = pack("CONFIG_A=m\n", 11, packed, sizeof(packed));

	assert_int_equal(kconfig_parse("x.gz", packed, n, &k, &err), 0);
	assert_int_equal(kconfig_get(k, "A"), KCONFIG_M);
	assert_string_equal(kconfig_source(k), "x.gz");
}

/* The numbers of options of each level that a kernel lacks. */
static void lacks(const char *file, unsigned required, unsigned extra)
{
	cleanup_kconfig struct kconfig *k = of_file(file);
	size_t n;
	const struct kconfig_option *o = kconfig_table(&n);
	unsigned have[3] = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct kconfig_verdict v;

		kconfig_judge(k, &o[i], NULL, NULL, &v);
		assert_int_equal(v.state == FEATURE_OK, v.value != KCONFIG_N);
		have[o[i].level] += v.state != FEATURE_OK && !kconfig_hides(&o[i]);
	}
	if (have[FEATURE_REQUIRED] != required || have[FEATURE_EXTRA] != extra)
		fail_msg("%s: %u and %u", file, have[FEATURE_REQUIRED], have[FEATURE_EXTRA]);
}

static void test_kernels(void **state)
{
	lacks("debian-6.1-amd64", 0, 0);
	lacks("debian-6.1-cloud-amd64", 0, 0);
	lacks("debian-6.12-amd64", 0, 0);
	lacks("debian-6.12-cloud-amd64", 0, 0);
	lacks("vm-6.18", 0, 1);
	lacks("old-hidden", 6, 9);
	lacks("tiny", 17, 10);
}

static char *fragment_of(const struct kconfig *k, size_t *missing)
{
	struct strbuf out = STRBUF_INIT;
	size_t n;
	const struct kconfig_option *o = kconfig_table(&n), *rows[64];

	for (size_t i = 0; i < n; i++)
		rows[i] = &o[i];
	*missing = kconfig_fragment(k, rows, n, &out);
	return out.s ? out.s : xstrdup("");
}

/* What a fragment adds is then all there, with nothing named twice; it sets m only where there are modules. */
static void completes(const char *file)
{
	cleanup_kconfig struct kconfig *k = of_file(file), *merged = NULL;
	cleanup_free char *fragment = NULL, *old = NULL, *again = NULL, *path = xasprintf("test/unit/data/kconfig/%s.config", file);
	cleanup_strbuf struct strbuf both = STRBUF_INIT;
	size_t missing;

	fragment = fragment_of(k, &missing);
	assert_int_equal(missing > 0, fragment[0] != 0);
	if (kconfig_get(k, "MODULES") != KCONFIG_Y)
		assert_null(strstr(fragment, "=m\n"));
	assert_int_equal(read_file_at(AT_FDCWD, path, 1 << 20, &old, NULL), 0);
	/* The one option without a prompt follows from what it needs. */
	strbuf_printf(&both, "%s%sCONFIG_SYSVIPC_SYSCTL=y\n", old, fragment);
	merged = of_text(both.s);
	again = fragment_of(merged, &missing);
	assert_string_equal(again, "");
	for (const char *line = fragment; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char one[160];

		if (*line == '#')
			continue;
		snprintf(one, sizeof(one), "\n%.*s", (int)strcspn(line, "\n") + 1, line);
		assert_int_equal(strncmp(line, "CONFIG_", 7), 0);
		if (strstr(line, one))
			fail_msg("twice:%s", one);
	}
}

static void test_fragment(void **state)
{
	cleanup_kconfig struct kconfig *old = of_file("old-hidden");
	cleanup_free char *fragment = NULL;
	size_t missing;

	completes("old-hidden");
	completes("tiny");
	completes("vm-6.18");
	completes("debian-6.12-amd64");
	fragment = fragment_of(old, &missing);
	assert_int_equal(missing, 15);
	assert_non_null(strstr(fragment, "CONFIG_EXPERT=y\nCONFIG_CHECKPOINT_RESTORE=y\n"));
	assert_non_null(strstr(fragment, "CONFIG_PACKET=y\nCONFIG_PACKET_DIAG=m\n"));
	assert_null(strstr(fragment, "EMBEDDED"));
	assert_null(strstr(fragment, "CONFIG_TUN"));
}

/* ---- a host that is a folder ---- */

static void put(const char *root, const char *path, const char *text, size_t len)
{
	cleanup_free char *whole = path_join(root, path);
	cleanup_fd int fd = -1;

	for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(whole, 0755);
		*slash = '/';
	}
	fd = open(whole, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, len), 0);
}

#define PUT(root, path, text) put(root, path, text, strlen(text))

static void source_is(const struct kconfig_host *host, const char *path)
{
	cleanup_kconfig struct kconfig *k = NULL;
	cleanup_free char *want = path ? xasprintf("%s%s", host->root, path) : NULL;
	struct err err = ERR_INIT;
	int ret = kconfig_of_host(host, &k, &err);

	assert_int_equal(ret, path ? 0 : -ENOENT);
	if (path)
		assert_string_equal(kconfig_source(k), want);
	else
		assert_true(err.kind == ERR_FEATURE && strstr(err.reason, "/boot/config-9.9: "));
}

static void remove_tree(const char *root)
{
	static const char *const names[] = {
		"lib/modules/9.9/config", "lib/modules/9.9/modules.dep", "lib/modules/9.9", "lib/modules", "lib", "boot/config-9.9",
		"boot", "proc/config.gz", "proc", "sys/module/tun/refcnt", "sys/module/tun", "sys/module", "sys",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cleanup_free char *path = path_join(root, names[i]);

		remove(path);
	}
	assert_int_equal(rmdir(root), 0);
}

static void test_places(void **state)
{
	cleanup_free char *root = xasprintf("%s/kconfig.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	struct kconfig_host host = { root, "9.9" };
	char packed[256];
	size_t n = pack("CONFIG_A=m\n", 11, packed, sizeof(packed));

	assert_non_null(mkdtemp(root));
	source_is(&host, NULL);
	PUT(root, "lib/modules/9.9/config", "CONFIG_A=y\n");
	source_is(&host, "/lib/modules/9.9/config");
	PUT(root, "boot/config-9.9", "CONFIG_A=y\n");
	source_is(&host, "/boot/config-9.9");
	PUT(root, "proc/config.gz", ""); /* masked */
	source_is(&host, "/boot/config-9.9");
	put(root, "proc/config.gz", packed, n);
	source_is(&host, "/proc/config.gz");
	remove_tree(root);
}

static void judged(const struct kconfig *k, const char *name, enum feature_state probe, const struct kconfig_host *host,
		   enum feature_state want, bool disagrees, const char *text)
{
	struct feature_result result = { .state = probe, .why = "the reason" };
	struct kconfig_verdict v;

	kconfig_judge(k, kconfig_find(name), &result, host, &v);
	assert_int_equal(v.state, want);
	assert_int_equal(v.disagrees, disagrees);
	if (!strstr(v.text, text) || (!text[0] && v.text[0]))
		fail_msg("%s: \"%s\"", name, v.text);
}

static void test_probe_wins(void **state)
{
	cleanup_kconfig struct kconfig *k = of_text("CONFIG_EPOLL=y\n# CONFIG_EVENTFD is not set\nCONFIG_IA32_EMULATION=y\n");

	judged(k, "EPOLL", FEATURE_OK, NULL, FEATURE_OK, false, "");
	judged(k, "EPOLL", FEATURE_MISSING, NULL, FEATURE_MISSING, true, "by the configuration it is there, but the probe says: the reason");
	judged(k, "EPOLL", FEATURE_NO_PERMISSION, NULL, FEATURE_OK, false, "");
	judged(k, "EPOLL", FEATURE_UNKNOWN, NULL, FEATURE_OK, false, "");
	judged(k, "EVENTFD", FEATURE_OK, NULL, FEATURE_OK, true, "but the probe of eventfd worked");
	judged(k, "EVENTFD", FEATURE_MISSING, NULL, FEATURE_MISSING, false, "not set");
	judged(k, "EVENTFD", FEATURE_NO_PERMISSION, NULL, FEATURE_MISSING, false, "not set");
	/* A 32-bit program needs more than its option: the lack of the feature says nothing of the option. */
	judged(k, "IA32_EMULATION", FEATURE_MISSING, NULL, FEATURE_OK, false, "");
	judged(NULL, "EPOLL", FEATURE_OK, NULL, FEATURE_OK, false, "");
	judged(NULL, "EPOLL", FEATURE_MISSING, NULL, FEATURE_MISSING, false, "the reason");
	judged(NULL, "EPOLL", FEATURE_NO_PERMISSION, NULL, FEATURE_NO_PERMISSION, false, "the reason");
	judged(NULL, "IA32_EMULATION", FEATURE_MISSING, NULL, FEATURE_UNKNOWN, false, "the reason");
}

static void test_modules(void **state)
{
	cleanup_kconfig struct kconfig *k = of_text("CONFIG_TUN=m\nCONFIG_MACVLAN=m\nCONFIG_PACKET_DIAG=m\nCONFIG_BRIDGE=m\n");
	cleanup_free char *root = xasprintf("%s/kconfig.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	struct kconfig_host host = { root, "9.9" };

	assert_non_null(mkdtemp(root));
	judged(k, "TUN", FEATURE_NO_PERMISSION, &host, FEATURE_MISSING, false, "neither loaded nor installed");
	PUT(root, "sys/module/tun/refcnt", "0\n");
	PUT(root, "lib/modules/9.9/modules.dep",
	    "kernel/net/xbridge.ko:\nkernel/drivers/net/macvlan.ko.xz: kernel/x.ko\nkernel/net/packet/af-packet-diag.ko.zst:\n"
	    "kernel/net/bridge/bridges.ko: kernel/net/bridge/bridge.ko\n");
	judged(k, "TUN", FEATURE_NO_PERMISSION, &host, FEATURE_OK, false, "the module tun is loaded");
	judged(k, "MACVLAN", FEATURE_NO_PERMISSION, &host, FEATURE_OK, false, "not loaded; the kernel loads it");
	judged(k, "PACKET_DIAG", FEATURE_UNKNOWN, &host, FEATURE_OK, false, "not loaded");
	/* Other modules with such a name, and one that only another depends on, are not it. */
	judged(k, "BRIDGE", FEATURE_UNKNOWN, &host, FEATURE_MISSING, false, "neither");
	judged(k, "BRIDGE", FEATURE_OK, &host, FEATURE_OK, true, "worked");
	remove_tree(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_values),	   cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_packed),	cmocka_unit_test(test_kernels),	   cmocka_unit_test(test_fragment),
		cmocka_unit_test(test_places),	cmocka_unit_test(test_probe_wins), cmocka_unit_test(test_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
