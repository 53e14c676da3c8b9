#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Checkpoints of all kinds through every view: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" views mm_private mm_file_copies mm_cow mm_shared file_epoll file_deleted file_fanotify unix_named tcp_listen tty_session task_timers thread_seccomp tree_shape ipc_namespace
