#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of all kinds, copied in rounds while they run: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" rounds mm_private mm_shared mm_stack mm_aio thread_syscalls thread_sleeps thread_rseq thread_seccomp tree_shape tree_threads tree_shared_vm file_timerfd task_timers
