/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "definition.h"
#include "mem.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Who gets into a guest by ssh, how it sleeps, and which processors it uses: by its agent. */

#define GUEST QEMU1 ".Guest"

int verb_ssh_keys(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        json_auto_t *keys = NULL;
        const json_t *key;
        size_t i;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "GetSSHKeys", &reply, "sta{sv}", argv[1], UINT64_C(0), 0);

        if (r != 0)
                return r;
        keys = value_to_json(reply);
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(keys));
        json_array_foreach(keys, i, key)
                printf("%s\n", json_string_value(key) ?: "");
        return DONE;
}

/* A file as ssh has them: a key a line, and comments. */
static int append_keys(sd_bus_message *m, char *text) {
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (char *line = strtok(text, "\n"); line && r >= 0; line = strtok(NULL, "\n")) {
                line += strspn(line, " \t");
                line[strcspn(line, "\r")] = '\0';
                if (*line && *line != '#')
                        r = sd_bus_message_append(m, "s", line);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int change_keys(Client *c, char **argv, const char *method, bool adds) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *domain = NULL, *text = NULL;
        int r = definition_read(argv[2], &text) ?: client_domain(c, argv[0], &domain) ?: client_new_call(c, &m, domain, GUEST, method);

        if (r != 0)
                return r;
        r = sd_bus_message_append(m, "s", argv[1]);
        if (r >= 0)
                r = append_keys(m, text);
        if (r >= 0 && adds)
                r = sd_bus_message_append(m, "b", 0);
        if (r >= 0)
                r = sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
        return r < 0 ? client_fail("%s", strerror(-r)) : client_send(c, TAKE_PTR(m), NULL);
}

int verb_add_ssh_keys(Client *c, int argc, char **argv) {
        return change_keys(c, argv, "AddSSHKeys", true);
}

int verb_remove_ssh_keys(Client *c, int argc, char **argv) {
        return change_keys(c, argv, "RemoveSSHKeys", false);
}

int verb_sleep(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL;

        return client_domain(c, argv[0], &domain) ?:
               client_call(c, domain, GUEST, "Sleep", NULL, "sta{sv}", argc > 1 ? argv[1] : "ram", UINT64_C(0), 0);
}

/* --- processors --- */

/* Those with the lowest numbers; what can't be taken out of use stays in it, and counts. */
static int append_choice(sd_bus_message *m, const json_t *vcpus, uint32_t wanted) {
        const json_t *vcpu;
        uint32_t used = 0;
        size_t i;
        int r = sd_bus_message_open_container(m, 'a', "(tb)");

        json_array_foreach(vcpus, i, vcpu)
                used += !json_is_true(json_array_get(vcpu, 2));
        json_array_foreach(vcpus, i, vcpu) {
                bool on = used < wanted;

                if (!json_is_true(json_array_get(vcpu, 2)) || r < 0)
                        continue;
                used += on;
                if (on != json_is_true(json_array_get(vcpu, 1)))
                        r = sd_bus_message_append(m, "(tb)", (uint64_t) json_integer_value(json_array_get(vcpu, 0)), (int) on);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_set_guest_vcpus(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;
        _cleanup_free_ char *domain = NULL;
        json_auto_t *vcpus = NULL;
        uint32_t wanted;
        int r;

        if (parse_u32(argv[1], &wanted) < 0 || wanted == 0) {
                (void) client_fail("\"%s\" is no number of CPUs", argv[1]);
                return USAGE;
        }
        r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "GetVCPUs", &reply, "ta{sv}", UINT64_C(0), 0);
        if (r != 0)
                return r;
        vcpus = value_to_json(reply);
        if (wanted > json_array_size(vcpus))
                return client_fail("%s has %zu processors; virtctl set-vcpus gives it more", argv[0], json_array_size(vcpus));
        r = client_new_call(c, &m, domain, GUEST, "SetOnlineVCPUs");
        if (r != 0)
                return r;
        if (append_choice(m, vcpus, wanted) < 0 || sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0) < 0)
                return client_fail("out of memory");
        return client_send(c, TAKE_PTR(m), NULL);
}
