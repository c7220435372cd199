/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "instance.h"

/* A guest that stands because there was no space left for what it wrote goes on when there is some: its request is tried again, ever
 * more rarely. Nobody looks at the file system, which may be one that does not answer. While a try is under way the guest is still
 * shown as paused, until it has run for a while. */
typedef struct IORetry IORetry;

#define IO_RETRY_MAX_USEC (60u * 1000 * 1000)      /* between two tries */
#define IO_RETRY_PROOF_USEC (1000u * 1000)         /* that the guest has to run */

/* From the monitor: no space was left, and the guest stands. */
void io_retry_wait(Instance *i);
/* It runs; true: because we try. */
bool io_retry_resumed(Instance *i);
/* It stands again, for whatever reason. */
void io_retry_stopped(Instance *i);

IORetry *io_retry_free(IORetry *t);
