/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kinds of open files share: those here, sockets (common/sock), terminals (common/tty), mappings of files. */
#ifndef CR_FILE_FILE_H
#define CR_FILE_FILE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/file/table.h"
#include "common/kinds.h"

/* Of a dev_t as the kernel has it inside (include/linux/kdev_t.h), what stat(2) tells. */
static inline dev_t file_kernel_dev(uint64_t dev)
{
	return makedev((unsigned)(dev >> 20), (unsigned)(dev & 0xfffff));
}

/* ---- dump ---- */

/* One descriptor of a task as /proc shows it. */
struct file_fd {
	struct dump_task *task; /* the first that has this table */
	int number;	  /* sent: of ours */
	bool sent;	  /* it is no task's: only a message holds the description */
	uint32_t order;	  /* of the table among others */
	struct stat st;
	uint32_t flags;	  /* fdinfo: with O_CLOEXEC */
	const char *link; /* arena */
	struct proc_fdinfo info;
	const struct fd_row *row; /* fdrows.h; or NULL */
	uint32_t id;	  /* of the description; descriptors with the same id are duplicates */
	FdTypes type;
	bool duplicate;	  /* not the first of its description */
	uint64_t apart; /* of two descriptors of one inode: different ones, different descriptions */
	struct file_fd *origin;	  /* where its table has it */
	struct sock_ahead *ahead; /* common/sock/ahead.h; or NULL */
	int dup; /* a duplicate, which is ours until the description is written; -1: none */
	bool done;	  /* what belongs to its object and not to it (queued data) was written */
};

struct table; /* look.h */
struct outside; /* outside.h */

struct file_table {
	uint32_t last_id, last_ghost;
	struct table *tables; /* of all tasks, each once; arena */
	size_t ntables;
	struct file_fd *fds; /* arena; sorted by (device, inode, description, table, number); not all duplicates are here */
	size_t nfds;
	bool rows; /* of all tables */
	void *paths;  /* tsearch(3) tree: files that are no descriptors */
	void *ghosts; /* tsearch(3) tree: deleted inodes written already */
	void *links; /* tsearch(3) tree: files that got a name */
	struct file_link *made_links; /* names to be taken away unless all goes well; arena memory */
	void *locks; /* tsearch(3) tree: locks written already */
	void *fifos;  /* tsearch(3) tree: ids given to fifos */
	struct tty_table *ttys; /* common/tty/tty_pairs.c, NULL before the first; arena */
	struct file_fd *inflight; /* malloc'ed; those that are sent: we own their numbers */
	size_t ninflight, inflight_cap;
	struct unix_table *sockets; /* unixsk.h */
	struct sock_errors *errors; /* common/sock/sockerr.h; NULL before the first */
	struct udp_corks *corks; /* common/sock/udp_cork.c; NULL before the first */
	struct reuse_groups *reuse; /* common/sock/reuse.c; NULL before the first */
	struct outside *outside; /* NULL: nothing of the tree could be held elsewhere */
	struct socks_ahead *ahead; /* common/sock/ahead.h; or NULL */
	bool watches; /* some description hears what happens to files */
	int root;     /* where paths of the task start, opened on first use; -1 before */
};

/* Of all descriptors of a task, in the order of their numbers; arena. inherited: maker has the same description under this number. */
struct fd_stats {
	size_t n, ninherited;
	int *numbers;
	const struct fd_row *rows; /* fdrows.h; or NULL */
	struct stat *st;
	bool *inherited, known; /* known: all of st */
};
/* maker: another task, whose descriptors are known already, or NULL. st of what is inherited is filled. */
int file_numbers(struct dump *d, struct dump_task *task, const struct dump_task *maker, struct fd_stats **out, struct err *err);
int file_stats(struct dump *d, struct dump_task *task, const struct fd_stats **out, struct err *err);
int file_stat(const struct dump_task *task, int number, struct stat *st, struct err *err);

/* Descriptors of all tasks that lead to this inode, at least one of each description: first one and count. Valid inside a
 * kind's dump. */
struct file_fd *file_same_inode(struct dump *d, const struct stat *st, size_t *n);

/* The descriptors of a description, one of each table, in the order of tables; NULL for the first one and at the end. Slow. */
const struct file_fd *file_next_holder(const struct dump *d, uint32_t id, const struct file_fd *after);

