/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-script.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "str.h"

/* How long a guest is waited for that shall let go of a device it has hardly seen. */
#define DELETE_USEC (10u * 1000 * 1000)

struct QmpScript {
        QmpScriptSpec spec;
        size_t at;                   /* the command under way, or the next one to take back plus one */
        bool undoing, stopping, left;
        unsigned fail_at, die_at;    /* for tests: this command, from 1; 0: none */
        QmpRequest *request;
        sd_event_source *defer, *timeout;
        char *deleting;              /* the device that is waited for */
        Fault why;
};

QmpScript *qmp_script_free(QmpScript *s) {
        if (!s)
                return NULL;
        qmp_request_free(s->request);
        sd_event_source_disable_unref(s->defer);
        sd_event_source_disable_unref(s->timeout);
        json_decref(s->spec.commands);
        free(s->deleting);
        fault_clear(&s->why);
        free(s);
        return NULL;
}

static json_t *step_at(const QmpScript *s, size_t i) {
        return json_array_get(s->spec.commands, i);
}

static void go(QmpScript *s);

static int on_defer(sd_event_source *source, void *userdata) {
        QmpScript *s = userdata;

        s->defer = sd_event_source_disable_unref(s->defer);
        go(s);
        return 0;
}

/* The owner may free the script in done(). */
static void finish(QmpScript *s) {
        _cleanup_fault_ Fault why = FAULT_INIT;

        fault_move(&why, &s->why);
        s->spec.done(fault_is_set(&why) ? &why : NULL, s->spec.userdata);
}

/* --- what is done --- */

/* What takes something away has QEMU's word that it is gone; there is no error class for that. */
static bool is_gone(const Fault *why) {
        return strstr(fault_text(why), " not found") || strstr(fault_text(why), "Failed to find ");
}

static bool step_done(QmpScript *s, const Fault *why) {
        if (s->spec.go_on && why && is_gone(why))
                why = NULL;
        if (why && !fault_is_set(&s->why))
                (void) fault_copy(&s->why, why);
        if (why && !s->spec.go_on) {
                s->undoing = true;
                return false;
        }
        s->at++;
        return true;
}

/* Objects that read a file by its path find it under the number that QEMU gave it. */
static void set_number(QmpScript *s, const json_t *result) {
        json_t *ours = json_object_get(step_at(s, s->at), "fd"), *theirs = json_object_get(result, "fd");
        _cleanup_free_ char *from = NULL, *to = NULL;

        if (!ours || !json_is_integer(theirs))
                return;
        from = strf("/proc/self/fd/%" JSON_INTEGER_FORMAT, json_integer_value(ours));
        to = strf("/proc/self/fd/%" JSON_INTEGER_FORMAT, json_integer_value(theirs));
        for (size_t i = s->at + 1; from && to && i < json_array_size(s->spec.commands); i++) {
                const char *key;
                json_t *value;

                json_object_foreach(json_object_get(step_at(s, i), "arguments"), key, value)
                        if (json_is_string(value) && streq(json_string_value(value), from))
                                (void) json_string_set(value, to);
        }
}

static void on_answer(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        QmpScript *s = userdata;

        s->request = qmp_request_free(s->request);
        if (result)
                set_number(s, result);
        (void) step_done(s, why);
        go(s);
}

static int send_step(QmpScript *s, json_t *step, QmpReplyFunc answer) {
        const json_t *number = json_object_get(step, "fd");
        const char *name = json_string_value(json_object_get(step, "execute"));
        Qmp *q = s->spec.get_qmp(s->spec.userdata);
        json_t *arguments;
        int fd;

        if (!q)
                return -ENOTCONN;
        arguments = json_incref(json_object_get(step, "arguments"));
        if (!number)
                return qmp_send(q, name, arguments, 0, answer, s, &s->request);
        fd = s->spec.get_fd ? s->spec.get_fd((int) json_integer_value(number), s->spec.userdata) : -EBADF;
        if (fd < 0) {
                json_decref(arguments);
                return fd;
        }
        return qmp_send_fds(q, name, arguments, &fd, 1, 0, answer, s, &s->request);
}

/* For tests of what a failure or a sudden death leaves behind: the file $VIRTBUS_FAIL_QMP says "NAME fail N" or "NAME die N": the Nth command
 * of the next script of that name is refused, or the daemon is killed before it is sent; the one after the last is the end of it. */
static void read_for_test(QmpScript *s) {
        const char *path = getenv("VIRTBUS_FAIL_QMP");
        FILE *file = path && s->spec.name ? fopen(path, "re") : NULL;
        char name[16], what[16];
        unsigned n;

        if (!file)
                return;
        if (fscanf(file, "%15s %15s %u", name, what, &n) == 3 && streq(name, s->spec.name)) {
                *(streq(what, "die") ? &s->die_at : &s->fail_at) = n;
                (void) unlink(path);
        }
        (void) fclose(file);
}

