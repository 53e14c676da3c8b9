#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of all kinds as increments: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" chain mm_private mm_shared mm_flags mm_mempolicy mm_shared_views thread_syscalls thread_registers tree_shape tree_stopped file_memfd ipc_namespace