/* err_object() with "fd 7", or with what is said of a description without a number (fd_source.number). */
int file_blame(int number, int ret, struct err *err);
/* Writes the entry of a description of which fd is a duplicate of ours: f says the rest, and learns the type. kept: fd_source. */
int file_describe(struct dump *d, int fd, bool *kept, struct file_fd *f, struct err *err);
/* The id of a description found in a message. Takes the fd, which is ours. */
int inflight_id(struct dump *d, int fd, uint32_t *id, struct err *err);
/* When all queues are read: file_same_inode() finds them, too. */
void inflight_merge(struct dump *d);
int inflight_dump(struct dump *d, struct err *err); /* their entries */
void inflight_free(struct file_table *t);
/* Unix sockets, before all entries: what is queued in them. And behind all: are all peers dumped? */
int unix_queues_dump(struct dump *d, struct err *err);
int unixsk_finish(struct dump *d, struct err *err);
void unix_table_free(struct unix_table *t);
void sock_errors_free(struct sock_errors *all);
void udp_corks_free(struct udp_corks *all); /* NULL is fine */
void reuse_groups_free(struct reuse_groups *g); /* the same */

/* "inotify", "fanotify"; NULL when the link says that the description is something else. */
const char *fsnotify_name(const char *link);
/* Refuses events that were not read. */
int fsnotify_refuse_queue(int fd, const char *what, struct err *err);

/* Looks through all of /proc once for a process outside of the tree that holds link ("pipe:[123]"); fills who with
 * "pid 12 (cat)" and gives true. Only for messages: it is slow. */
bool file_find_holder(struct dump *d, const char *link, char *who, size_t n);
/* The same where no tree is to be left out. */
bool file_holder(const char *link, const struct dump *d, char *who, size_t n);
/* Names of unix sockets that are taken here, and external sockets that are not here. Their number. */
int unix_preflight(const struct model *m, bool held, finding_fn report, void *ctx);

/* Of a slave of a pty that only a message holds: the pair has one. When the queues are read, before entries are written. */
int tty_note_slave(struct dump *d, const struct stat *st, struct err *err);
/* /proc says that exec closes the descriptor of a terminal, and is wrong. */
bool tty_kept_on_exec(const struct dump *d, pid_t pid, int fd);

/* Signal owner of the description (F_SETOWN, F_SETSIG); all zero for O_PATH. Arena. */
int fown_dump(struct dump *d, const struct fd_source *src, FownEntry **fown, struct err *err);
/* The number at *p, behind blanks; *p moves behind it. 0, -EINVAL or -ERANGE. */
int fdinfo_number(const char **p, int base, uint64_t *out);
/* The number behind the line's start "key:" in the text of fdinfo. 0, -ENOENT, -EINVAL or -ERANGE. */
int fdinfo_value(const char *text, const char *key, int base, uint64_t *out);

/* What --link-remap calls files, as CRIU does. */
#define LINK_PREFIX "link_remap."

/* A file and how to reach it from the dumper. */
struct file_place {
	const char *magic; /* relative to /proc/PID of d->task: "fd/7", "exe", "map_files/..."; or of ours: "/proc/self/fd/9" */
	const char *link;  /* what readlink of that says */
	struct stat st;
	long fs_type;	   /* statfs f_type */
	int flags;	   /* open flags for the entry */
	uint64_t pos;
};
/* Fills reg (id is set; fown is the caller's) and writes remap and ghost where the path does not lead to the file. */
int reg_fill(struct dump *d, const struct file_place *p, RegFileEntry *reg, struct err *err);
/* Writes ghost-file-X for the deleted file (once for each inode) and a remap record for orig_id. */
int ghost_dump(struct dump *d, const struct file_place *p, const char *name, uint32_t orig_id, struct err *err);
/* Gives the file, which lost this name but not all, a new one beside it (once for each inode), and a remap record for orig_id. */
int link_dump(struct dump *d, const struct file_place *p, const char *lost, uint32_t orig_id, struct err *err);
void file_links_undo(struct file_table *t);
/* True when name is an entry of this pid in /proc (a file that only the task itself can open). */
bool reg_is_own_proc(const char *name, pid_t pid);
/* The descriptor that the caller gives for this file, -1 when there is none. */
int reg_inherited(const struct plan *plan, const RegFileEntry *reg);
/* N of /proc/N and /proc/N/..., 0 of any other name. */
pid_t reg_proc_pid(const char *name);
/* Whether the name leads into /proc/N of a task of the checkpoint. */
bool reg_is_tree_proc(const struct model *m, const char *name);

