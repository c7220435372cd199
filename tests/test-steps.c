/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <string.h>
#include <systemd/sd-event.h>

#include "steps.h"
#include "str.h"

/* Every begin and undo writes one letter; `fail_at` makes that begin fail, `pending` makes all of them end from the loop. */
typedef struct Trace {
        Text text;
        Steps *steps;
        sd_event *event;
        int fail_at;
        bool pending, finished;
        int error;
        char *message;
} Trace;

static int on_later(sd_event_source *s, void *userdata) {
        Trace *t = userdata;

        sd_event_source_unref(s);
        steps_continue(t->steps, 0, NULL);
        return 0;
}

static int later(Trace *t) {
        sd_event_source *s;

        if (!t->pending)
                return 1;
        assert_ok(sd_event_add_defer(t->event, &s, on_later, t));
        return 0;
}

static int begin(Trace *t, int n, Fault *f) {
        text_addf(&t->text, "%c", 'a' + n);
        if (t->fail_at == n)
                return fault_set(f, FAULT_QEMU, EIO, "step %d broke", n);
        return later(t);
}

static int undo(Trace *t, int n) {
        text_addf(&t->text, "%c", 'A' + n);
        return later(t);
}

#define ROW(n)                                                                                          \
        static int begin_##n(void *t, Fault *f) { return begin(t, n, f); }                              \
        static int undo_##n(void *t) { return undo(t, n); }
ROW(0)
ROW(2)

static int begin_1(void *t, Fault *f) {
        return begin(t, 1, f);
}

static const StepTable table = STEP_TABLE("table",
        { "first", begin_0, undo_0 },
        { "second", begin_1, NULL },
        { "third", begin_2, undo_2 },
);

static void on_finished(Steps *s, int error, const Fault *f, void *userdata) {
        Trace *t = userdata;

        assert_false(t->finished);
        t->finished = true;
        t->error = error;
        if (f->message)
                t->message = strdup(f->message);
        t->steps = steps_free(s);
        sd_event_exit(t->event, 0);
}

static void run(int fail_at, bool pending, size_t first, const char *expected, int error) {
        static const StepsWatch watch = { .finished = on_finished };
        Trace t = { .fail_at = fail_at, .pending = pending };
        _cleanup_free_ char *text = NULL;

        assert_ok(sd_event_new(&t.event));
        assert_ok(steps_new(t.event, &table, first, &watch, &t, &t.steps));
        assert_ok(sd_event_loop(t.event));
        text = text_finish(&t.text);
        assert_string_equal(text, expected);
        assert_int_equal(t.error, error);
        if (error)
                assert_non_null(t.message);
        free(t.message);
        sd_event_unref(t.event);
}

TEST(all_steps_run) {
        run(-1, false, 0, "abc", 0);
        run(-1, true, 0, "abc", 0);
        run(-1, true, 2, "c", 0);
}

TEST(each_step_failing_undoes_what_was_begun) {
        run(0, false, 0, "aA", -EIO);
        run(1, false, 0, "abA", -EIO);
        run(2, false, 0, "abcCA", -EIO);
        run(2, true, 0, "abcCA", -EIO);
        run(2, true, 2, "cCA", -EIO);
}

static int never(void *userdata, Fault *f) {
        return 0;
}

static int on_cancel(sd_event_source *s, uint64_t usec, void *userdata) {
        Trace *t = userdata;
        Fault why = FAULT_INIT;

        sd_event_source_unref(s);
        fault_set(&why, FAULT_CANCELED, ECANCELED, "canceled");
        steps_cancel(t->steps, &why);
        return 0;
}

static void run_and_cancel(const StepTable *steps, const char *expected, int error) {
        static const StepsWatch watch = { .finished = on_finished };
        Trace t = { .fail_at = 0 };
        _cleanup_free_ char *text = NULL;
        sd_event_source *s;

        assert_ok(sd_event_new(&t.event));
        assert_ok(steps_new(t.event, steps, 0, &watch, &t, &t.steps));
        assert_ok(sd_event_add_time_relative(t.event, &s, CLOCK_MONOTONIC, 20000, 1000, on_cancel, &t));
        assert_ok(sd_event_loop(t.event));
        text = text_finish(&t.text);
        assert_string_equal(text, expected);
        assert_int_equal(t.error, error);
        free(t.message);
        sd_event_unref(t.event);
}

static const StepTable stuck_table = STEP_TABLE("stuck", { "first", begin_1, undo_0 }, { "stuck", never, undo_2 });

TEST(cancel_interrupts_a_step) {
        run_and_cancel(&stuck_table, "bCA", -ECANCELED);
}

static int settle(void *userdata, Fault *f) {
        steps_settle(((Trace *) userdata)->steps);
        return 1;
}

static const StepTable settled_table = STEP_TABLE("settled",
        { "settle", settle, undo_0 }, { "fails", begin_0, undo_2 }, { "stuck", never, undo_2 }, { "last", begin_2, undo_2 },
);

TEST(what_has_been_settled_stays) {
        run_and_cancel(&settled_table, "a", 0);
}

TEST_MAIN(TEST_ROW(all_steps_run), TEST_ROW(each_step_failing_undoes_what_was_begun), TEST_ROW(cancel_interrupts_a_step),
          TEST_ROW(what_has_been_settled_stays))
