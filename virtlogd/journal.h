/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Lines for the journal. sd_journal_send() waits when journald does; here a line that journald does not take at once is lost, and
 * counted. Where no journal runs nothing happens. */
typedef struct Journal Journal;

#define JOURNAL_LINE_MAX 32768u

int journal_new(Journal **ret);
Journal *journal_free(Journal *j);
DEFINE_CLEANUP(Journal *, journal_free)

/* Who a line is from; NULL members are left out. */
typedef struct JournalSource {
        const char *domain, *uuid, *log, *unit;
        bool user;              /* `unit` is one of the user's */
} JournalSource;

/* 1: taken; 0: lost. Bytes that would upset a terminal become '?'. */
int journal_line(Journal *j, const JournalSource *from, const char *line, size_t length);
