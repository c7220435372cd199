/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-stream.h"

#include <inttypes.h>
#include <systemd/sd-id128.h>

#include "guest-file.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

#define SHELL "/bin/sh"
#define RUN "umask 077; exec \"$@\" >\"$0\" 2>&1"
#define LOOK_USEC UINT64_C(100000)              /* how soon it is looked for more output, then ever later, up to … */
#define LOOK_MAX_USEC UINT64_C(1000000)
#define OPEN_TRIES 50u                          /* until its file is there */

struct GuestStream {
        Domain *domain;
        GuestStreamSpec spec;        /* but for what it runs */
        GuestWatch watch;
        QgaCall *call;
        sd_event_source *look;
        GuestFile *file;
        char *name;                  /* of the file in the guest */
        json_int_t pid;
        uint64_t pause;
        unsigned tries;
        bool opened, exited;
        int code;
};

static void on_ignored(json_t *result, const Fault *why, void *userdata) {
}

static void remove_file(GuestStream *s) {
        (void) domain_ask_guest(s->domain, "guest-exec", json_pack("{s:s, s:[s, s, s]}", "path", SHELL, "arg", "-c", "rm -f \"$0\"", s->name), 0, on_ignored,
                                NULL, NULL, NULL);
}

static void stream_free(GuestStream *s) {
        domain_forget_guest_watch(s->domain, &s->watch);
        qga_call_free(s->call);
        sd_event_source_disable_unref(s->look);
        free(s->name);
        free(s);
}

static void finish(GuestStream *s, const Fault *why) {
        void (*done)(const Fault *why, int code, void *userdata) = s->spec.done;
        void *userdata = s->spec.userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int code = s->code;

        if (why)
                (void) fault_copy(&f, why);
        if (s->pid > 0)
                remove_file(s);
        stream_free(s);
        done(why ? &f : NULL, code, userdata);
}

/* Where its file is being read that one hears of it first, and ends. */
static void on_gone(const Fault *why, void *userdata) {
        GuestStream *s = userdata;

        s->pid = 0;
        if (!s->file)
                finish(s, why);
}

void guest_stream_cancel(GuestStream *s) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(s);

        fault_set(&f, FAULT_CANCELED, ECANCELED, "the output is not wanted any more");
        s->tries = OPEN_TRIES;
        if (s->file)
                guest_file_cancel(s->file);
        else
                finish(s, &f);
}

static void ask(GuestStream *s, const char *command, json_t *arguments, QgaReply reply) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        s->call = qga_call_free(s->call);
        if (domain_ask_guest(s->domain, command, arguments, 0, reply, s, &s->call, &f) >= 0)
                return;
        if (s->file)
                guest_file_cancel(s->file);
        else
                finish(s, &f);
}

static void wait_a_while(GuestStream *s) {
        (void) sd_event_source_set_time_relative(s->look, s->pause);
        (void) sd_event_source_set_enabled(s->look, SD_EVENT_ONESHOT);
        s->pause = MIN(s->pause * 2, LOOK_MAX_USEC);
}

/* --- reading --- */

/* What it wrote last is read after it has ended. */
static void on_status(json_t *result, const Fault *why, void *userdata) {
        GuestStream *s = userdata;
        const json_t *sig = json_object_get(result, "signal");

        if (why)
                guest_file_cancel(s->file);
        else if (json_is_true(json_object_get(result, "exited"))) {
                s->exited = true;
                s->code = json_is_integer(sig) ? 128 + (int) json_integer_value(sig) : (int) json_integer_value(json_object_get(result, "exitcode"));
                guest_file_go_on(s->file, true);
        } else
                wait_a_while(s);
}

static void on_end(void *userdata) {
        GuestStream *s = userdata;

        if (s->exited)
                guest_file_go_on(s->file, false);
        else
                ask(s, "guest-exec-status", json_pack("{s:I}", "pid", s->pid), on_status);
}

static void on_progress(uint64_t bytes, void *userdata) {
        GuestStream *s = userdata;

        s->pause = LOOK_USEC;
        s->spec.progress(bytes, s->spec.userdata);
}

static void on_opened(int fd, void *userdata) {
        GuestStream *s = userdata;

        s->opened = true;
        s->spec.opened(fd, s->spec.userdata);
}

static void on_file_done(const Fault *why, void *userdata) {
        GuestStream *s = userdata;

        s->file = NULL;
        if (why && !s->opened && s->pid > 0 && ++s->tries < OPEN_TRIES)
                wait_a_while(s);
        else
                finish(s, why);
}

static void open_file(GuestStream *s) {
        const GuestFileSpec spec = {
                .path = s->name, .mode = GUEST_FILE_READ, .opened = on_opened, .progress = on_progress, .at_end = on_end, .done = on_file_done, .userdata = s,
        };
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (guest_file_new(s->domain, &spec, &s->file, &f) < 0)
                finish(s, &f);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        GuestStream *s = userdata;

        if (s->file)
                guest_file_go_on(s->file, true);
        else
                open_file(s);
        return 0;
}

/* --- starting --- */

static void on_started(json_t *result, const Fault *why, void *userdata) {
        const json_t *pid = json_object_get(result, "pid");
        _cleanup_fault_ Fault f = FAULT_INIT;
        GuestStream *s = userdata;

        if (!why && (!json_is_integer(pid) || json_integer_value(pid) <= 0))
                fault_set(&f, FAULT_GUEST_AGENT, EBADMSG, "what the guest agent of %s says of the program makes no sense", s->domain->name);
        if (why || fault_is_set(&f)) {
                finish(s, why ?: &f);
                return;
        }
        s->pid = json_integer_value(pid);
        open_file(s);
}

static json_t *arguments_of(const GuestStream *s, const GuestStreamSpec *spec) {
        json_auto_t *list = json_pack("[s, s, s, s]", "-c", RUN, s->name, spec->path);

        if (!list || json_array_extend(list, spec->arguments) < 0)
                return NULL;
        return json_pack("{s:s, s:O, s:O, s:b}", "path", SHELL, "arg", list, "env", spec->environment, "capture-output", 0);
}

int guest_stream_new(Domain *d, const GuestStreamSpec *spec, GuestStream **ret, Fault *f) {
        GuestStream *s = new0(GuestStream, 1);
        sd_id128_t chance;
        int r;

        assert(d && spec && spec->opened && spec->progress && spec->done && ret);

        if (!s)
                return fault_oom(f);
        *s = (GuestStream) { .domain = d, .spec = *spec, .pause = LOOK_USEC, .watch = { .gone = on_gone, .userdata = s } };
        r = sd_id128_randomize(&chance);
        s->name = r < 0 ? NULL : strf("/tmp/.virtbus-%016" PRIx64, chance.qwords[0]);
        if (r >= 0)
                r = s->name ? sd_event_add_time_relative(d->manager->event, &s->look, CLOCK_MONOTONIC, 0, 0, on_look, s) : -ENOMEM;
        if (r >= 0)
                r = sd_event_source_set_enabled(s->look, SD_EVENT_OFF);
        if (r >= 0)
                r = domain_ask_guest(d, "guest-exec", arguments_of(s, spec), 0, on_started, s, &s->call, f);
        if (r < 0) {
                stream_free(s);
                return r;
        }
        domain_watch_guest(d, &s->watch);
        *ret = s;
        return 0;
}
