/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <string.h>

#include "../virtnetworkd/mode/mode.h"
#include "../virtnetworkd/mode/port-forward.h"
#include "../virtnetworkd/def/dhcp-leases.h"
#include "../virtnetworkd/plan/network.h"
#include "../virtnetworkd/plan/switch-port.h"
#include "golden.h"
#include "mem.h"
#include "str.h"

/* tests/data/network/NAME/in.xml -> out.xml (completed), rules, dnsmasq, switch, or error. */

static NetworkDefaults defaults;

static void choose_defaults(void) {
        defaults = (NetworkDefaults) { .bridge = "virbr7", .ipv4_prefix = 24, .ipv6_prefix = 64 };
        assert_ok(ip_from_text("192.168.207.1", &defaults.ipv4));
        assert_ok(ip_from_text("fd00:207::1", &defaults.ipv6));
}

static int complete(NetworkDef *def, Fault *f) {
        int r;

        if (sd_id128_is_null(def->uuid))
                def->uuid = SD_ID128_MAKE(0c, 2f, 1a, 5e, 11, 22, 43, 44, 85, 66, 77, 88, 99, aa, bb, cc);
        if (!def->mac.set && mode_ops(network_kind(def))->own_bridge)
                def->mac = (MacAddress) { { 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc }, true };
        r = network_fill(def, &defaults, f);
        return r < 0 ? r : network_check(def, f);
}

static char *rules_of(const NetworkDef *def) {
        _cleanup_ruleset_ Ruleset s = {};

        assert_ok(ruleset_init(&s));
        if (def->port_forwards.n > 0)
                assert_ok(port_forward_spare(def, &s));
        assert_ok(mode_rules(def, NULL, &s));
        return ruleset_to_text(&s);
}

static char *dnsmasq_of(const NetworkDef *def) {
        const DnsmasqPaths paths = { "/run/dhcp-hosts", "/run/dns-hosts", "/var/leases" };
        DnsmasqFiles d = {};
        char *text;

        if (!network_needs_dnsmasq(def))
                return NULL;
        assert_ok(network_dnsmasq(def, &paths, &d));
        text = strf("%s--- dhcp-hosts\n%s--- dns-hosts\n%s", d.config, d.dhcp_hosts, d.dns_hosts);
        dnsmasq_files_clear(&d);
        return text;
}

/* A command of ovs-vsctl in each line. */
static void add_commands(Text *t, const char *title, char **words) {
        text_addf(t, "%s\n", title);
        for (char **w = words; *w; w++)
                text_addf(t, streq(*w, "--") ? "%s\t" : " %s", streq(*w, "--") ? (w == words ? "" : "\n") : *w);
        text_add(t, "\n");
        strv_free(words);
}

static void add_port(Text *t, const char *title, const NetworkDef *def, const PortSettings *group) {
        const PortSettings *const layers[] = { group, &def->port };
        PortSettings merged;
        const SwitchPort port = {
                .name = "vnet-ovs0", .bridge = def->bridge, .mac = { { 0x52, 0x54, 0, 0, 0, 1 }, true }, .domain = def->uuid,
                .isolated = def->isolated == YES, .settings = &merged,
        };
        char **words;

        port_settings_merge(layers, ARRAY_SIZE(layers), &merged);
        assert_ok(switch_port_add(&port, &words));
        add_commands(t, title, words);
}

static char *switch_of(const NetworkDef *def) {
        _cleanup_text_ Text t = TEXT_INIT;
        char **words;

        if (mode_ops(network_kind(def))->ports != PORTS_IN_SWITCH)
                return NULL;
        add_port(&t, "a port", def, NULL);
        RECORD_FOREACH(PortGroup, g, def->port_groups) {
                add_port(&t, g->name, def, &g->settings);
                assert_ok(switch_port_limit("vnet-ovs0", &g->settings.inbound, &g->settings.outbound, &words));
                add_commands(&t, "and its limits", words);
        }
        assert_ok(switch_port_unlimit("vnet-ovs0", &words));
        add_commands(&t, "without limits", words);
        assert_ok(switch_port_remove("vnet-ovs0", &words));
        add_commands(&t, "gone", words);
        return text_finish(&t);
}

