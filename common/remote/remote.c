/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Borrowing frozen threads, so that the dumper may die at any instant.
 *
 * The agent's code is written into bytes of an executable mapping that nobody uses: zeros at the end of its last page,
 * as a rule the vdso's. Its data (programs and their answers) is one private mapping, made and unmapped by the *holder*,
 * the first thread that is asked. From the call that makes the mapping to the one that unmaps it, the holder's registers
 * stay inside the agent, on a path that ends with the unmapping and a return to where the thread was found. Any other
 * thread that is asked (the *guest*) has a path of its own and a flag, for which the holder's path waits. So if the
 * dumper dies, the threads clean up and go on by themselves:
 *
 *	holder:	... program, stop signal, wait for the guest, munmap, signal mask, registers, back
 *	guest:	flag, program, stop signal, flag, signal mask, registers, back
 *
 * The guest sets and clears the flag itself. Between the dumper's decision and the change of the guest's registers
 * nobody can know whether it will be inside: for these microseconds the flag says so, and the holder allows the guest
 * some time to show up.
 *
 * How the dumper learns that a program is done: its last step sends the thread a signal that it does not handle and
 * whose default is to be ignored. A tracer sees it as a stop (kernel/signal.c, sig_ignored(): nothing is ignored for a
 * traced task); without one, nothing happens and the path goes on.
 */
#include "common/feature/feature.h"
#include "common/remote/remote.h"
#include "common/remote/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/proc/proc.h"

#define REGION_HEAD 64u /* the busy flag, alone on its line */
#define REGION_SLACK 1024u /* epilogue */

/* The flag. */
enum guest_flag { GUEST_NONE = 0, GUEST_PERHAPS = 1, GUEST_INSIDE = 2 /* set by agent.S */ };
#define GUEST_PERHAPS_NS 250000000l /* to execute its first two instructions */
#define GUEST_INSIDE_S 10	    /* to finish: milliseconds, unless the machine hardly runs at all */

/* Phases behind the caller's: they run whatever happened before. */
enum { PHASE_STOP = 1 << 20, PHASE_LEAVE };

enum role { HOLDER, GUEST };

struct remote {
	struct freeze *fz;
	const struct log *log;
	uint64_t code;	/* where the agent's code is in the target */
	size_t code_len;
	uint64_t region, region_len; /* its data; 0 until the holder made it */
	size_t room; /* for one program */
	size_t holder;	/* index of the thread */
	bool holder_in; /* the holder's registers are inside the agent */
	int stop_signal;
	bool matters; /* the target handles it or waits for it */
	pid_t owed;   /* the thread that is to get one in the end, because somebody sent one while we used it */
	unsigned char *buf; /* region contents, for writing and reading in one go */
};

static uint64_t guest_flag(const struct remote *r)
{
	return r->region; /* the first word; programs come after */
}

/* Each role has a place of its own for programs: the holder is still inside its last one while a guest runs. */
static uint64_t program_home(const struct remote *r, enum role role)
{
	return r->region + REGION_HEAD + (role == GUEST ? r->room : 0);
}

/* What is at the end of an executable mapping: room, our own code that an earlier dumper left when it died, or
 * something else. */
enum tail { TAIL_USED, TAIL_FREE, TAIL_STALE };

static enum tail look_at_tail(struct remote *r, const struct proc_map *m)
{
	size_t len = (size_t)(arch_agent_end - arch_agent_start);
	uint64_t at = (m->end - len) & ~15ull;
	unsigned char bytes[4096];

	if (m->end - m->start < sizeof(bytes) || len + 32 > sizeof(bytes) ||
	    pread_full(r->fz->mem_fd, bytes, (size_t)(m->end - at) + 16, (off_t)(at - 16)))
		return TAIL_USED;
	r->code = at;
	r->code_len = len;
	if (!memcmp(bytes + 16, arch_agent_start, arch_agent_slots[0]))
		return TAIL_STALE;
	for (size_t i = 0; i < (size_t)(m->end - at) + 16; i++)
		if (bytes[i])
			return TAIL_USED;
	return TAIL_FREE;
}

