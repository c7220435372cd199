/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../virtqemud/def/controller-def.h"
#include "../virtqemud/device/device.h"
#include "../virtqemud/device/spice-tls.h"
#include "../virtqemud/device/vnc-tls.h"
#include "../virtqemud/plan/domain.h"
#include "../virtqemud/plan/firmware.h"
#include "../virtqemud/plan/launch.h"
#include "../virtqemud/plan/tune.h"
#include "golden.h"
#include "str.h"
#include "test.h"

/* tests/data/domain/NAME/in.xml -> out.xml (completed) and argv, or error. The caps are those of a real QEMU 7.2. */

static const DomainDefaults defaults = {
        .emulator = "/usr/bin/qemu-system-x86_64",
        .arch = "x86_64",
        .nvram_folder = "/var/lib/virtbus/nvram",
        .host_memory = UINT64_C(64) << 30,
        .certificates = "/etc/pki/libvirt-spice",
        .encryption = { .cpu_sev = true, .cpu_sev_snp = true, .kvm_sev = 'Y', .kvm_sev_snp = 'N' },
};

static const char uefi_plain[] =
        "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\",\"executable\":{\"filename\":\"/fw/CODE.fd\",\"format\":\"raw\"},"
        "\"nvram-template\":{\"filename\":\"/fw/VARS.fd\",\"format\":\"raw\"}},"
        "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"pc-i440fx-*\",\"pc-q35-*\"]}],\"features\":[\"acpi-s3\"]}";
static const char uefi_secure[] =
        "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\",\"executable\":{\"filename\":\"/fw/CODE.secboot.fd\",\"format\":\"raw\"},"
        "\"nvram-template\":{\"filename\":\"/fw/VARS.ms.fd\",\"format\":\"raw\"}},"
        "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"pc-q35-*\"]}],"
        "\"features\":[\"enrolled-keys\",\"requires-smm\",\"secure-boot\"]}";

static int select_firmware(DomainDef *def, Fault *f) {
        FirmwareText texts[] = {
                { "60-plain.json", "/usr/share/qemu/firmware", 2, uefi_plain, sizeof(uefi_plain) - 1 },
                { "40-secure.json", "/usr/share/qemu/firmware", 2, uefi_secure, sizeof(uefi_secure) - 1 },
                { "10-broken.json", "/etc/qemu/firmware", 1, "{", 1 },
        };

        return firmware_select(texts, ARRAY_SIZE(texts), def, defaults.nvram_folder, f);
}

static int complete(DomainDef *def, const QemuCaps *caps, Fault *f) {
        int r;

        domain_drop_live(def);
        if (sd_id128_is_null(def->uuid))
                def->uuid = SD_ID128_MAKE(0c, 2f, 1a, 5e, 11, 22, 43, 44, 85, 66, 77, 88, 99, aa, bb, cc);
        r = domain_fill(def, &defaults, f);
        if (r >= 0 && caps)
                r = domain_expand_machine(def, caps, f);
        if (r >= 0)
                r = select_firmware(def, f);
        return r < 0 ? r : domain_check(def, caps, &defaults, f);
}

static void add_commands(Text *t, const DomainDef *def) {
        json_auto_t *commands = NULL;
        json_t *command;
        size_t i;

        assert_ok(launch_settle(def, &commands));
        json_array_foreach(commands, i, command) {
                _cleanup_free_ char *text = json_dumps(command, JSON_COMPACT);

                text_addf(t, "# qmp %s\n", text);
        }
}

static void add_limits(Text *t, const DomainDef *def, bool reset) {
        _cleanup_unit_properties_ UnitProperties p = {};

        assert_ok(tune_properties(def, reset, &p));
        tune_devices(def, reset, &p);
        for (size_t i = 0; i < p.n; i++) {
                text_addf(t, "# unit%s %s=", reset ? ", afterwards," : "", p.items[i].name);
                for (size_t k = 0; k < p.items[i].n_pairs; k++)
                        text_addf(t, " %s %" PRIu64, p.items[i].pairs[k].path, p.items[i].pairs[k].value);
                for (size_t k = 0; k < p.items[i].n_set; k++)
                        text_addf(t, "%02x", p.items[i].set[k]);
                if (p.items[i].is_device)
                        text_addf(t, "%s", p.items[i].device ?: "");
                else if (!p.items[i].set && p.items[i].value == UINT64_MAX)
                        text_add(t, "infinity");
                else if (!p.items[i].set && !p.items[i].is_pairs)
                        text_addf(t, "%" PRIu64, p.items[i].value);
                text_add(t, "\n");
        }
}

