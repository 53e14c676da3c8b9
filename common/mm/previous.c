// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Comparing with what the checkpoint before this one has, byte for byte: so what is left to it is right whatever happened
 * to the tasks, the tracking of changes, or the numbers of processes since.
 */
#include "common/mm/previous.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/io.h"
#include "common/image/give.h"
#include "common/mm/sent.h"
#include "common/mm/track.h"
#include "inventory.pb-c.h"

uint64_t previous_uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* What a checkpoint without an inventory would be is not known: it was never finished. */
static int check_inventory(struct dump *d, struct image_dir *dir, struct err *err)
{
	ProtobufCMessage *msg;
	int ret = image_read_one(dir, IMG_INVENTORY, 0, d->arena, &msg, err);

	if (ret)
		return ret;
	const InventoryEntry *inv = (InventoryEntry *)msg;

	if (inv->img_version != 2)
		return err_set(err, ERR_USAGE, 0, "prev-images-dir: a checkpoint of image version %u cannot be a parent",
			       inv->img_version);
	if (inv->dump_criu_run_id)
		snprintf(d->previous->run_id, sizeof(d->previous->run_id), "%s", inv->dump_criu_run_id);
	if (inv->has_dump_uptime)
		d->previous->uptime_us = inv->dump_uptime;
	return 0;
}

int previous_open(struct dump *d, struct err *err)
{
	const char *prev = d->opts->prev_images_dir;
	cleanup_free char *path = NULL;
	struct stat mine, theirs;
	struct image_dir *dir;
	int ret;

	if (!prev)
		return 0;
	path = *prev == '/' ? xstrdup(prev) : path_join(d->opts->images_dir, prev);
	ret = image_dir_open(path, &dir, err);
	if (ret)
		return err_hint(err, ret, "--prev-images-dir is relative to --images-dir");
	if (!stat(d->opts->images_dir, &mine) && !fstat(image_dir_fd(dir), &theirs) && mine.st_dev == theirs.st_dev &&
	    mine.st_ino == theirs.st_ino) {
		image_dir_free(dir);
		return err_set(err, ERR_USAGE, 0, "prev-images-dir is the directory of this dump itself");
	}
	d->previous = xzalloc(sizeof(*d->previous));
	d->previous->uptime_us = UINT64_MAX;
	ret = chain_open(dir, &d->previous->chain, true, err);
	if (!ret && d->previous->chain.n >= CHAIN_MAX)
		ret = err_hint(err, err_set(err, ERR_FAILED, 0, "the chain of checkpoints has %d parents already", CHAIN_MAX),
			       "cr-image flatten makes one checkpoint of it");
	for (size_t i = 0; !ret && i < d->previous->chain.n; i++)
		if (!stat(d->opts->images_dir, &mine) && !fstat(image_dir_fd(d->previous->chain.dirs[i]), &theirs) &&
		    mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino)
			ret = err_set(err, ERR_USAGE, 0, "prev-images-dir: the directory of this dump is one of its parents");
	if (!ret)
		ret = err_object(err, check_inventory(d, dir, err), "%s", path);
	if (!ret)
		ret = chain_verify(&d->previous->chain, err);
	if (!ret)
		ret = chain_identify(dir, &d->previous->id, err);
	return ret;
}

void previous_close(struct dump *d)
{
	if (!d->previous)
		return;
	chain_close(&d->previous->chain);
	free(d->previous);
	d->previous = NULL;
}

int previous_set_open(struct dump *d, enum image_kind kind, unsigned long id, struct previous_set **out, struct err *err)
{
	struct previous_set *s;
	int ret;

	const struct sent *sent = d->tracker ? d->tracker->sent : NULL;
	const struct sent_set *of = sent_find(sent, kind, id);

	*out = NULL;
	if (of) {
		*out = xzalloc(sizeof(**out));
		(*out)->sent = sent;
		(*out)->of = of;
		(*out)->shared = true;
		return 0;
	}
	if (!d->previous)
		return 0;
	s = xzalloc(sizeof(*s));
	ret = chain_set_open(&d->previous->chain, 0, kind, id, &s->set, err);
	if (ret || s->set.sets[0].absent) {
		previous_set_close(s);
		return ret;
	}
	*out = s;
	return 0;
}

void previous_set_close(struct previous_set *s)
{
	if (!s)
		return;
	if (s->shared) {
		for (size_t i = 0; i < s->set.n; i++)
			image_file_close(&s->set.pages[i]);
		free(s->set.pages);
	} else {
		chain_set_close(&s->set);
	}
	free(s);
}