/* What was completed once stays as it is. */
static void check_stable(const char *path, const char *text) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL, *copy = NULL;
        _cleanup_free_ char *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (network_parse(text, strlen(text), &def, &f) < 0 || complete(def, &f) < 0 || network_format(def, 0, &again, &f) < 0)
                fail_msg("%s, second time: %s", path, fault_text(&f));
        assert_string_equal(text, again);
        assert_ok(network_copy(def, &copy));
        assert_true(record_equal(&def->head, &copy->head));
}

static void run_case(const char *path, const char *name, void *userdata) {
        _cleanup_free_ char *in = NULL, *out = NULL, *rules = NULL, *dnsmasq = NULL, *ports = NULL, *error = NULL;
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        size_t n = 0;
        bool same;
        int r;

        in = golden_read(path, "in.xml", &n);
        if (!in)
                fail_msg("%s has no in.xml", path);
        r = network_parse(in, n, &def, &f);
        if (r >= 0)
                r = complete(def, &f);
        if (r >= 0)
                r = network_format(def, 0, &out, &f);
        if (r < 0)
                error = strf("%s: %s\n%s%s", fault_kind_to_string(f.kind), fault_text(&f), f.hint ?: "", f.hint ? "\n" : "");
        else {
                rules = rules_of(def);
                dnsmasq = dnsmasq_of(def);
                ports = switch_of(def);
        }
        same = golden_compare(path, "out.xml", out);
        same = golden_compare(path, "rules", rules) && same;
        same = golden_compare(path, "dnsmasq", dnsmasq) && same;
        same = golden_compare(path, "switch", ports) && same;
        same = golden_compare(path, "error", error) && same;
        assert_true(same);
        if (out)
                check_stable(path, out);
}

TEST(test_golden) {
        choose_defaults();
        golden_scan(TEST_DATA "/network", run_case, NULL);
}

/* --- many hosts --- */

#define MANY 10000u

static char *many_hosts(bool twice) {
        _cleanup_text_ Text t = TEXT_INIT;

        text_add(&t, "<network><name>x</name><forward mode='nat'/><ip address='10.0.0.1' prefix='8'><dhcp>\n");
        for (unsigned i = 0; i < MANY; i++)
                text_addf(&t, "<host mac='52:54:00:%02x:%02x:%02x' name='h%u' ip='10.1.%u.%u'/>\n", i >> 16, (i >> 8) & 255, i & 255, i, i / 250,
                          i % 250 + 1);
        if (twice)
                text_add(&t, "<host mac='52:54:00:00:01:02' ip='10.2.0.1'/>");
        text_add(&t, "</dhcp></ip></network>");
        return text_finish(&t);
}

TEST(test_many_hosts) {
        for (int twice = 0; twice < 2; twice++) {
                _cleanup_free_ char *text = many_hosts(twice), *dnsmasq = NULL;
                _cleanup_(network_def_freep) NetworkDef *def = NULL;
                _cleanup_fault_ Fault f = FAULT_INIT;

                choose_defaults();
                assert_ok(network_parse(text, strlen(text), &def, &f));
                if (twice) {
                        assert_error(complete(def, &f), EINVAL);
                        assert_non_null(strstr(fault_text(&f), "line 10002, network/ip/dhcp/host: its MAC address is already that of the host in line 260"));
                        continue;
                }
                assert_ok(complete(def, &f));
                dnsmasq = dnsmasq_of(def);
                assert_non_null(strstr(dnsmasq, "\n52:54:00:00:27:0f,h9999,10.1.39.250\n"));
        }
}

/* --- addresses --- */

static IpAddress ip(const char *text) {
        IpAddress a;

        assert_ok(ip_from_text(text, &a));
        return a;
}

static void check_text(const IpAddress *a, const char *text) {
        char buffer[IP_TEXT_MAX];

        assert_string_equal(ip_to_text(a, buffer), text);
}

