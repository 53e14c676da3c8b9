/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For those who come from criu: what serves in the place of its words and of options that no engine of ours acts on. */
#include "common/opt/private.h"

#include <string.h>

#define NO_NAMESPACES "it is for tasks with namespaces of their own, which this version does not dump"
#define NO_CGROUP_SETTINGS "--manage-cgroups says all that is done about cgroups"
#define PIPE_IT "'cr-dump -D - | ssh HOST cr-restore -D -' sends all of a checkpoint to another host"
#define NOT_NEEDED "leave it out: "

static const struct {
	enum opt_id id;
	const char *text;
} instead[] = {
	{ OPT_STREAM, "-D - reads and writes a stream of all images, a tar" },
	{ OPT_GHOST_FIEMAP, NOT_NEEDED "holes of deleted files stay holes without it" },
	{ OPT_EVASIVE_DEVICES, NOT_NEEDED "a device whose path leads elsewhere is refused by name" },
	{ OPT_FORCE_IRMAP, NOT_NEEDED "watches are found by the file handles that the kernel shows" },
	{ OPT_IRMAP_SCAN_PATH, NOT_NEEDED "watches are found by the file handles that the kernel shows" },
	{ OPT_ROOT, NO_NAMESPACES },
	{ OPT_SKIP_MNT, NO_NAMESPACES },
	{ OPT_ENABLE_FS, NO_NAMESPACES },
	{ OPT_EXT_MOUNT_MAP, NO_NAMESPACES },
	{ OPT_ENABLE_EXTERNAL_SHARING, NO_NAMESPACES },
	{ OPT_ENABLE_EXTERNAL_MASTERS, NO_NAMESPACES },
	{ OPT_MNTNS_COMPAT_MODE, NO_NAMESPACES },
	{ OPT_EMPTY_NS, NO_NAMESPACES },
	{ OPT_JOIN_NS, "start cr-restore in the namespace (nsenter), which the tasks will then have" },
	{ OPT_LSM_MOUNT_CONTEXT, NO_NAMESPACES },
	{ OPT_WEAK_SYSCTLS, NO_NAMESPACES },
	{ OPT_VETH_PAIR, NO_NAMESPACES },
	{ OPT_UNPRIVILEGED, NOT_NEEDED "what a missing privilege forbids is told by name" },
	{ OPT_DEPRECATED, NOT_NEEDED "there are none" },
	{ OPT_LIBDIR, "there are no plugins" },
	{ OPT_FILE_VALIDATION, NOT_NEEDED "cr-dump writes what both methods need, and cr-restore chooses" },
	{ OPT_PAGE_SERVER, PIPE_IT },
	{ OPT_ADDRESS, PIPE_IT },
	{ OPT_PORT, PIPE_IT },
	{ OPT_PS_SOCKET, PIPE_IT },
	{ OPT_DAEMON, PIPE_IT },
	{ OPT_TLS, PIPE_IT },
	{ OPT_TLS_CACERT, PIPE_IT },
	{ OPT_TLS_CACRL, PIPE_IT },
	{ OPT_TLS_CERT, PIPE_IT },
	{ OPT_TLS_KEY, PIPE_IT },
	{ OPT_TLS_NO_CN_VERIFY, PIPE_IT },
	{ OPT_FREEZE_CGROUP, NOT_NEEDED "tasks are stopped one by one, also those of a cgroup" },
	{ OPT_CGROUP_ROOT, NO_CGROUP_SETTINGS },
	{ OPT_CGROUP_PROPS, NO_CGROUP_SETTINGS },
	{ OPT_CGROUP_PROPS_FILE, NO_CGROUP_SETTINGS },
	{ OPT_CGROUP_DUMP_CONTROLLER, NO_CGROUP_SETTINGS },
	{ OPT_CGROUP_YARD, NO_CGROUP_SETTINGS },
	{ OPT_LOG_PID, NOT_NEEDED "one log tells of all tasks" },
};

const char *opt_instead(enum opt_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(instead); i++)
		if (instead[i].id == id)
			return instead[i].text;
	return "leave it out, or use a version that does";
}

int opt_criu_word(const char *tool, const char *word, struct err *err, int ret)
{
	static const struct {
		const char *word, *tool, *how;
	} words[] = {
		{ "dump", "cr-dump", "cr-dump" },
		{ "pre-dump", "cr-dump", "cr-dump --pre-dump" },
		{ "restore", "cr-restore", "cr-restore" },
		{ "check", "cr-check", "cr-check" },
		{ "show", "cr-image", "cr-image show" },
		{ "dedup", "cr-image", "cr-image dedup" },
		{ "page-server", "", PIPE_IT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i].word))
			continue;
		if (!strcmp(words[i].tool, words[i].how) && !strcmp(words[i].tool, tool))
			return err_hint(err, ret, "leave the word out: %s does just that", tool);
		return err_hint(err, ret, *words[i].tool ? "it is '%s' here" : "%s", words[i].how);
	}
	return ret;
}