/* Finds the place for the agent's code. -EBUSY while threads are still on their way out of a dead dumper's agent. */
static int find_cave(struct remote *r, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int proc_fd = -1;
	struct proc_maps maps;
	int ret;

	ret = proc_open(r->fz->pid, &proc_fd, err);
	if (!ret)
		ret = proc_exec_maps(proc_fd, arena, &maps, err);
	if (ret)
		return ret;
	/* The vdso first: every native task has one and its tail is padding. Then whatever else is executable. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < maps.n; i++) {
			const struct proc_map *m = &maps.v[i];
			enum tail tail;

			if (!m->exec || m->shared || (strcmp(m->name, "[vdso]") != 0) != (round != 0) ||
			    !strcmp(m->name, "[vsyscall]"))
				continue;
			tail = look_at_tail(r, m);
			if (tail == TAIL_USED)
				continue;
			for (size_t t = 0; tail == TAIL_STALE && t < r->fz->nthreads; t++)
				if (arch_ip(&r->fz->threads[t].regs) - r->code < r->code_len)
					return err_set(err, ERR_FAILED, EBUSY, "it is still leaving an earlier dump");
			log_debug(r->log, "agent code at 0x%llx in %s", (unsigned long long)r->code, m->name);
			return 0;
		}
	}
	r->code_len = 0;
	return err_refuse(err, "no executable mapping has unused bytes at its end for the agent");
}

static uint64_t pending(const struct proc_status *s)
{
	return s->shd_pnd | s->sig_pnd;
}

/* A signal that is ignored by default, not handled, not pending and not blocked anywhere. */
static int pick_stop_signal(struct remote *r, struct err *err)
{
	static const int candidates[] = { SIGURG, SIGWINCH, SIGCHLD };
	uint64_t blocked = 0;
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int proc_fd = -1;
	struct proc_status s;
	int ret = proc_open(r->fz->pid, &proc_fd, err);

	if (!ret)
		ret = proc_status(proc_fd, "status", arena, &s, err);
	if (ret)
		return ret;
	for (size_t t = 0; t < r->fz->nthreads; t++)
		blocked |= r->fz->threads[t].sigmask;
	/* One that is pending is second best: it costs a stop, and without handler it would be thrown away anyway. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
			if (!((s.sig_cgt | blocked | (pass ? 0 : pending(&s))) >> (candidates[i] - 1) & 1)) {
				r->stop_signal = candidates[i];
				return 0;
			}
	/* All three are in use. Any of them still works when it is pending nowhere: only a death of the dumper in the
	 * few microseconds of a run could then deliver one that nobody sent, and these signals may come for no reason
	 * anyway. */
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
		if (!(pending(&s) >> (candidates[i] - 1) & 1)) {
			r->stop_signal = candidates[i];
			r->matters = true;
			return 0;
		}
	return err_refuse(err, "SIGURG, SIGWINCH and SIGCHLD are all handled and pending at once");
}

static uint64_t agent_mask(const struct remote *r)
{
	return ~(1ull << (r->stop_signal - 1));
}

static int set_mask(pid_t tid, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(mask), &mask) < 0 ? -errno : 0;
}

/* Writes what the thread needs to find its way back, before its registers are touched. */
static int fill_slots(struct remote *r, enum role role, const struct frozen_thread *t, struct err *err)
{
	uint64_t slots[ARCH_AGENT_SLOTS];
	struct arch_regs regs = t->regs;
	struct arch_leave l = { .busy = guest_flag(r), .sigmask = t->sigmask };
	int ret;

	if (role == HOLDER) {
		l.nr = SYS_munmap;
		l.arg[0] = r->region;
		l.arg[1] = r->region_len;
	} else {
		l.nr = SYS_futex;
		l.arg[0] = guest_flag(r);
		l.arg[1] = FUTEX_WAKE;
		l.arg[2] = 1;
	}
	arch_resume_regs(&regs, t->pending);
	arch_agent_fill_slots(slots, &regs, &l);
	ret = pwrite_full(r->fz->mem_fd, slots, sizeof(slots), (off_t)(r->code + arch_agent_slots[role]));
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write the agent's slots") : 0;
}