struct previous_set *previous_set_share(const struct previous_set *s)
{
	struct previous_set *copy;

	if (!s)
		return NULL;
	copy = xzalloc(sizeof(*copy));
	copy->set = s->set;
	copy->sent = s->sent;
	copy->of = s->of;
	copy->shared = true;
	if (s->sent)
		return copy;
	copy->set.pages = xzalloc(s->set.n * sizeof(*copy->set.pages));
	for (size_t i = 0; i < s->set.n; i++)
		image_file_share(&s->set.pages[i], &copy->set.pages[i]);
	return copy;
}

uint64_t previous_run(const struct previous_set *s, uint64_t vaddr, uint64_t max, bool *has)
{
	uint64_t off, n = 1;
	size_t in;

	*has = false;
	if (!s)
		return max;
	if (!s->sent) {
		*has = !chain_find(&s->set, 0, vaddr, max, &in, &off, &n);
		return *has ? n : 1;
	}
	in = sent_at(s->of, vaddr);
	if (in == s->of->n || s->of->v[in].addr != vaddr)
		return in == s->of->n ? max : MIN(max, (s->of->v[in].addr - vaddr) / IMAGE_PAGE);
	*has = true;
	while (n < max && in + n < s->of->n && s->of->v[in + n].addr == vaddr + n * IMAGE_PAGE)
		n++;
	return n;
}

static void compare_sums(const struct previous_set *s, uint64_t vaddr, const unsigned char *mine, size_t n, bool *same)
{
	size_t at = sent_at(s->of, vaddr);

	for (size_t i = 0; i < n; i++, vaddr += IMAGE_PAGE) {
		struct sent_page now;

		same[i] = at < s->of->n && s->of->v[at].addr == vaddr;
		if (!same[i])
			continue;
		sent_sum(s->sent, vaddr, mine + i * IMAGE_PAGE, &now);
		same[i] = !memcmp(&now, &s->of->v[at++], sizeof(now));
	}
}

int previous_compare(struct previous_set *s, uint64_t vaddr, const unsigned char *mine, size_t n, bool *same, struct err *err)
{
	uint64_t got;

	if (s && s->sent) {
		compare_sums(s, vaddr, mine, n, same);
		return 0;
	}
	for (size_t i = 0; i < n; i += got) {
		uint64_t off;
		size_t in;

		same[i] = false;
		got = 1;
		if (!s || chain_find(&s->set, 0, vaddr + i * IMAGE_PAGE, MIN(n - i, (size_t)PREVIOUS_PAGES), &in, &off, &got)) {
			got = 1;
			continue;
		}
		int ret = image_file_pread(&s->set.pages[in], s->buf, got * IMAGE_PAGE, off, err);

		if (ret)
			return err_object(err, ret, "%s", image_dir_path(s->set.chain->dirs[in]));
		for (size_t k = 0; k < got; k++)
			same[i + k] = !memcmp(s->buf + k * IMAGE_PAGE, mine + (i + k) * IMAGE_PAGE, IMAGE_PAGE);
	}
	return 0;
}

/* ---- room of what is replaced ---- */

static int spare(void *give, size_t in, const struct chain_set *s, uint64_t off, uint64_t len, struct err *err)
{
	give_add(give, in, s->sets[in].pages_id, off, len);
	return 0;
}

int previous_dedup(struct dump *d, struct err *err)
{
	struct give give = { 0 };
	struct chain c = { .n = 0 };
	struct image_dir *dir;
	struct dirent *e;
	DIR *list;
	int ret = image_dir_open(d->opts->images_dir, &dir, err);

	if (ret)
		return ret;
	ret = chain_open(dir, &c, true, err);
	if (!ret)
		ret = open_listing(image_dir_fd(dir), &list, err);
	if (ret) {
		chain_close(&c);
		return ret;
	}
	while (!ret && (e = readdir(list))) {
		unsigned long id;
		enum image_kind kind = image_kind_of_name(e->d_name, &id);

		if (kind == IMG_PAGEMAP || kind == IMG_SHMEM_PAGEMAP)
			ret = chain_spare(&c, kind, id, spare, &give, err);
	}
	closedir(list);
	if (!ret)
		ret = give_back(&give, &c, dump_run_id(d), err);
	give_release(&give);
	chain_close(&c);
	return ret;
}
