/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resolved.h"

#include "../plan/network.h"
#include "log.h"
#include "sdbus.h"
#include "str.h"

/* Names that dnsmasq does not know it may ask resolved for, and both would go on asking each other: without being told to we register only
 * domains that dnsmasq answers for alone. */
static bool is_wanted(const NetworkDef *def) {
        bool wanted = def->domain_register == YES || (def->domain_register == UNSET && def->domain_local == YES);

        return wanted && def->domain && def->dns != NO && network_needs_dnsmasq(def);
}

static bool is_absent(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static void tell(const sd_bus_error *e) {
        log_warning("systemd-resolved does not take the domain of a network: %s", e->message ?: e->name);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e && !is_absent(e))
                tell(e);
        return 0;
}

/* That it does not run matters only to whoever has asked for it by register='yes'. */
static int on_answer_to_wish(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                tell(e);
        return 0;
}

static int new_call(sd_bus *bus, const char *method, int ifindex, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(bus, ret, "org.freedesktop.resolve1", "/org/freedesktop/resolve1", "org.freedesktop.resolve1.Manager",
                                               method);

        if (r >= 0)
                r = sd_bus_message_set_auto_start(*ret, false);
        return r < 0 ? r : sd_bus_message_append(*ret, "i", ifindex);
}

static int append_servers(sd_bus_message *m, const NetworkDef *def) {
        int r = sd_bus_message_open_container(m, 'a', "(iay)");

        RECORD_FOREACH(NetworkIp, ip, def->ips) {
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'r', "iay");
                if (r >= 0)
                        r = sd_bus_message_append(m, "i", ip->address.family);
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', ip->address.bytes, ip_bits(ip->address.family) / 8);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int set_servers(sd_bus *bus, const NetworkDef *def, int ifindex) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = new_call(bus, "SetLinkDNS", ifindex, &m);

        if (r >= 0)
                r = append_servers(m, def);
        return r < 0 ? r : sd_bus_call_async(bus, NULL, m, on_answer, NULL, 0);
}

/* For names in it only, not to be tried behind each name somebody types. */
static int set_domain(sd_bus *bus, const NetworkDef *def, int ifindex) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = new_call(bus, "SetLinkDomains", ifindex, &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "a(sb)", 1, def->domain, 1);
        return r < 0 ? r : sd_bus_call_async(bus, NULL, m, def->domain_register == YES ? on_answer_to_wish : on_answer, NULL, 0);
}

static int set_no_default(sd_bus *bus, int ifindex) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = new_call(bus, "SetLinkDefaultRoute", ifindex, &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "b", 0);
        return r < 0 ? r : sd_bus_call_async(bus, NULL, m, on_answer, NULL, 0);
}

void resolved_register(sd_bus *bus, const NetworkDef *def, int ifindex) {
        int r;

        if (!bus || !is_wanted(def))
                return;
        r = set_no_default(bus, ifindex);
        if (r >= 0)
                r = set_servers(bus, def, ifindex);
        if (r >= 0)
                r = set_domain(bus, def, ifindex);
        if (r < 0)
                (void) log_warning_errno(r, "systemd-resolved can't be told of the domain %s: %m", def->domain);
}
