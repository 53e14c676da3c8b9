/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes together and what does not, and a value of each option for those who need to see one. */
#include <errno.h>
#include <regex.h>
#include <string.h>

#include "common/opt/private.h"

const struct opt_rule opt_rules[] = {
	{ OPT_R_CONFLICT, OPT_LEAVE_RUNNING, OPT_LEAVE_STOPPED, OPT_COUNT_, "a task either goes on or stops" },
	{ OPT_R_CONFLICT, OPT_TCP_ESTABLISHED, OPT_TCP_CLOSE, OPT_COUNT_, "a connection is either kept or closed" },
	{ OPT_R_NEEDS, OPT_ADDRESS, OPT_PAGE_SERVER, OPT_LAZY_PAGES, "it is the address of a page server" },
	{ OPT_R_NEEDS, OPT_PORT, OPT_PAGE_SERVER, OPT_LAZY_PAGES, "it is the port of a page server" },
	{ OPT_R_NEEDS, OPT_PS_SOCKET, OPT_PAGE_SERVER, OPT_LAZY_PAGES, "it leads to a page server" },
	{ OPT_R_IGNORED, OPT_ADDRESS, OPT_PS_SOCKET, OPT_COUNT_, "a connected socket needs no address" },
	{ OPT_R_IGNORED, OPT_PORT, OPT_PS_SOCKET, OPT_COUNT_, "a connected socket needs no port" },
	{ OPT_R_NEEDS, OPT_TLS, OPT_PAGE_SERVER, OPT_LAZY_PAGES, "only pages travel over a network" },
	{ OPT_R_NEEDS, OPT_TLS_CACERT, OPT_TLS, OPT_COUNT_, "certificates are for TLS" },
	{ OPT_R_NEEDS, OPT_TLS_CACRL, OPT_TLS, OPT_COUNT_, "certificates are for TLS" },
	{ OPT_R_NEEDS, OPT_TLS_CERT, OPT_TLS, OPT_COUNT_, "certificates are for TLS" },
	{ OPT_R_NEEDS, OPT_TLS_KEY, OPT_TLS, OPT_COUNT_, "keys are for TLS" },
	{ OPT_R_NEEDS, OPT_TLS_NO_CN_VERIFY, OPT_TLS, OPT_COUNT_, "certificates are for TLS" },
	{ OPT_R_NEEDS, OPT_IRMAP_SCAN_PATH, OPT_FORCE_IRMAP, OPT_COUNT_, "paths are scanned only then" },
	{ OPT_R_CONFLICT, OPT_AUTO_DEDUP, OPT_IMAGES_DIR, OPT_COUNT_,
	  "a stream has gone by, so there are no images to give room back from", "-" },
	{ OPT_R_CONFLICT, OPT_PREV_IMAGES_DIR, OPT_IMAGES_DIR, OPT_COUNT_,
	  "a stream cannot be part of a chain of checkpoints; --iterate sends rounds down the stream", "-" },
	{ OPT_R_CONFLICT, OPT_COW_PAGES, OPT_PREV_IMAGES_DIR, OPT_COUNT_,
	  "pages that a parent process has cannot be part of a chain of checkpoints" },
	{ OPT_R_CONFLICT, OPT_COW_PAGES, OPT_ITERATE, OPT_COUNT_,
	  "pages that a parent process has cannot be part of a chain of checkpoints" },
	{ OPT_R_CONFLICT, OPT_PRE_DUMP, OPT_COW_PAGES, OPT_COUNT_,
	  "pages that a parent process has cannot be part of a chain of checkpoints" },
	{ OPT_R_CONFLICT, OPT_PRE_DUMP, OPT_IMAGES_DIR, OPT_COUNT_,
	  "a stream cannot be part of a chain of checkpoints; --iterate sends rounds down the stream", "-" },
	{ OPT_R_CONFLICT, OPT_PRE_DUMP, OPT_ITERATE, OPT_COUNT_,
	  "the rounds of --iterate are pre-dumps, and a dump ends them; --pre-dump is one alone" },
	{ OPT_R_CONFLICT, OPT_PRE_DUMP, OPT_LEAVE_STOPPED, OPT_COUNT_, "the tasks of a pre-dump go on" },
	{ OPT_R_CONFLICT, OPT_PLAN, OPT_CHECK, OPT_COUNT_, "each prints something else in the place of a restore" },
	{ OPT_R_CONFLICT, OPT_EXEC_CMD, OPT_RESTORE_SIBLING, OPT_COUNT_,
	  "the one makes the command the parent of the root task, the other makes it the caller" },
	{ OPT_R_NEEDS, OPT_ACTION_TIMEOUT, OPT_ACTION_SCRIPT, OPT_COUNT_, "it is the time that a script has" },
	{ OPT_R_CONFLICT, OPT_COUNT_, OPT_COUNT_, OPT_COUNT_, NULL },
};

