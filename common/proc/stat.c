/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/stat (fs/proc/array.c, do_task_stat): one line; the name in parentheses is raw and may hold any byte. */
#include "common/base/io.h"
#include "common/proc/scan.h"

enum { F_PPID = 4, F_PGRP, F_SESSION, F_TTY, F_TPGID, F_FLAGS,
       F_PRIORITY = 18, F_NICE, F_THREADS, F_START_TIME = 22, F_RSS = 24,
       F_START_CODE = 26, F_END_CODE, F_START_STACK,
       F_EXIT_SIGNAL = 38, F_RT_PRIORITY = 40, F_POLICY,
       F_START_DATA = 45, F_END_DATA, F_START_BRK, F_ARG_START, F_ARG_END, F_ENV_START, F_ENV_END, F_EXIT_CODE, F_END };

static int scan_fields(const char *p, uint64_t f[F_END])
{
	for (int i = F_PPID; i < F_END; i++) {
		int64_t neg;

		if (!scan_char(&p, ' '))
			return -EINVAL;
		if (*p == '-') {
			if (!scan_i64(&p, &neg))
				return -EINVAL;
			f[i] = (uint64_t)neg;
		} else if (!scan_u64(&p, 10, &f[i])) {
			return -EINVAL;
		}
	}
	return *p == '\n' || *p == ' ' || !*p ? 0 : -EINVAL;
}

int proc_parse_stat(const char *text, struct proc_stat *out)
{
	const char *p = text, *close = strrchr(text, ')');
	uint64_t f[F_END];
	size_t n;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!scan_int(&p, &out->pid) || !scan_word(&p, " (") || !close || close < p)
		return -EINVAL;
	n = (size_t)(close - p);
	if (n >= sizeof(out->comm))
		return -EINVAL;
	memcpy(out->comm, p, n);
	p = close + 1;
	if (!scan_char(&p, ' ') || !*p || *p == ' ')
		return -EINVAL;
	out->state = *p++;
	ret = scan_fields(p, f);
	if (ret < 0)
		return ret;
	out->ppid = (pid_t)f[F_PPID];
	out->pgrp = (pid_t)f[F_PGRP];
	out->session = (pid_t)f[F_SESSION];
	out->tty_nr = (int)f[F_TTY];
	out->tpgid = (pid_t)f[F_TPGID];
	out->flags = (uint32_t)f[F_FLAGS];
	out->priority = (int)f[F_PRIORITY];
	out->nice = (int)f[F_NICE];
	out->num_threads = (int)f[F_THREADS];
	out->exit_code = (int)f[F_EXIT_CODE];
	out->rt_priority = (int)f[F_RT_PRIORITY];
	out->policy = (int)f[F_POLICY];
	out->exit_signal = (int)f[F_EXIT_SIGNAL];
	out->start_time = f[F_START_TIME];
	out->rss = f[F_RSS];
	out->start_code = f[F_START_CODE];
	out->end_code = f[F_END_CODE];
	out->start_stack = f[F_START_STACK];
	out->start_data = f[F_START_DATA];
	out->end_data = f[F_END_DATA];
	out->start_brk = f[F_START_BRK];
	out->arg_start = f[F_ARG_START];
	out->arg_end = f[F_ARG_END];
	out->env_start = f[F_ENV_START];
	out->env_end = f[F_ENV_END];
	return 0;
}

int proc_stat(int proc_fd, const char *path, struct proc_stat *out, struct err *err)
{
	cleanup_free char *text = NULL;
	int ret = proc_read_piece(proc_fd, path, 8192, &text, err);

	if (ret < 0)
		return ret;
	ret = proc_parse_stat(text, out);
	return ret < 0 ? scan_bad(err, path, ret) : 0;
}