/* Waits for a stop of tid. A SIGSTOP that comes meanwhile is sent again when all is over. */
static int wait_stop(struct remote *r, pid_t tid, int want, struct err *err)
{
	const int go_on = want == (SIGTRAP | 0x80) ? PTRACE_SYSCALL : PTRACE_CONT;

	for (;;) {
		int status = 0, ret = wait_tracee(tid, 0, &status);

		if (ret == -ECHILD || (!ret && !WIFSTOPPED(status)))
			return err_set(err, ERR_FAILED, 0, "thread %d was killed", tid);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot wait for thread %d", tid);
		if (WSTOPSIG(status) == want && (want == (SIGTRAP | 0x80) || !(status >> 16)))
			return 0;
		/* A group stop began: the thread takes part when it is let go. */
		if (status >> 16 == PTRACE_EVENT_STOP) {
			if (ptrace(go_on, tid, NULL, NULL) < 0)
				return err_sys(err, "cannot run thread %d", tid);
			continue;
		}
		if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGBUS || WSTOPSIG(status) == SIGILL)
			return err_set(err, ERR_FAILED, 0, "the agent got signal %d in thread %d", WSTOPSIG(status),
				       tid);
		/* Everything that can be blocked is; what is left stops or continues the process: let it happen. */
		if (ptrace(go_on, tid, NULL, (long)WSTOPSIG(status)) < 0)
			return err_sys(err, "cannot run thread %d", tid);
	}
}

/* To the exit of the next system call; inside names the fault point at its entry. */
static int through_call(struct remote *r, pid_t tid, const char *inside, struct err *err)
{
	for (int stop = 0; stop < 2; stop++) {
		int ret;

		if (ptrace(PTRACE_SYSCALL, tid, NULL, NULL) < 0)
			return err_sys(err, "cannot run thread %d", tid);
		ret = wait_stop(r, tid, SIGTRAP | 0x80, err);
		if (ret)
			return ret;
		if (!stop)
			fault(inside);
	}
	return 0;
}

/* Lets the holder make the data mapping. From here on its registers stay inside the agent. */
static int make_region(struct remote *r, struct err *err)
{
	struct frozen_thread *t = &r->fz->threads[r->holder];
	struct arch_regs regs = t->regs;
	int64_t at;
	int ret = fill_slots(r, HOLDER, t, err);

	if (ret)
		return ret;
	if (ptrace(PTRACE_SETOPTIONS, t->tid, NULL, (uintptr_t)t->options | PTRACE_O_TRACESYSGOOD) < 0)
		return err_sys(err, "cannot set trace options");
	arch_agent_boot_regs(&regs, r->code, r->region_len);
	ret = arch_set_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set registers");
	r->holder_in = true;
	set_mask(t->tid, agent_mask(r));
	ret = through_call(r, t->tid, "dump:in-mmap", err);
	if (ret)
		return ret;
	fault("dump:mapped");
	ret = arch_get_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read registers");
	at = arch_syscall_result(&regs);
	if (at < 0 && at > -4096)
		return err_set(err, ERR_FAILED, (int)-at, "it cannot map %llu bytes for the agent",
			       (unsigned long long)r->region_len);
	r->region = (uint64_t)at;
	/* Now that the address is known: the way out unmaps it. */
	return fill_slots(r, HOLDER, t, err);
}

int remote_open(struct freeze *fz, size_t size, const struct log *log, struct remote **out, struct err *err)
{
	struct remote *r = xzalloc(sizeof(*r));
	int ret;

	*r = (struct remote){ .fz = fz, .log = log, .room = (size + REGION_SLACK + 63) & ~63ull };
	r->region_len = (2 * r->room + REGION_HEAD + 4095) & ~4095ull;
	ret = find_cave(r, err);
	if (!ret)
		ret = pick_stop_signal(r, err);
	if (!ret) {
		r->buf = xmalloc(r->region_len);
		ret = pwrite_full(fz->mem_fd, arch_agent_start, r->code_len, (off_t)r->code);
		if (ret)
			ret = err_hint(
				err, err_set(err, ERR_FAILED, -ret, "cannot write into the target's code"),
				"the kernel must allow forced writes through /proc/PID/mem (proc_mem.force_override)");
	}
	fault("dump:agent-written");
	if (!ret)
		ret = make_region(r, err);
	*out = r;
	if (ret) {
		struct err ignore = ERR_INIT;

		remote_close(r, &ignore);
		*out = NULL;
	}
	return ret;
}

