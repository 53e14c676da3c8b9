/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Borrowing frozen threads, so that the dumper may die at any instant.
 *
 * The agent's code is written into bytes of an executable mapping that nobody uses: zeros at the end of its last page,
 * as a rule the vdso's. Its data (programs and their answers) is one private mapping, made and unmapped by the *holder*,
 * the first thread that is asked. From the call that makes the mapping to the one that unmaps it, the holder's registers
 * stay inside the agent, on a path that ends with the unmapping and a return to where the thread was found. Any other
 * thread that is asked (a *guest*) has a path of its own and a flag, for which the holder's path waits. So if the
 * dumper dies, the threads clean up and go on by themselves:
 *
 *	holder:	... program, stop signal, wait for all guests, munmap, signal mask, registers, back
 *	guest:	flag, program, stop signal, flag, signal mask, registers, back
 *
 * A guest sets and clears its flag itself, for us when we are gone: it may be long until it gets a processor, so as soon as
 * its registers are changed we set the flag, too. Between the two nobody can know whether it will be inside: while there are
 * guests the holder allows them some time to show up.
 *
 * The waits of the holder come when we are dead, and somebody else may stop it there. A call that has time left then keeps that in the
 * thread's restart block, of which there is one, and in which may be the program's own sleep (nanosleep, poll, futex; set_restart_fn()
 * and do_no_restart_syscall() of the kernel): that would end with EINTR. ppoll(2) and a futex(2) without a timeout do without it.
 *
 * Most of the time that a thread needs for its answers is its way onto a processor. So several are inside at once, in two sets: one
 * runs while the dumper deals with the answers of the other. How many is a matter of room: the way back must not need
 * the mapping, so it stands behind the agent's code.
 *
 * How the dumper learns that a program is done: its last step sends the thread a signal that it does not handle and
 * whose default is to be ignored. A tracer sees it as a stop (kernel/signal.c, sig_ignored(): nothing is ignored for a
 * traced task); without one, nothing happens and the path goes on.
 *
 * A thread that does not come to a stop in time (its control group was frozen meanwhile) is left where it is, with all others that are
 * inside, as if we had died: they find their way out when they run again and we are gone.
 */
#include "common/feature/feature.h"
#include "common/remote/freezer.h"
#include "common/remote/inside.h"
#include "common/remote/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/proc/proc.h"

/* Phases behind the caller's: they run whatever happened before. */
enum { PHASE_STOP = 1 << 8, PHASE_LEAVE };

static uint64_t agent_mask(const struct remote *r)
{
	return ~(1ull << (r->stop_signal - 1));
}

static int set_mask(pid_t tid, uint64_t mask)
{
	return ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(mask), &mask) < 0 ? -errno : 0;
}

void inside_make_slots(const struct remote *r, size_t home, const struct frozen_thread *t, uint64_t slots[ARCH_AGENT_SLOTS])
{
	struct arch_regs regs = t->regs;
	struct arch_leave l = { home ? flag_home(r, home) : r->region, r->region_len, t->sigmask };

	arch_resume_regs(&regs, t->pending);
	arch_agent_fill_slots(slots, &regs, &l);
}

int inside_write_slots(struct remote *r, size_t home, const uint64_t *slots, size_t n, struct err *err)
{
	int ret = pwrite_full(r->fz->mem_fd, slots, n * SLOT_BYTES, (off_t)slots_home(r, home));

	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write the agent's slots") : 0;
}

static int fill_holder_slots(struct remote *r, struct err *err)
{
	uint64_t slots[ARCH_AGENT_SLOTS];

	inside_make_slots(r, 0, &r->fz->threads[r->holder], slots);
	return inside_write_slots(r, 0, slots, 1, err);
}

/* The code, with what the holder needs to find its way back if there is no mapping. */
static int write_code(struct remote *r, struct err *err)
{
	cleanup_free unsigned char *code = xzalloc(r->cave.len);
	uint64_t slots[ARCH_AGENT_SLOTS];
	int ret;

	inside_make_slots(r, 0, &r->fz->threads[r->holder], slots);
	memcpy(code, arch_agent_start, arch_agent_dump_len);
	memcpy(code + arch_agent_dump_len, slots, SLOT_BYTES);
	ret = pwrite_full(r->fz->mem_fd, code, r->cave.len, (off_t)r->cave.code);
	return ret ? err_hint(err, err_set(err, ERR_FAILED, -ret, "cannot write into the target's code"),
			      "the kernel must allow forced writes through /proc/PID/mem (proc_mem.force_override)") : 0;
}

