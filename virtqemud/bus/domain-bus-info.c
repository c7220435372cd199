/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <jansson.h>

#include "../plan/launch.h"
#include "../run/instance.h"
#include "../run/plan-only.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "service.h"
#include "wait-address.h"
#include "str.h"

/* Looking behind the scenes: what a start would execute, and QEMU's own protocol. */

#define QMP_COMMAND_TIMEOUT_USEC UINT64_C(60000000)

static int append_list(sd_bus_message *reply, const char *key, char **list) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, list);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_resources(sd_bus_message *reply, const LaunchPlan *plan) {
        _cleanup_strv_ char **files = NULL;
        int r;

        for (size_t i = 0; i < plan->n_fds; i++)
                if (strv_pushf(&files, "%d: %s%s%s%s", plan->fds[i].number, plan_fd_kind_to_string(plan->fds[i].kind),
                               plan->fds[i].path ? " " : "", plan->fds[i].path ?: "", plan->fds[i].writable ? " (writable)" : "") < 0)
                        return -ENOMEM;
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_list(reply, "descriptors", files);
        if (r >= 0)
                r = append_list(reply, "environment", plan->environment);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void on_plan(const LaunchPlan *plan, int error, const Fault *f, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata, *reply = NULL;
        int r;

        if (error < 0) {
                (void) bus_reply_fault(m, f, error);
                return;
        }
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, plan->argv);
        if (r >= 0)
                r = append_resources(reply, plan);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                (void) sd_bus_reply_method_errno(m, r, NULL);
}

BUS_HANDLER(method_plan_start, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = plan_only(userdata, on_plan, sd_bus_message_ref(m), &f);
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

BUS_HANDLER(method_wait_for_address, BUS_ANYBODY) {
        Domain *d = userdata;

        return address_wait_new(d->manager->watch_userdata, d, m, error);
}

static void on_answer(Qmp *q, json_t *result, const Fault *f, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;
        _cleanup_free_ char *text = result ? json_dumps(result, JSON_ENCODE_ANY | JSON_INDENT(2)) : NULL;

        if (text)
                (void) sd_bus_reply_method_return(m, "s", text);
        else
                (void) bus_reply_fault(m, f, -EIO);
}

/* Takes {"execute":…,"arguments":…} or a bare command name. */
static int read_command(const char *text, json_t **ret_arguments, char **ret_name, Fault *f) {
        json_auto_t *json = NULL;
        const char *name;
        json_error_t e;

        if (text[0] != '{') {
                *ret_name = strdup(text);
                return *ret_name ? 0 : fault_oom(f);
        }
        json = json_loads(text, JSON_REJECT_DUPLICATES, &e);
        if (!json)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the command is no JSON: line %d, column %d: %s", e.line, e.column, e.text);
        name = json_string_value(json_object_get(json, "execute"));
        if (!name)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the command has no \"execute\"");
        *ret_name = strdup(name);
        *ret_arguments = json_incref(json_object_get(json, "arguments"));
        return *ret_name ? 0 : fault_oom(f);
}

/* Whoever talks to QEMU behind our back may have changed anything: the domain is marked. */
BUS_HANDLER(method_qmp_command, ACTION_ADMIN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *name = NULL;
        json_t *arguments = NULL;
        Domain *d = userdata;
        const char *text;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (!d->instance || !d->instance->monitor_ready)
                r = fault_set(&f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: QEMU's monitor is not there", d->name,
                              domain_state_to_string(d->state));
        else
                r = read_command(text, &arguments, &name, &f);
        if (r >= 0) {
                r = qmp_send_always(d->instance->qmp, name, arguments, QMP_COMMAND_TIMEOUT_USEC, on_answer, sd_bus_message_ref(m));
                if (r < 0) {
                        sd_bus_message_unref(m);
                        r = fault_set(&f, FAULT_INVALID_ARGS, -r, "\"%.64s\" can't be sent to QEMU: %s", name, strerror(-r));
                }
        }
        if (r < 0)
                return fault_to_bus(&f, r, error);
        domain_taint(d, "custom-monitor");
        return 1;
}

const sd_bus_vtable domain_info_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("WaitForAddress", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "o", SD_BUS_PARAM(job), method_wait_for_address,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("PlanStart", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "asa{sv}",
                                 SD_BUS_PARAM(argv) SD_BUS_PARAM(resources), method_plan_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("QMPCommand", "s", SD_BUS_PARAM(command), "s", SD_BUS_PARAM(result), method_qmp_command,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