static void add_schedulers(Text *t, const DomainDef *def) {
        _cleanup_free_ char *text = NULL;

        assert_ok(tune_schedulers(def, &text));
        if (text)
                text_addf(t, "# unit schedulers: %s\n", text);
}

/* What stands beside QEMU for one of the plan's descriptors. */
static void add_program(Text *t, const DomainDef *def, const char *device) {
        _cleanup_(companion_clear) Companion c = {};

        assert_ok(companion_make(def, device, "/state", &c));
        text_addf(t, "# program %s:", device);
        for (char **arg = c.argv; *arg; arg++)
                text_addf(t, " %s", *arg);
        text_add(t, "\n");
}

static char *argv_text(const DomainDef *def, const QemuCaps *caps, unsigned flags) {
        _cleanup_(launch_plan_freep) LaunchPlan *plan = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_text_ Text t = TEXT_INIT;

        if (launch_plan(def, caps, flags, &plan, &f) < 0)
                fail_msg("launch_plan: %s", fault_text(&f));
        for (char **arg = plan->argv; *arg; arg++)
                text_addf(&t, "%s%s", *arg, arg[1] && arg[1][0] != '-' ? " " : "\n");
        for (size_t i = 0; i < plan->n_fds; i++)
                text_addf(&t, "# fd %d: %s %s\n", plan->fds[i].number, plan_fd_kind_to_string(plan->fds[i].kind), plan->fds[i].path ?: "");
        for (size_t i = 0; i < plan->n_fds; i++)
                if (plan->fds[i].kind == PLAN_FD_COMPANION)
                        add_program(&t, def, plan->fds[i].path);
        add_commands(&t, def);
        add_schedulers(&t, def);
        add_limits(&t, def, false);
        add_limits(&t, def, true);
        return text_finish(&t);
}

/* What was completed once stays as it is. */
static void check_stable(const char *path, const char *text, const QemuCaps *caps) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL, *copy = NULL;
        _cleanup_free_ char *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (domain_parse(text, strlen(text), &def, &f) < 0 || complete(def, caps, &f) < 0 || domain_format(def, 0, &again, &f) < 0)
                fail_msg("%s, second time: %s", path, fault_text(&f));
        assert_string_equal(text, again);
        assert_ok(domain_copy(def, &copy));
        assert_true(record_equal(&def->head, &copy->head));
}

/* A host that has some. */
static void name_certificates(DomainDef *def, bool verify) {
        DEVICE_FOREACH(Graphics, g, def, DEVICE_GRAPHICS)
                if (g->type == GRAPHICS_VNC)
                        assert_ok(vnc_tls_name_certificates(g, "/etc/pki/libvirt-vnc", verify));
                else
                        assert_ok(spice_tls_name_certificates(g, defaults.certificates));
}

static void run_case(const char *path, const char *name, void *userdata) {
        const QemuCaps *caps = userdata;
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_free_ char *in = NULL, *out = NULL, *argv = NULL, *error = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        bool same;
        size_t n = 0;
        int r;

        in = golden_read(path, "in.xml", &n);
        if (!in)
                fail_msg("%s has no in.xml", path);
        r = domain_parse(in, n, &def, &f);
        if (r >= 0)
                r = complete(def, caps, &f);
        if (r >= 0)
                r = domain_format(def, 0, &out, &f);
        if (r < 0)
                error = strf("%s: %s\n%s%s", fault_kind_to_string(f.kind), fault_text(&f), f.hint ?: "", f.hint ? "\n" : "");
        else {
                if (strstr(name, "certificates"))
                        name_certificates(def, strstr(name, "verified"));
                argv = argv_text(def, caps, (strstr(name, "no-network") ? LAUNCH_NO_NETWORK : 0) | (strstr(name, "logged") ? LAUNCH_LOG_CONSOLES : 0));
        }

        same = golden_compare(path, "out.xml", out);
        same = golden_compare(path, "argv", argv) && same;
        same = golden_compare(path, "error", error) && same;
        assert_true(same);
        if (out)
                check_stable(path, out, caps);
}

