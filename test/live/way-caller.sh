#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of all kinds, restored by an odd caller: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" caller thread_identity thread_sched thread_creds thread_registers task_limits task_signals task_timers file_fs file_owner mm_mempolicy tree_threads tree_stopped tree_shared_vm tty_session unix_named
