/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* An operation as a table of steps. Each `begin` starts something and either is done at once (1), ends later with one call of
 * steps_continue() (0), or fails (negative errno, with the Fault set where there is more to say). After a failure the `undo`s of the
 * steps that were begun run backwards, the failed one included, because it may have got half-way; an undo follows the same
 * convention but can't fail: what it can't take back it logs. */
typedef struct StepRow {
        const char *name;                         /* goes into the journal of the operation and into error texts */
        int (*begin)(void *userdata, Fault *f);
        int (*undo)(void *userdata);              /* 1 or 0; NULL: nothing to take back */
} StepRow;

/* Its name is nobody else's, in no daemon: tests read the tables in the sources, and have each row of each of them fail. */
typedef struct StepTable {
        const char *name;
        const StepRow *rows;
        size_t n;
} StepTable;

/* static const StepTable table = STEP_TABLE("name", { "row", begin, undo }, …); */
#define STEP_TABLE(title, ...) { title, (const StepRow[]) { __VA_ARGS__ }, sizeof((const StepRow[]) { __VA_ARGS__ }) / sizeof(StepRow) }

typedef struct Steps Steps;

typedef struct StepsWatch {
        void (*entered)(Steps *s, const char *step, void *userdata);         /* before each begin; may be NULL */
        /* Exactly once, never from within steps_new(). 0: all done; else the error of the step that failed, after all undos ran.
         * May free the Steps. */
        void (*finished)(Steps *s, int error, const Fault *f, void *userdata);
} StepsWatch;

/* Begins with row `first` (0 for a fresh operation; later ones are used to take up an interrupted one: rows before it count as
 * begun). Runs from the event loop, not from within this call. */
int steps_new(sd_event *event, const StepTable *table, size_t first, const StepsWatch *watch, void *userdata, Steps **ret);

/* Ends the step or undo that is under way: r >= 0 done, r < 0 failed because of `f` (may be NULL; is moved away). */
void steps_continue(Steps *s, int r, Fault *f);

/* Fails the operation now, whatever step it is in; that step's undo is told to stop what is under way. No effect while undoing. */
void steps_cancel(Steps *s, Fault *why);

/* What has been done can't be taken back any more: from now on no failure counts, and steps_cancel() ends the operation as one that went well,
 * without the steps that are left. */
void steps_settle(Steps *s);

/* The step under way; NULL before the first. */
const char *steps_current(const Steps *s);
bool steps_undoing(const Steps *s);

/* Forgets the operation without undoing anything: for a daemon that is going away and will take it up again. */
Steps *steps_free(Steps *s);
DEFINE_CLEANUP(Steps *, steps_free)
