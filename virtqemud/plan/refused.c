/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "refused.h"

#include "str.h"
#include "xml-lib.h"

#define PER_CPU "a quota of each thread is not supported"
#define ALL_QUOTA "global_quota and global_period limit the VM as a whole"

static const struct {
        const char *parent, *name;
        const char *reason, *hint;
} refused[] = {
        { "domain/cputune", "period", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "quota", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "emulator_period", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "emulator_quota", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "iothread_period", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "iothread_quota", PER_CPU, ALL_QUOTA },
        { "domain/cputune", "vcpusched", "schedulers of single CPUs are not supported", NULL },
        { "domain/cputune", "iothreadsched", "schedulers of single threads are not supported", NULL },
        { "domain/cputune", "emulatorsched", "schedulers of single threads are not supported", NULL },
        { "domain/cputune", "cachetune", "parts of the CPU's cache are not supported", NULL },
        { "domain/cputune", "memorytune", "parts of the memory's bandwidth are not supported", NULL },
        { "domain/memtune", "min_guarantee", "the kernel guarantees no memory", "MemoryLow= in a drop-in of the VM's unit protects it" },
        { "domain/blkiotune", "device", "limits of single devices are not supported", "set IOReadBandwidthMax= and the like at the VM's unit" },
        { "domain", "resource", "the slice of a VM is its unit's", "say Slice= in a drop-in: systemctl edit virtqemu@NAME" },
        { "domain", "idmap", "that is for containers", NULL },
        { "domain", "perf", "performance counters are not supported", "perf stat -p PID of the VM's QEMU" },
        { "domain", "keywrap", "that is for machines of type s390x", NULL },
        { "domain", "launchSecurity", "encrypted memory (SEV, TDX) is not supported", NULL },
        { "domain", "bootloader", "that is for Xen", NULL },
        { "domain/features", "gic", "that is for machines of type aarch64", NULL },
        { "domain/features", "hap", "that is for Xen", NULL },
        { "domain/features", "xen", "that is for Xen", NULL },
        { "domain/features", "tcg", "settings of the emulator are not supported", NULL },
        { "domain/os", "acpi", "tables of one's own are not supported", NULL },
        { "domain/os", "init", "that is for containers", NULL },
        { "domain/devices", "hostdev", "devices of the host are not supported", NULL },
        { "domain/devices", "shmem", "shared memory is not supported", NULL },
        { "domain/devices", "nvram", "that is for machines of type pseries", NULL },
        { "domain/devices", "crypto", "crypto devices are not supported", NULL },
        { "domain/devices", "pstore", "QEMU has it from version 9 on for machines of type s390x", NULL },
        { "domain/devices", "lease", "leases that only the definition knows are not supported", "images are leased by themselves" },
};

static int refuse(const xmlNode *node, const char *path, size_t i, Fault *f) {
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "line %ld, %s/%s: %s", (long) sym_xmlGetLineNo(node), path, refused[i].name, refused[i].reason);
        if (refused[i].hint)
                fault_hint(f, "%s", refused[i].hint);
        return -EOPNOTSUPP;
}

static int check_element(const xmlNode *n, const char *path, Fault *f) {
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (streq(path, refused[i].parent) && streq((const char *) n->name, refused[i].name))
                        return refuse(n, path, i, f);
        return 0;
}

static int check_children(const xmlNode *parent, const char *path, Fault *f) {
        for (const xmlNode *n = parent->children; n; n = n->next) {
                _cleanup_free_ char *below = NULL;
                int r;

                if (n->type != XML_ELEMENT_NODE || n->ns)
                        continue;
                r = check_element(n, path, f);
                if (r < 0)
                        return r;
                if (!streq(path, "domain"))
                        continue;
                below = strf("domain/%s", (const char *) n->name);
                r = below ? check_children(n, below, f) : fault_oom(f);
                if (r < 0)
                        return r;
        }
        return 0;
}

int refused_check(const xmlNode *root, Fault *f) {
        return check_children(root, "domain", f);
}

int refused_check_device(const xmlNode *device, Fault *f) {
        return check_element(device, "domain/devices", f);
}
