/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel interfaces newer than the headers of the oldest build host, as in include/uapi of Linux 6.18. Own names (fp_), so that
 * newer system headers do not collide. Private to this folder.
 */
#ifndef CR_FEATURE_UAPI_H
#define CR_FEATURE_UAPI_H

#include <linux/ioctl.h>
#include <stdint.h>

/* linux/fs.h */
#define FP_IS_WPALLOWED (1 << 0)
#define FP_IS_WRITTEN (1 << 1)
#define FP_IS_FILE (1 << 2)
#define FP_IS_PRESENT (1 << 3)
#define FP_IS_SWAPPED (1 << 4)
#define FP_IS_PFNZERO (1 << 5)
#define FP_IS_HUGE (1 << 6)
#define FP_IS_SOFT_DIRTY (1 << 7)
#define FP_IS_GUARD (1 << 8)
#define FP_WP_MATCHING (1 << 0)
#define FP_CHECK_WPASYNC (1 << 1)
struct fp_region { uint64_t start, end, categories; };
struct fp_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define FP_PAGEMAP_SCAN _IOWR('f', 16, struct fp_scan_arg)
struct fp_procmap_query {
	uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};
#define FP_PROCMAP_QUERY _IOWR('f', 17, struct fp_procmap_query)

#define FP_QUERY_READABLE 0x01
#define FP_QUERY_WRITABLE 0x02
#define FP_QUERY_NEXT 0x10
#define FP_QUERY_FILE 0x20

/* linux/userfaultfd.h */
#define FP_UFFD_WP_UNPOPULATED (1 << 13)
#define FP_UFFD_WP_ASYNC (1 << 15)

/* asm/unistd_64.h, the same number on all architectures */
#define FP_SYS_statmount 457
#define FP_SYS_listmount 458
#define FP_SYS_mseal 462

/* linux/prctl.h */
#define FP_TIMER_CREATE_RESTORE_IDS 77

/* linux/mount.h */
#define FP_MOVE_MOUNT_SET_GROUP 0x100

/* linux/if_link.h */
#define FP_IFLA_TARGET_NETNSID 46
#define FP_IFLA_NEW_IFINDEX 49

/* linux/netfilter/nf_tables.h */
#define FP_NFT_SET_CONCAT 0x80
#define FP_NFTA_SET_DESC_CONCAT 2
#define FP_NFTA_LIST_ELEM 1
#define FP_NFTA_SET_FIELD_LEN 1

/* linux/stat.h: stx_mnt_id has no name in old headers */
#define FP_STATX_MNT_ID_UNIQUE 0x4000
#define FP_STATX_MNT_ID_AT 0x90

/* asm/prctl.h of x86 */
#define FP_ARCH_GET_XCOMP_SUPP 0x1021
#define FP_ARCH_SHSTK_ENABLE 0x5001
#define FP_ARCH_SHSTK_DISABLE 0x5002
#define FP_ARCH_SHSTK_SHSTK (1 << 0)

/* asm-generic/mman-common.h */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#endif
