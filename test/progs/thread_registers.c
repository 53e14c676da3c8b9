/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All registers of threads that compute: general, SSE, AVX and AVX-512 with mask registers, x87, and MXCSR, never
 * out of a
 * register while the program is frozen.
 * test: once timeout=60 */
#include <immintrin.h>
#include <pthread.h>

#include "test.h"

#define THREADS 64

static volatile int stop;
static volatile int running;

/* Fills every register from seed, spins until *stop, and puts what it finds into out. */
__attribute__((target("avx512f,avx512bw"), noinline)) static void spin512(uint64_t seed, uint64_t out[32][8], uint64_t k[8])
{
	uint64_t in[32][8];

	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 8; j++)
			in[i][j] = seed * 0x9e3779b97f4a7c15ull + (uint64_t)(i * 8 + j);
	__asm__ volatile(
		"vmovdqu64 0*64(%[in]), %%zmm0\n\tvmovdqu64 1*64(%[in]), %%zmm1\n\tvmovdqu64 7*64(%[in]), %%zmm7\n\t"
		"vmovdqu64 15*64(%[in]), %%zmm15\n\tvmovdqu64 16*64(%[in]), %%zmm16\n\tvmovdqu64 17*64(%[in]), %%zmm17\n\t"
		"vmovdqu64 24*64(%[in]), %%zmm24\n\tvmovdqu64 31*64(%[in]), %%zmm31\n\t"
		"kmovq 0*64(%[in]), %%k1\n\tkmovq 1*64(%[in]), %%k4\n\tkmovq 2*64(%[in]), %%k7\n\t"
		"lock incl %[running]\n\t"
		"1: pause\n\tcmpl $0, %[stop]\n\tje 1b\n\t"
		"vmovdqu64 %%zmm0, 0*64(%[out])\n\tvmovdqu64 %%zmm1, 1*64(%[out])\n\tvmovdqu64 %%zmm7, 7*64(%[out])\n\t"
		"vmovdqu64 %%zmm15, 15*64(%[out])\n\tvmovdqu64 %%zmm16, 16*64(%[out])\n\tvmovdqu64 %%zmm17, 17*64(%[out])\n\t"
		"vmovdqu64 %%zmm24, 24*64(%[out])\n\tvmovdqu64 %%zmm31, 31*64(%[out])\n\t"
		"kmovq %%k1, 0(%[k])\n\tkmovq %%k4, 8(%[k])\n\tkmovq %%k7, 16(%[k])\n\t"
		"vzeroupper\n\t"
		: [running] "+m"(running)
		: [in] "r"(in), [out] "r"(out), [k] "r"(k), [stop] "m"(stop)
		: "memory", "cc", "xmm0", "xmm1", "xmm7", "xmm15", "xmm16", "xmm17", "xmm24", "xmm31", "k1", "k4", "k7");
	static const int used[] = { 0, 1, 7, 15, 16, 17, 24, 31 };
	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
		for (int j = 0; j < 8; j++)
			CHECK_EQ(out[used[i]][j], in[used[i]][j]);
	CHECK_EQ(k[0], in[0][0]);
	CHECK_EQ(k[1], in[1][0]);
	CHECK_EQ(k[2], in[2][0]);
}

__attribute__((noinline)) static void spin128(uint64_t seed)
{
	uint64_t in[2] = { seed, ~seed }, out[2] = { 0, 0 };

	__asm__ volatile("movdqu (%[in]), %%xmm3\n\tmovdqu (%[in]), %%xmm12\n\tlock incl %[running]\n\t"
			 "1: pause\n\tcmpl $0, %[stop]\n\tje 1b\n\tpxor %%xmm12, %%xmm3\n\tmovdqu %%xmm3, (%[out])\n\t"
			 : [running] "+m"(running)
			 : [in] "r"(in), [out] "r"(out), [stop] "m"(stop)
			 : "memory", "cc", "xmm3", "xmm12");
	CHECK_EQ(out[0], 0);
	CHECK_EQ(out[1], 0);
}

__attribute__((noinline)) static void spin_general(uint64_t seed)
{
	uint64_t got[13] = { 0 };
	struct { volatile int *stop, *running; uint64_t *out; uint64_t seed; } a = { &stop, &running, got, seed };
	unsigned mxcsr = 0x1f80 | 0x6000, now = 0; /* round to zero */
	double pi = 0;

	__asm__ volatile("ldmxcsr %0\n\tfldpi" : : "m"(mxcsr));
	__asm__ volatile("push %%rbp\n\tpush %%rbx\n\t"
			 "mov 24(%%rax), %%rbx\n\tlea 1(%%rbx), %%rcx\n\tlea 2(%%rbx), %%rdx\n\tlea 3(%%rbx), %%rsi\n\t"
			 "lea 4(%%rbx), %%rdi\n\tlea 5(%%rbx), %%rbp\n\tlea 6(%%rbx), %%r8\n\tlea 7(%%rbx), %%r9\n\t"
			 "lea 8(%%rbx), %%r10\n\tlea 9(%%rbx), %%r11\n\tlea 10(%%rbx), %%r12\n\tlea 11(%%rbx), %%r13\n\t"
			 "mov 8(%%rax), %%r14\n\tlock incl (%%r14)\n\tmov (%%rax), %%r14\n\t"
			 "1: pause\n\tmov (%%r14), %%r15d\n\ttest %%r15d, %%r15d\n\tje 1b\n\t"
			 "mov 16(%%rax), %%r14\n\tmov %%rbx, 0(%%r14)\n\tmov %%rcx, 8(%%r14)\n\tmov %%rdx, 16(%%r14)\n\t"
			 "mov %%rsi, 24(%%r14)\n\tmov %%rdi, 32(%%r14)\n\tmov %%rbp, 40(%%r14)\n\tmov %%r8, 48(%%r14)\n\t"
			 "mov %%r9, 56(%%r14)\n\tmov %%r10, 64(%%r14)\n\tmov %%r11, 72(%%r14)\n\tmov %%r12, 80(%%r14)\n\t"
			 "mov %%r13, 88(%%r14)\n\tpop %%rbx\n\tpop %%rbp\n\t"
			 : : "a"(&a) : "memory", "cc", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
			   "r15");
	__asm__ volatile("stmxcsr %0\n\tfstpl %1" : "=m"(now), "=m"(pi));
	for (int i = 0; i < 12; i++)
		CHECK_EQ(got[i], seed + (uint64_t)i);
	CHECK_EQ(now & 0xffc0, mxcsr & 0xffc0);
	CHECK(pi > 3.14159265358979 && pi < 3.1415926535898);
}

static void *thread(void *arg)
{
	uint64_t seed = 0x1111111111111111ull * (uint64_t)(uintptr_t)arg;
	uint64_t out[32][8] = { { 0 } }, k[8] = { 0 };

	if ((uintptr_t)arg % 3 == 0)
		spin_general(seed);
	else if (__builtin_cpu_supports("avx512bw"))
		spin512(seed, out, k);
	else
		spin128(seed);
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, (void *)(i + 1)));
	while (running < THREADS)
		test_sleep_ms(1);
	test_ready();
	stop = 1;
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	pass();
}
