/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "definition.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define DEVICE_INTERFACE QEMU1 ".Device"

/* Devices that come, go and change; CPUs and memory. Unless --live or --config says otherwise, both the machine that runs and its
 * definition are changed, so that it is the same after the next start. */

int domain_is_running(Client *c, const char *domain, bool *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *state;
        int r = client_call(c, domain, PROPERTIES, "Get", &reply, "ss", DOMAIN_INTERFACE, "State");

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "v", "s", &state);
        if (r < 0)
                return client_garbled(r);
        *ret = !streq(state, "shutoff") && !streq(state, "broken");
        return 0;
}

static int is_persistent(Client *c, const char *domain, bool *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int persistent, r = client_call(c, domain, PROPERTIES, "Get", &reply, "ss", DOMAIN_INTERFACE, "Persistent");

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "v", "b", &persistent);
        if (r < 0)
                return client_garbled(r);
        *ret = persistent;
        return 0;
}

int change_flags(Client *c, const char *domain, uint64_t *ret) {
        bool running = false, persistent = false;
        int r = 0;

        if (!c->live && !c->config)
                r = domain_is_running(c, domain, &running) ?: is_persistent(c, domain, &persistent);
        *ret = (c->live || running ? FLAG_LIVE : 0) | (c->config || persistent ? FLAG_CONFIG : 0) |
                (c->dry_run ? FLAG_VALIDATE_ONLY : 0);
        return r;
}

int change_print_plan(sd_bus_message *reply) {
        const char *line;
        int r = sd_bus_message_enter_container(reply, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &line)) > 0)
                printf("%s\n", line);
        return r < 0 ? client_garbled(r) : 0;
}

int device_find(Client *c, const char *domain, const char *name, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, domain, DOMAIN_INTERFACE, "GetDevice", &reply, "s", name);

        return r ?: client_take_path(reply, ret);
}

/* A domain, its device, and the flags. */
static int find_both(Client *c, char **argv, char **ret_domain, char **ret_device, uint64_t *ret_flags) {
        return client_domain(c, argv[0], ret_domain) ?: device_find(c, *ret_domain, argv[1], ret_device) ?: change_flags(c, *ret_domain, ret_flags);
}

static int print_name(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *name = NULL, *prefix = slash ? strndup(path, (size_t) (slash - path)) : NULL;

        if (!prefix || sd_bus_path_decode(path, prefix, &name) <= 0)
                return client_garbled(-EBADMSG);
        printf("%s\n", name);
        return 0;
}

int verb_attach(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL;
        uint64_t flags = 0;
        int status = client_domain(c, argv[0], &domain) ?: change_flags(c, domain, &flags);

        for (int i = 1; i < argc && status == 0; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_free_ char *text = NULL, *device = NULL;

                status = definition_read(argv[i], &text) ?:
                         client_call(c, domain, DOMAIN_INTERFACE, "AttachDevice", &reply, "ssta{sv}", "", text, flags, 0) ?:
                         client_take_path(reply, &device);
                if (status == 0 && c->dry_run)
                        status = change_print_plan(reply);
                else if (status == 0 && !c->quiet)
                        status = print_name(device);
        }
        return status;
}

int verb_change(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *device = NULL, *text = NULL;
        uint64_t flags = 0;
        int r = find_both(c, argv, &domain, &device, &flags) ?: definition_read(argv[2], &text) ?:
                client_call(c, device, DEVICE_INTERFACE, "Update", &reply, "ssta{sv}", "", text, flags | (c->force ? FLAG_FORCE : 0), 0);

        return r ?: change_print_plan(reply);
}

int verb_detach(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *device = NULL, *job = NULL;
        uint64_t flags = 0;
        int r = client_domain(c, argv[0], &domain) ?: device_find(c, domain, argv[1], &device);

        /* Without a word it goes from wherever it is. */
        flags = (c->live ? FLAG_LIVE : 0) | (c->config ? FLAG_CONFIG : 0) | (c->dry_run ? FLAG_VALIDATE_ONLY : 0) | (c->no_wait ? FLAG_NO_WAIT : 0);
        r = r ?: client_call(c, device, DEVICE_INTERFACE, "Detach", &reply, "ta{sv}", flags, 0);
        return r ?: client_take_path(reply, &job) ?: change_print_plan(reply);
}

/* Without a path, the drive is left empty. */
static int change_medium(Client *c, char **argv, const char *medium) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *device = NULL;
        uint64_t flags = 0;
        int r = find_both(c, argv, &domain, &device, &flags);

        if (r != 0)
                return r;
        flags |= c->force ? FLAG_FORCE : 0;
        if (medium)
                r = client_call(c, device, QEMU1 ".Disk", "ChangeMedia", &reply, "a{sv}ta{sv}", 1, "path", "s", medium, flags, 0);
        else
                r = client_call(c, device, QEMU1 ".Disk", "ChangeMedia", &reply, "a{sv}ta{sv}", 0, flags, 0);
        return r ?: change_print_plan(reply);
}

int verb_insert(Client *c, int argc, char **argv) {
        _cleanup_free_ char *medium = *argv[2] == '/' ? strdup(argv[2]) : realpath(argv[2], NULL);

        if (!medium)
                return client_fail("%s: %s", argv[2], strerror(errno));
        return change_medium(c, argv, medium);
}

int verb_eject(Client *c, int argc, char **argv) {
        return change_medium(c, argv, NULL);
}

int verb_set_memory(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        uint64_t flags = 0, bytes;
        int r = value_read_size(argv[1], &bytes);

        r = r ?: client_domain(c, argv[0], &domain) ?: change_flags(c, domain, &flags) ?:
            client_call(c, domain, DOMAIN_INTERFACE, "SetMemory", &reply, "tta{sv}", bytes, flags, 0);
        return r ?: change_print_plan(reply);
}

int verb_set_vcpus(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        uint64_t flags = 0;
        uint32_t n;
        int r;

        if (parse_u32(argv[1], &n) < 0)
                return client_fail("\"%s\" is no number of CPUs", argv[1]);
        r = client_domain(c, argv[0], &domain) ?: change_flags(c, domain, &flags) ?:
            client_call(c, domain, DOMAIN_INTERFACE, "SetVCPUs", &reply, "uta{sv}", n, flags, 0);
        return r ?: change_print_plan(reply);
}

int verb_set_link(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *device = NULL;
        bool up = streq(argv[2], "up");
        uint64_t flags = 0;
        int r;

        if (!up && !streq(argv[2], "down"))
                return client_fail("a link is up or down, not \"%s\"", argv[2]);
        r = client_domain(c, argv[0], &domain) ?: device_find(c, domain, argv[1], &device);
        flags = (c->live ? FLAG_LIVE : 0) | (c->config ? FLAG_CONFIG : 0) | (c->dry_run ? FLAG_VALIDATE_ONLY : 0);
        r = r ?: client_call(c, device, QEMU1 ".Nic", "SetLink", &reply, "bta{sv}", (int) up, flags, 0);
        return r ?: change_print_plan(reply);
}

int verb_pending(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "change", .keys = WORDS("device", "setting", "running", "defined", "when"),
                .columns = WORDS("DEVICE", "SETTING", "RUNNING", "DEFINED", "WHEN"),
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, DOMAIN_INTERFACE, "ListPendingChanges", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}
