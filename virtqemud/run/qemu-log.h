/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* QEMU's own output, in LOGDIR/qemu/NAME.log: what it said last is part of the error when a start fails. */

/* Opens the log for appending and notes where this run begins. */
int qemu_log_open(Domain *d);

/* The last lines of this run, as one line; NULL if there are none. */
char *qemu_log_last_words(const Domain *d);
