/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests as layers: each field of criu_opts, in JSON and in protobuf. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/opt/rpc.h"
#include "rpc.pb-c.h"

static int resolve(unsigned tool, const char *data, size_t len, struct opts **o, struct err *err)
{
	cleanup_rpc struct opt_rpc *rpc = NULL;
	char *argv[] = { (char *)"cr", NULL };
	int ret = opt_rpc_parse("request", data, len, &rpc, err);
	struct opt_env env = { NULL, NULL, NULL, rpc };

	return ret < 0 ? ret : opt_resolve(opt_tool_of(tool), 1, argv, &env, o, err);
}

static const struct { const char *json; unsigned tool; enum opt_id id; const char *value, *origin; } fields[] = {
	{ "'images_dir_fd': 5", TOOL_DUMP, OPT_IMAGES_DIR, "/proc/self/fd/5", "rpc.images_dir_fd" },
	{ "'images_dir_fd': -1", TOOL_DUMP, OPT_IMAGES_DIR, ".", NULL },
	{ "'images_dir_fd': 5, 'images_dir': '/i'", TOOL_DUMP, OPT_IMAGES_DIR, "/i", "rpc.images_dir" },
	{ "'pid': 7", TOOL_DUMP, OPT_TREE, "7", "rpc.pid" },
	{ "'pid': 0", TOOL_DUMP, OPT_TREE, NULL, NULL }, /* the asking process */
	{ "'leave_running': true", TOOL_DUMP, OPT_LEAVE_RUNNING, "yes", "rpc.leave_running" },
	{ "'leave_running': false", TOOL_DUMP, OPT_LEAVE_RUNNING, "no", "rpc.leave_running" },
	{ "'ext_unix_sk': true", TOOL_DUMP, OPT_EXT_UNIX_SK, "", "rpc.ext_unix_sk" },
	{ "'ext_unix_sk': false", TOOL_DUMP, OPT_EXT_UNIX_SK, NULL, NULL },
	{ "'unix_sk_ino': [{'inode': 4}, {'inode': 5}]", TOOL_DUMP, OPT_EXT_UNIX_SK, "4 5", "rpc.unix_sk_ino[0]" },
	{ "'tcp_established': true", TOOL_RESTORE, OPT_TCP_ESTABLISHED, "yes", "rpc.tcp_established" },
	{ "'log_level': 4", TOOL_DUMP, OPT_VERBOSITY, "4", "rpc.log_level" },
	{ "'log_file': 'x'", TOOL_DUMP, OPT_LOG_FILE, "x", "rpc.log_file" },
	{ "'log_file': ''", TOOL_DUMP, OPT_LOG_FILE, NULL, NULL },
	{ "'ps': {'address': 'a', 'port': 9}", TOOL_DUMP, OPT_ADDRESS, "a", "rpc.ps.address" },
	{ "'ps': {'address': 'a', 'port': 9}", TOOL_DUMP, OPT_PORT, "9", "rpc.ps.port" },
	{ "'ps': {'fd': 3}", TOOL_DUMP, OPT_PS_SOCKET, "3", "rpc.ps.fd" },
	{ "'ps': {}", TOOL_DUMP, OPT_PAGE_SERVER, "yes", "rpc.ps" },
	{ "'parent_img': '../0'", TOOL_DUMP, OPT_PREV_IMAGES_DIR, "../0", "rpc.parent_img" },
	{ "'work_dir_fd': 6", TOOL_RESTORE, OPT_WORK_DIR, "/proc/self/fd/6", "rpc.work_dir_fd" },
	{ "'veths': [{'if_in': 'e', 'if_out': 'v'}]", TOOL_RESTORE, OPT_VETH_PAIR, "e=v", "rpc.veths[0]" },
	{ "'cpu_cap': 4294967295", TOOL_DUMP, OPT_CPU_CAP, "all", "rpc.cpu_cap" },
	{ "'cpu_cap': 0", TOOL_DUMP, OPT_CPU_CAP, "none", "rpc.cpu_cap" },
	{ "'cpu_cap': 5", TOOL_DUMP, OPT_CPU_CAP, "fpu,ins", "rpc.cpu_cap" },
	{ "'exec_cmd': ['sh', '-c']", TOOL_RESTORE, OPT_EXEC_CMD, "yes", "rpc.exec_cmd" },
	{ "'ext_mnt': [{'key': 'k', 'val': 'v'}]", TOOL_DUMP, OPT_EXT_MOUNT_MAP, "k:v", "rpc.ext_mnt[0]" },
	{ "'manage_cgroups': true", TOOL_DUMP, OPT_MANAGE_CGROUPS, "soft", "rpc.manage_cgroups" },
	{ "'manage_cgroups': true, 'manage_cgroups_mode': 'STRICT'", TOOL_DUMP, OPT_MANAGE_CGROUPS, "strict",
	  "rpc.manage_cgroups_mode" },
	{ "'manage_cgroups_mode': 0", TOOL_DUMP, OPT_MANAGE_CGROUPS, "ignore", "rpc.manage_cgroups_mode" },
	{ "'manage_cgroups_mode': 6", TOOL_DUMP, OPT_MANAGE_CGROUPS, "soft", "rpc.manage_cgroups_mode" },
	{ "'cg_root': [{'ctrl': 'c', 'path': '/p'}, {'path': '/q'}]", TOOL_DUMP, OPT_CGROUP_ROOT, "c:/p /q", "rpc.cg_root[0]" },
	{ "'rst_sibling': true", TOOL_RESTORE, OPT_RESTORE_SIBLING, "yes", "rpc.rst_sibling" },
	{ "'inherit_fd': [{'key': 'pipe[1]', 'fd': 3}]", TOOL_RESTORE, OPT_INHERIT_FD, "fd[3]:pipe[1]", "rpc.inherit_fd[0]" },
	{ "'auto_ext_mnt': true, 'external': ['a', 'b', 'a']", TOOL_DUMP, OPT_EXTERNAL, "mnt[] a b", "rpc.auto_ext_mnt" },
	{ "'ext_sharing': true", TOOL_DUMP, OPT_ENABLE_EXTERNAL_SHARING, "yes", "rpc.ext_sharing" },
	{ "'skip_mnt': ['/a', '/b']", TOOL_DUMP, OPT_SKIP_MNT, "/a /b", "rpc.skip_mnt[0]" },
	{ "'ghost_limit': 4294967295", TOOL_DUMP, OPT_GHOST_LIMIT, "4294967295", "rpc.ghost_limit" },
	{ "'empty_ns': 1073741824", TOOL_DUMP, OPT_EMPTY_NS, "net", "rpc.empty_ns" },
	{ "'empty_ns': 1207959552", TOOL_DUMP, OPT_EMPTY_NS, "ipc net", "rpc.empty_ns" },
	{ "'join_ns': [{'ns': 'net', 'ns_file': '/n'}]", TOOL_RESTORE, OPT_JOIN_NS, "net:/n", "rpc.join_ns[0]" },
	{ "'join_ns': [{'ns': 'user', 'ns_file': '/n', 'extra_opt': '1,2'}]", TOOL_RESTORE, OPT_JOIN_NS, "user:/n,1,2",
	  "rpc.join_ns[0]" },
	{ "'timeout': 3", TOOL_DUMP, OPT_TIMEOUT, "3", "rpc.timeout" },
	{ "'status_fd': -1", TOOL_DUMP, OPT_STATUS_FD, NULL, NULL },
	{ "'status_fd': 0", TOOL_DUMP, OPT_STATUS_FD, "0", "rpc.status_fd" },
	{ "'pre_dump_mode': 'VM_READ'", TOOL_DUMP, OPT_PRE_DUMP_MODE, "read", "rpc.pre_dump_mode" },
	{ "'network_lock': 'SKIP'", TOOL_DUMP, OPT_NETWORK_LOCK, "skip", "rpc.network_lock" },
	{ "'tls_no_cn_verify': true", TOOL_DUMP, OPT_TLS_NO_CN_VERIFY, "yes", "rpc.tls_no_cn_verify" },
};

