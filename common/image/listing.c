/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/listing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/image/file.h"

int listing_read(int dirfd, struct listed **list, size_t *n, struct err *err)
{
	DIR *dir;
	struct dirent *e;
	size_t cap = 0;
	int ret;

	*list = NULL;
	*n = 0;
	ret = open_listing(dirfd, &dir, err);
	if (ret)
		return ret;
	while ((e = readdir(dir))) {
		struct listed l = { 0 };
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		snprintf(l.name, sizeof(l.name), "%s", e->d_name);
		l.kind = image_kind_of_name(l.name, &l.id);
		array_reserve(list, &cap, *n, sizeof(**list));
		(*list)[(*n)++] = l;
	}
	closedir(dir);
	return 0;
}