/* GNU build-id of the ELF file behind fd, from its first MiB, as little-endian words. Gives their number, 0 = none. */
#define BUILD_ID_WORDS 16
size_t build_id_read(int fd, uint32_t words[BUILD_ID_WORDS]);
/* The same, of a file that is mapped in a task from its beginning. */
size_t build_id_mapped(pid_t tid, uint64_t addr, uint64_t len, uint32_t words[BUILD_ID_WORDS]);
size_t build_id_parse(const unsigned char *elf, size_t n, uint32_t words[BUILD_ID_WORDS]);

/* ---- restore ---- */

/* A hash from numbers to numbers, in an arena. */
struct id_map { uint64_t *keys; uint32_t *values; size_t n, cap; };
bool id_map_get(const struct id_map *map, uint64_t key, uint32_t *value);
void id_map_put(struct id_map *map, struct arena *arena, uint64_t key, uint32_t value);

enum { GROUP_PIPE, GROUP_FIFO, GROUP_UNIX, GROUP_TTY, GROUP_GHOST, GROUPS };
struct file_group_index { uint64_t key; uint32_t i; };
struct sock_packet;

struct file_plan {
	struct id_map slots;
	struct id_map finished; /* (type, id) of descriptions whose holder has its steps */
	struct { struct file_group_index *v; size_t n; bool built; } groups[GROUPS];
	struct id_map data; /* (fifo, pipe id) -> index of model pipe data + 1 */
	bool data_built;
	struct sock_packet *packets; /* of sk-queues.img */
	size_t npackets;
	bool packets_loaded;
	struct tty_images *ttys; /* common/tty/tty_plan.c */
	struct id_map holders, holder_fds; /* common/file/pull.c: (type, id) -> the first task that holds it; a descriptor of that */
	bool holders_built;
	struct id_map comes; /* (task, descriptor) -> phase in which what comes late is in its place: file_comes() */
	struct id_map held; /* ids of descriptions that are in a descriptor table */
	bool held_built;
	struct id_map unix_made; /* unixsk_plan.c: ids of sockets that are planned */
	bool unix_planned;
	struct id_map ports; /* inetsk.c: how many sockets are bound to a port */
	bool ports_counted;
	struct reuse_plan *reuse; /* common/sock/reuse.c; in the arena, NULL at first */
	uint32_t icmp[2]; /* common/sock/sockerr.c: slots of raw sockets */
	bool has_icmp[2];
};
struct file_plan *file_plan_of(struct plan *plan);

/* Whether several descriptor tables hold the description, and one of them opens it for all: index of that task, and its
 * descriptor. */
bool file_opened_by(const struct model *m, struct plan *plan, const FileEntry *entry, size_t *task, int *fd);
/* Steps of another holder: fetches it from there, and gives it the n numbers of `same`. What is fetched must be in place before
 * all are in their process groups (TASK_GROUPS). */
void file_pull(struct plan *plan, struct plan_task *pt, size_t from, int fd, const FdinfoEntry *const *same, size_t n);

/* What means a task of the checkpoint, or its terminal: only a task can open it, when it is there. Until then its slot is empty, or
 * holds something else. */
bool file_opened_late(const struct model *m, const FileEntry *entry);

/*
 * The phase of the task in which its descriptor leads to what it is, where that is later than TASK_CLOSE: until then a stand-in has
 * the number. FILE_LATE: only steps of threads[0].late behind those that are there find it. 0: by TASK_CLOSE.
 */
#define FILE_LATE TASK_PHASES
int file_comes(struct plan *plan, const struct plan_task *pt, uint32_t fd);

/* The slot of a description, planned on first use. */
int file_slot(const struct model *m, struct plan *plan, FdTypes type, uint32_t id, uint32_t *slot, struct err *err);
/* Only asks. flags: FILE_AS_ENTRY, or open flags of an additional opening. */
#define FILE_AS_ENTRY 0xffffff
bool file_slot_known(struct plan *plan, FdTypes type, uint32_t id, uint32_t flags, uint32_t *slot);
/* A new slot for a description, bound by the caller. what: "pipe 7". */
uint32_t file_slot_new(struct plan *plan, FdTypes type, uint32_t id, uint32_t flags, const char *what);
/* Slot of a description: the known one or a new one. */
uint32_t file_slot_get(struct plan *plan, const FileEntry *entry, const char *what);