static int copy_region(struct remote *r, void *buf, uint64_t at, size_t n, bool to, struct err *err)
{
	struct iovec local = { buf, n }, target = { (void *)(uintptr_t)at, n };
	ssize_t got = to ? process_vm_writev(r->fz->pid, &local, 1, &target, 1, 0) :
			   process_vm_readv(r->fz->pid, &local, 1, &target, 1, 0);

	if (got == (ssize_t)n)
		return 0;
	if (got >= 0)
		errno = EFAULT;
	int errnum = errno, ret = feature_blame(to ? "process_vm_writev" : "process_vm_readv", errnum, err);

	return ret ? ret : err_set(err, ERR_FAILED, errnum, "cannot %s the agent's memory", to ? "write" : "read");
}

static const char last_word[] = "own tid";

/* Whether the program came to its end: the step before its signal has a result, and a thread id is never 0. */
static bool ran(const struct program *p)
{
	for (size_t i = program_steps(p); i-- > 0;)
		if (program_note(p, i) == last_word)
			return program_result(p, (struct step_ref){ (uint32_t)i }) != 0;
	return true;
}

/* The steps that every program ends with, in the terms of the pid namespace of the target. */
static void add_epilogue(struct remote *r, struct program *p, enum role role)
{
	struct step_ref tgid = program_try(p, PHASE_STOP, "own pid", SYS_getpid, A(0));
	struct step_ref tid = program_try(p, PHASE_STOP, last_word, SYS_gettid, A(0));

	program_try(p, PHASE_STOP, "tell the dumper", SYS_tgkill, A_RESULT(tgid), A_RESULT(tid),
		    A((uint64_t)r->stop_signal));
	if (role == HOLDER) {
		const struct timespec perhaps = { 0, GUEST_PERHAPS_NS }, inside = { GUEST_INSIDE_S, 0 };
		struct data_ref t1 = program_data(p, &perhaps, sizeof(perhaps));
		struct data_ref t2 = program_data(p, &inside, sizeof(inside));

		program_try(p, PHASE_LEAVE, "let a guest show up", SYS_futex, A(guest_flag(r)), A(FUTEX_WAIT),
			    A(GUEST_PERHAPS), A_DATA(t1));
		program_try(p, PHASE_LEAVE, "wait for the guest", SYS_futex, A(guest_flag(r)), A(FUTEX_WAIT),
			    A(GUEST_INSIDE), A_DATA(t2));
	}
}

void remote_prepare(struct remote *r, struct program *prog, bool leader)
{
	add_epilogue(r, prog, leader ? HOLDER : GUEST);
}

static int set_guest(struct remote *r, uint32_t flag, struct err *err)
{
	return copy_region(r, &flag, guest_flag(r), sizeof(flag), true, err);
}

static int enter(struct remote *r, enum role role, struct frozen_thread *t, struct err *err)
{
	struct arch_regs regs = t->regs;
	int ret = 0;

	if (role == GUEST) {
		ret = fill_slots(r, GUEST, t, err);
		if (!ret)
			ret = set_guest(r, GUEST_PERHAPS, err);
		if (ret)
			return ret;
	}
	arch_agent_regs(&regs, r->code, program_home(r, role), role == GUEST);
	fault(role == GUEST ? "dump:guest-perhaps" : "dump:holder-ready");
	ret = arch_set_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set registers");
	fault(role == GUEST ? "dump:guest-in" : "dump:holder-in");
	ret = set_mask(t->tid, agent_mask(r));
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set the signal mask");
	if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		return err_sys(err, "cannot run thread %d", t->tid);
	fault(role == GUEST ? "dump:guest-runs" : "dump:holder-runs");
	return wait_stop(r, t->tid, r->stop_signal, err);
}

