/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bus-auth.h"
#include "bus-error.h"
#include "fd.h"
#include "job.h"
#include "mem.h"
#include "str.h"

/* A service with one object and jobs on a private socket, and a client of it on the same loop. */

#define ROOT "/org/virtbus/test1"
#define INTERFACE "org.virtbus.test1.Manager"

typedef struct Service {
        char folder[32], path[64];
        sd_event *event;
        Bus *bus;
        Jobs *jobs;
        Job *job;
        uint32_t first, second;
        int early;
        /* the client */
        sd_bus *client;
        Text signals;      /* "PropertiesChanged(First,Second) JobNew …" */
        sd_bus_message *answer;
        unsigned canceled;
} Service;

static int on_cancel(Job *j, void *userdata, _unused_ Fault *f) {
        Service *s = userdata;

        s->canceled++;
        s->job = NULL;
        job_finish(j, -ECANCELED, NULL);
        return 0;
}

BUS_HANDLER(method_work, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Service *s = userdata;
        const BusOption options[] = { { "early", 'b', &s->early } };
        uint64_t flags;
        int r;

        r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0) {
                const JobSpec spec = { .operation = "work", .object = ROOT, .call = m, .reply_early = flags & BUS_FLAG_NO_WAIT,
                                       .cancel = on_cancel, .userdata = s };

                r = job_new(s->jobs, &spec, &s->job, &f);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("First", "u", NULL, offsetof(Service, first), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Second", "u", NULL, offsetof(Service, second), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_NAMES("Work", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "o", SD_BUS_PARAM(job), method_work,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("JobNew", "uos", 0),
        SD_BUS_SIGNAL("JobRemoved", "uosss", 0),
        SD_BUS_VTABLE_END
};
static const sd_bus_vtable *const vtables[] = { vtable, NULL };
static const BusObject manager = { .path = ROOT, .interface = INTERFACE, .vtables = vtables };
static const BusObject job_object = JOB_OBJECT(ROOT);
static const BusObject *const objects[] = { &manager, &job_object, NULL };

static Jobs *jobs_from(void *userdata) {
        return ((Service *) userdata)->jobs;
}

static void on_activity(_unused_ void *userdata) {}
static void on_lost(_unused_ void *userdata) {}

/* The names of the properties in a PropertiesChanged. */
static void note_properties(sd_bus_message *m, Text *t) {
        const char *name;

        assert_ok(sd_bus_message_skip(m, "s"));
        assert_ok(sd_bus_message_enter_container(m, 'a', "{sv}"));
        text_add(t, "(");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                assert_ok(sd_bus_message_read(m, "s", &name));
                text_addf(t, "%s,", name);
                assert_ok(sd_bus_message_skip(m, "v"));
                assert_ok(sd_bus_message_exit_container(m));
        }
        text_add(t, ")");
}

static int on_message(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Service *s = userdata;
        uint8_t type;

        assert_ok(sd_bus_message_get_type(m, &type));
        if (type != SD_BUS_MESSAGE_SIGNAL)
                return 0;
        text_addf(&s->signals, "%s", sd_bus_message_get_member(m));
        if (streq(sd_bus_message_get_member(m), "PropertiesChanged"))
                note_properties(m, &s->signals);
        text_add(&s->signals, " ");
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Service *s = userdata;

        s->answer = sd_bus_message_ref(m);
        return 0;
}

static void call(Service *s, const char *path, const char *interface, const char *member, const char *types, uint64_t flags,
                 const char *option) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        s->answer = sd_bus_message_unref(s->answer);
        assert_ok(sd_bus_message_new_method_call(s->client, &m, NULL, path, interface, member));
        if (types)
                assert_ok(option ? sd_bus_message_append(m, types, flags, 1, option, "b", 1) : sd_bus_message_append(m, types, flags, 0));
        assert_ok(sd_bus_call_async(s->client, NULL, m, on_answer, s, 0));
}

/* Runs until nothing happens any more. */
static void settle(Service *s) {
        while (sd_event_run(s->event, 20000) > 0)
                ;
}

static const char *error_name(const Service *s) {
        assert_non_null(s->answer);
        return sd_bus_message_is_method_error(s->answer, NULL) ? sd_bus_message_get_error(s->answer)->name : "none";
}

static void expect_signals(Service *s, const char *expected) {
        assert_string_equal(s->signals.data ?: "", expected);
        text_clear(&s->signals);
        s->signals = TEXT_INIT;
}

static int listen_on(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_ok(bind(fd, (struct sockaddr *) &address, sizeof(address)));
        assert_ok(listen(fd, 5));
        return fd;
}

static int setup(void **state) {
        Service *s = new0(Service, 1);
        BusOptions options = { .name = "org.virtbus.test1", .root = ROOT, .objects = objects, .userdata = s, .activity = on_activity,
                               .lost = on_lost, .user = true };
        JobsOptions jobs = { .root = ROOT, .manager_interface = INTERFACE, .cancel_action = "org.virtbus.test1.cancel" };
        _cleanup_free_ char *address = NULL;

        *state = s;
        strcpy(s->folder, "/tmp/test-bus.XXXXXX");
        assert_non_null(mkdtemp(s->folder));
        (void) snprintf(s->path, sizeof(s->path), "%s/socket", s->folder);
        assert_ok(sd_event_new(&s->event));
        options.event = s->event;
        assert_ok(bus_new(&options, &s->bus));
        jobs.bus = s->bus;
        jobs_set_lookup(jobs_from);
        assert_ok(jobs_new(&jobs, &s->jobs));
        assert_ok(bus_listen(s->bus, listen_on(s->path)));
        address = strf("unix:path=%s", s->path);
        assert_ok(sd_bus_new(&s->client));
        assert_ok(sd_bus_set_address(s->client, address));
        assert_ok(sd_bus_start(s->client));
        assert_ok(sd_bus_add_filter(s->client, NULL, on_message, s));
        assert_ok(sd_bus_attach_event(s->client, s->event, 0));
        settle(s);
        return 0;
}

