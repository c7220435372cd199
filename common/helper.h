/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* A short-lived helper program: gets one socket as descriptor 3, dies with us, is killed when freed. Its standard output goes
 * nowhere, the end of its standard error is kept as last words. */
typedef struct Helper Helper;

#define HELPER_WORDS_MAX 2048u

/* Called once when it has ended and all its words are in; `si_code` is CLD_EXITED, CLD_KILLED or CLD_DUMPED, 127/CLD_EXITED also
 * means that it could not be started (the words say why). */
typedef void (*HelperFunc)(Helper *h, int si_code, int status, void *userdata);

/* `argv[0]` is the path. `input` (borrowed, -1: /dev/null) becomes standard input, `socket` (likewise) descriptor 3. SIGCHLD must be
 * blocked (-EBUSY). */
int helper_start(sd_event *e, char *const argv[], int input, int socket, HelperFunc done, void *userdata, Helper **ret);
Helper *helper_free(Helper *h);
DEFINE_CLEANUP(Helper *, helper_free)

/* What it said last on standard error, without line ends at the end; "" if nothing. Unprintable bytes are replaced. */
const char *helper_words(const Helper *h);
/* "ended with status 1: words" or "was killed by signal 11"; new string, NULL: out of memory. */
char *helper_describe(const Helper *h, int si_code, int status);
