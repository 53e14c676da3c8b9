/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/status (fs/proc/array.c, proc_pid_status): "Key:\tvalue" lines; newline and backslash in the name are escaped. */
#include "common/base/io.h"
#include "common/proc/scan.h"

enum type { T_COMM, T_STATE, T_PID, T_INT, T_UMASK, T_IDS, T_GROUPS, T_NSPID, T_HEX, T_KB };

static const struct key {
	const char *name;
	enum type type;
	size_t off;
	bool required;
} keys[] = {
#define KEY(name, type, field, required) { name, type, offsetof(struct proc_status, field), required }
	KEY("Name", T_COMM, comm, true),
	KEY("Umask", T_UMASK, umask, false),
	KEY("State", T_STATE, state, true),
	KEY("Tgid", T_PID, tgid, true),
	KEY("Pid", T_PID, pid, true),
	KEY("PPid", T_PID, ppid, true),
	KEY("TracerPid", T_PID, tracer, true),
	KEY("Uid", T_IDS, uid, true),
	KEY("Gid", T_IDS, gid, true),
	KEY("Groups", T_GROUPS, groups, true),
	KEY("NSpid", T_NSPID, nspid, false),
	KEY("VmLck", T_KB, vm_lck_kb, false),
	KEY("THP_enabled", T_INT, thp_enabled, false),
	KEY("Threads", T_INT, threads, true),
	KEY("SigPnd", T_HEX, sig_pnd, true),
	KEY("ShdPnd", T_HEX, shd_pnd, true),
	KEY("SigBlk", T_HEX, sig_blk, true),
	KEY("SigIgn", T_HEX, sig_ign, true),
	KEY("SigCgt", T_HEX, sig_cgt, true),
	KEY("CapInh", T_HEX, cap_inh, true),
	KEY("CapPrm", T_HEX, cap_prm, true),
	KEY("CapEff", T_HEX, cap_eff, true),
	KEY("CapBnd", T_HEX, cap_bnd, true),
	KEY("CapAmb", T_HEX, cap_amb, false),
	KEY("NoNewPrivs", T_INT, no_new_privs, false),
	KEY("Seccomp", T_INT, seccomp, false),
	KEY("Seccomp_filters", T_INT, seccomp_filters, false),
#undef KEY
};

static bool scan_comm(const char **p, char *out, size_t size)
{
	const char *s = *p;
	size_t n = 0;

	while (*s && *s != '\n') {
		char c = *s++;

		if (c == '\\' && (*s == 'n' || *s == '\\'))
			c = *s++ == 'n' ? '\n' : '\\';
		if (n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = 0;
	*p = s;
	return true;
}

static bool scan_ids(const char **p, uint32_t *ids)
{
	for (int i = 0; i < 4; i++) {
		if (i && !scan_char(p, '\t'))
			return false;
		if (!scan_u32(p, 10, &ids[i]))
			return false;
	}
	return true;
}

static int scan_groups(const char **p, struct arena *arena, struct proc_status *out)
{
	const char *s = *p;
	size_t n = 0;
	uint32_t gid;

	for (scan_blanks(&s); *s && *s != '\n'; scan_blanks(&s), n++)
		if (!scan_u32(&s, 10, &gid))
			return -EINVAL;
	if (n > PROC_GROUPS_MAX)
		return -E2BIG;
	out->ngroups = n;
	out->groups = n ? arena_alloc(arena, n * sizeof(*out->groups)) : NULL;
	for (size_t i = 0; i < n; i++) {
		scan_blanks(p);
		if (!scan_u32(p, 10, &out->groups[i]))
			return -EINVAL;
	}
	scan_blanks(p);
	return 0;
}

static bool scan_nspid(const char **p, struct proc_status *out)
{
	int depth = 0;

	do {
		if (!scan_int(p, &out->nspid))
			return false;
		depth++;
	} while (scan_char(p, '\t'));
	out->nspid_depth = depth;
	return true;
}

static int scan_value(const struct key *k, const char **p, struct arena *arena, struct proc_status *out)
{
	void *to = (char *)out + k->off;
	bool ok = false;

	switch (k->type) {
	case T_COMM:
		ok = scan_comm(p, out->comm, sizeof(out->comm));
		break;
	case T_STATE:
		if (**p && **p != '\n') {
			out->state = **p;
			*p = scan_eol(*p); /* the rest explains the letter */
			ok = true;
		}
		break;
	case T_PID:
	case T_INT:
		ok = scan_int(p, to);
		break;
	case T_UMASK:
		ok = scan_u32(p, 8, &out->umask);
		out->has_umask = ok;
		break;
	case T_IDS:
		ok = scan_ids(p, to);
		break;
	case T_GROUPS:
		return scan_groups(p, arena, out);
	case T_NSPID:
		ok = scan_nspid(p, out);
		break;
	case T_HEX:
		ok = scan_hex(p, to);
		break;
	case T_KB:
		scan_blanks(p);
		ok = scan_u64(p, 10, to) && scan_word(p, " kB");
		break;
	}
	return ok ? 0 : -EINVAL;
}

int proc_parse_status(const char *text, struct arena *arena, struct proc_status *out)
{
	const char *p = text;
	uint64_t seen = 0;
	size_t next = 0; /* keys stand in the kernel's order: the next one is nearly always the right one */

	_Static_assert(ARRAY_SIZE(keys) <= 64, "seen has a bit for each key");
	memset(out, 0, sizeof(*out));
	out->thp_enabled = -1;
	for (; *p; p += *p == '\n') {
		const char *colon = strchrnul(p, ':'), *eol = scan_eol(p);
		size_t len = (size_t)(colon - p);
		int ret;

		for (size_t tries = 0; tries < ARRAY_SIZE(keys) && colon < eol; tries++) {
			size_t i = (next + tries) % ARRAY_SIZE(keys);

			if (strncmp(keys[i].name, p, len) || keys[i].name[len])
				continue;
			if (seen >> i & 1)
				return -EINVAL;
			seen |= 1ull << i;
			next = i + 1;
			p = colon + 1;
			if (!scan_char(&p, '\t'))
				return -EINVAL;
			ret = scan_value(&keys[i], &p, arena, out);
			if (ret < 0)
				return ret;
			if (p != eol)
				return -EINVAL;
			break;
		}
		p = eol;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].required && !(seen >> i & 1))
			return -EINVAL;
	return 0;
}

int proc_status(int proc_fd, const char *path, struct arena *arena, struct proc_status *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read_piece(proc_fd, path, 2u << 20, &text, err); /* 65536 groups of up to 11 bytes */

	if (ret < 0)
		return ret;
	ret = proc_parse_status(text, arena, out);
	return ret < 0 ? scan_bad(err, path, ret) : 0;
}
