#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of all kinds whose children share pages: see test/lib/way.
# timeout: 280
exec "$TOP/test/lib/way" cow mm_private mm_tree mm_shared_views tree_shape tree_deep tree_signals unix_tree file_locks_tree