/* It runs, or would like to: neither registers nor memory of the agent are ours to touch from here on. */
static int is_stuck(struct remote *r, pid_t tid, struct err *err)
{
	cleanup_fd int fd = -1;
	struct err ignore = ERR_INIT;
	int ret;

	r->stuck = true;
	ret = proc_open(tid, &fd, &ignore) ? 0 : freezer_check_file(fd, "cgroup", err);
	return ret ? ret : err_hint(err, err_set(err, ERR_FAILED, ETIMEDOUT, "thread %d does not get on with what it is asked", tid),
				    "try a longer --timeout");
}

int inside_wait(struct remote *r, pid_t tid, int want, struct err *err)
{
	const int go_on = want == (SIGTRAP | 0x80) ? PTRACE_SYSCALL : PTRACE_CONT;
	const uint64_t until = r->fz->timeout_ms ? now_ns() + r->fz->timeout_ms * 1000000ull : 0;

	for (;;) {
		int status = 0, ret = wait_tracee(tid, until, &status);

		if (ret == -ETIMEDOUT)
			return is_stuck(r, tid, err);
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

static struct frozen_thread *holder(const struct remote *r)
{
	return &r->fz->threads[r->holder];
}

/* The holder's registers stand before a system call: it goes to its entry. */
static int to_call(struct remote *r, int way, struct err *err)
{
	if (ptrace(PTRACE_SYSCALL, holder(r)->tid, NULL, NULL) < 0)
		return err_sys(err, "cannot run thread %d", holder(r)->tid);
	r->way = way;
	return 0;
}

static int wait_call(struct remote *r, struct err *err)
{
	r->way = AT_REST;
	return inside_wait(r, holder(r)->tid, SIGTRAP | 0x80, err);
}

/* It is on its way to the entry, and goes on to the exit; inside names the fault point between them. */
static int through_call(struct remote *r, int way, const char *inside, struct err *err)
{
	int ret = wait_call(r, err);

	if (ret)
		return ret;
	fault(inside);
	return to_call(r, way, err);
}

/* Lets the holder make the data mapping. From here on its registers stay inside the agent. */
static int make_region(struct remote *r, struct err *err)
{
	struct frozen_thread *t = holder(r);
	struct arch_regs regs = t->regs;
	int ret;

	if (ptrace(PTRACE_SETOPTIONS, t->tid, NULL, (uintptr_t)t->options | PTRACE_O_TRACESYSGOOD) < 0)
		return err_sys(err, "cannot set trace options");
	arch_agent_boot_regs(&regs, r->cave.code, slots_home(r, 0), r->region_len);
	ret = arch_set_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set registers");
	r->holder_in = true;
	set_mask(t->tid, agent_mask(r));
	return to_call(r, TO_MAP, err);
}

int remote_open_go_on(struct remote *r, struct err *err)
{
	return through_call(r, FROM_MAP, "dump:in-mmap", err);
}

int remote_open_end(struct remote *r, struct err *err)
{
	struct arch_regs regs;
	int ret = wait_call(r, err);
	int64_t at;

	if (ret)
		return ret;
	fault("dump:mapped");
	ret = arch_get_regs(holder(r)->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read registers");
	at = arch_syscall_result(&regs);
	if (at < 0 && at > -4096)
		return err_hint(err, err_set(err, ERR_FAILED, (int)-at, "it cannot map %llu bytes for the agent",
					     (unsigned long long)r->region_len),
				"its limits leave no room: raise RLIMIT_AS (prlimit --as), or the limit of its cgroup"
				" or of mappings (vm.max_map_count)");
	r->region = (uint64_t)at;
	/* Now that the address is known: the way out unmaps it. */
	return fill_holder_slots(r, err);
}

int remote_open_begin(struct freeze *fz, const struct remote_needs *needs, const struct log *log, struct remote **out,
		      struct err *err)
{
	struct remote *r = xzalloc(sizeof(*r));
	struct err ignore = ERR_INIT;
	int ret;

	*r = (struct remote){ .fz = fz, .log = log, .holder = fz->speaker, .room = (needs->size + REGION_SLACK + 63) & ~63ull };
	r->filtered = needs->status && needs->status->seccomp;
	r->guest_room = (needs->others + GUEST_SLACK + 63) & ~63ull;
	ret = cave_find(fz, needs->maps, log, &r->cave, err);
	if (!needs->others)
		r->cave.guests = 0;
	r->region_len = (program_off(r, 1 + r->cave.guests) + 4095) & ~4095ull;
	if (!ret)
		ret = cave_signal(fz, needs->status, &r->stop_signal, &r->matters, err);
	if (!ret) {
		r->out = xzalloc(r->region_len);
		r->in = xmalloc(r->region_len);
		ret = write_code(r, err);
	}
	fault("dump:agent-written");
	if (!ret)
		ret = make_region(r, err);
	if (ret)
		remote_close(take_ptr(r), &ignore);
	*out = r;
	return ret;
}

int remote_open(struct freeze *fz, const struct remote_needs *needs, const struct log *log, struct remote **out, struct err *err)
{
	struct err ignore = ERR_INIT;
	int ret = remote_open_begin(fz, needs, log, out, err);

	if (!ret)
		ret = remote_open_go_on(*out, err);
	if (!ret)
		ret = remote_open_end(*out, err);
	if (ret && *out)
		remote_close(take_ptr(*out), &ignore);
	return ret;
}

int inside_copy(struct remote *r, void *buf, uint64_t at, size_t n, bool to, struct err *err)
{
	struct iovec local = { buf, n }, target = { (void *)(uintptr_t)at, n };
	ssize_t got = to ? process_vm_writev(freeze_tid(r->fz), &local, 1, &target, 1, 0) :
			   process_vm_readv(freeze_tid(r->fz), &local, 1, &target, 1, 0);

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
		const char *const why = "let guests show up";

		/* A filter that lets the agent pass lets futex(2) pass (common/task/seccomp.c). It sleeps where the time is not 0. */
		if (r->filtered)
			program_try(p, PHASE_LEAVE, why, SYS_futex, A(r->region + offsetof(struct timespec, tv_nsec)),
				    A(FUTEX_WAIT), A(GUEST_PERHAPS_NS), A(r->region));
		else
			program_try(p, PHASE_LEAVE, why, SYS_ppoll, A(0), A(0), A(r->region), A(0));
		for (size_t home = 1; home <= r->cave.guests; home++)
			program_try(p, PHASE_LEAVE, "wait for a guest", SYS_futex, A(flag_home(r, home)), A(FUTEX_WAIT),
				    A(GUEST_INSIDE), A(0));
	}
}

void remote_prepare(struct remote *r, struct program *prog, bool leader)
{
	add_epilogue(r, prog, leader ? HOLDER : GUEST);
}

int inside_enter(struct remote *r, size_t home, struct frozen_thread *t, struct err *err)
{
	struct arch_regs regs = t->regs;
	int ret;

	arch_agent_regs(&regs, r->cave.code, slots_home(r, home), r->region + program_off(r, home), home != 0);
	fault(home ? "dump:guest-perhaps" : "dump:holder-ready");
	ret = arch_set_regs(t->tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set registers");
	fault(home ? "dump:guest-in" : "dump:holder-in");
	ret = set_mask(t->tid, agent_mask(r));
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot set the signal mask");
	return 0;
}

int inside_let_run(struct frozen_thread *t, struct err *err)
{
	return ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0 ? err_sys(err, "cannot run thread %d", t->tid) : 0;
}

/* Mask first: were we to die between the two, the agent's path would still run.
 */
int inside_put_back(struct frozen_thread *t, struct err *err)
{
	int ret = set_mask(t->tid, t->sigmask);

	if (!ret)
		ret = arch_set_regs(t->tid, &t->regs);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot give thread %d its registers back", t->tid) : 0;
}

int inside_place(struct remote *r, size_t home, struct program *prog, struct err *err)
{
	struct program_link link = { .base = r->region + program_off(r, home), .epilogue_phase = PHASE_STOP,
				     .exit = r->cave.code + arch_agent_leave[home ? GUEST : HOLDER] };
	size_t size = program_size(prog);

	if (size > (home ? r->guest_room : r->room))
		return err_set(err, ERR_FAILED, E2BIG, "the questions need %zu bytes", size);
	program_link(prog, &link, r->out + program_off(r, home));
	return 0;
}

int inside_copy_programs(struct remote *r, size_t home, size_t n, size_t size, bool to, struct err *err)
{
	size_t off = program_off(r, home);

	return inside_copy(r, (to ? r->out : r->in) + off, r->region + off, (n - 1) * r->guest_room + size, to, err);
}

int inside_take_answers(struct remote *r, size_t home, struct frozen_thread *t, struct program *prog, struct err *err)
{
	for (;;) {
		int ret;

		program_absorb(prog, r->in + program_off(r, home));
		if (ran(prog))
			return 0;
		if (r->matters)
			r->owed = t->tid;
		ret = inside_let_run(t, err);
		if (!ret)
			ret = inside_wait(r, t->tid, r->stop_signal, err);
		if (!ret)
			ret = inside_copy_programs(r, home, 1, program_size(prog), false, err);
		if (ret)
			return ret;
	}
}

int inside_all_went_well(const struct program *prog, struct err *err)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	if (program_failed(prog) < 0)
		return 0;
	program_print_step(prog, (size_t)program_failed(prog), true, &line);
	return err_set(err, ERR_FAILED, 0, "%s", line.s);
}

int remote_run_begin(struct remote *r, struct program *prog, struct err *err)
{
	int ret = inside_place(r, 0, prog, err);

	if (!ret)
		ret = inside_copy_programs(r, 0, 1, program_size(prog), true, err);
	if (!ret)
		ret = inside_enter(r, 0, holder(r), err);
	if (!ret)
		ret = inside_let_run(holder(r), err);
	if (!ret)
		r->way = TO_ANSWERS;
	fault("dump:holder-runs");
	return ret;
}

int remote_run_end(struct remote *r, struct program *prog, struct err *err)
{
	int ret;

	r->way = AT_REST;
	ret = inside_wait(r, holder(r)->tid, r->stop_signal, err);
	fault("dump:holder-ran");
	if (!ret)
		ret = inside_copy_programs(r, 0, 1, program_size(prog), false, err);
	if (!ret)
		ret = inside_take_answers(r, 0, holder(r), prog, err);
	return ret ? ret : inside_all_went_well(prog, err);
}

int remote_run(struct remote *r, struct program *prog, struct err *err)
{
	int ret = remote_run_begin(r, prog, err);

	return ret ? ret : remote_run_end(r, prog, err);
}

void remote_region(const struct remote *r, uint64_t *start, uint64_t *end)
{
	*start = r->region;
	*end = r->region + r->region_len;
}

/* The holder goes its way out, up to the end of the call that unmaps the region. */
int remote_close_begin(struct remote *r, struct err *err)
{
	struct arch_regs regs = holder(r)->regs;
	int ret;

	arch_agent_leave_regs(&regs, r->cave.code, slots_home(r, 0), HOLDER);
	ret = arch_set_regs(holder(r)->tid, &regs);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot set registers") : to_call(r, TO_UNMAP, err);
}

int remote_close_go_on(struct remote *r, struct err *err)
{
	return through_call(r, FROM_UNMAP, "dump:in-munmap", err);
}

static int unmapped(struct remote *r, struct err *err)
{
	struct arch_regs regs;
	int ret = wait_call(r, err);

	if (ret)
		return ret;
	ret = arch_get_regs(holder(r)->tid, &regs);
	if (ret || arch_syscall_result(&regs))
		return err_set(err, ERR_FAILED, 0, "cannot unmap the agent's memory");
	r->region = 0;
	return 0;
}

/* After a failure elsewhere it may be on any way: it comes to the end of that one. */
static void arrive(struct remote *r)
{
	struct err ignore = ERR_INIT;

	if (r->way == TO_MAP)
		remote_open_go_on(r, &ignore);
	if (r->way == FROM_MAP)
		remote_open_end(r, &ignore);
	if (r->way == TO_ANSWERS) {
		r->way = AT_REST;
		inside_wait(r, holder(r)->tid, r->stop_signal, &ignore);
	}
	if (r->way == TO_UNMAP)
		remote_close_go_on(r, &ignore);
	if (r->way == FROM_UNMAP)
		unmapped(r, &ignore);
}

int remote_close_end(struct remote *r, struct err *err)
{
	int ret = r->way == FROM_UNMAP ? unmapped(r, err) : 0, back;

	if (r->holder_in && !r->stuck) {
		back = inside_put_back(holder(r), err);
		ret = ret ? ret : back;
	}
	if (r->owed)
		syscall(SYS_tgkill, r->fz->pid, r->owed, r->stop_signal);
	fault("dump:agent-left");
	if (r->cave.len && r->out && !r->stuck) {
		cleanup_free unsigned char *zeros = xzalloc(r->cave.len);

		back = pwrite_full(r->fz->mem_fd, zeros, r->cave.len, (off_t)r->cave.code);
		if (back && !ret)
			ret = err_set(err, ERR_FAILED, -back, "cannot wipe the agent's code");
	}
	free(r->out);
	free(r->in);
	free(r);
	return ret;
}

int remote_close(struct remote *r, struct err *err)
{
	int ret = 0, back;

	arrive(r);
	if (r->region && !r->stuck)
		ret = remote_close_begin(r, err);
	if (!ret && r->way == TO_UNMAP)
		ret = remote_close_go_on(r, err);
	back = remote_close_end(r, err);
	return ret ? ret : back;
}