/* Gives a thread its own registers back. Mask first: were we to die between the two, the agent's path would still run.
 */
static int put_back(struct frozen_thread *t, struct err *err)
{
	int ret = set_mask(t->tid, t->sigmask);

	if (!ret)
		ret = arch_set_regs(t->tid, &t->regs);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot give thread %d its registers back", t->tid) : 0;
}

int remote_run(struct remote *r, size_t thread, struct program *prog, struct err *err)
{
	enum role role = thread == r->holder ? HOLDER : GUEST;
	struct frozen_thread *t = &r->fz->threads[thread];
	struct program_link link = { .base = program_home(r, role), .exit = r->code + arch_agent_leave[role],
				     .epilogue_phase = PHASE_STOP };
	size_t size = program_size(prog);
	int ret, back = 0;

	if (size > r->room)
		return err_set(err, ERR_FAILED, E2BIG, "the questions need %zu bytes", size);
	program_link(prog, &link, r->buf);
	ret = copy_region(r, r->buf, link.base, size, true, err);
	if (!ret)
		ret = enter(r, role, t, err);
	fault(role == GUEST ? "dump:guest-ran" : "dump:holder-ran");
	while (!ret) {
		ret = copy_region(r, r->buf, link.base, size, false, err);
		if (ret)
			break;
		program_absorb(prog, r->buf);
		if (ran(prog))
			break;
		/* The signal was not the program's but somebody else's, or of a dumper that died here. */
		if (r->matters)
			r->owed = t->tid;
		if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
			ret = err_sys(err, "cannot run thread %d", t->tid);
		else
			ret = wait_stop(r, t->tid, r->stop_signal, err);
	}
	if (role == GUEST) {
		back = set_guest(r, GUEST_PERHAPS, err);
		if (!back)
			back = put_back(t, err);
		fault("dump:guest-out");
		if (!back)
			back = set_guest(r, GUEST_NONE, err);
	}
	if (ret || back)
		return ret ? ret : back;
	if (program_failed(prog) >= 0) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;

		program_print_step(prog, (size_t)program_failed(prog), true, &line);
		return err_set(err, ERR_FAILED, 0, "%s", line.s);
	}
	return 0;
}

void remote_region(const struct remote *r, uint64_t *start, uint64_t *end)
{
	*start = r->region;
	*end = r->region + r->region_len;
}

/* The holder goes its way out up to the end of the call that unmaps the region. */
static int drop_region(struct remote *r, struct err *err)
{
	struct frozen_thread *t = &r->fz->threads[r->holder];
	struct arch_regs regs = t->regs;
	int ret;

	arch_agent_leave_regs(&regs, r->code, HOLDER);
	ret = arch_set_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set registers");
	ret = through_call(r, t->tid, "dump:in-munmap", err);
	if (ret)
		return ret;
	ret = arch_get_regs(t->tid, &regs);
	if (ret || arch_syscall_result(&regs))
		return err_set(err, ERR_FAILED, 0, "cannot unmap the agent's memory");
	r->region = 0;
	return 0;
}

int remote_close(struct remote *r, struct err *err)
{
	int ret = 0, back;

	if (r->region)
		ret = drop_region(r, err);
	if (r->holder_in) {
		back = put_back(&r->fz->threads[r->holder], err);
		ret = ret ? ret : back;
	}
	if (r->owed)
		syscall(SYS_tgkill, r->fz->pid, r->owed, r->stop_signal);
	fault("dump:agent-left");
	if (r->code_len && r->buf) {
		memset(r->buf, 0, r->code_len);
		back = pwrite_full(r->fz->mem_fd, r->buf, r->code_len, (off_t)r->code);
		if (back && !ret)
			ret = err_set(err, ERR_FAILED, -back, "cannot wipe the agent's code");
	}
	free(r->buf);
	free(r);
	return ret;
}
