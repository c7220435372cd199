/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../virtqemud/plan/domain-caps.h"
#include "../virtqemud/plan/host-caps.h"
#include "../virtqemud/run/host-info.h"
#include "../virtqemud/run/stats-qemu.h"
#include "../virtqemud/run/uevents.h"
#include "file.h"
#include "str.h"
#include "test.h"
#include "xml-read.h"

/* What the host has: read from a made-up /proc and /sys, and as XML of libvirt's. */

static char *make_root(void) {
        char folder[] = "/tmp/test-host-XXXXXX";

        assert_non_null(mkdtemp(folder));
        return strdup(folder);
}

static void remove_root(char **root) {
        assert_ok(tree_remove(*root));
        free(*root);
}
#define _cleanup_root_ _cleanup_(remove_root)

static void put(const char *root, const char *path, const char *text) {
        _cleanup_free_ char *whole = strf("%s%s", root, path), *folder = strdup(whole);
        FILE *f;

        *strrchr(folder, '/') = '\0';
        assert_ok(mkdir_parents(folder, 0700));
        f = fopen(whole, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void putf(const char *root, const char *text, const char *fmt, ...) _printf_(3, 4);
static void putf(const char *root, const char *text, const char *fmt, ...) {
        char path[256];
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(path, sizeof(path), fmt, ap);
        va_end(ap);
        put(root, path, text);
}

static void put_processor(const char *root, unsigned id, const char *socket, const char *core, const char *siblings) {
        putf(root, socket, "/sys/devices/system/cpu/cpu%u/topology/physical_package_id", id);
        putf(root, "0\n", "/sys/devices/system/cpu/cpu%u/topology/die_id", id);
        putf(root, core, "/sys/devices/system/cpu/cpu%u/topology/core_id", id);
        putf(root, siblings, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", id);
}

static void put_pool(const char *root, const char *folder, const char *total, const char *unused) {
        putf(root, total, "%s/hugepages-2048kB/nr_hugepages", folder);
        putf(root, unused, "%s/hugepages-2048kB/free_hugepages", folder);
}

/* Two sockets of two cores of two threads, of which the last processor is offline. */
static void make_host(const char *root) {
        put(root, "/proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 49\nmodel name\t: AMD EPYC 7302\nstepping\t: 0\n"
            "microcode\t: 0x830107c\nflags\t\t: fpu vme svm\naddress sizes\t: 43 bits physical, 48 bits virtual\n\nprocessor\t: 1\n");
        put(root, "/sys/devices/system/cpu/online", "0-6\n");
        put(root, "/sys/devices/system/node/online", "0-1\n");
        put(root, "/sys/devices/system/node/node0/cpulist", "0-3\n");
        put(root, "/sys/devices/system/node/node1/cpulist", "4-7\n");
        put(root, "/sys/devices/system/node/node0/distance", "10 32\n");
        put(root, "/sys/devices/system/node/node1/distance", "32 10\n");
        for (unsigned n = 0; n < 2; n++)
                putf(root, n == 0 ? "Node 0 MemTotal:       8388608 kB\nNode 0 MemFree:        4194304 kB\n"
                                  : "Node 1 MemTotal:       1048576 kB\nNode 1 MemFree:              0 kB\n",
                     "/sys/devices/system/node/node%u/meminfo", n);
        put_pool(root, "/sys/devices/system/node/node0/hugepages", "512\n", "500\n");
        put_pool(root, "/sys/devices/system/node/node1/hugepages", "0\n", "0\n");
        put_pool(root, "/sys/kernel/mm/hugepages", "512\n", "500\n");
        put_processor(root, 0, "0\n", "0\n", "0,2\n");
        put_processor(root, 1, "0\n", "1\n", "1,3\n");
        put_processor(root, 2, "0\n", "0\n", "0,2\n");
        put_processor(root, 3, "0\n", "1\n", "1,3\n");
        put_processor(root, 4, "1\n", "0\n", "4,6\n");
        put_processor(root, 5, "1\n", "1\n", "5\n");
        put_processor(root, 6, "1\n", "0\n", "4,6\n");
        put(root, "/sys/kernel/iommu_groups/0/type", "DMA\n");
        put(root, "/sys/kernel/iommu_groups/7/type", "DMA\n");
        put(root, "/sys/module/kvm_amd/parameters/nested", "1\n");
        put(root, "/sys/module/kvm_amd/parameters/sev", "N\n");
        put(root, "/sys/module/kvm_amd/parameters/npt", "Y\n");
        put(root, "/sys/class/dmi/id/product_uuid", "0c2f1a5e-1122-4344-8566-778899aabbcc\n");
}

static HostInfo *read_host(const char *root) {
        HostInfo *h = NULL;

        assert_ok(host_info_read(root, &h));
        return h;
}

TEST(test_host_of_two_nodes) {
        _cleanup_root_ char *root = make_root();
        _cleanup_(host_info_freep) HostInfo *h = NULL;
        HostShape shape;

        make_host(root);
        h = read_host(root);
        assert_string_equal(h->model, "AMD EPYC 7302");
        assert_string_equal(h->vendor, "AuthenticAMD");
        assert_int_equal(h->family, 23);
        assert_int_equal(h->model_number, 49);
        assert_int_equal(h->microcode, 0x830107c);
        assert_int_equal(h->address_bits, 43);
        assert_int_equal(strv_length(h->flags), 3);
        assert_true(strv_contains(h->flags, "svm"));

        assert_int_equal(h->n_processors, 7);
        assert_int_equal(h->processors[6].id, 6);
        assert_int_equal(h->processors[6].node, 1);
        assert_string_equal(h->processors[6].siblings, "4,6");
        shape = host_info_shape(h);
        assert_int_equal(shape.sockets, 2);
        assert_int_equal(shape.dies, 1);
        assert_int_equal(shape.cores, 2);
        assert_int_equal(shape.threads, 2);

        assert_int_equal(h->n_nodes, 2);
        assert_int_equal(h->nodes[0].memory, UINT64_C(8) << 30);
        assert_int_equal(h->nodes[0].free, UINT64_C(4) << 30);
        assert_int_equal(h->nodes[1].n_distances, 2);
        assert_int_equal(h->nodes[1].distances[0], 32);
        assert_int_equal(h->nodes[0].pages.n, 2);
        assert_int_equal(h->nodes[0].pages.items[1].size, 2048 * 1024);
        assert_int_equal(h->nodes[0].pages.items[1].total, 512);
        assert_int_equal(h->nodes[0].pages.items[1].free, 500);
        /* The usual pages are what is not in large ones. */
        assert_int_equal(h->nodes[0].pages.items[0].total * h->nodes[0].pages.items[0].size, UINT64_C(7) << 30);
        assert_int_equal(h->pages.n, 1);
        assert_int_equal(h->iommu_groups, 2);
        assert_int_equal(strv_length(h->kvm_features), 2);
        assert_true(strv_contains(h->kvm_features, "nested") && strv_contains(h->kvm_features, "npt"));
}

TEST(test_host_without_numa) {
        _cleanup_root_ char *root = make_root();
        _cleanup_(host_info_freep) HostInfo *h = NULL;

        put(root, "/proc/meminfo", "MemTotal:        2097152 kB\nMemFree:         1048576 kB\n");
        put(root, "/sys/devices/system/cpu/online", "0-1\n");
        put_processor(root, 0, "-1\n", "0\n", "0\n");
        h = read_host(root);
        assert_int_equal(h->n_nodes, 1);
        assert_int_equal(h->nodes[0].memory, UINT64_C(2) << 30);
        assert_int_equal(h->n_processors, 2);
        assert_int_equal(h->processors[0].socket, 0);
        assert_int_equal(h->processors[1].core, 1);
        assert_string_equal(h->processors[1].siblings, "1");
        assert_null(h->model);
        assert_false(sd_id128_is_null(h->uuid) && access("/etc/machine-id", F_OK) == 0);
}

TEST(test_host_that_says_nothing) {
        _cleanup_root_ char *root = make_root();
        _cleanup_(host_info_freep) HostInfo *h = read_host(root);

        assert_int_equal(h->n_nodes, 1);
        assert_int_equal(h->n_processors, 1);
        assert_int_equal(h->iommu_groups, 0);
        assert_int_equal(host_info_shape(h).threads, 1);
}

/* --- XML --- */

static QemuCaps *read_caps(void) {
        json_auto_t *json = json_load_file(TEST_DATA "/caps/qemu-7.2.json", 0, NULL);
        QemuCaps *caps = NULL;

        assert_non_null(json);
        assert_ok(caps_from_json(json, &caps, NULL));
        return caps;
}

static void check_well_formed(const char *text, const char *root) {
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (xml_parse(text, strlen(text), root, &doc, &f) < 0)
                fail_msg("%s\n%s", fault_text(&f), text);
}

static void check_has(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("no %s in\n%s", part, text);
}

TEST(test_capabilities) {
        static const char *const parts[] = {
                "<uuid>0c2f1a5e-1122-4344-8566-778899aabbcc</uuid>",
                "<vendor>AMD</vendor>",
                "<topology sockets=\"2\" dies=\"1\" cores=\"2\" threads=\"2\"/>",
                "<iommu support=\"yes\"/>",
                "<cells num=\"2\">",
                "<memory unit=\"KiB\">8388608</memory>",
                "<pages unit=\"KiB\" size=\"2048\">512</pages>",
                "<sibling id=\"1\" value=\"32\"/>",
                "<cpus num=\"3\">",
                "<cpu id=\"6\" socket_id=\"1\" die_id=\"0\" core_id=\"0\" siblings=\"4,6\"/>",
                "<model>none</model>",
                "<arch name=\"x86_64\">",
                "<emulator>/usr/bin/qemu-system-x86_64</emulator>",
                "<machine canonical=\"pc-q35-7.2\" maxCpus=\"288\">q35</machine>",
                "<domain type=\"qemu\"/>",
        };
        _cleanup_root_ char *root = make_root();
        _cleanup_(host_info_freep) HostInfo *h = NULL;
        _cleanup_(caps_freep) QemuCaps *caps = read_caps();
        HostEmulator emulator = { (char *) "/usr/bin/qemu-system-x86_64", caps };
        _cleanup_free_ char *text = NULL;

        make_host(root);
        h = read_host(root);
        assert_ok(host_caps_to_xml(h, &emulator, 1, &text));
        check_well_formed(text, "capabilities");
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                check_has(text, parts[i]);
        assert_null(strstr(text, ">none</machine>"));
}

static const DomainDefaults defaults = { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "x86_64", .nvram_folder = "/nvram" };

static DomainCaps *offer(const char *machine, FirmwareOffer *firmware, size_t n) {
        _cleanup_(caps_freep) QemuCaps *caps = read_caps();
        _cleanup_fault_ Fault f = FAULT_INIT;
        DomainCaps *c = NULL;

        if (domain_caps_new(caps, "/usr/bin/qemu-system-x86_64", machine, DOMAIN_TYPE_QEMU, &defaults, firmware, n, &c, &f) < 0)
                fail_msg("%s", fault_text(&f));
        return c;
}

TEST(test_domain_capabilities) {
        static const char *const offered[][3] = {
                { "cpu", "mode", "custom" }, { "cpu", "mode", "maximum" }, { "os", "firmware", "bios" }, { "memoryBacking", "sourceType", "memfd" },
                { "disk", "diskDevice", "lun" }, { "disk", "diskDevice", "floppy" }, { "disk", "bus", "virtio" }, { "disk", "bus", "sata" },
                { "disk", "model", "virtio-transitional" }, { "graphics", "type", "vnc" }, { "graphics", "type", "spice" }, { "video", "modelType", "qxl" },
                { "hostdev", "subsysType", "pci" }, { "hostdev", "subsysType", "scsi" }, { "rng", "backendModel", "egd" }, { "rng", "backendModel", "builtin" },
                { "filesystem", "driverType", "virtiofs" }, { "tpm", "model", "tpm-crb" }, { "tpm", "backendModel", "passthrough" },
                { "redirdev", "bus", "usb" }, { "channel", "type", "spicevmc" }, { "channel", "type", "unix" }, { "console", "type", "tcp" },
                { "console", "type", "file" }, { "interface", "backendType", "passt" }, { "interface", "model", "virtio" }, { "panic", "model", "pvpanic" },
                { "hyperv", "features", "relaxed" }, { "input", "bus", "usb" }, { "sound", "model", "ich9" },
        };
        _cleanup_(domain_caps_freep) DomainCaps *c = offer("q35", NULL, 0);

        assert_string_equal(c->machine, "pc-q35-7.2");
        for (size_t i = 0; i < ARRAY_SIZE(offered); i++)
                if (!domain_caps_offer(c, offered[i][0], offered[i][1], offered[i][2]))
                        fail_msg("%s/%s: %s is not offered", offered[i][0], offered[i][1], offered[i][2]);
        for (size_t i = 0; i < c->n_enums; i++)
                if (c->enums[i].n_words == 0)
                        fail_msg("%s/%s has no words", c->enums[i].group, c->enums[i].name);
        /* Words that the parser knows, and no definition may have. */
        assert_false(domain_caps_offer(c, "video", "modelType", "xen"));
        assert_false(domain_caps_offer(c, "graphics", "type", "sdl"));
        assert_false(domain_caps_offer(c, "console", "type", "stdio"));
        assert_false(domain_caps_offer(c, "os", "firmware", "efi"));
        assert_true(domain_caps_has_feature(c, "genid") && domain_caps_has_feature(c, "iothreads"));
        assert_false(domain_caps_has_feature(c, "launchSecurity"));
}

TEST(test_domain_capabilities_follow_the_machine) {
        _cleanup_(domain_caps_freep) DomainCaps *q35 = offer("q35", NULL, 0), *pc = offer("pc", NULL, 0), *usual = offer(NULL, NULL, 0);
        _cleanup_(domain_caps_freep) DomainCaps *none = NULL;
        _cleanup_(caps_freep) QemuCaps *caps = read_caps();
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert_true(domain_caps_offer(pc, "disk", "bus", "ide"));
        assert_false(domain_caps_offer(q35, "disk", "bus", "ide"));
        assert_string_equal(usual->machine, caps_machine(caps, NULL)->name);
        assert_error(domain_caps_new(caps, "/usr/bin/qemu-system-x86_64", "q36", DOMAIN_TYPE_QEMU, &defaults, NULL, 0, &none, &f), ENOENT);
        check_has(f.hint, "q35");
        fault_clear(&f);
        /* A definition of that type is refused, whatever else it says. */
        assert_true(domain_caps_new(caps, "/usr/bin/qemu-system-x86_64", "q35", DOMAIN_TYPE_KVM, &defaults, NULL, 0, &none, &f) < 0);
        check_has(fault_text(&f), "kvm");
}

/* What QEMU has not is not offered. */
TEST(test_domain_capabilities_follow_qemu) {
        json_auto_t *json = json_load_file(TEST_DATA "/caps/qemu-7.2.json", 0, NULL);
        _cleanup_(domain_caps_freep) DomainCaps *c = NULL;
        _cleanup_(caps_freep) QemuCaps *caps = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_t *devices = json_object_get(json, "devices"), *device;
        size_t i;

        json_array_foreach(devices, i, device)
                if (streq(json_string_value(device), "qxl-vga") || streq(json_string_value(device), "vfio-pci")) {
                        (void) json_array_remove(devices, i);
                        i--;
                }
        assert_ok(caps_from_json(json, &caps, NULL));
        assert_ok(domain_caps_new(caps, "/q", "q35", DOMAIN_TYPE_QEMU, &defaults, NULL, 0, &c, &f));
        assert_false(domain_caps_offer(c, "video", "modelType", "qxl"));
        assert_true(domain_caps_offer(c, "video", "modelType", "vga"));
        assert_false(domain_caps_offer(c, "hostdev", "subsysType", "pci"));
        assert_true(domain_caps_offer(c, "hostdev", "subsysType", "usb"));
}

static const char uefi[] =
        "{\"interface-types\":[\"uefi\"],\"mapping\":{\"device\":\"flash\",\"executable\":{\"filename\":\"/fw/CODE.secboot.fd\",\"format\":\"raw\"},"
        "\"nvram-template\":{\"filename\":\"/fw/VARS.ms.fd\",\"format\":\"raw\"}},"
        "\"targets\":[{\"architecture\":\"x86_64\",\"machines\":[\"pc-q35-*\"]}],\"features\":[\"enrolled-keys\",\"secure-boot\"]}";

TEST(test_firmware_offers) {
        FirmwareText texts[] = {
                { "40-secure.json", "/usr/share/qemu/firmware", 2, uefi, sizeof(uefi) - 1 },
                { "50-hidden.json", "/usr/share/qemu/firmware", 2, uefi, sizeof(uefi) - 1 },
                { "50-hidden.json", "/etc/qemu/firmware", 1, "", 0 },
                { "60-broken.json", "/etc/qemu/firmware", 1, "{", 1 },
        };
        _cleanup_(domain_caps_freep) DomainCaps *c = NULL;
        _cleanup_free_ char *text = NULL;
        FirmwareOffer *offers;
        size_t n;

        assert_ok(firmware_offers(texts, ARRAY_SIZE(texts), "x86_64", "pc-i440fx-7.2", &offers, &n));
        assert_int_equal(n, 0);
        firmware_offers_free(offers, n);
        assert_ok(firmware_offers(texts, ARRAY_SIZE(texts), "x86_64", "pc-q35-7.2", &offers, &n));
        assert_int_equal(n, 1);
        assert_string_equal(offers[0].loader, "/fw/CODE.secboot.fd");
        assert_true(offers[0].secure_boot && offers[0].enrolled_keys);

        c = offer("q35", offers, n);
        assert_true(domain_caps_offer(c, "os", "firmware", "efi"));
        assert_ok(domain_caps_to_xml(c, &text));
        check_well_formed(text, "domainCapabilities");
        check_has(text, "<value>/fw/CODE.secboot.fd</value>");
        check_has(text, "<mode name=\"host-passthrough\" supported=\"");
        check_has(text, "<model usable=\"yes\" vendor=\"unknown\">qemu64</model>");
        check_has(text, "<vcpu max=\"288\"/>");
        check_has(text, "<enum name=\"modelType\">");
        check_has(text, "<vmcoreinfo supported=\"yes\"/>");
        assert_null(strstr(text, ">max</model>"));
        assert_null(strstr(text, "<sound")); /* libvirt's format has none */
}

/* --- the kernel's news --- */

TEST(test_uevents) {
        static const char good[] = "add@/devices/pci0/usb1/1-1\0ACTION=add\0DEVPATH=/devices/pci0/usb1/1-1\0SUBSYSTEM=usb\0SEQNUM=7";
        static const char bare[] = "add@/devices/x\0ACTION=add";
        static const char foreign[] = "libudev\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=usb";
        static const char relative[] = "add@x\0ACTION=add\0DEVPATH=x\0SUBSYSTEM=usb";
        const char *action, *path, *subsystem;

        assert_ok(uevent_parse(good, sizeof(good), &action, &path, &subsystem));
        assert_string_equal(action, "add");
        assert_string_equal(path, "/devices/pci0/usb1/1-1");
        assert_string_equal(subsystem, "usb");
        assert_error(uevent_parse(good, sizeof(good) - 1, &action, &path, &subsystem), EBADMSG);
        assert_error(uevent_parse(good, 0, &action, &path, &subsystem), EBADMSG);
        assert_error(uevent_parse(bare, sizeof(bare), &action, &path, &subsystem), EBADMSG);
        assert_error(uevent_parse(foreign, sizeof(foreign), &action, &path, &subsystem), EBADMSG);
        assert_error(uevent_parse(relative, sizeof(relative), &action, &path, &subsystem), EBADMSG);
}

/* --- what QEMU counts --- */

static uint64_t number_of(const StatsSet *s, const char *key) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->items[i].key, key) && s->items[i].type == 't')
                        return s->items[i].number;
        return UINT64_MAX;
}

