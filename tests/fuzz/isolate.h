/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* For a program that does whatever its input says: as root it gets a network of its own, what it could change of the host becomes
 * read-only, and FOLDER a file system that goes with it. False: it must not go on. */
bool isolate_host(const char *folder);
/* From here on it can run no program and end nobody. */
bool isolate_programs(void);
