/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/guest-file.h"
#include "../run/guest-stream.h"
#include "base64.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "fd.h"
#include "guest-bus.h"
#include "guest-call.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* Programs in the guest, and its files. */

#define EXEC_TIMEOUT_USEC UINT64_C(60000000)
#define EXEC_LOOK_USEC UINT64_C(50000)            /* how soon it is looked for the end; then ever later, up to a second */
#define EXEC_LOOK_MAX_USEC UINT64_C(1000000)

/* --- programs --- */

/* path, arguments, environment, input. */
static int read_program(sd_bus_message *m, json_t **ret, Fault *f) {
        _cleanup_strv_ char **argv = NULL, **env = NULL;
        json_auto_t *arguments = json_array(), *environment = json_array();
        _cleanup_free_ char *text = NULL;
        const void *input;
        const char *path;
        size_t n;
        int r = sd_bus_message_read(m, "s", &path);

        if (r >= 0)
                r = bus_read_strings(m, &argv, f);
        if (r >= 0)
                r = bus_read_strings(m, &env, f);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &input, &n);
        for (char **a = argv; r >= 0 && a && *a; a++)
                r = json_array_append_new(arguments, json_string(*a));
        for (char **e = env; r >= 0 && e && *e; e++)
                r = json_array_append_new(environment, json_string(*e));
        if (r < 0)
                return r;
        text = n > 0 ? base64_encode(input, n) : NULL;
        *ret = n > 0 && !text ? NULL : json_pack("{s:s, s:O, s:O, s:s*, s:b}", "path", path, "arg", arguments, "env", environment, "input-data", text,
                                                 "capture-output", 1);
        return *ret ? 0 : -ENOMEM;
}

static int append_output(sd_bus_message *reply, const json_t *text) {
        _cleanup_free_ void *bytes = NULL;
        size_t n = 0;
        int r = text ? (json_is_string(text) ? base64_decode(json_string_value(text), &bytes, &n) : -EBADMSG) : 0;

        return r < 0 ? r : sd_bus_message_append_array(reply, 'y', bytes, n);
}

/* How it ended: code, signal, output, errors, whether there was more of them. */
static int append_end(sd_bus_message *reply, const json_t *result) {
        int r = sd_bus_message_append(reply, "ii", (int32_t) json_integer_value(json_object_get(result, "exitcode")),
                                      (int32_t) json_integer_value(json_object_get(result, "signal")));

        if (r >= 0)
                r = append_output(reply, json_object_get(result, "out-data"));
        if (r >= 0)
                r = append_output(reply, json_object_get(result, "err-data"));
        return r < 0 ? r : sd_bus_message_append(reply, "b", json_is_true(json_object_get(result, "out-truncated")) ||
                                                                     json_is_true(json_object_get(result, "err-truncated")));
}

static int answer_status(sd_bus_message *reply, const json_t *result) {
        int r = sd_bus_message_append(reply, "b", json_is_true(json_object_get(result, "exited")));

        return r < 0 ? r : append_end(reply, result);
}

static int answer_pid(sd_bus_message *reply, const json_t *result) {
        const json_t *pid = json_object_get(result, "pid");

        return json_is_integer(pid) ? sd_bus_message_append(reply, "t", (uint64_t) json_integer_value(pid)) : -EBADMSG;
}

BUS_HANDLER(method_spawn, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *program = NULL;
        uint64_t timeout;
        int r = read_program(m, &program, &f);

        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-exec", json_incref(program), timeout, answer_pid, error);
}

BUS_HANDLER(method_get_status, ACTION_GUEST) {
        uint64_t pid, timeout;
        int r = sd_bus_message_read(m, "t", &pid);

        if (r < 0)
                return r;
        r = guest_read_timeout(m, &timeout, error);
        return r < 0 ? r : guest_call(userdata, m, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t) pid), timeout, answer_status, error);
}

/* Exec: one that is waited for. */
typedef struct Exec {
        Domain *domain;
        GuestWatch watch;
        sd_bus_message *call;
        QgaCall *asked;
        sd_event_source *look, *deadline;
        uint64_t pause;
        json_int_t pid;
} Exec;

static void exec_end(Exec *e, const Fault *why) {
        if (why)
                (void) bus_reply_fault(e->call, why, -why->error);
        domain_forget_guest_watch(e->domain, &e->watch);
        qga_call_free(e->asked);
        sd_event_source_disable_unref(e->look);
        sd_event_source_disable_unref(e->deadline);
        sd_bus_message_unref(e->call);
        free(e);
}

static void on_exec_gone(const Fault *why, void *userdata) {
        exec_end(userdata, why);
}