static char *with_quotes(const char *s)
{
	char *copy = xasprintf("{\"opts\": {%s}}", s);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static void each_field(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		cleanup_free char *json = with_quotes(fields[i].json), *value = NULL;
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;
		const struct opt_use *u;
		size_t n;

		if (resolve(fields[i].tool, json, strlen(json), &o, &err) < 0)
			fail_msg("%s: %s: %s", json, err.object, err.reason);
		value = opt_value_text(o, fields[i].id);
		if (!value != !fields[i].value || (value && strcmp(value, fields[i].value) != 0))
			fail_msg("%s: %s", json, value ? value : "unset");
		u = opt_uses(o, fields[i].id, &n);
		assert_true((n > 0) == (fields[i].origin != NULL));
		if (n) {
			const struct opt_use *which = opt_defs[fields[i].id].type == OPT_T_LIST ? &u[0] : &u[n - 1];
			cleanup_free char *origin = opt_origin_text(&which->origin);

			assert_string_equal(origin, fields[i].origin);
		}
	}
}

/* The table and the protocol have the same fields, and the table has each one once. */
static void table(void **state)
{
	for (unsigned i = 0; i < criu_opts__descriptor.n_fields; i++) {
		unsigned n = 0;

		for (const struct opt_rpc_field *f = opt_rpc_fields; f->name; f++)
			n += !strcmp(f->name, criu_opts__descriptor.fields[i].name);
		if (n != 1)
			fail_msg("criu_opts has a field %s, which the table has %u times", criu_opts__descriptor.fields[i].name, n);
	}
	for (const struct opt_rpc_field *f = opt_rpc_fields; f->name; f++) {
		assert_true((f->id == OPT_COUNT_) == (f->kind == RPC_NONE || f->kind == RPC_LAST));
		assert_true(strchr(f->name, '.') || protobuf_c_message_descriptor_get_field_by_name(&criu_opts__descriptor, f->name));
	}
}

