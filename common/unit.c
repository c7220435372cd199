/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <ctype.h>
#include <linux/capability.h>

#include "file.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "unit-transient.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define OWNER_MATCH "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SYSTEMD "'"
#define AWAY_TIMEOUT_USEC (10u * 1000 * 1000)
#define CALL_TIMEOUT_USEC (25u * 1000 * 1000)

/* --- calls --- */

struct UnitCall {
        sd_bus *bus;
        char *unit, *job;
        const char *verb;          /* "start", "stop", … for messages */
        sd_bus_slot *match, *call;
        char *early_job, *early_result; /* JobRemoved may come before the answer that names the job */
        /* A systemd that executes itself anew leaves the bus for a moment: what it was asked then, and what it did, nobody is told of. */
        sd_bus_message *request;   /* to be sent again when it is back */
        sd_bus_message_handler_t answered;
        sd_bus_slot *owner;
        sd_event_source *away;     /* how long that is waited for */
        bool again;
        UnitDone done;
        void *userdata;
};

UnitCall *unit_call_free(UnitCall *c) {
        if (!c)
                return NULL;
        sd_bus_slot_unref(c->match);
        sd_bus_slot_unref(c->call);
        sd_bus_slot_unref(c->owner);
        sd_bus_message_unref(c->request);
        sd_event_source_disable_unref(c->away);
        sd_bus_unref(c->bus);
        free(c->unit);
        free(c->job);
        free(c->early_job);
        free(c->early_result);
        free(c);
        return NULL;
}

static void finish(UnitCall *c, const char *problem, const char *words) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        c->match = sd_bus_slot_unref(c->match);
        c->call = sd_bus_slot_unref(c->call);
        c->owner = sd_bus_slot_unref(c->owner);
        c->away = sd_event_source_disable_unref(c->away);
        if (problem) {
                int error = str_ends(problem, ".UnitExists") ? EEXIST : str_ends(problem, ".NoSuchUnit") ? ENOENT : EIO;

                fault_set(&f, FAULT_UNIT, error, "can't %s %s: %s", c->verb, c->unit, words ?: problem);
                fault_hint(&f, "systemctl status %s tells more", c->unit);
        }
        c->done(problem ? &f : NULL, c->userdata);
}

static void job_result(UnitCall *c, const char *result) {
        if (streq(result, "done") || streq(result, "skipped"))
                finish(c, NULL, NULL);
        else if (streq(result, "failed"))
                finish(c, result, "the unit has failed");
        else if (streq(result, "dependency"))
                finish(c, result, "a unit it depends on has failed");
        else
                finish(c, result, NULL);
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UnitCall *c = userdata;
        const char *job, *unit, *result;
        uint32_t id;

        if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0 || !streq(unit, c->unit))
                return 0;
        if (!c->job) {
                (void) free_and_strdup(&c->early_job, job);
                (void) free_and_strdup(&c->early_result, result);
        } else if (streq(job, c->job))
                job_result(c, result);
        return 0;
}

static int on_away_too_long(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata, "failed", "systemd has left the bus");
        return 0;
}