static QemuCaps *read_caps(void) {
        json_auto_t *json = json_load_file(TEST_DATA "/caps/qemu-7.2.json", 0, NULL);
        QemuCaps *caps = NULL;

        assert_non_null(json);
        assert_ok(caps_from_json(json, &caps, NULL));
        return caps;
}

TEST(test_golden) {
        _cleanup_(caps_freep) QemuCaps *caps = read_caps();

        golden_scan(TEST_DATA "/domain", run_case, caps);
}

TEST(test_names) {
        static const char *const good[] = { "web", "Büro 3", "a.b-c_d", "虚拟机", "@x" };
        static const char *const bad[] = { "", ".", "..", ".x", "-x", "a/b", "a\nb", "a\x7f", "\xff" };
        char longest[202];

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_ok(domain_name_check(good[i], NULL));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_error(domain_name_check(bad[i], NULL), EINVAL);
        memset(longest, 'x', 201);
        longest[201] = '\0';
        assert_error(domain_name_check(longest, NULL), EINVAL);
        longest[200] = '\0';
        assert_ok(domain_name_check(longest, NULL));
}

static DomainDef *parse(const char *text) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        DomainDef *def = NULL;

        if (domain_parse(text, strlen(text), &def, &f) < 0)
                fail_msg("%s", fault_text(&f));
        return def;
}

#define SIMPLE(machine, more)                                                                           \
        "<domain type='qemu'><name>x</name><memory>65536</memory><os><type arch='x86_64' machine='" machine "'>hvm</type></os>" \
        "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>" more "</devices></domain>"

static size_t count_pci(const DomainDef *def, ControllerModel model) {
        size_t n = 0;

        DEVICE_FOREACH(Controller, c, def, DEVICE_CONTROLLER)
                n += c->model == (int) model;
        return n;
}

static void add_controllers(DomainDef *def, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                assert_non_null(domain_add_controller(def, CONTROLLER_SCSI, MODEL_VIRTIO_SCSI, NUMBER_UNSET));
}

TEST(test_many_devices_on_q35) {
        _cleanup_(domain_def_freep) DomainDef *def = parse(SIMPLE("q35", ""));

        add_controllers(def, 100);
        assert_ok(domain_fill(def, &defaults, NULL));
        assert_int_equal(count_pci(def, MODEL_PCIE_ROOT_PORT), 101); /* and the balloon */
}

TEST(test_many_devices_on_pc) {
        _cleanup_(domain_def_freep) DomainDef *def = parse(SIMPLE("pc", ""));

        add_controllers(def, 70);
        assert_ok(domain_fill(def, &defaults, NULL));
        assert_int_equal(count_pci(def, MODEL_PCI_BRIDGE), 2);
}

TEST(test_spare_ports) {
        _cleanup_(domain_def_freep) DomainDef *def = parse(SIMPLE("q35", ""));
        DomainDefaults spare = defaults;

        spare.spare_root_ports = 3;
        for (unsigned i = 0; i < 2; i++) {
                assert_ok(domain_fill(def, &spare, NULL));
                assert_int_equal(count_pci(def, MODEL_PCIE_ROOT_PORT), 4);
        }
        add_controllers(def, 2); /* into two of them, and none more is made for that */
        assert_ok(domain_fill(def, &spare, NULL));
        assert_int_equal(count_pci(def, MODEL_PCIE_ROOT_PORT), 4);
}

TEST(test_new_genid) {
        _cleanup_(domain_def_freep) DomainDef *a = parse("<domain type='qemu'><name>x</name><memory>65536</memory><genid/><os><type>hvm</type></os></domain>");
        _cleanup_(domain_def_freep) DomainDef *b = parse("<domain type='qemu'><name>x</name><memory>65536</memory><genid> </genid>"
                                                          "<os><type>hvm</type></os></domain>");

        assert_false(sd_id128_is_null(a->genid));
        assert_false(sd_id128_equal(a->genid, b->genid));
}

TEST(test_live) {
        _cleanup_(domain_def_freep) DomainDef *def = parse(SIMPLE("q35", "")), *live = NULL;

        assert_ok(domain_fill(def, &defaults, NULL));
        assert_ok(domain_make_live(def, 7, &defaults, &live));
        assert_int_equal(live->id, 7);
        assert_non_null(domain_find_device(live, "pci.1"));
        assert_string_equal(domain_find_device(live, "pci.1")->alias, "pci.1");
        domain_drop_live(live);
        assert_true(record_equal(&def->head, &live->head));
}