static void protobuf(void **state)
{
	CriuOpts opts = CRIU_OPTS__INIT;
	CriuReq req = CRIU_REQ__INIT;
	char *list[] = { (char *)"a", (char *)"b" };
	unsigned char buf[256];
	size_t len;

	opts.images_dir_fd = 5;
	opts.has_pid = true;
	opts.pid = 77;
	opts.external = list;
	opts.n_external = 2;
	req.type = CRIU_REQ_TYPE__RESTORE;
	req.opts = &opts;
	for (unsigned i = 0; i < 2; i++) {
		cleanup_opts struct opts *o = NULL;
		cleanup_rpc struct opt_rpc *rpc = NULL;
		struct err err = ERR_INIT;
		size_t n;

		len = i ? criu_req__pack(&req, buf) : criu_opts__pack(&opts, buf);
		assert_true(len <= sizeof(buf));
		assert_int_equal(resolve(TOOL_DUMP, (char *)buf, len, &o, &err), 0);
		assert_int_equal(opt_int(o, OPT_TREE), 77);
		opt_list(o, OPT_EXTERNAL, &n);
		assert_int_equal(n, 2);
		assert_int_equal(opt_rpc_parse("r", buf, len, &rpc, &err), 0);
		assert_int_equal(opt_rpc_tool(rpc), i ? TOOL_RESTORE : 0);
		/* cut off anywhere, it is refused or is a shorter request; never anything else */
		for (size_t cut = 0; cut < len; cut++) {
			cleanup_opts struct opts *part = NULL;
			struct err e = ERR_INIT;

			if (resolve(TOOL_DUMP, (char *)buf, cut, &part, &e) < 0)
				assert_int_equal(e.kind, ERR_USAGE);
		}
	}
}

static void refusals(void **state)
{
	static const struct { const char *text, *object, *reason; } cases[] = {
		{ "{", "request", "JSON" },
		{ "{} {}", "request", "JSON" },
		{ "{\"opts\": 5}", "request", "object" },
		{ "{\"type\": \"NONSENSE\"}", "request", "type" },
		{ "{\"pid\": \"x\"}", "request: pid", "number" },
		{ "{\"nope\": 1}", "request", "nope" },
		{ "{\"external\": \"a\"}", "request: external", "array" },
		{ "{\"log_level\": 99}", "rpc.log_level", "out of range" },
		{ "{\"ps\": {\"port\": 70000}}", "rpc.ps.port", "out of range" },
		{ "{\"network_lock\": 9}", "rpc.network_lock", "no meaning" },
		{ "{\"network_lock\": 0}", "rpc.network_lock", "no meaning" },
		{ "{\"cpu_cap\": 64}", "rpc.cpu_cap", "no meaning" },
		{ "{\"empty_ns\": 1}", "rpc.empty_ns", "no meaning" },
		{ "{\"config_file\": \"/nonexistent/f\"}", "/nonexistent/f", "cannot read" },
		{ "\xff\xff\xff", "request", "neither JSON" },
		{ "{\"opts\": {\"opts\": {\"opts\": {}}}}", "request", "opts" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		if (resolve(TOOL_DUMP, cases[i].text, strlen(cases[i].text), &o, &err) >= 0)
			fail_msg("%s is accepted", cases[i].text);
		if (err.kind != ERR_USAGE || !strstr(err.object, cases[i].object) || !strstr(err.reason, cases[i].reason))
			fail_msg("%s: %s: %s", cases[i].text, err.object, err.reason);
	}
}

static void notes(void **state)
{
	static const char text[] = "{\"notify_scripts\": true, \"orphan_pts_master\": false, \"log_file\": \"\", \"images_dir_fd\": 3}";
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	size_t n;

	assert_int_equal(resolve(TOOL_DUMP, text, strlen(text), &o, &err), 0);
	opt_notes(o, &n);
	assert_int_equal(n, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field), cmocka_unit_test(table), cmocka_unit_test(protobuf),
		cmocka_unit_test(refusals),   cmocka_unit_test(notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
