/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-caps.h"
#include "str.h"
#include "xml-build.h"

/* <domainCapabilities>, as libvirt's clients read it. */

static xmlNode *add_supported(XmlBuild *b, xmlNode *parent, const char *name, bool supported) {
        xmlNode *node = xml_build_add(b, parent, name);

        xml_build_set(b, node, "supported", "%s", yes_no(supported));
        return node;
}

static void add_enum(XmlBuild *b, xmlNode *parent, const char *name, char *const *words) {
        xmlNode *node = xml_build_add(b, parent, "enum");

        xml_build_set(b, node, "name", "%s", name);
        for (char *const *word = words; word && *word; word++)
                xml_build_text(b, node, "value", "%s", *word);
}

static void add_words(XmlBuild *b, xmlNode *parent, const char *name, const EnumTable *table) {
        xmlNode *node = xml_build_add(b, parent, "enum");

        xml_build_set(b, node, "name", "%s", name);
        for (int i = 0; i < table->n; i++)
                if (table->words[i])
                        xml_build_text(b, node, "value", "%s", table->words[i]);
}

static void add_switch(XmlBuild *b, xmlNode *parent, const char *name, const char *one, const char *other) {
        char *words[] = { (char *) one, (char *) other, NULL };

        add_enum(b, parent, name, words);
}

static bool offers_any(const DomainCaps *c, const char *group) {
        for (size_t i = 0; i < c->n_enums; i++)
                if (streq(c->enums[i].group, group) && !c->enums[i].is_ours && c->enums[i].n_words > 0)
                        return true;
        return false;
}

static xmlNode *add_group(XmlBuild *b, xmlNode *parent, const DomainCaps *c, const char *group) {
        xmlNode *node = add_supported(b, parent, group, offers_any(c, group));

        for (size_t i = 0; i < c->n_enums; i++)
                if (streq(c->enums[i].group, group) && !c->enums[i].is_ours && offers_any(c, group))
                        add_enum(b, node, c->enums[i].name, c->enums[i].words);
        return node;
}

static void add_os(XmlBuild *b, xmlNode *root, const DomainCaps *c) {
        xmlNode *os = add_group(b, root, c, "os"), *loader = add_supported(b, os, "loader", true);
        bool secure = false;

        for (size_t i = 0; i < c->n_firmware; i++) {
                xml_build_text(b, loader, "value", "%s", c->firmware[i].loader);
                secure = secure || c->firmware[i].secure_boot;
        }
        add_words(b, loader, "type", &loader_type_table);
        add_switch(b, loader, "readonly", "yes", "no");
        add_switch(b, loader, "secure", "no", secure ? "yes" : NULL);
}

static xmlNode *add_mode(XmlBuild *b, xmlNode *cpu, const DomainCaps *c, CpuMode mode) {
        const char *word = cpu_mode_to_string(mode);
        xmlNode *node = xml_build_add(b, cpu, "mode");

        xml_build_set(b, node, "name", "%s", word);
        xml_build_set(b, node, "supported", "%s", yes_no(domain_caps_offer(c, "cpu", "mode", word)));
        return node;
}

/* Names of QEMU's that other modes stand for, or nothing that a guest could run on. */
static bool is_named_model(const char *name) {
        return !streq(name, "host") && !streq(name, "max") && !streq(name, "base");
}

static void add_model(XmlBuild *b, xmlNode *custom, const DomainCaps *c, const CapsCpu *cpu) {
        xmlNode *node = xml_build_text(b, custom, "model", "%s", cpu->name);

        xml_build_set(b, node, "usable", "%s", yes_no(domain_caps_cpu_usable(c, cpu)));
        if (cpu->deprecated)
                xml_build_set(b, node, "deprecated", "yes");
        xml_build_set(b, node, "vendor", "unknown");
}

static void add_cpu(XmlBuild *b, xmlNode *root, const DomainCaps *c) {
        xmlNode *cpu = xml_build_add(b, root, "cpu"), *mode;

        mode = add_mode(b, cpu, c, CPU_MODE_HOST_PASSTHROUGH);
        if (domain_caps_offer(c, "cpu", "mode", cpu_mode_to_string(CPU_MODE_HOST_PASSTHROUGH)))
                add_switch(b, mode, "hostPassthroughMigratable", "on", "off");
        (void) add_mode(b, cpu, c, CPU_MODE_MAXIMUM);
        (void) add_mode(b, cpu, c, CPU_MODE_HOST_MODEL);
        mode = add_mode(b, cpu, c, CPU_MODE_CUSTOM);
        for (size_t i = 0; i < c->qemu->n_cpus; i++)
                if (is_named_model(c->qemu->cpus[i].name))
                        add_model(b, mode, c, &c->qemu->cpus[i]);
}

static void add_devices(XmlBuild *b, xmlNode *root, const DomainCaps *c) {
        static const char *const groups[] = {
                "disk", "graphics", "video", "hostdev", "rng", "filesystem", "tpm", "redirdev", "channel", "crypto", "interface", "panic",
                "console",
        };
        xmlNode *devices = xml_build_add(b, root, "devices");

        for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
                xmlNode *node = add_group(b, devices, c, groups[i]);

                if (streq(groups[i], "hostdev"))
                        add_enum(b, node, "capsType", NULL); /* that is for containers */
        }
}

static void add_features(XmlBuild *b, xmlNode *root, const DomainCaps *c) {
        static const char *const names[] = { "vmcoreinfo", "genid", "backingStoreInput", "launchSecurity" };
        static const char *const none[] = { "gic", "backup", "sev", "sgx" };
        xmlNode *features = xml_build_add(b, root, "features");

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void) add_supported(b, features, names[i], domain_caps_has_feature(c, names[i]));
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                (void) add_supported(b, features, none[i], false);
        (void) add_group(b, features, c, "hyperv");
}

int domain_caps_to_xml(const DomainCaps *c, char **ret) {
        xmlNode *root, *vcpu;
        XmlBuild b;

        assert(c && ret);

        root = xml_build_start(&b, "domainCapabilities");
        xml_build_text(&b, root, "path", "%s", c->emulator);
        xml_build_text(&b, root, "domain", "%s", domain_type_to_string(c->type));
        xml_build_text(&b, root, "machine", "%s", c->machine);
        xml_build_text(&b, root, "arch", "%s", c->qemu->target);
        if (c->cpu_max > 0) {
                vcpu = xml_build_add(&b, root, "vcpu");
                xml_build_set(&b, vcpu, "max", "%u", c->cpu_max);
        }
        (void) add_supported(&b, root, "iothreads", domain_caps_has_feature(c, "iothreads"));
        add_os(&b, root, c);
        add_cpu(&b, root, c);
        (void) add_group(&b, root, c, "memoryBacking");
        add_devices(&b, root, c);
        add_features(&b, root, c);
        return xml_build_finish(&b, ret);
}