/*
 * Things that are made together: all file entries (GROUP_PIPE.. GROUP_UNIX) or remaps (GROUP_GHOST) with this key
 * (pipe_id, unix ino, ghost or link id). Indices into m->files or m->remaps; cost is a search, not a walk.
 */
const struct file_group_index *file_group(const struct model *m, struct plan *plan, int group, uint64_t key, size_t *n);
const struct model_pipe_data *file_pipe_data(const struct model *m, struct plan *plan, bool fifo, uint32_t pipe_id);

/*
 * Opens again what is in slot `from`, for slot `to`. Only /proc/self/fd/N opens what has no name, and a plan knows no number but those it
 * chooses: it stands in for our standard input for a moment.
 */
void file_reopen(struct plan *plan, uint32_t from, uint32_t to, uint32_t flags, const char *what);

/* Flags of the entry for openat of what exists: without those that create, cut, or mean something only later. */
int reg_open_flags(uint32_t flags);
/* fcntl(F_SETFL) for the description in slot when `want` differs from what it was made with (O_ASYNC comes with the
 * owner, late and in the task: see fown_plan). */
void plan_setfl(struct plan *plan, uint32_t slot, uint32_t have, uint32_t want);
/* Steps of the task: signal owner and O_ASYNC for its descriptor fd of this entry; an owner that another user has set is the last
 * program's. */
int fown_plan(const struct model *m, struct plan *plan, const FileEntry *entry, int fd, struct plan_task *pt, struct err *err);
/* Signal owner and flags of an entry of any type; NULL when it has none. */
const FownEntry *file_fown(const struct model *m, const FileEntry *entry, uint32_t *flags);
/* lseek to the entry's position. */
void reg_seek(struct plan *plan, const RegFileEntry *reg, uint32_t slot);
bool pidfd_of_thread(const struct model *m, const FileEntry *entry); /* that is no process */
/* Steps of the task that open a pidfd of a living process or zombie of the tree and give it its numbers, where a stand-in is.
 * fetched: others fetch it there. */
int pidfd_place(const struct model *m, const FileEntry *entry, struct plan_task *pt, bool fetched,
		const FdinfoEntry **same, size_t n,		struct err *err);
/* REG entry id must have a good name. */
int reg_check(const RegFileEntry *reg, struct err *err);

/* Where the file of a remapped REG entry can be opened: begin gives its temporary path (steps that make it are added),
 * the caller adds the opens, end gives it its name, removes it again, and fills it. */
/* Bytes of a directory's path, with the slash behind it, in which there is room for the names that a restore gives for a moment. */
#define GHOST_DIRECTORY_MAX (4095 - 40)
struct ghost_plan;
int ghost_begin(const struct model *m, struct plan *plan, const RegFileEntry *reg, const RemapFilePathEntry *remap,
		struct ghost_plan **g, struct err *err);
struct data_ref ghost_path(const struct ghost_plan *g);
void ghost_end(struct plan *plan, struct ghost_plan *g);
/* All openings of a ghost that the checkpoint needs, as slots. */
int ghost_plan_files(const struct model *m, struct plan *plan, const RegFileEntry *reg,
		     const RemapFilePathEntry *remap, struct err *err);

extern const struct file_kind regfile_kind, pipe_kind, fifo_kind, eventfd_kind, eventpoll_kind, timerfd_kind,
	signalfd_kind, unixsk_kind, netlinksk_kind, packetsk_kind, tty_kind;
/* Refuses by name what no kind takes: never matches nothing, so it comes last in dumps. */
int file_refuse(struct dump *d, const struct fd_source *src, struct err *err);
/* What the link of a descriptor names, when it is of a kind that cannot come back in any way; else NULL. */
const char *file_hopeless(const char *link);
/* What helps against such a one before its program starts again, where anything does, as the hint of an error. Returns ret. */
int file_hint_hopeless(const char *link, int ret, struct err *err);
extern const struct state_kind fs_kind, file_locks_kind;
/* The error of a readlink(2) of an open file, errno: a path that is too long for the kernel to tell is refused. */
int file_link_error(const char *what, struct err *err);
/* Records the locks and leases that show at this descriptor, or refuses them. */
int file_locks_dump(struct dump *d, const struct file_fd *f, struct err *err);

#endif