static void die_for_test(const QmpScript *s) {
        if (s->die_at == s->at + 1)
                (void) raise(SIGKILL);
}

static int refuse_for_test(QmpScript *s) {
        return fault_set(&s->why, FAULT_QEMU, EIO, "%s was refused, because a test wants it so",
                         json_string_value(json_object_get(step_at(s, s->at), "execute")));
}

static int send_next(QmpScript *s) {
        die_for_test(s);
        if (s->fail_at == s->at + 1)
                return refuse_for_test(s);
        return send_step(s, step_at(s, s->at), on_answer);
}

/* --- what is taken back --- */

static void stop_waiting(QmpScript *s) {
        s->timeout = sd_event_source_disable_unref(s->timeout);
        free_and_replace(&s->deleting, NULL);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        QmpScript *s = userdata;

        log_warning("the guest does not let go of %s, which should not have been plugged in", s->deleting);
        s->left = true;
        stop_waiting(s);
        go(s);
        return 0;
}

static bool wait_for_device(QmpScript *s, const json_t *undo) {
        const char *id = json_string_value(json_object_get(json_object_get(undo, "arguments"), "id"));

        if (!streq(json_string_value(json_object_get(undo, "execute")), "device_del") || !id)
                return false;
        s->deleting = strdup(id);
        return s->deleting && sd_event_add_time_relative(s->spec.event, &s->timeout, CLOCK_MONOTONIC, DELETE_USEC, 0, on_timeout, s) >= 0;
}

void qmp_script_device_deleted(QmpScript *s, const char *device) {
        assert(s && device);

        if (!s->deleting || !streq(s->deleting, device))
                return;
        stop_waiting(s);
        if (!s->request)
                go(s);
}

/* The device may be gone before QEMU has answered: then nobody waits for it any more. */
static void on_undone(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        QmpScript *s = userdata;

        s->request = qmp_request_free(s->request);
        if (why) {
                log_debug("%s", fault_text(why)); /* what was used up is not there to be closed */
                stop_waiting(s);
        }
        if (!s->deleting)
                go(s);
}

/* Whether an answer is waited for. */
static bool undo_one(QmpScript *s) {
        json_t *undo = json_object_get(step_at(s, --s->at), "undo");

        if (!undo)
                return false;
        (void) wait_for_device(s, undo);
        if (send_step(s, undo, on_undone) >= 0)
                return true;
        s->left = true;
        stop_waiting(s);
        return false;
}

static void go(QmpScript *s) {
        if (TAKE(s->stopping, false))
                s->undoing = true;
        if (s->undoing) {
                while (s->at > 0)
                        if (undo_one(s))
                                return;
                finish(s);
                return;
        }
        while (s->at < json_array_size(s->spec.commands)) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int r = send_next(s);

                if (r >= 0)
                        return;
                if (fault_is_set(&s->why))
                        fault_move(&f, &s->why);
                else
                        fault_set(&f, FAULT_QEMU, -r, "QEMU can't be asked: %s", strerror(-r));
                if (!step_done(s, &f)) {
                        go(s);
                        return;
                }
        }
        die_for_test(s);
        finish(s);
}

bool qmp_script_left_something(const QmpScript *s) {
        return s && s->left;
}

void qmp_script_undo(QmpScript *s) {
        assert(s);

        s->stopping = true;
        if (!s->request && !s->defer && !s->deleting && sd_event_add_defer(s->spec.event, &s->defer, on_defer, s) < 0)
                go(s);
}

int qmp_script_new(const QmpScriptSpec *spec, QmpScript **ret) {
        _cleanup_(qmp_script_freep) QmpScript *s = new0(QmpScript, 1);
        int r;

        assert(spec && spec->event && spec->get_qmp && spec->commands && spec->done && ret);

        if (!s)
                return -ENOMEM;
        s->spec = *spec;
        json_incref(s->spec.commands);
        read_for_test(s);
        s->undoing = spec->from_end;
        s->at = spec->from_end ? json_array_size(spec->commands) : 0;
        r = sd_event_add_defer(spec->event, &s->defer, on_defer, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int qmp_commands_to_lines(const json_t *commands, char ***lines) {
        json_t *step;
        size_t i;
        int r = 0;

        assert(lines);

        json_array_foreach(commands, i, step) {
                _cleanup_free_ char *arguments = json_dumps(json_object_get(step, "arguments"), JSON_COMPACT);

                if (r >= 0)
                        r = arguments ? strv_pushf(lines, "qmp %s %s", json_string_value(json_object_get(step, "execute")), arguments) : -ENOMEM;
        }
        return r;
}