TEST(test_encryption_of_the_host) {
        static const char amd[] = "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu sme sev sev_es debug_swap\nbugs\t\t: sev_snp\n\nprocessor\t: 1\n";
        static const char intel[] = "vendor_id\t: GenuineIntel\nvmx flags\t: sev\nflags\t\t: fpu tsev sevx";
        static const struct {
                const char *cpuinfo, *type, *answer;
                char kvm;
        } rows[] = {
                { amd, "sev", "this host has AMD SEV, but", '1' },
                { amd, "sev", "kvm_amd/parameters/sev is 0)", '0' },
                { amd, "sev", "there is no /sys/module/kvm_amd/parameters/sev)", '\0' },
                { amd, "sev-snp", "CPU has no AMD SEV-SNP", '\0' },
                { amd, "tdx", "CPU has no Intel TDX", '\0' },
                { intel, "sev", "CPU has no AMD SEV", '\0' },
                { intel, "tdx", "there is no /sys/module/kvm_intel/parameters/tdx)", '\0' },
                { intel, "tdx", "this host has Intel TDX, but", 'Y' },
                { "", "sev", "CPU has no AMD SEV", '\0' },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                HostEncryption host = { .kvm_sev = rows[i].kvm, .kvm_tdx = rows[i].kvm };
                _cleanup_free_ char *text = strf("<domain type='qemu'><name>x</name><memory>65536</memory><os><type>hvm</type></os>"
                                                 "<launchSecurity type='%s'/></domain>", rows[i].type);
                _cleanup_(domain_def_freep) DomainDef *def = parse(text);
                _cleanup_fault_ Fault f = FAULT_INIT;

                memory_encryption_read_cpu(rows[i].cpuinfo, &host);
                assert_error(memory_encryption_check(def, &host, &f), EINVAL);
                if (!strstr(fault_text(&f), rows[i].answer))
                        fail_msg("%s: %s", rows[i].answer, fault_text(&f));
        }
}

static const Graphics *first_display(const DomainDef *def) {
        const Graphics *g = domain_find_graphics(def, GRAPHICS_SPICE);

        assert_non_null(g);
        return g;
}

static DomainDef *make_live_display(const char *attributes) {
        _cleanup_free_ char *text = strf(SIMPLE("q35", "<graphics type='spice' %s/>"), attributes);
        _cleanup_(domain_def_freep) DomainDef *def = parse(text);
        DomainDef *live = NULL;

        assert_ok(domain_fill(def, &defaults, NULL));
        assert_ok(domain_make_live(def, 1, &defaults, &live));
        return live;
}

/* Where nobody asks for TLS a host without certificates has none. */
TEST(test_certificates) {
        static const struct {
                const char *attributes;
                bool named, optional;
        } rows[] = {
                { "autoport='yes'", true, true },
                { "port='-1' tlsPort='-1'", true, true },
                { "autoport='yes' defaultMode='secure'", true, false },
                { "tlsPort='5901'", true, false },
                { "port='5900'", false, false },
                { "autoport='yes' defaultMode='insecure'", false, false },
                { "autoport='yes' socket='/run/x'", false, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(domain_def_freep) DomainDef *live = make_live_display(rows[i].attributes);
                _cleanup_(wanted_files_clear) WantedFiles files = {};
                _cleanup_free_ char *lost = NULL;

                assert_int_equal(first_display(live)->certificates != NULL, rows[i].named);
                assert_ok(launch_files(live, &files, NULL));
                assert_int_equal(files.n, rows[i].named ? 3 : 0);
                for (size_t k = 0; k < files.n; k++)
                        assert_int_equal(files.items[k].optional, rows[i].optional);
                assert_ok(launch_lose_file(live, "/etc/pki/libvirt-spice/server-key.pem", &lost));
                assert_int_equal(lost != NULL, rows[i].named && rows[i].optional);
                assert_int_equal(first_display(live)->certificates != NULL, rows[i].named && !rows[i].optional);
        }
}

TEST_MAIN(TEST_ROW(test_golden), TEST_ROW(test_names), TEST_ROW(test_many_devices_on_q35), TEST_ROW(test_many_devices_on_pc),
          TEST_ROW(test_spare_ports), TEST_ROW(test_live), TEST_ROW(test_new_genid), TEST_ROW(test_certificates),
          TEST_ROW(test_encryption_of_the_host))