TEST(test_names_for_switches) {
        static const char *const good[] = { "ovsbr0", "br-int", "a", "vnet-ovs17" };
        static const char *const bad[] = { "", "--", "-x", "a b", "a=b", "@q", "a,b", "br\n", "\"", "sixteen-bytes-xx", ".", "a:b", "br\xc3\xa9" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(switch_port_name_is_good(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(switch_port_name_is_good(bad[i]));
}

TEST(test_addresses) {
        static const char *const bad[] = { "", "1.2.3", "1.2.3.256", "1.2.3.4 ", "01.2.3.4", "fe80::1%eth0", ":::", "x" };
        IpAddress a = ip("192.168.100.77"), b = ip("fd00::ffff:ffff"), c, d;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_error(ip_from_text(bad[i], &c), EINVAL);
        c = ip_network(&a, 26);
        check_text(&c, "192.168.100.64");
        c = ip_broadcast(&a, 26);
        check_text(&c, "192.168.100.127");
        c = ip_network(&a, 0);
        check_text(&c, "0.0.0.0");
        c = ip_add(&b, 2);
        check_text(&c, "fd00::1:0:1");
        c = ip("255.255.255.255");
        d = ip_add(&c, 1);
        check_text(&d, "0.0.0.0");
        assert_true(ip_is_in(&a, &(IpAddress) { .family = AF_INET, .bytes = { 192, 168, 0, 0 } }, 16));
        assert_false(ip_is_in(&a, &b, 0));
        c = ip("10.0.0.1");
        d = ip("10.0.1.0");
        assert_int_equal(ip_range_size(&c, &d), 256);
        assert_int_equal(ip_range_size(&d, &c), 0);
        d = ip("fe80::");
        assert_int_equal(ip_range_size(&b, &d), UINT32_MAX);
        c = ip("255.255.252.0");
        assert_int_equal(ip_netmask_to_prefix(&c), 22);
        c = ip("255.0.255.0");
        assert_error(ip_netmask_to_prefix(&c), EINVAL);
        c = ip("10.0.0.0");
        d = ip("10.128.0.0");
        assert_true(ip_overlap(&c, 8, &d, 24));
        assert_false(ip_overlap(&c, 9, &d, 24));
}

static void test_leases(void **state) {
        static const char text[] =
                "1700000000 52:54:00:00:00:02 10.0.0.9 db *\n"
                "0 52:54:00:00:00:01 10.0.0.8 * 01:52:54:00:00:00:01\n"
                "17 52:54:00:00:00 10.0.0.1 short *\n"
                "17 52:54:00:00:00:03 10.0.0.256 range *\n"
                "17 52:54:00:00:00:03 10.0.0.3 evil;name *\n"
                "x 52:54:00:00:00:04 10.0.0.4 x *\n"
                "duid 00:01:00:01:2c:11:22:33:52:54:00:aa:bb:cc\n"
                "1700000000 7 fd00::2 six 00:01:00:01:2c:11:22:33:52:54:00:00:00:05\n"
                "1700000000 T8 fd00::3 * 00:02:00:00:ab:11\n"
                "1700000000 8 fd00::4 half";
        _cleanup_grants_ DhcpGrants g = {};

        assert_ok(dhcp_grants_parse(text, strlen(text), &g));
        assert_int_equal(g.n, 5);
        check_text(&g.items[0].address, "10.0.0.3");
        assert_null(g.items[0].name);
        check_text(&g.items[1].address, "10.0.0.8");
        assert_null(g.items[1].name);
        assert_string_equal(g.items[1].client_id, "01:52:54:00:00:00:01");
        assert_int_equal(g.items[1].expires_usec, 0);
        check_text(&g.items[2].address, "10.0.0.9");
        assert_string_equal(g.items[2].name, "db");
        assert_string_equal(g.items[2].mac, "52:54:00:00:00:02");
        assert_int_equal(g.items[2].expires_usec, 1700000000000000);
        check_text(&g.items[3].address, "fd00::2");
        assert_string_equal(g.items[3].mac, "52:54:00:00:00:05");
        check_text(&g.items[4].address, "fd00::3");
        assert_string_equal(g.items[4].mac, "");
        assert_false(dhcp_grant_is_same(&g.items[1], &g.items[2]));
        assert_true(dhcp_grant_is_same(&g.items[1], &g.items[1]));
}

TEST_MAIN(TEST_ROW(test_golden), TEST_ROW(test_many_hosts), TEST_ROW(test_addresses), TEST_ROW(test_names_for_switches), TEST_ROW(test_leases))