static const char *const examples[OPT_COUNT_] = {
	[OPT_TREE] = "4711",
	[OPT_IMAGES_DIR] = "/var/lib/checkpoints/web",
	[OPT_WORK_DIR] = "/var/log/checkpoints/web",
	[OPT_ITERATE] = "50ms",
	[OPT_TRACK] = "content",
	[OPT_PREV_IMAGES_DIR] = "../1",
	[OPT_PIDFILE] = "web.pid",
	[OPT_STATUS_FD] = "3",
	[OPT_PHASE_FD] = "4",
	[OPT_ACTION_TIMEOUT] = "60",
	[OPT_ACTION_SCRIPT] = "/usr/local/lib/checkpoint-stage",
	[OPT_EXTERNAL] = "mnt[/data]:data",
	[OPT_INHERIT_FD] = "fd[3]:pipe[4711]",
	[OPT_IRMAP_SCAN_PATH] = "/srv",
	[OPT_ROOT] = "/var/lib/machines/web",
	[OPT_SKIP_MNT] = "/mnt/scratch",
	[OPT_ENABLE_FS] = "ext4,xfs",
	[OPT_EXT_MOUNT_MAP] = "/data:data",
	[OPT_EMPTY_NS] = "net",
	[OPT_JOIN_NS] = "net:/run/netns/web",
	[OPT_LSM_PROFILE] = "apparmor:web",
	[OPT_LSM_MOUNT_CONTEXT] = "system_u:object_r:container_file_t:s0",
	[OPT_CPU_CAP] = "fpu,ins",
	[OPT_LIBDIR] = "/usr/lib/criu",
	[OPT_CLOSE] = "7",
	[OPT_ADDRESS] = "192.0.2.1",
	[OPT_PORT] = "27000",
	[OPT_PS_SOCKET] = "5",
	[OPT_TLS_CACERT] = "/etc/pki/CA/cacert.pem",
	[OPT_TLS_CACRL] = "/etc/pki/CA/cacrl.pem",
	[OPT_TLS_CERT] = "/etc/pki/criu/cert.pem",
	[OPT_TLS_KEY] = "/etc/pki/criu/private/key.pem",
	[OPT_MANAGE_CGROUPS] = "soft",
	[OPT_FREEZE_CGROUP] = "/sys/fs/cgroup/web",
	[OPT_CGROUP_ROOT] = "cpu:/web",
	[OPT_CGROUP_PROPS] = "\"cpu\": { \"properties\": [ \"cpu.weight\" ] }",
	[OPT_CGROUP_PROPS_FILE] = "/etc/criu/cgroup-props.yaml",
	[OPT_CGROUP_DUMP_CONTROLLER] = "cpu",
	[OPT_CGROUP_YARD] = "/sys/fs/cgroup",
	[OPT_EXT_UNIX_SK] = "4711",
	[OPT_VETH_PAIR] = "eth0=veth0",
	[OPT_KCONFIG] = "/boot/config-6.1.0-18-amd64",
	[OPT_FEATURE] = "userfaultfd",
	[OPT_IN] = "core-4711.img",
	[OPT_OUT] = "core-4711.json",
	[OPT_OPTION] = "ghost-limit",
	[OPT_EXPLAIN] = "ghost-limit",
	[OPT_RPC] = "request.json",
	[OPT_CONFIG] = "web.conf",
	[OPT_LOG_FILE] = "dump.log",
	[OPT_VERBOSITY] = "4",
	[OPT_GHOST_LIMIT] = "64M",
	[OPT_TIMEOUT] = "30",
	[OPT_FILE_VALIDATION] = "filesize",
	[OPT_NETWORK_LOCK] = "nftables",
	[OPT_PRE_DUMP_MODE] = "read",
	[OPT_FOR] = "cr-restore",
	[OPT_AS] = "runc",
	[OPT_LOG_FORMAT] = "json",
};

