/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "definition.h"
#include "network.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "verbs.h"

/* Virtual networks, from virtnetworkd. They are the host's, also for VMs of sessions. */

int network_find(Client *c, const char *name, char **ret) {
        return client_find(c, NETWORK1_ROOT, NETWORK1_MANAGER, "GetNetwork", name, ret);
}

/* --- one call on each of several networks --- */

int verb_start_network(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, network_find, NETWORK1_NETWORK, "Start", 0);
}

int verb_stop_network(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, network_find, NETWORK1_NETWORK, "Stop", c->force ? FLAG_FORCE : 0);
}

int verb_undefine_network(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, network_find, NETWORK1_NETWORK, "Undefine", 0);
}

int verb_enable_network(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, network_find, NETWORK1_NETWORK, true);
}

int verb_disable_network(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, network_find, NETWORK1_NETWORK, false);
}

/* --- definitions --- */

int verb_define_network(Client *c, int argc, char **argv) {
        return definition_send(c, NETWORK1_ROOT, NETWORK1_MANAGER, "DefineNetwork", argc, argv);
}

int verb_cat_network(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = network_find(c, argv[0], &path);

        return r != 0 ? r : definition_print(c, path, NETWORK1_NETWORK, c->live ? FLAG_LIVE : UINT64_C(0));
}

/* --- lists --- */

static void add_state(json_t *network) {
        (void) json_object_set_new(network, "state", json_string(json_is_true(json_object_get(network, "active")) ? "active" : "inactive"));
}

int verb_networks(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "network", .keys = WORDS("name", "mode", "active", "path"), .columns = WORDS("NAME", "MODE", "STATE"),
                .shown = WORDS("name", "mode", "state"), .add_words = add_state,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, NETWORK1_ROOT, NETWORK1_MANAGER, "ListNetworks", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}

/* Reads one `saysst`; *ret NULL at the end of the list. */
static int read_lease(sd_bus_message *m, json_t **ret) {
        const char *mac, *name, *client_id;
        char address[INET6_ADDRSTRLEN];
        const void *bytes;
        uint64_t expires;
        size_t n;
        int r;

        *ret = NULL;
        r = sd_bus_message_enter_container(m, 'r', "saysst");
        if (r <= 0)
                return r;
        r = sd_bus_message_read(m, "s", &mac);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &bytes, &n);
        if (r >= 0)
                r = sd_bus_message_read(m, "sst", &name, &client_id, &expires);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0 && ((n != 4 && n != 16) || !inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, address, sizeof(address))))
                r = -EBADMSG;
        if (r < 0)
                return r;
        *ret = json_pack("{s:s, s:s, s:s, s:s, s:I}", "mac", mac, "address", address, "name", name, "client-id", client_id, "expires",
                         (json_int_t) expires);
        return *ret ? 0 : -ENOMEM;
}

static int read_leases(sd_bus_message *m, json_t *list) {
        json_t *lease;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "a(saysst)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(saysst)");
        while (r >= 0 && (r = read_lease(m, &lease)) >= 0 && lease)
                (void) json_array_append_new(list, lease);
        return r;
}

/* "in 57min", as far as people care. */
static void add_expiry(json_t *lease) {
        uint64_t expires = (uint64_t) json_integer_value(json_object_get(lease, "expires")), now = now_usec(CLOCK_REALTIME);
        uint64_t minutes = expires > now ? (expires - now + 59999999) / 60000000 : 0;
        char text[48] = "never";

        if (expires > 0 && minutes < 120)
                (void) snprintf(text, sizeof(text), "in %umin", (unsigned) minutes);
        else if (expires > 0)
                (void) snprintf(text, sizeof(text), "in %uh", (unsigned) (minutes / 60));
        (void) json_object_set_new(lease, "expires-text", json_string(text));
}

int verb_network_leases(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "lease", .columns = WORDS("ADDRESS", "MAC", "NAME", "EXPIRES"), .shown = WORDS("address", "mac", "name", "expires-text"),
                .add_words = add_expiry,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *list = json_array();
        _cleanup_free_ char *path = NULL;
        int r;

        r = network_find(c, argv[0], &path);
        if (r == 0)
                r = client_call(c, path, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", NETWORK1_NETWORK, "Leases");
        if (r != 0)
                return r;
        r = read_leases(reply, list);
        return r < 0 ? client_garbled(r) : rows_show(c, list, &view);
}
