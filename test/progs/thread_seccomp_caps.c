/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As container runtimes do: a filter installed by CAP_SYS_ADMIN, which is then given up, without no_new_privs. */
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

static void caps(struct __user_cap_data_struct v[2])
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	CHECK(!syscall(SYS_capget, &h, v));
}

int main(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 70),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct v[2];

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		TEST_SKIP("no seccomp filter without no_new_privs here: %s", strerror(errno));
	caps(v);
	v[0].effective = v[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	CHECK(!syscall(SYS_capset, &h, v));
	test_ready();
	caps(v);
	CHECK(!(v[0].permitted >> CAP_SYS_ADMIN & 1) && !(v[0].effective >> CAP_SYS_ADMIN & 1));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK(syscall(SYS_acct, NULL) == -1 && errno == 70);
	pass();
}