const char *opt_example(enum opt_id id)
{
	const struct opt_def *d = &opt_defs[id];

	if (d->type == OPT_T_BOOL)
		return "";
	return examples[id]				       ? examples[id]
	       : d->deflt				       ? d->deflt
	       : d->type == OPT_T_INT || d->type == OPT_T_SIZE ? "1"
							       : d->arg;
}

/*
 * Forms of values that are text to the parser. Binaries judge them where they use them, with more knowledge; whoever checks a
 * file wants to hear of a slip now.
 */
#define CAP "\\^?(none|fpu|ins|cpu|all|image)"
static const struct {
	enum opt_id id;
	const char *pattern; /* extended regular expression for all of the value */
	const char *allowed;
} forms[] = {
	{ OPT_CPU_CAP, CAP "(," CAP ")*",
	  "none, fpu, ins, cpu and all, with commas between and ^ before what is taken out" },
	{ OPT_EMPTY_NS, "net", "net" },
	{ OPT_EXTERNAL, "[a-z]+\\[.*\\](:.+)?", "TYPE[ID] and TYPE[ID]:VALUE" },
	{ OPT_INHERIT_FD, "fd\\[[0-9]+\\]:.+", "fd[N]:RESOURCE" },
	{ OPT_VETH_PAIR, "[^=]+=[^=]+", "IN=OUT" },
	{ OPT_EXT_MOUNT_MAP, "auto|[^:]+:.+", "KEY:VALUE and auto" },
	{ OPT_JOIN_NS, "(net|mnt|uts|ipc|pid|user|cgroup|time):.+",
	  "net, mnt, uts, ipc, pid, user, cgroup or time, ':', and a pid or file" },
	{ OPT_LSM_PROFILE, "none|(apparmor|selinux):.+", "apparmor:NAME, selinux:NAME and none" },
	{ OPT_CLOSE, "[0-9]+", "the number of a descriptor" },
	{ OPT_CGROUP_ROOT, "([^:]+:)?/.*", "PATH and CONTROLLER:PATH, the path from /" },
	{ OPT_EXT_UNIX_SK, "([0-9]+(,[0-9]+)*)?", "inode numbers with commas between" },
};

const char *opt_wrong_form(enum opt_id id, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		cleanup_free char *whole = NULL;
		regex_t re;
		int ret;

		if (forms[i].id != id)
			continue;
		whole = xasprintf("^(%s)$", forms[i].pattern);
		if (regcomp(&re, whole, REG_EXTENDED | REG_NOSUB))
			abort(); /* a mistake in the row */
		ret = regexec(&re, value, 0, NULL, 0);
		regfree(&re);
		return ret ? forms[i].allowed : NULL;
	}
	return NULL;
}

char *opt_rule_other(const struct opt_rule *r)
{
	return xasprintf("%s%s%s", opt_defs[r->b].name, r->value ? " " : "", r->value ? r->value : "");
}

/* The option says what the rule is about: a switch that is on, a value that is given. */
static const struct opt_use *active(const struct opts *o, enum opt_id id)
{
	const struct opt_slot *slot = id < OPT_COUNT_ ? &o->slots[id] : NULL;

	if (!slot || !slot->n || (opt_defs[id].type == OPT_T_BOOL && !slot->number))
		return NULL;
	return &slot->uses[slot->n - 1];
}

static const struct opt_use *active_other(const struct opts *o, const struct opt_rule *r)
{
	const struct opt_use *b = active(o, r->b);

	return b && r->value && strcmp(b->text, r->value) != 0 ? NULL : b;
}

int opt_check_rules(struct opts *o, struct err *err)
{
	for (const struct opt_rule *r = opt_rules; r->a != OPT_COUNT_; r++) {
		const struct opt_use *a = active(o, r->a), *b = active_other(o, r);
		const char *one = opt_defs[r->a].name;
		cleanup_free char *at = NULL, *beside = NULL, *other = opt_rule_other(r);

		/* What this binary does not act on contradicts no value of what it does. */
		if (r->kind != OPT_R_CONFLICT || !a || !b || (r->value && !(opt_defs[r->a].acts & o->mask)))
			continue;
		at = opt_origin_text(&a->origin);
		beside = opt_origin_text(&b->origin);
		if (!(opt_defs[r->a].acts & o->mask) || !(opt_defs[r->b].acts & o->mask)) {
			opt_note(o, "%s (%s) and %s (%s) contradict each other: %s", one, at, other, beside, r->why);
			continue;
		}
		err_set(err, ERR_USAGE, 0, "%s (%s) and %s (%s) contradict each other: %s", one, at, other, beside,
			r->why);
		if (opt_defs[r->b].type == OPT_T_BOOL)
			return err_hint(err, -EINVAL, "--no-%s or --no-%s takes one back", one, other);
		if (opt_defs[r->a].type == OPT_T_BOOL)
			return err_hint(err, -EINVAL, "leave one of them out, or take it back with --no-%s", one);
		return err_hint(err, -EINVAL, "leave one of them out");
	}
	return 0;
}

