// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Protection keys, pkeys(7): which ones are allocated, which mappings have them, and what each thread may do with each. Among them keys
 * that were freed, one of them while a mapping has it, the one that the kernel took for mappings that may only be executed, huge
 * memory that is split by keys, and a child that has pages in common with its parent and keys of its own.
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "test.h"

#define PAGE 4096ul
#define HUGE (2ul << 20)
#define READ_WRITE (PROT_READ | PROT_WRITE)
#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

static char *anon(size_t len)
{
	char *p = mmap(NULL, len, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* ---- what an access says ---- */

static __thread sigjmp_buf back;
static __thread int code, key;

/* Another one's rights are the kernel's here: those that everybody begins with, until siglongjmp() leaves. */
static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	code = si->si_code;
	key = (int)si->si_pkey;
	siglongjmp(back, 1);
}

/* 0: it may; else the code of the signal, and its key. A handler has the rights of all, and gives its own back (they are not in back). */
static int touched(volatile char *p, bool write)
{
	unsigned rights[16];

	for (int k = 0; k < 16; k++)
		rights[k] = (unsigned)pkey_get(k);
	code = 0;
	if (sigsetjmp(back, 1)) {
		for (int k = 0; k < 16; k++)
			CHECK(!pkey_set(k, rights[k]));
		return code;
	}
	if (write)
		*p = *p;
	else
		(void)*p;
	return 0;
}

#define MAY(p) (!touched(p, true))
#define READS_ONLY(p, k) (!touched(p, false) && touched(p, true) == SEGV_PKUERR && key == (k))
#define MAY_NOT(p, k) (touched(p, false) == SEGV_PKUERR && key == (k))

/* Key that smaps shows for the mapping with addr; -1: none. */
static int shown(const void *addr)
{
	static char line[4096];
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	int found = -1, k;
	bool here = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)addr && (uintptr_t)addr < end;
		else if (here && sscanf(line, "ProtectionKey: %d", &k) == 1)
			found = k;
	}
	fclose(f);
	return found;
}

/* ---- the state ---- */

static struct { int secret, readable, freed, kernels, late, unused; } keys;
#define MANY 600ul
static char *many; /* so many mappings that their flags are asked for in another way than that which tells keys */
static char *secret, *readable, *left, *code_page, *own_code, *zero_code, *huge, *plain, *shared;
static pthread_barrier_t steps;
static const unsigned char returns_7[] = { 0xb8, 7, 0, 0, 0, 0xc3 };

static char *executable(void)
{
	char *p = anon(PAGE);

	memcpy(p, returns_7, sizeof(returns_7));
	return p;
}

