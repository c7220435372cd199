/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refused.h"

#include "str.h"
#include "xml-lib.h"

#define NO_NETWORK "QEMU has no network of its own"

static const struct {
        const char *parent, *name;
        const char *reason, *hint;
} refused[] = {
        { "domain/cputune", "cachetune", "parts of the CPU's cache are not supported", NULL },
        { "domain/cputune", "memorytune", "parts of the memory's bandwidth are not supported", NULL },
        { "domain/memtune", "min_guarantee", "the kernel guarantees no memory", "MemoryLow= in a drop-in of the VM's unit protects it" },
        { "domain/resource", "fibrechannel", "names for switches of Fibre Channel are not supported", NULL },
        { "domain", "idmap", "that is for containers", NULL },
        { "domain", "perf", "performance counters are not supported", "perf stat -p PID of the VM's QEMU" },
        { "domain", "keywrap", "that is for machines of type s390x", NULL },
        { "domain", "bootloader", "that is for Xen", NULL },
        { "domain/features", "gic", "that is for machines of type aarch64", NULL },
        { "domain/features", "hap", "that is for Xen", NULL },
        { "domain/features", "xen", "that is for Xen", NULL },
        { "domain/os", "init", "that is for containers", NULL },
        { "domain/devices/smartcard", "certificate", "QEMU has no access to the host's certificates",
          "mode='passthrough' type='spicevmc' takes the viewer's card" },
        { "domain/devices/smartcard", "database", "QEMU has no access to the host's certificates",
          "mode='passthrough' type='spicevmc' takes the viewer's card" },
        { "domain/clock/timer", "catchup", "QEMU chooses itself how fast missed ticks are made up for", "leave it out: tickpolicy='catchup' stays" },
        { "domain/devices/disk/source", "cookies", "they would be secrets that everybody reads", "<auth> logs in" },
        { "domain/devices/interface", "filterref", "filters of packets are not supported",
          "<port isolated='yes'/> keeps guests apart; rules of the host find the tap by its name" },
        { "domain/devices/interface", "script", "QEMU runs no programs", "virtnetworkd makes the tap: <target dev='…'/>" },
        { "domain/devices/interface", "downscript", "QEMU runs no programs", "the tap goes with QEMU" },
        { "domain/devices/interface", "guest", "that is for containers", NULL },
        { "domain/devices/interface", "route", "that is for containers", NULL },
        { "domain/features", "ras", "that is for machines of type aarch64", NULL },
        { "domain/features", "privnet", "that is for containers", NULL },
        { "domain/features", "capabilities", "that is for containers", NULL },
        { "domain/features", "viridian", "that is for Xen", "<hyperv>" },
        { "domain/devices", "nvram", "that is for machines of type pseries", NULL },
        { "domain/devices", "pstore", "QEMU has it from version 9 on for machines of type s390x", NULL },
};

/* Likewise values of attributes, where others of the same attribute are done. */
static const struct {
        const char *parent, *attribute, *value;
        const char *reason, *hint;
} refused_values[] = {
        { "domain/devices/disk", "type", "vhostvdpa", "disks of other programs are not supported", NULL },
        { "domain/devices/interface", "type", "hostdev", "addresses of virtual functions are not set",
          "<hostdev type='pci'> gives the function as it is; type='direct' with mode='passthrough' a link of the host" },
        { "domain/devices/interface", "type", "mcast", NO_NETWORK ", and takes no socket of a group from others",
          "a network of its own connects VMs of one host" },
        { "domain/devices/interface", "type", "internal", "that is for VirtualBox", NULL },
        { "domain/devices/interface", "type", "vds", "that is for VMware", NULL },
        { "domain/devices/hostdev", "mode", "capabilities", "that is for containers", NULL },
        { "domain/devices/channel/target", "type", "guestfwd", "passt forwards nothing out of the guest's network", "type='virtio'" },
        { "domain/devices/channel/target", "type", "xen", "that is for Xen", NULL },
        { "domain/devices/controller", "type", "xenbus", "that is for Xen", NULL },
        { "domain/devices/controller", "model", "xenbus", "that is for Xen", NULL },
};

bool refused_row(size_t i, Refused *ret) {
        size_t n = ARRAY_SIZE(refused);

        assert(ret);

        if (i < n)
                *ret = (Refused) { refused[i].parent, refused[i].name, NULL, NULL, refused[i].reason, refused[i].hint };
        else if (i - n < ARRAY_SIZE(refused_values))
                *ret = (Refused) { refused_values[i - n].parent, NULL, refused_values[i - n].attribute, refused_values[i - n].value,
                                   refused_values[i - n].reason, refused_values[i - n].hint };
        else
                return false;
        return true;
}

static int refuse(const xmlNode *node, const char *path, size_t i, Fault *f) {
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "line %ld, %s/%s: %s", (long) sym_xmlGetLineNo(node), path, refused[i].name, refused[i].reason);
        if (refused[i].hint)
                fault_hint(f, "%s", refused[i].hint);
        return -EOPNOTSUPP;
}

static int refuse_value(const xmlNode *node, const char *path, size_t i, Fault *f) {
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "line %ld, %s: %s '%s' is not supported: %s", (long) sym_xmlGetLineNo(node), path,
                  refused_values[i].attribute, refused_values[i].value, refused_values[i].reason);
        if (refused_values[i].hint)
                fault_hint(f, "%s", refused_values[i].hint);
        return -EOPNOTSUPP;
}

static bool has_value(const xmlNode *n, const char *attribute, const char *value) {
        xmlChar *text = sym_xmlGetNoNsProp(n, (const xmlChar *) attribute);
        bool same = text && streq((const char *) text, value);

        if (text)
                (*sym_xmlFree)(text);
        return same;
}

static int check_values(const xmlNode *n, const char *path, Fault *f) {
        for (size_t i = 0; i < ARRAY_SIZE(refused_values); i++)
                if (streq(path, refused_values[i].parent) && has_value(n, refused_values[i].attribute, refused_values[i].value))
                        return refuse_value(n, path, i, f);
        return 0;
}

static int check_element(const xmlNode *n, const char *path, Fault *f) {
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (streq(path, refused[i].parent) && streq((const char *) n->name, refused[i].name))
                        return refuse(n, path, i, f);
        return 0;
}

/* Metadata are nobody's business. */
static int check_below(const xmlNode *parent, const char *path, Fault *f) {
        int r = check_values(parent, path, f);

        for (const xmlNode *n = parent->children; n && r >= 0; n = n->next) {
                _cleanup_free_ char *below = NULL;

                if (n->type != XML_ELEMENT_NODE || n->ns || streq((const char *) n->name, "metadata"))
                        continue;
                r = check_element(n, path, f);
                if (r < 0)
                        return r;
                below = strf("%s/%s", path, (const char *) n->name);
                r = below ? check_below(n, below, f) : fault_oom(f);
        }
        return r;
}

int refused_check(const xmlNode *root, Fault *f) {
        return check_below(root, "domain", f);
}

int refused_check_device(const xmlNode *device, Fault *f) {
        _cleanup_free_ char *path = strf("domain/devices/%s", (const char *) device->name);
        int r = check_element(device, "domain/devices", f);

        if (r < 0)
                return r;
        return path ? check_below(device, path, f) : fault_oom(f);
}