/* ---- what a checked file says as a whole ---- */

/* The line that a use stands on, for those who want to show it. */
static const char *line_of(const char *text, size_t len, unsigned line, size_t *n)
{
	const char *end = text + len, *nl;

	while (line > 1 && (nl = memchr(text, '\n', (size_t)(end - text)))) {
		text = nl + 1;
		line--;
	}
	nl = memchr(text, '\n', (size_t)(end - text));
	*n = (size_t)((nl ? nl : end) - text);
	if (*n && text[*n - 1] == '\r')
		--*n;
	if (*n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		*n -= 3;
	}
	return text;
}

static void report(const struct opts *o, enum opt_id id, const struct opt_use *u, bool warning, const char *text,
		   size_t len, const char *reason, const char *hint)
{
	struct opt_problem p = { .file = u->origin.file,
				 .line = u->origin.line,
				 .column = u->origin.column,
				 .warning = warning,
				 .width = (unsigned)strlen(opt_defs[id].name),
				 .relation = true,
				 .reason = reason,
				 .hint = hint };

	if (text)
		p.source = line_of(text, len, u->origin.line, &p.source_len);
	o->check->fn(o->check->arg, &p);
}

static void report_conflict(const struct opts *o, const struct opt_rule *r, const char *file, const char *text,
			    size_t len)
{
	const struct opt_use *a = active(o, r->a), *b = active_other(o, r);
	enum opt_id first = r->a, last = r->b;
	cleanup_free char *reason = NULL, *hint = NULL, *at = NULL;

	if (!a || !b || (!file && a->origin.file == b->origin.file)) /* within one file it was told with that file */
		return;
	if (a->origin.layer > b->origin.layer ||
	    (a->origin.layer == b->origin.layer && a->origin.line > b->origin.line)) {
		const struct opt_use *t = a;

		a = b;
		b = t;
		first = r->b;
		last = r->a;
	}
	at = file ? xasprintf("line %u", a->origin.line) : opt_origin_text(&a->origin);
	reason = xasprintf("%s: contradicts %s (%s): %s", opt_defs[last].name, opt_defs[first].name, at, r->why);
	hint = opt_defs[first].type == OPT_T_BOOL ? xasprintf("leave one of them out, or take it back with no-%s", opt_defs[first].name) :
						    xstrdup("leave one of them out");
	/* An error for those binaries that would act on both: they refuse it. */
	report(o, last, b, !(opt_defs[first].acts & opt_defs[last].acts), text, len, reason, hint);
}

void opt_check_end(struct opts *o, const char *file, const char *text, size_t len)
{
	for (const struct opt_rule *r = opt_rules; r->a != OPT_COUNT_; r++) {
		const struct opt_use *a = active(o, r->a);
		cleanup_free char *reason = NULL;

		if (r->kind == OPT_R_CONFLICT) {
			report_conflict(o, r, file, text, len);
		} else if (!a ||
			   !file) { /* what is missing here may stand in another file; that is worth a word only once */
			continue;
		} else if (r->kind == OPT_R_NEEDS && !active(o, r->b) && !active(o, r->c)) {
			reason = xasprintf("%s: no effect without %s%s%s: %s", opt_defs[r->a].name, opt_defs[r->b].name,
					   r->c != OPT_COUNT_ ? " or " : "",
					   r->c != OPT_COUNT_ ? opt_defs[r->c].name : "", r->why);
			report(o, r->a, a, true, text, len, reason, "");
		} else if (r->kind == OPT_R_IGNORED && active(o, r->b)) {
			reason = xasprintf("%s: no effect beside %s: %s", opt_defs[r->a].name, opt_defs[r->b].name,
					   r->why);
			report(o, r->a, a, true, text, len, reason, "");
		}
	}
}
