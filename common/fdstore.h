/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Descriptors that outlive this process: systemd keeps them while the service is restarted or comes back from a crash, and hands them
 * to the next one by name. Where no systemd started us nothing is kept, and all of this does nothing. Needs FileDescriptorStoreMax= in
 * the unit. Names: ASCII without control characters and ':'. */

/* Takes in what we were started with; once, before anything is asked for. Listening sockets of our .socket unit are left alone. */
int fdstore_open(void);

/* What the last process kept under that name, now ours; -ENOENT. */
int fdstore_take(const char *name);

/* The next one whose name begins with `prefix`; *ret_name is the rest. -ENOENT. */
int fdstore_take_next(const char *prefix, char **ret_name);

/* Keeps a copy; one that is there under the name is replaced. `fd` stays ours. */
int fdstore_keep(const char *name, int fd);
void fdstore_drop(const char *name);

/* Whatever was not taken belongs to what is no more: it is dropped. */
void fdstore_close(void);
