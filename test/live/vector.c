/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 64 threads that are nearly always inside a loop over vector registers that hold values of their own: all 32 zmm registers and the mask
 * registers with AVX-512, or all 16 ymm registers with AVX2. Any register that changes under way ends it.
 */
#include <immintrin.h>
#include <pthread.h>

#include "test/progs/test.h"

enum { THREADS = 64 };
static volatile unsigned long rounds[THREADS];

#define HIGH16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define LOW16(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD_Z(n) "vmovdqu64 " #n "*64(%[in]), %%zmm" #n "\n\t"
#define STORE_Z(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%[out])\n\t"
#define LOAD_Y(n) "vmovdqu " #n "*64(%[in]), %%ymm" #n "\n\t"
#define STORE_Y(n) "vmovdqu %%ymm" #n ", " #n "*64(%[out])\n\t"
#define NAME_X(n) "xmm" #n,

static bool wide;

__attribute__((target("avx512f,avx512bw"))) static uint64_t loop_512(const void *in, void *out, uint64_t k, uint64_t turns)
{
	__asm__ volatile(LOW16(LOAD_Z) HIGH16(LOAD_Z)
			 "kmovq %[k], %%k1\n\t kmovq %[k], %%k7\n"
			 "1:\t dec %[turns]\n\t jnz 1b\n\t"
			 LOW16(STORE_Z) HIGH16(STORE_Z)
			 "kmovq %%k1, %%rax\n\t kmovq %%k7, %[turns]\n\t xor %[k], %[turns]\n\t xor %[k], %%rax\n\t or %%rax, %[turns]\n\t"
			 "vzeroupper\n\t"
			 : [turns] "+r"(turns)
			 : [in] "r"(in), [out] "r"(out), [k] "r"(k)
			 : LOW16(NAME_X) HIGH16(NAME_X) "rax", "cc", "memory");
	return turns;
}

__attribute__((target("avx2"))) static uint64_t loop_256(const void *in, void *out, uint64_t k, uint64_t turns)
{
	__asm__ volatile(LOW16(LOAD_Y) "1:\t dec %[turns]\n\t jnz 1b\n\t" LOW16(STORE_Y) "vzeroupper\n\t"
			 : [turns] "+r"(turns)
			 : [in] "r"(in), [out] "r"(out), [k] "r"(k)
			 : LOW16(NAME_X) "cc", "memory");
	return turns;
}

static void *worker(void *arg)
{
	size_t n = (size_t)(intptr_t)arg;
	unsigned char in[32 * 64], out[32 * 64];
	for (unsigned long round = 0;; round++) {
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (unsigned char)(n * 131 + i * 7 + (i >> 6) * 29 + round);
		memset(out, 0, sizeof(out));
		uint64_t k = 0x9e3779b97f4a7c15ull * (n + 1 + round);
		uint64_t bad = wide ? loop_512(in, out, k, 300000) : loop_256(in, out, k, 300000);
		if (bad)
			fail("thread %zu, round %lu: a mask register changed: %llx", n, round, (unsigned long long)bad);
		for (int r = 0; r < (wide ? 32 : 16); r++)
			if (memcmp(in + r * 64, out + r * 64, wide ? 64 : 32))
				fail("thread %zu, round %lu: vector register %d changed", n, round, r);
		rounds[n]++;
	}
	return NULL;
}

int main(void)
{
	wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
	if (!wide && !__builtin_cpu_supports("avx2"))
		TEST_SKIP("this processor has neither AVX-512 nor AVX2");
	for (intptr_t i = 0; i < THREADS; i++) {
		pthread_t t;
		CHECK(!pthread_create(&t, NULL, worker, (void *)i));
	}
	for (int i = 0; i < THREADS; i++)
		while (!rounds[i])
			test_sleep_ms(1);
	test_ready();
	unsigned long seen[THREADS];
	for (int i = 0; i < THREADS; i++)
		seen[i] = rounds[i];
	for (int i = 0; i < THREADS; i++)
		for (int t = 0; rounds[i] < seen[i] + 2; t++) {
			if (t > 20000)
				fail("thread %d makes no progress", i);
			test_sleep_ms(1);
		}
	pass();
}
