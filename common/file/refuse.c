// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptions that no kind takes: said by name, with what would help. */
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "common/sock/sock.h"

static int refuse_socket(const struct fd_source *src, struct err *err)
{
	char what[400];

	sock_describe(src->fd, what, sizeof(what));
	return err_refuse(err, "%s: such sockets cannot come back in this version", what);
}

int file_refuse(struct dump *d, const struct fd_source *src, struct err *err)
{
	const mode_t type = src->st.st_mode & S_IFMT;

	if (type == S_IFSOCK)
		return refuse_socket(src, err);
	if (type == S_IFCHR || type == S_IFBLK)
		return err_refuse(err, "%s device %s (%u:%u): it has state that only its driver knows",
				  type == S_IFCHR ? "character" : "block", src->link, major(src->st.st_rdev),
				  minor(src->st.st_rdev));
	if (file_hopeless(src->link))
		return file_hint_hopeless(src->link, err_refuse(err, "%s: nothing can bring this back", file_hopeless(src->link)), err);
	if (!strncmp(src->link, "anon_inode:", 11))
		return err_refuse(err, "%s: files of this kind cannot come back in this version", src->link + 11);
	return err_refuse(err, "%s: nothing is known about files of this kind", src->link);
}

/* Kernel objects that nobody outside can read and nothing can make again, by what their links say. */
static const struct hopeless { const char *link, *name, *hint; } hopeless[] = {
	{ "anon_inode:[userfaultfd]", "userfaultfd" },
	{ "anon_inode:[perf_event]", "perf event" },
	{ "anon_inode:bpf-prog", "BPF program" },
	{ "anon_inode:bpf-map", "BPF map" },
	{ "anon_inode:bpf_link", "BPF link" },
	{ "anon_inode:btf", "BTF object" },
	{ "anon_inode:seccomp notify", "seccomp listener" },
	{ "anon_inode:[io_uring]", "io_uring",
	  "many programs can be told to do without it (MariaDB: innodb_use_native_aio=0), and do so where kernel.io_uring_disabled is 2"
	  " when they start" },
	{ "anon_inode:[landlock-ruleset]", "landlock ruleset" },
	{ "anon_inode:[fscontext]", "file system being configured" },
	{ "anon_inode:kvm-", "virtual machine" },
	{ "anon_inode:[vfio", "VFIO device" },
	{ "anon_inode:dmabuf", "DMA buffer" },
	{ "anon_inode:sync_file", "fence of a device" },
};

static const struct hopeless *find_hopeless(const char *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(hopeless); i++)
		if (!strncmp(link, hopeless[i].link, strlen(hopeless[i].link)))
			return &hopeless[i];
	return NULL;
}

const char *file_hopeless(const char *link)
{
	const struct hopeless *h = find_hopeless(link);

	return h ? h->name : NULL;
}

int file_hint_hopeless(const char *link, int ret, struct err *err)
{
	const struct hopeless *h = find_hopeless(link);

	return h && h->hint ? err_hint(err, ret, "%s", h->hint) : ret;
}
