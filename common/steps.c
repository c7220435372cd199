/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steps.h"

#include "mem.h"
#include "sdbus.h"

typedef enum StepsMode {
        MODE_FORWARD,  /* the next row is to be begun */
        MODE_BACKWARD, /* the current row is to be undone */
        MODE_WAITING,  /* a begin or undo is under way */
        MODE_FINISHED,
} StepsMode;

struct Steps {
        const StepRow *rows;
        size_t n;
        size_t next;            /* row to begin, or one past the row to undo */
        StepsMode mode;
        bool undoing;
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
        if (s->error == 0) {
                s->error = error;
                if (f)
                        fault_move(&s->fault, f);
        } else if (f)
                fault_clear(f);
        s->undoing = true;
        schedule(s, MODE_BACKWARD);
}

static void finish(Steps *s) {
        s->mode = MODE_FINISHED;
        s->watch->finished(s, s->error, &s->fault, s->userdata);
}

static void step_forward(Steps *s) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const StepRow *row;
        int r;

        if (s->next == s->n) {
                finish(s);
                return;
        }

        row = &s->rows[s->next++];
        s->mode = MODE_WAITING;
        if (s->watch->entered)
                s->watch->entered(s, row->name, s->userdata);
        r = row->begin(s->userdata, &f);
        if (r < 0)
                fail(s, r, &f);
        else if (r > 0)
                schedule(s, MODE_FORWARD);
}

static void step_backward(Steps *s) {
        const StepRow *row;

        while (s->next > 0 && !s->rows[s->next - 1].undo)
                s->next--;
        if (s->next == 0) {
                finish(s);
                return;
        }

        row = &s->rows[--s->next];
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

int steps_new(sd_event *event, const StepRow *rows, size_t n, size_t first, const StepsWatch *watch, void *userdata, Steps **ret) {
        _cleanup_(steps_freep) Steps *s = NULL;
        int r;

        assert(event && rows && first <= n && watch && watch->finished && ret);

        s = new0(Steps, 1);
        if (!s)
                return -ENOMEM;
        *s = (Steps) { .rows = rows, .n = n, .next = first, .watch = watch, .userdata = userdata };

        r = sd_event_add_defer(event, &s->defer, on_defer, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void steps_continue(Steps *s, int r, Fault *f) {
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
        else
                schedule(s, MODE_FORWARD);
}

void steps_cancel(Steps *s, Fault *why) {
        assert(s && why);

        if (s->undoing || s->mode == MODE_FINISHED)
                fault_clear(why);
        else
                fail(s, why->error ? -why->error : -ECANCELED, why);
}

const char *steps_current(const Steps *s) {
        assert(s);

        return s->next > 0 ? s->rows[s->next - 1].name : NULL;
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
