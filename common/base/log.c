/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/strbuf.h"

int log_open(struct log *log, const char *prog, const char *path, int level, bool json, struct err *err)
{
	*log = (struct log){ .file = stderr, .level = level < LOG_ERROR ? LOG_ERROR : (enum log_level)level,
			     .json = json, .prog = prog, .start_ns = now_ns() };
	/* Names of what we have open lead through links, which are not followed below. */
	if (!path || !strcmp(path, "/dev/stderr"))
		return 0;
	if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout")) {
		log->file = stdout;
		return 0;
	}
	/*
	 * A log in a directory that others may write must not be led astray by a link that they put there, nor held up
	 * by a FIFO that nobody reads.
	 */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open the log"), "%s", path);
	if (fcntl(fd, F_SETFL, 0) < 0 || !(log->file = fdopen(fd, "w"))) {
		int ret = err_object(err, err_sys(err, "cannot open the log"), "%s", path);

		close(fd);
		return ret;
	}
	setvbuf(log->file, NULL, _IOLBF, 0);
	log->owned = true;
	return 0;
}

void log_close(struct log *log)
{
	if (log->owned)
		fclose(log->file);
	*log = (struct log){ 0 };
}

void log_line(const struct log *log, enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "", "error", "warning", "info", "debug" };
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	uint64_t t = now_ns() - log->start_ns;
	char msg[1024];
	va_list ap;

	if (!log->file)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (log->json)
		strbuf_printf(&b, "{\"time_us\":%llu,\"level\":\"%s\",\"tool\":\"%s\",\"text\":\"",
			      (unsigned long long)t / 1000, names[level], log->prog);
	else
		strbuf_printf(&b, "(%02llu.%06llu) %s: ", (unsigned long long)(t / 1000000000u),
			      (unsigned long long)(t / 1000 % 1000000), names[level]);
	if (log->json)
		strbuf_put_json(&b, msg);
	else
		strbuf_put_clean(&b, msg);
	fprintf(log->file, log->json ? "%s\"}\n" : "%s\n", b.s);
}
