/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a failed step says about this kernel and these privileges. Nothing is probed before: the step is the best probe
 * there is, and only when it fails is the table of features asked for the sentence that cr-check has, too.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common/feature/feature.h"
#include "common/restore/inner.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77 /* include/uapi/linux/prctl.h, since 6.15 */
#endif
#define ADVICE_GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, since 6.13 */

#define ANY (-1)

/* The first row whose call and constant argument are the step's. */
static const struct need {
	long nr;
	int arg; /* which one decides; ANY: none */
	uint64_t value;
	const char *feature;
} needs[] = {
	{ SYS_clone3, ANY, 0, "clone3_set_tid" },
	{ SYS_prctl, 1, PR_SET_MM_MAP, "prctl_mm_map" },
	{ SYS_prctl, 1, PR_SET_MM_EXE_FILE, "prctl_set_exe" },
	{ SYS_prctl, 0, PR_TIMER_CREATE_RESTORE_IDS, "timer_cr_ids" },
	{ SYS_prctl, 0, PR_CAPBSET_DROP, "cap_setpcap" },
	{ SYS_prctl, 0, PR_SET_SECUREBITS, "cap_setpcap" },
	{ SYS_arch_prctl, 0, ARCH_MAP_VDSO_64, "can_map_vdso" },
	{ SYS_mremap, ANY, 0, "vdso_mremap" },
	{ SYS_madvise, 2, ADVICE_GUARD_INSTALL, "guard_install" },
	{ SYS_mseal, ANY, 0, "mseal" },
	{ SYS_pkey_alloc, ANY, 0, "pkeys" },
	{ SYS_memfd_create, ANY, 0, "memfd" },
	{ SYS_process_vm_writev, ANY, 0, "process_vm_writev" },
	{ SYS_openat2, ANY, 0, "openat2" },
	{ SYS_chroot, ANY, 0, "cap_sys_chroot" },
	{ SYS_setresuid, ANY, 0, "cap_setuid" },
	{ SYS_setresgid, ANY, 0, "cap_setgid" },
	{ SYS_setgroups, ANY, 0, "cap_setgid" },
	{ SYS_setpriority, ANY, 0, "cap_sys_nice" },
	{ SYS_sched_setattr, ANY, 0, "cap_sys_nice" },
	{ SYS_mlock, ANY, 0, "cap_ipc_lock" },
	{ SYS_mlock2, ANY, 0, "cap_ipc_lock" },
	{ SYS_mlockall, ANY, 0, "cap_ipc_lock" },
	{ SYS_prlimit64, ANY, 0, "cap_sys_resource" },
	{ SYS_linkat, ANY, 0, "cap_dac_read_search" },
	{ SYS_fchownat, ANY, 0, "cap_chown" },
	{ SYS_fchown, ANY, 0, "cap_chown" },
};

int step_blame(const struct program *p, size_t i, int errnum, struct err *err)
{
	const struct arg *args = program_args(p, i);
	long nr = program_nr(p, i);

	for (size_t k = 0; k < ARRAY_SIZE(needs); k++) {
		const struct need *n = &needs[k];

		if (n->nr != nr || (n->arg != ANY && (args[n->arg].kind != ARG_CONST || args[n->arg].v != n->value)))
			continue;
		/* A capability that is not there explains a refusal, and nothing else. */
		if (!strncmp(n->feature, "cap_", 4) && errnum != EPERM && errnum != EACCES)
			return 0;
		return feature_blame(n->feature, errnum, err);
	}
	return 0;
}
