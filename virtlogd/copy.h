/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "journal.h"
#include "logfile.h"
#include "settings.h"

/* What has arrived in a file goes on to the journal, line by line, as far as the rate limit allows. */
typedef struct JournalCopy {
        uint64_t at;             /* number of the next byte to look at: the beginning of a line */
        uint64_t window_begin;   /* usec, CLOCK_MONOTONIC */
        uint64_t lines;          /* sent in this window */
        uint64_t suppressed;     /* bytes */
} JournalCopy;

/* Sends whole lines up to the end of the file; a last half one is left for later. */
void journal_copy_run(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const Logfile *file);
/* The log has ended: the half one as well. */
void journal_copy_finish(JournalCopy *c, const Settings *settings, Journal *journal, const JournalSource *from, const Logfile *file);