static void make(void)
{
	keys.secret = pkey_alloc(0, 0);
	if (keys.secret < 0)
		TEST_SKIP("no protection keys here: %s", strerror(errno));
	keys.readable = pkey_alloc(0, 0);
	code_page = executable();
	CHECK(!mprotect(code_page, PAGE, PROT_EXEC)); /* the kernel takes one */
	keys.kernels = shown(code_page);
	CHECK(keys.kernels == 3);
	keys.freed = pkey_alloc(0, 0);
	keys.unused = pkey_alloc(0, PKEY_DISABLE_WRITE);
	keys.late = pkey_alloc(0, 0);
	CHECK(keys.secret == 1 && keys.readable == 2 && keys.freed == 4 && keys.unused == 5 && keys.late == 6);

	secret = anon(2 * PAGE);
	strcpy(secret, "secret");
	readable = anon(2 * PAGE);
	strcpy(readable, "readable");
	left = anon(PAGE);
	strcpy(left, "left");
	own_code = executable();
	zero_code = executable();
	plain = anon(PAGE);
	many = anon(MANY * PAGE);
	for (size_t i = 0; i < MANY; i += 2)
		CHECK(!mprotect(many + i * PAGE, PAGE, PROT_READ));
	shared = mmap(NULL, 3 * PAGE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	memset(shared, 's', 3 * PAGE);
	huge = anon(3 * HUGE);
	huge = (char *)(((uintptr_t)huge + HUGE - 1) & ~(HUGE - 1));
	madvise(huge, 2 * HUGE, MADV_HUGEPAGE);
	memset(huge, 'h', 2 * HUGE);

	CHECK(!pkey_mprotect(secret, 2 * PAGE, READ_WRITE, keys.secret));
	CHECK(!pkey_mprotect(readable, 2 * PAGE, READ_WRITE, keys.readable));
	CHECK(!pkey_mprotect(readable + PAGE, PAGE, PROT_NONE, keys.readable));
	CHECK(!pkey_mprotect(left, PAGE, READ_WRITE, keys.freed));
	CHECK(!pkey_mprotect(own_code, PAGE, PROT_EXEC, keys.late));
	CHECK(!pkey_mprotect(zero_code, PAGE, PROT_EXEC, 0));
	CHECK(!pkey_mprotect(huge + PAGE, PAGE, READ_WRITE, keys.secret));
	CHECK(!pkey_mprotect(huge + HUGE, HUGE, READ_WRITE, keys.late));
	CHECK(!pkey_mprotect(shared + PAGE, PAGE, PROT_READ, keys.readable));
	CHECK(!pkey_mprotect(many + PAGE, PAGE, READ_WRITE, keys.late) && !pkey_free(keys.freed));
}

static void is_there(void)
{
	CHECK(shown(secret) == keys.secret && shown(readable) == keys.readable && shown(readable + PAGE) == keys.readable);
	CHECK(shown(left) == keys.freed && shown(code_page) == keys.kernels && shown(own_code) == keys.late);
	CHECK(shown(zero_code) == 0 && shown(plain) == 0 && shown(huge) == 0 && shown(huge + PAGE) == keys.secret);
	CHECK(shown(huge + 2 * PAGE) == 0 && shown(huge + HUGE) == keys.late && shown(many + PAGE) == keys.late);
	CHECK(shown(shared) == 0 && shown(shared + PAGE) == keys.readable && shown(shared + 2 * PAGE) == 0);
}

static int run(const char *p)
{
	return ((int (*)(void))(uintptr_t)p)();
}

/* ---- threads ---- */

static void first_rights(void)
{
	CHECK(!pkey_set(keys.secret, PKEY_DISABLE_ACCESS) && !pkey_set(keys.readable, PKEY_DISABLE_WRITE));
	CHECK(!pkey_set(keys.freed, 0) && !pkey_set(keys.late, 0));
}

static void have_first_rights(void)
{
	CHECK(MAY_NOT(secret, keys.secret) && MAY_NOT(huge + PAGE, keys.secret));
	CHECK(READS_ONLY(readable, keys.readable) && MAY(left) && MAY(plain) && MAY(huge) && MAY(huge + HUGE));
	CHECK(!touched(shared + PAGE, false) && touched(shared + PAGE, true) && MAY(shared));
	CHECK(pkey_get(keys.unused) == PKEY_DISABLE_WRITE);
	CHECK(MAY_NOT(code_page, keys.kernels) && run(code_page) == 7 && run(own_code) == 7 && run(zero_code) == 7);
}

static void *other(void *arg)
{
	char name[16] = "";

	CHECK(!pkey_set(keys.secret, 0) && !pkey_set(keys.readable, PKEY_DISABLE_ACCESS) && !pkey_set(keys.freed, PKEY_DISABLE_ACCESS));
	pthread_barrier_wait(&steps);
	pthread_barrier_wait(&steps);
	CHECK(MAY(secret) && !strcmp(secret, "secret") && MAY(huge + PAGE));
	CHECK(MAY_NOT(readable, keys.readable) && MAY_NOT(left, keys.freed) && MAY(plain));
	/* System calls obey, too. */
	CHECK(prctl(PR_GET_NAME, readable) < 0 && errno == EFAULT && !prctl(PR_GET_NAME, name));
	return arg;
}

/* ---- a child that has most of its pages from here ---- */

static void child(int ready, int go)
{
	char c;

	CHECK(!pkey_free(keys.unused) && !pkey_mprotect(plain, PAGE, READ_WRITE, keys.secret));
	CHECK(write(ready, "r", 1) == 1 && read(go, &c, 1) == 1);
	CHECK(shown(plain) == keys.secret && shown(secret) == keys.secret && shown(huge + HUGE) == keys.late);
	CHECK(shown(code_page) == keys.kernels && MAY_NOT(plain, keys.secret) && READS_ONLY(readable, keys.readable));
	CHECK(pkey_alloc(0, 0) == keys.freed && pkey_alloc(0, 0) == keys.unused && pkey_alloc(0, 0) == 7);
	_exit(0);
}

static void *new_thread(void *arg)
{
	have_first_rights();
	return arg;
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int ready[2], go[2], status;
	pthread_t t, late;
	pid_t pid;
	char c;

	make();
	CHECK(!sigaction(SIGSEGV, &act, NULL) && !pthread_barrier_init(&steps, NULL, 2) && !pipe(ready) && !pipe(go));
	first_rights();
	is_there();
	have_first_rights();
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		child(ready[1], go[0]);
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK(!pthread_create(&t, NULL, other, NULL));
	pthread_barrier_wait(&steps);

	test_ready();

	is_there();
	have_first_rights();
	CHECK(!strcmp(readable, "readable") && !strcmp(left, "left") && huge[2 * PAGE] == 'h' && huge[HUGE] == 'h' && shared[PAGE] == 's');
	pthread_barrier_wait(&steps);
	CHECK(!pthread_join(t, NULL));
	CHECK(write(go[1], "g", 1) == 1 && waitpid(pid, &status, 0) == pid);
	CHECK(!status);

	/* A new thread has the rights of its maker, and so has a new process. */
	CHECK(!pthread_create(&late, NULL, new_thread, NULL) && !pthread_join(late, NULL));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		is_there();
		have_first_rights();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);

	/* An old key is still the program's, a freed one is not, and the kernel's was never. */
	CHECK(!pkey_mprotect(plain, PAGE, READ_WRITE, keys.secret) && MAY_NOT(plain, keys.secret));
	CHECK(pkey_mprotect(left, PAGE, READ_WRITE, keys.freed) < 0 && errno == EINVAL);
	CHECK(pkey_mprotect(plain, PAGE, READ_WRITE, keys.kernels) < 0 && errno == EINVAL);
	CHECK(pkey_free(keys.kernels) < 0 && errno == EINVAL);
	CHECK(!pkey_set(keys.secret, 0) && !strcmp(secret, "secret") && huge[PAGE] == 'h');
	CHECK(!mprotect(zero_code, PAGE, PROT_READ) && !mprotect(zero_code, PAGE, PROT_EXEC) && shown(zero_code) == keys.kernels);
	CHECK(pkey_alloc(0, 0) == keys.freed && pkey_alloc(0, 0) == 7 && !pkey_free(keys.unused) && pkey_alloc(0, 0) == keys.unused);
	for (int k = 8; k < 16; k++)
		CHECK(pkey_alloc(0, 0) == k);
	CHECK(pkey_alloc(0, 0) < 0 && errno == ENOSPC);
	pass();
}