/* systemd was not there to answer, but it may come back. */
static bool says_away(const sd_bus_error *e) {
        static const char *const names[] = {
                SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (sd_bus_error_has_name(e, names[i]))
                        return true;
        return str_after(e->name, "org.freedesktop.DBus.Error.Spawn.");
}

/* 1: the call waits for its return. */
static int is_away(UnitCall *c, const sd_bus_error *e) {
        if (!says_away(e) || !c->owner)
                return 0;
        c->call = sd_bus_slot_unref(c->call);
        if (!c->away && sd_event_add_time_relative(sd_bus_get_event(c->bus), &c->away, CLOCK_MONOTONIC, AWAY_TIMEOUT_USEC, 0, on_away_too_long, c) < 0)
                return 0;
        return 1;
}

static int on_job_queued(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        UnitCall *c = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *job;

        if (e && is_away(c, e))
                return 0;
        c->call = sd_bus_slot_unref(c->call);
        if (e && c->again && str_ends(e->name, ".UnitExists")) { /* it had come so far before */
                c->again = false;
                if (sd_bus_call_method_async(c->bus, &c->call, SYSTEMD, MANAGER_PATH, MANAGER, "StartUnit", on_job_queued, c, "ss", c->unit,
                                             "fail") >= 0)
                        return 0;
        }
        if (e) {
                finish(c, e->name, e->message);
                return 0;
        }
        if (sd_bus_message_read(reply, "o", &job) < 0 || free_and_strdup(&c->job, job) < 0)
                finish(c, "failed", "systemd's answer can't be read");
        else if (streq_null(c->early_job, c->job))
                job_result(c, c->early_result);
        return 0;
}

static int send_again(UnitCall *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, sd_bus_message_get_member(c->request));
        if (r >= 0)
                r = sd_bus_message_rewind(c->request, true);
        if (r >= 0)
                r = sd_bus_message_copy(m, c->request, true);
        return r < 0 ? r : sd_bus_call_async(c->bus, &c->call, m, c->answered, c, CALL_TIMEOUT_USEC);
}

/* All that is asked for here may be asked for twice. */
static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        UnitCall *c = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || !*after || !c->request)
                return 0;
        c->away = sd_event_source_disable_unref(c->away);
        c->call = sd_bus_slot_unref(c->call);
        free_and_replace(&c->job, NULL);
        free_and_replace(&c->early_job, NULL);
        free_and_replace(&c->early_result, NULL);
        c->again = true;
        if (send_again(c) < 0)
                finish(c, "failed", "systemd was executed anew meanwhile");
        return 0;
}

/* Sends what is asked for, and keeps it. */
static int send_request(UnitCall *c, sd_bus_message *m, sd_bus_message_handler_t answered) {
        c->request = sd_bus_message_ref(m);
        c->answered = answered;
        return sd_bus_call_async(c->bus, &c->call, m, answered, c, CALL_TIMEOUT_USEC);
}