static int teardown(void **state) {
        Service *s = *state;

        sd_bus_message_unref(s->answer);
        sd_bus_flush_close_unref(s->client);
        jobs_free(s->jobs);
        bus_free(s->bus);
        sd_event_unref(s->event);
        text_clear(&s->signals);
        unlink(s->path);
        rmdir(s->folder);
        free(s);
        return 0;
}

static void changes_are_told_together(void **state) {
        Service *s = *state;

        for (unsigned i = 0; i < 50; i++) {
                bus_changed(s->bus, ROOT, INTERFACE, "First");
                bus_changed(s->bus, ROOT, INTERFACE, "Second");
        }
        settle(s);
        expect_signals(s, "PropertiesChanged(First,Second,) ");
}

static void a_job_that_is_waited_for(void **state) {
        Service *s = *state;
        const char *path;

        call(s, ROOT, INTERFACE, "Work", "ta{sv}", 0, NULL);
        settle(s);
        assert_null(s->answer);
        assert_true(jobs_any(s->jobs));
        job_set_phase(s->job, "thinking");
        settle(s);
        job_finish(s->job, 0, NULL);
        settle(s);
        assert_string_equal(error_name(s), "none");
        assert_ok(sd_bus_message_read(s->answer, "o", &path));
        assert_string_equal(path, "/");
        expect_signals(s, "InterfacesAdded JobNew PropertiesChanged(Phase,) Completed JobRemoved InterfacesRemoved ");
        assert_false(jobs_any(s->jobs));
}

static void a_job_that_fails(void **state) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Service *s = *state;

        call(s, ROOT, INTERFACE, "Work", "ta{sv}", 0, NULL);
        settle(s);
        (void) fault_set(&f, FAULT_BUSY, EBUSY, "somebody else works here");
        fault_hint(&f, "wait for it");
        job_finish(s->job, -EBUSY, &f);
        settle(s);
        assert_string_equal(error_name(s), "org.virtbus.Error.Busy");
        assert_non_null(strstr(sd_bus_message_get_error(s->answer)->message, "somebody else works here\nwait for it"));
}

static void a_job_in_the_background_is_cancelled(void **state) {
        _cleanup_free_ char *path = NULL;
        Service *s = *state;
        const char *p;

        call(s, ROOT, INTERFACE, "Work", "ta{sv}", BUS_FLAG_NO_WAIT, NULL);
        settle(s);
        assert_string_equal(error_name(s), "none");
        assert_ok(sd_bus_message_read(s->answer, "o", &p));
        assert_string_equal(p, ROOT "/job/1");
        path = strdup(p);
        call(s, path, "org.virtbus.job1", "Cancel", "ta{sv}", 0, NULL);
        settle(s);
        assert_string_equal(error_name(s), "none");
        assert_int_equal(s->canceled, 1);
        call(s, path, "org.virtbus.job1", "Cancel", "ta{sv}", 0, NULL);
        settle(s);
        assert_string_equal(error_name(s), "org.freedesktop.DBus.Error.UnknownObject");
}

static void unknown_flags_and_options(void **state) {
        Service *s = *state;

        call(s, ROOT, INTERFACE, "Work", "ta{sv}", UINT64_C(1) << 40, NULL);
        settle(s);
        assert_string_equal(error_name(s), "org.freedesktop.DBus.Error.InvalidArgs");
        call(s, ROOT, INTERFACE, "Work", "ta{sv}", 0, "later");
        settle(s);
        assert_string_equal(error_name(s), "org.freedesktop.DBus.Error.InvalidArgs");
        assert_non_null(strstr(sd_bus_message_get_error(s->answer)->message, "later"));
        call(s, ROOT, INTERFACE, "Work", NULL, 0, NULL);
        settle(s);
        assert_string_equal(error_name(s), "org.freedesktop.DBus.Error.InvalidArgs");
        assert_false(jobs_any(s->jobs));
}

static void a_client_that_leaves(void **state) {
        Service *s = *state;

        call(s, ROOT, INTERFACE, "Work", "ta{sv}", 0, NULL);
        settle(s);
        assert_true(jobs_any(s->jobs));
        s->client = sd_bus_flush_close_unref(s->client);
        settle(s);
        assert_true(jobs_any(s->jobs)); /* the work goes on */
        job_finish(s->job, 0, NULL);
        settle(s);
        assert_false(jobs_any(s->jobs));
}

static void introspection_is_whole(void **state) {
        _cleanup_free_ char *text = NULL;

        (void) state;
        assert_ok(bus_introspect(objects, INTERFACE, &text));
        assert_non_null(strstr(text, "<interface name=\"" INTERFACE "\">"));
        assert_non_null(strstr(text, "<method name=\"Work\">"));
        assert_error(bus_introspect(objects, "org.virtbus.test1.Nothing", &(char *) { NULL }), ENOENT);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
TEST_MAIN(ROW(changes_are_told_together), ROW(a_job_that_is_waited_for), ROW(a_job_that_fails), ROW(a_job_in_the_background_is_cancelled),
          ROW(unknown_flags_and_options), ROW(a_client_that_leaves), ROW(introspection_is_whole))
