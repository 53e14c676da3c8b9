#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of all kinds down a pipe and up from one: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" stream mm_private mm_shared mm_tree mm_flags file_deleted_shared file_epoll_tree unix_rights unix_queue tcp_pair tcp_ended tty_pair tree_shape tree_shared_vm thread_syscalls