static int new_call(sd_bus *bus, const char *unit, const char *verb, UnitDone done, void *userdata, UnitCall **ret) {
        _cleanup_(unit_call_freep) UnitCall *c = new0(UnitCall, 1);
        int r;

        if (!c)
                return -ENOMEM;
        *c = (UnitCall) { .bus = sd_bus_ref(bus), .unit = strdup(unit), .verb = verb, .done = done, .userdata = userdata };
        if (!c->unit)
                return -ENOMEM;
        r = sd_bus_add_match_async(bus, &c->owner, OWNER_MATCH, on_owner_changed, NULL, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* The match goes out before the call, so that no end of a job is missed. */
static int new_job_call(sd_bus *bus, const char *unit, const char *verb, UnitDone done, void *userdata, UnitCall **ret) {
        int r;

        r = new_call(bus, unit, verb, done, userdata, ret);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(bus, &(*ret)->match, SYSTEMD, MANAGER_PATH, MANAGER, "JobRemoved", on_job_removed, NULL, *ret);
}

static int call_job(sd_bus *bus, const char *method, const char *verb, const char *unit, const char *mode, UnitDone done,
                    void *userdata, UnitCall **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(unit_call_freep) UnitCall *c = NULL;
        int r;

        assert(bus && unit && mode && done && ret);

        r = new_job_call(bus, unit, verb, done, userdata, &c);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, method);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, mode);
        if (r >= 0)
                r = send_request(c, m, on_job_queued);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int unit_start(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret) {
        return call_job(bus, "StartUnit", "start", unit, mode, done, userdata, ret);
}

int unit_reload(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret) {
        return call_job(bus, "ReloadOrRestartUnit", "reload", unit, mode, done, userdata, ret);
}

int unit_restart(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret) {
        return call_job(bus, "RestartUnit", "restart", unit, mode, done, userdata, ret);
}

int unit_stop(sd_bus *bus, const char *unit, const char *mode, UnitDone done, void *userdata, UnitCall **ret) {
        return call_job(bus, "StopUnit", "stop", unit, mode, done, userdata, ret);
}

int unit_stop_unasked(sd_bus *bus, const char *unit, sd_bus_message_handler_t done) {
        assert(bus && unit && done);

        return sd_bus_call_method_async(bus, NULL, SYSTEMD, MANAGER_PATH, MANAGER, "StopUnit", done, NULL, "ss", unit, "replace");
}

typedef int (*AppendProperties)(sd_bus_message *m, const void *spec);

static int start_transient(sd_bus *bus, const char *unit, AppendProperties append, const void *spec, UnitDone done, void *userdata, UnitCall **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(unit_call_freep) UnitCall *c = NULL;
        int r;

        r = new_job_call(bus, unit, "start", done, userdata, &c);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append(m, spec);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = send_request(c, m, on_job_queued);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int unit_start_transient(sd_bus *bus, const UnitTransient *spec, UnitDone done, void *userdata, UnitCall **ret) {
        assert(bus && spec && spec->argv && done && ret);

        return start_transient(bus, spec->unit, unit_append_service, spec, done, userdata, ret);
}

static int append_mount(sd_bus_message *m, const void *userdata) {
        const UnitMount *spec = userdata;
        int r;

        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "Description", "s", spec->description, "What", "s", spec->what, "CollectMode", "s",
                                  "inactive-or-failed", "TimeoutUSec", "t", spec->timeout_usec, "LazyUnmount", "b", false);
        if (r >= 0 && spec->type)
                r = sd_bus_message_append(m, "(sv)", "Type", "s", spec->type);
        return r < 0 || !spec->options ? r : sd_bus_message_append(m, "(sv)", "Options", "s", spec->options);
}

int unit_start_mount(sd_bus *bus, const UnitMount *spec, UnitDone done, void *userdata, UnitCall **ret) {
        assert(bus && spec && done && ret);

        return start_transient(bus, spec->unit, append_mount, spec, done, userdata, ret);
}

/* Of what systemd does at once. */
static int on_done(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (!e || !is_away(userdata, e))
                finish(userdata, e ? e->name : NULL, e ? e->message : NULL);
        return 0;
}

static int append_files(sd_bus_message *m, void *userdata) {
        char *const *files = userdata;
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        for (; *files && r >= 0; files++)
                r = sd_bus_message_append(m, "(sv)", "DeviceAllow", "a(ss)", 1, *files, "rw");
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int unit_set_properties(sd_bus *bus, const char *unit, const char *verb, UnitFill fill, void *fill_userdata, UnitDone done, void *userdata,
                        UnitCall **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(unit_call_freep) UnitCall *c = NULL;
        int r;

        assert(bus && unit && fill && done && ret);

        r = new_call(bus, unit, verb, done, userdata, &c);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, "SetUnitProperties");
        if (r >= 0)
                r = sd_bus_message_append(m, "sb", unit, true);
        if (r >= 0)
                r = fill(m, fill_userdata);
        if (r >= 0)
                r = send_request(c, m, on_done);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int unit_allow_devices(sd_bus *bus, const char *unit, char *const *files, UnitDone done, void *userdata, UnitCall **ret) {
        assert(files);

        return unit_set_properties(bus, unit, "give device files to", append_files, (void *) files, done, userdata, ret);
}

/* systemd makes and removes links without waiting for the disk; what we have answered has to be there after a power cut. */
static void sync_changes(sd_bus_message *reply) {
        const char *type, *file, *target;
        int r = 0;

        if (sd_bus_message_has_signature(reply, "ba(sss)"))
                r = sd_bus_message_skip(reply, "b");
        if (r < 0 || sd_bus_message_enter_container(reply, 'a', "(sss)") < 0)
                return;
        while (sd_bus_message_read(reply, "(sss)", &type, &file, &target) > 0)
                if (file[0] == '/')
                        (void) file_sync_name(file);
}

static int on_enabled(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        UnitCall *c = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int r;

        if (e && is_away(c, e))
                return 0;
        c->call = sd_bus_slot_unref(c->call);
        if (e) {
                finish(c, e->name, e->message);
                return 0;
        }
        sync_changes(reply);
        r = sd_bus_call_method_async(c->bus, &c->call, SYSTEMD, MANAGER_PATH, MANAGER, "Reload", on_done, c, NULL);
        if (r < 0)
                finish(c, "failed", strerror(-r));
        return 0;
}

int unit_set_enabled(sd_bus *bus, const char *unit, bool on, UnitDone done, void *userdata, UnitCall **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(unit_call_freep) UnitCall *c = NULL;
        int r;

        assert(bus && unit && done && ret);

        r = new_call(bus, unit, on ? "enable" : "disable", done, userdata, &c);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, on ? "EnableUnitFiles" : "DisableUnitFiles");
        if (r >= 0)
                r = on ? sd_bus_message_append(m, "asbb", 1, unit, false, true) : sd_bus_message_append(m, "asb", 1, unit, false);
        if (r >= 0)
                r = send_request(c, m, on_enabled);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

void unit_reset_failed(sd_bus *bus, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        assert(bus && unit);

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, "ResetFailedUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", unit);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
                r = sd_bus_send(bus, m, NULL);
        if (r < 0)
                log_debug("%s: its failure is not forgotten: %s", unit, strerror(-r));
}

/* --- waiting for the end --- */

struct UnitGone {
        sd_bus *bus;
        char *path;
        sd_bus_slot *match, *owner, *call;
        bool again;                /* changed while we asked: that answer may be old */
        UnitGoneFunc gone;
        void *userdata;
};

UnitGone *unit_gone_free(UnitGone *g) {
        if (!g)
                return NULL;
        sd_bus_slot_unref(g->match);
        sd_bus_slot_unref(g->owner);
        sd_bus_slot_unref(g->call);
        sd_bus_unref(g->bus);
        free(g->path);
        free(g);
        return NULL;
}

static bool is_gone(const char *state) {
        return streq(state, "inactive") || streq(state, "failed");
}

static int ask(UnitGone *g);

static int on_active_state(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        UnitGone *g = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *state = "inactive"; /* a unit that is not loaded any more has gone */

        g->call = sd_bus_slot_unref(g->call);
        if (e && says_away(e)) /* it is asked when it is back */
                state = "unknown";
        else if (!e && sd_bus_message_read(reply, "v", "s", &state) < 0)
                state = "inactive";
        if (is_gone(state))
                g->gone(g->userdata);
        else if (g->again)
                (void) ask(g);
        return 0;
}

static int ask(UnitGone *g) {
        g->again = g->call;
        if (g->call)
                return 0;
        return sd_bus_call_method_async(g->bus, &g->call, SYSTEMD, g->path, "org.freedesktop.DBus.Properties", "Get",
                                        on_active_state, g, "ss", SYSTEMD ".Unit", "ActiveState");
}

static int on_unit_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask(userdata);
}

static int on_systemd_back(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;

        return sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || !*after ? 0 : ask(userdata);
}

int unit_gone_watch(sd_bus *bus, const char *unit, UnitGoneFunc gone, void *userdata, UnitGone **ret) {
        _cleanup_(unit_gone_freep) UnitGone *g = NULL;
        int r;

        assert(bus && unit && gone && ret);

        g = new0(UnitGone, 1);
        if (!g)
                return -ENOMEM;
        g->bus = sd_bus_ref(bus);
        g->gone = gone;
        g->userdata = userdata;
        r = sd_bus_path_encode(MANAGER_PATH "/unit", unit, &g->path);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, &g->match, SYSTEMD, g->path, "org.freedesktop.DBus.Properties",
                                              "PropertiesChanged", on_unit_changed, NULL, g);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &g->owner, OWNER_MATCH, on_systemd_back, NULL, g);
        if (r >= 0)
                r = ask(g);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        return 0;
}