/* As QEMU 7.2 answers: the last processor comes first, and the devices between them have numbers, too. */
TEST(test_halts) {
        static const char answer[] =
                "[{'provider':'kvm','qom-path':'/machine/peripheral/vcpu3','stats':[{'name':'halt_wait_ns','value':300}]},"
                "{'provider':'kvm','qom-path':'/machine/unattached/device[10]','stats':[{'name':'halt_poll_fail_ns','value':12},"
                "{'name':'halt_poll_success_ns','value':11},{'name':'halt_wait_ns','value':210}]},"
                "{'provider':'kvm','qom-path':'/machine/unattached/device[2]','stats':[{'name':'halt_wait_ns','value':9007199254740993}]},"
                "{'provider':'cryptodev','qom-path':'/machine/unattached/device[1]','stats':[{'name':'halt_wait_ns','value':1}]},"
                "{'provider':'kvm','qom-path':'/machine/unattached/device[0]','stats':[{'name':'halt_wait_ns','value':0},"
                "{'name':'halt_poll_hist','value':[1,2,3]}]}]";
        _cleanup_free_ char *text = strdup(answer);
        json_auto_t *result = NULL;
        StatsSet s = {};

        for (char *c = text; *c; c++)
                *c = *c == '\'' ? '"' : *c;
        result = json_loads(text, 0, NULL);
        assert_non_null(result);
        stats_read_halt(result, &s);
        assert_int_equal(s.n, 6);
        assert_int_equal(number_of(&s, "vcpu.0.halt_wait_ns.sum"), 0);
        assert_int_equal(number_of(&s, "vcpu.1.halt_wait_ns.sum"), 9007199254740993);
        assert_int_equal(number_of(&s, "vcpu.2.halt_wait_ns.sum"), 210);
        assert_int_equal(number_of(&s, "vcpu.2.halt_poll_success_ns.sum"), 11);
        assert_int_equal(number_of(&s, "vcpu.2.halt_poll_fail_ns.sum"), 12);
        assert_int_equal(number_of(&s, "vcpu.3.halt_wait_ns.sum"), 300);
        stats_set_clear(&s);
}

TEST_MAIN(TEST_ROW(test_host_of_two_nodes), TEST_ROW(test_host_without_numa), TEST_ROW(test_host_that_says_nothing), TEST_ROW(test_capabilities),
          TEST_ROW(test_domain_capabilities), TEST_ROW(test_domain_capabilities_follow_the_machine), TEST_ROW(test_domain_capabilities_follow_qemu),
          TEST_ROW(test_firmware_offers), TEST_ROW(test_uevents), TEST_ROW(test_halts))