static int on_exec_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Exec *e = userdata;

        if (e->pid > 0) {
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the program in the guest of %s has not ended in time", e->domain->name);
                fault_hint(&f, "it runs on as process %lld; GetExecStatus tells when it has ended", (long long) e->pid);
        } else
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest agent of %s did not answer guest-exec in time", e->domain->name);
        exec_end(e, &f);
        return 0;
}

static void exec_answer(Exec *e, const json_t *result) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = sd_bus_message_new_method_return(e->call, &reply);

        if (r >= 0)
                r = append_end(reply, result);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                fault_set(&f, FAULT_GUEST_AGENT, -r, "what the guest agent of %s says of the program makes no sense", e->domain->name);
        exec_end(e, r < 0 ? &f : NULL);
}

static void on_status(json_t *result, const Fault *why, void *userdata) {
        Exec *e = userdata;

        if (why)
                exec_end(e, why);
        else if (json_is_true(json_object_get(result, "exited")))
                exec_answer(e, result);
        else {
                e->pause = MIN(e->pause * 2, EXEC_LOOK_MAX_USEC);
                (void) sd_event_source_set_time_relative(e->look, e->pause);
                (void) sd_event_source_set_enabled(e->look, SD_EVENT_ONESHOT);
        }
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Exec *e = userdata;

        e->asked = qga_call_free(e->asked);
        if (domain_ask_guest(e->domain, "guest-exec-status", json_pack("{s:I}", "pid", e->pid), 0, on_status, e, &e->asked, &f) < 0)
                exec_end(e, &f);
        return 0;
}

static void on_started(json_t *result, const Fault *why, void *userdata) {
        const json_t *pid = json_object_get(result, "pid");
        _cleanup_fault_ Fault f = FAULT_INIT;
        Exec *e = userdata;

        if (!why && !json_is_integer(pid))
                fault_set(&f, FAULT_GUEST_AGENT, EBADMSG, "what the guest agent of %s says of the program makes no sense", e->domain->name);
        if (why || fault_is_set(&f)) {
                exec_end(e, why ?: &f);
                return;
        }
        e->pid = json_integer_value(pid);
        (void) sd_event_add_time_relative(e->domain->manager->event, &e->look, CLOCK_MONOTONIC, e->pause, 0, on_look, e);
}

static int exec_new(Domain *d, sd_bus_message *m, json_t *program, uint64_t timeout, Fault *f) {
        Exec *e = new0(Exec, 1);
        int r;

        if (!e)
                return fault_oom(f);
        *e = (Exec) { .domain = d, .call = sd_bus_message_ref(m), .pause = EXEC_LOOK_USEC, .watch = { .gone = on_exec_gone, .userdata = e } };
        r = sd_event_add_time_relative(d->manager->event, &e->deadline, CLOCK_MONOTONIC, timeout ?: EXEC_TIMEOUT_USEC, 0, on_exec_deadline, e);
        if (r >= 0)
                r = domain_ask_guest(d, "guest-exec", json_incref(program), timeout, on_started, e, &e->asked, f);
        if (r < 0) {
                exec_end(e, NULL);
                return r;
        }
        domain_watch_guest(d, &e->watch);
        return 0;
}

