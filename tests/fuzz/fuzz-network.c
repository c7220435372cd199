/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtnetworkd/mode/mode.h"
#include "../../virtnetworkd/mode/port-forward.h"
#include "../../virtnetworkd/plan/network.h"
#include "../../virtnetworkd/plan/switch-port.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is accepted becomes rules, and files in which every line is one of ours. */
static void check_files(const NetworkDef *def) {
        static const char *const known[] = {
                "#", "strict-order", "except-interface=lo", "bind-dynamic", "interface=", "port=0", "domain-needed", "server=", "no-resolv", "domain=",
                "expand-hosts", "local=/", "no-hosts", "addn-hosts=/a", "txt-record=", "srv-host=_", "dhcp-range=", "enable-ra", "ra-param=",
                "dhcp-option=", "enable-tftp", "tftp-root=/", "dhcp-boot=", "dhcp-no-override", "dhcp-authoritative", "dhcp-ignore-clid",
                "dhcp-lease-max=", "dhcp-hostsfile=/h", "dhcp-leasefile=/l",
        };
        const DnsmasqPaths paths = { "/h", "/a", "/l" };
        DnsmasqFiles files;

        if (network_can_become(def, def, NULL) < 0)
                abort();
        if (!network_needs_dnsmasq(def) || network_dnsmasq(def, &paths, &files) < 0)
                return;
        for (const char *line = files.config; *line; line = strchr(line, '\n') + 1) {
                bool good = false;

                for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                        good = good || str_after(line, known[i]);
                RECORD_FOREACH(DnsmasqOption, o, def->dnsmasq_options)
                        good = good || (str_after(line, o->value) && *str_after(line, o->value) == '\n');
                if (!good || !strchr(line, '\n'))
                        abort();
        }
        dnsmasq_files_clear(&files);
}

/* Nothing of a definition is another command of ovs-vsctl, nor an option. */
static void check_switch(const NetworkDef *def) {
        static const char *const commands[] = { "--if-exists", "add-port", "set", "--id=@qos" };
        const PortSettings *const layers[] = { &def->port };
        PortSettings merged;
        const SwitchPort port = { .name = "vnet-ovs0", .bridge = def->bridge, .settings = &merged };
        char **words;

        if (mode_ops(network_kind(def))->ports != PORTS_IN_SWITCH || !switch_port_name_is_good(def->bridge))
                return;
        port_settings_merge(layers, ARRAY_SIZE(layers), &merged);
        if (switch_port_add(&port, &words) < 0)
                abort();
        for (char **w = words; *w; w++) {
                bool begins = w > words && streq(w[-1], "--"), known = false;

                for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                        known = known || streq(*w, commands[i]);
                if (begins ? !known : **w == '-' && !streq(*w, "--"))
                        abort();
        }
        strv_free(words);
}

static void check_rules(const NetworkDef *def) {
        _cleanup_ruleset_ Ruleset s = {};
        char *text;

        if (ruleset_init(&s) < 0 || (def->port_forwards.n > 0 && port_forward_spare(def, &s) < 0) || mode_rules(def, NULL, &s) < 0)
                abort();
        text = ruleset_to_text(&s);
        if (!text)
                abort();
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        NetworkDefaults defaults = { .bridge = "virbr0", .ipv4_prefix = 24, .ipv6_prefix = 64 };
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        (void) ip_from_text("192.168.207.1", &defaults.ipv4);
        (void) ip_from_text("fd00:207::1", &defaults.ipv6);
        if (network_parse((const char *) data, size, &def, &f) < 0 || network_fill(def, &defaults, &f) < 0 || network_check(def, &f) < 0)
                return 0;
        check_rules(def);
        check_files(def);
        check_switch(def);
        if (network_format(def, 0, &text, &f) < 0)
                abort();
        return 0;
}
