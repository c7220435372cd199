/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steps.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "mem.h"
#include "sdbus.h"
#include "str.h"

typedef enum StepsMode {
        MODE_FORWARD,  /* the next row is to be begun */
        MODE_BACKWARD, /* the current row is to be undone */
        MODE_WAITING,  /* a begin or undo is under way */
        MODE_FINISHED,
} StepsMode;

typedef enum StepsAccident { ACCIDENT_NONE, ACCIDENT_DIES, ACCIDENT_BEGUN, ACCIDENT_DONE } StepsAccident;

struct Steps {
        const StepTable *table;
        size_t next;            /* row to begin, or one past the row to undo */
        StepsMode mode;
        bool undoing, settled;
        StepsAccident accident; /* for a test … */
        size_t accident_at;     /* … in this row, counted from 1 */
        int error;
        Fault fault;
        const StepsWatch *watch;
        void *userdata;
        sd_event_source *defer; /* every move happens here, so that callbacks never nest */
};

static void schedule(Steps *s, StepsMode mode) {
        s->mode = mode;
        (void) sd_event_source_set_enabled(s->defer, SD_EVENT_ONESHOT);
}

static void fail(Steps *s, int error, Fault *f) {
        if (s->settled) {
                if (f)
                        fault_clear(f);
                schedule(s, MODE_FORWARD);
                return;
        }
        if (s->error == 0) {
                s->error = error;
                if (f)
                        fault_move(&s->fault, f);
        } else if (f)
                fault_clear(f);
        s->undoing = true;
        schedule(s, MODE_BACKWARD);
}

/* For tests of what is left behind: the file $VIRTBUS_FAIL_STEP says "TABLE ROW HOW": in the next operation of that table this row fails when
 * it has "begun" or when it is "done", or the daemon "dies" when it comes to it. The file goes then. What is settled fails only when it is
 * done, and goes on. */
static void read_for_test(Steps *s) {
        const char *path = getenv("VIRTBUS_FAIL_STEP");
        FILE *file = path ? fopen(path, "re") : NULL;
        char table[32], row[32], how[16];

        if (!file)
                return;
        if (fscanf(file, "%31s %31s %15s", table, row, how) == 3 && streq(table, s->table->name))
                for (size_t i = 0; i < s->table->n; i++)
                        if (streq(row, s->table->rows[i].name)) {
                                s->accident = streq(how, "dies") ? ACCIDENT_DIES : streq(how, "begun") ? ACCIDENT_BEGUN : ACCIDENT_DONE;
                                s->accident_at = i + 1;
                        }
        (void) fclose(file);
}

/* The file goes with what it asked for; false: it has gone already. */
static bool accident_happens(void) {
        const char *path = getenv("VIRTBUS_FAIL_STEP");

        return path && unlink(path) == 0;
}

static void die_for_test(const Steps *s) {
        if (s->accident == ACCIDENT_DIES && s->accident_at == s->next && accident_happens())
                (void) raise(SIGKILL);
}

static int fail_for_test(Steps *s, bool done, int r, Fault *f) {
        if (r < 0 || s->accident < ACCIDENT_BEGUN || s->accident_at != s->next || (!done && (s->settled || s->accident == ACCIDENT_DONE)))
                return r;
        s->accident = ACCIDENT_NONE;
        (void) accident_happens();
        return fault_set(f, FAULT_HOST, EIO, "the step %s failed, because a test wants it so", s->table->rows[s->next - 1].name);
}

static void finish(Steps *s) {
        s->mode = MODE_FINISHED;
        s->watch->finished(s, s->error, &s->fault, s->userdata);
}

static void step_forward(Steps *s) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const StepRow *row;
        int r;

        if (s->next == s->table->n) {
                finish(s);
                return;
        }

        row = &s->table->rows[s->next++];
        s->mode = MODE_WAITING;
        if (s->watch->entered)
                s->watch->entered(s, row->name, s->userdata);
        die_for_test(s);
        r = row->begin(s->userdata, &f);
        r = fail_for_test(s, r > 0, r, &f);
        if (r < 0)
                fail(s, r, &f);
        else if (r > 0)
                schedule(s, MODE_FORWARD);
}

static void step_backward(Steps *s) {
        const StepRow *row;

        while (s->next > 0 && !s->table->rows[s->next - 1].undo)
                s->next--;
        if (s->next == 0) {
                finish(s);
                return;
        }

        row = &s->table->rows[--s->next];
        s->mode = MODE_WAITING;
        if (row->undo(s->userdata) > 0)
                schedule(s, MODE_BACKWARD);
}

static int on_defer(sd_event_source *source, void *userdata) {
        Steps *s = userdata;

        switch (s->mode) {
        case MODE_FORWARD:
                step_forward(s);
                break;
        case MODE_BACKWARD:
                step_backward(s);
                break;
        case MODE_WAITING:
        case MODE_FINISHED:
                break;
        }
        return 0;
}

int steps_new(sd_event *event, const StepTable *table, size_t first, const StepsWatch *watch, void *userdata, Steps **ret) {
        _cleanup_(steps_freep) Steps *s = NULL;
        int r;

        assert(event && table && first <= table->n && watch && watch->finished && ret);

        s = new0(Steps, 1);
        if (!s)
                return -ENOMEM;
        *s = (Steps) { .table = table, .next = first, .watch = watch, .userdata = userdata };
        read_for_test(s);

        r = sd_event_add_defer(event, &s->defer, on_defer, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void steps_continue(Steps *s, int r, Fault *f) {
        _cleanup_fault_ Fault wanted = FAULT_INIT;

        assert(s);

        if (s->mode != MODE_WAITING) {
                if (f)
                        fault_clear(f);
                return;
        }
        if (s->undoing)
                schedule(s, MODE_BACKWARD);
        else if (r < 0)
                fail(s, r, f);
        else if (fail_for_test(s, true, 0, &wanted) < 0)
                fail(s, -EIO, &wanted);
        else
                schedule(s, MODE_FORWARD);
}

void steps_cancel(Steps *s, Fault *why) {
        assert(s && why);

        if (s->undoing || s->mode == MODE_FINISHED)
                fault_clear(why);
        else if (s->settled) {
                fault_clear(why);
                s->next = s->table->n;
                schedule(s, MODE_FORWARD);
        } else
                fail(s, why->error ? -why->error : -ECANCELED, why);
}

void steps_settle(Steps *s) {
        assert(s && !s->undoing);

        s->settled = true;
}

const char *steps_current(const Steps *s) {
        assert(s);

        return s->next > 0 ? s->table->rows[s->next - 1].name : NULL;
}

bool steps_undoing(const Steps *s) {
        assert(s);

        return s->undoing;
}

Steps *steps_free(Steps *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->defer);
        fault_clear(&s->fault);
        free(s);
        return NULL;
}