BUS_HANDLER(method_exec, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *program = NULL;
        uint64_t timeout;
        int r = read_program(m, &program, &f);

        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = guest_read_timeout(m, &timeout, error);
        if (r < 0)
                return r;
        r = exec_new(userdata, m, program, timeout, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- files, and output that is read while it comes: a pipe, and a job as long as something goes through it --- */

typedef struct Transfer {
        sd_bus_message *call;        /* until the pipe is there */
        Job *job;
        GuestFile *file;             /* one of them */
        GuestStream *stream;
} Transfer;

static void on_opened(int fd, void *userdata) {
        Transfer *t = userdata;

        (void) sd_bus_reply_method_return(t->call, "ho", fd, job_path(t->job));
        t->call = sd_bus_message_unref(t->call);
        fd_close(fd);
}

static void on_progress(uint64_t bytes, void *userdata) {
        job_set_progress(((Transfer *) userdata)->job, bytes, 0);
}

static void on_done(const Fault *why, void *userdata) {
        Transfer *t = userdata;

        assert(why || !t->call); /* on_opened() comes before a good end */

        if (t->call)
                (void) bus_reply_fault(t->call, why, -why->error);
        job_finish(t->job, why ? -why->error : 0, why);
        sd_bus_message_unref(t->call);
        free(t);
}

static int on_cancel(Job *j, void *userdata, Fault *f) {
        Transfer *t = userdata;

        if (t->file)
                guest_file_cancel(t->file);
        else
                guest_stream_cancel(t->stream);
        return 0;
}

static int transfer_new(Domain *d, const char *operation, Transfer **ret, Fault *f) {
        Service *s = d->manager->watch_userdata;
        Transfer *t = new0(Transfer, 1);
        char object[DOMAIN_PATH_MAX];
        int r;

        if (!t)
                return fault_oom(f);

        const JobSpec job = { .operation = operation, .object = domain_path(d, object), .cancel = on_cancel, .userdata = t };

        r = job_new(s->jobs, &job, &t->job, f);
        if (r < 0)
                free(t);
        else
                *ret = t;
        return r;
}

/* `r` is what became of its beginning. */
static int transfer_begun(Transfer *t, sd_bus_message *m, int r, const Fault *f) {
        if (r >= 0) {
                t->call = sd_bus_message_ref(m);
                return 0;
        }
        job_finish(t->job, r, f);
        free(t);
        return r;
}

static int copy_new(Domain *d, sd_bus_message *m, const char *path, GuestFileMode mode, Fault *f) {
        Transfer *t;
        int r = transfer_new(d, mode == GUEST_FILE_READ ? "read-guest-file" : "write-guest-file", &t, f);

        if (r < 0)
                return r;

        const GuestFileSpec spec = { .path = path, .mode = mode, .opened = on_opened, .progress = on_progress, .done = on_done, .userdata = t };

        return transfer_begun(t, m, guest_file_new(d, &spec, &t->file, f), f);
}

static int read_file_call(sd_bus_message *m, Domain *d, const char *path, GuestFileMode mode, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = bus_read_options(m, 0, &flags, NULL, 0, &f);

        if (r >= 0)
                r = copy_new(d, m, path, mode, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_read_file, ACTION_GUEST) {
        const char *path;
        int r = sd_bus_message_read(m, "s", &path);

        return r < 0 ? r : read_file_call(m, userdata, path, GUEST_FILE_READ, error);
}

BUS_HANDLER(method_write_file, ACTION_GUEST) {
        const char *path;
        int append, r = sd_bus_message_read(m, "sb", &path, &append);

        return r < 0 ? r : read_file_call(m, userdata, path, append ? GUEST_FILE_APPEND : GUEST_FILE_WRITE, error);
}

static void on_stream_done(const Fault *why, int code, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!why && code != 0)
                fault_set(&f, FAULT_GUEST_AGENT, EIO, code > 128 ? "the program was ended by signal %d" : "the program has ended with %d",
                          code > 128 ? code - 128 : code);
        on_done(why ?: fault_is_set(&f) ? &f : NULL, userdata);
}

static int stream_new(Domain *d, sd_bus_message *m, const json_t *program, Fault *f) {
        Transfer *t;
        int r = transfer_new(d, "run-in-guest", &t, f);

        if (r < 0)
                return r;

        const GuestStreamSpec spec = {
                .path = json_string_value(json_object_get(program, "path")), .arguments = json_object_get(program, "arg"),
                .environment = json_object_get(program, "env"), .opened = on_opened, .progress = on_progress, .done = on_stream_done,
                .userdata = t,
        };

        return transfer_begun(t, m, guest_stream_new(d, &spec, &t->stream, f), f);
}

BUS_HANDLER(method_exec_stream, ACTION_GUEST) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *program = NULL;
        uint64_t flags;
        int r = read_program(m, &program, &f);

        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0 && json_object_get(program, "input-data"))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "a program whose output is read while it runs takes no input");
        if (r >= 0)
                r = stream_new(userdata, m, program, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- the interface --- */

#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
#define METHOD(member, in, in_names, out, out_names, handler)                                           \
        SD_BUS_METHOD_WITH_NAMES(member, in "ta{sv}", in_names FLAGS, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)
#define PROGRAM SD_BUS_PARAM(path) SD_BUS_PARAM(arguments) SD_BUS_PARAM(environment) SD_BUS_PARAM(input)
#define END SD_BUS_PARAM(code) SD_BUS_PARAM(signal) SD_BUS_PARAM(output) SD_BUS_PARAM(errors) SD_BUS_PARAM(truncated)

const sd_bus_vtable guest_exec_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Exec", "sasasay", PROGRAM, "iiayayb", END, method_exec),
        METHOD("ExecStream", "sasasay", PROGRAM, "ho", SD_BUS_PARAM(pipe) SD_BUS_PARAM(job), method_exec_stream),
        METHOD("Spawn", "sasasay", PROGRAM, "t", SD_BUS_PARAM(pid), method_spawn),
        METHOD("GetExecStatus", "t", SD_BUS_PARAM(pid), "biiayayb", SD_BUS_PARAM(exited) END, method_get_status),
        METHOD("ReadFile", "s", SD_BUS_PARAM(path), "ho", SD_BUS_PARAM(pipe) SD_BUS_PARAM(job), method_read_file),
        METHOD("WriteFile", "sb", SD_BUS_PARAM(path) SD_BUS_PARAM(append), "ho", SD_BUS_PARAM(pipe) SD_BUS_PARAM(job), method_write_file),
        SD_BUS_VTABLE_END
};
