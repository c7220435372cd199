/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include "../device/device.h"
#include "cpu.h"
#include "iothread.h"
#include "memory.h"
#include "numa.h"
#include "smbios.h"
#include "tune.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"

#define MIB (UINT64_C(1) << 20)
#define bad(def, f, path, ...) domain_fault((def), (f), FAULT_INVALID_DEFINITION, (path), __VA_ARGS__)
#define cannot(def, f, path, ...) domain_fault((def), (f), FAULT_NOT_SUPPORTED, (path), __VA_ARGS__)

static int check_memory(const DomainDef *def, const DomainDefaults *defaults, Fault *f) {
        if (def->memory < MIB)
                return bad(def, f, "memory", "a domain needs at least 1 MiB, not %" PRIu64 " bytes", def->memory);
        if (def->current_memory < MIB)
                return bad(def, f, "currentMemory", "a domain needs at least 1 MiB, not %" PRIu64 " bytes", def->current_memory);
        if (defaults->host_memory > 0 && def->memory > defaults->host_memory)
                return cannot(def, f, "memory", "%" PRIu64 " MiB are more than the %" PRIu64 " MiB this host has", def->memory / MIB,
                              defaults->host_memory / MIB);
        return 0;
}

static int check_dirty_ring(const DomainDef *def, Fault *f) {
        uint64_t n = def->dirty_ring_size;

        if (def->dirty_ring == UNSET && n == NUMBER_UNSET)
                return 0;
        if (def->type != DOMAIN_TYPE_KVM)
                return bad(def, f, "features/kvm/dirty-ring", "only machines of type 'kvm' have it");
        if ((def->dirty_ring == YES) != (n != NUMBER_UNSET) || (n != NUMBER_UNSET && (n & (n - 1)) != 0))
                return bad(def, f, "features/kvm/dirty-ring", "state 'on' needs a size, which is 1024 to 65536 and a power of two; without it there is none");
        return 0;
}

/* A product of at most 4096^4, which does not overflow. */
static int check_topology(const DomainDef *def, Fault *f) {
        uint64_t product;

        if (def->cpu_clusters != NUMBER_UNSET && def->cpu_clusters > 1)
                return cannot(def, f, "cpu/topology/@clusters", "clusters are for machines of type aarch64");

        if (def->cpu_sockets == NUMBER_UNSET && def->cpu_cores == NUMBER_UNSET && def->cpu_threads == NUMBER_UNSET)
                return def->cpu_dies == NUMBER_UNSET ? 0 : bad(def, f, "cpu/topology", "sockets, cores and threads are needed");
        if (def->cpu_sockets == NUMBER_UNSET || def->cpu_cores == NUMBER_UNSET || def->cpu_threads == NUMBER_UNSET)
                return bad(def, f, "cpu/topology", "sockets, cores and threads are all needed");

        product = def->cpu_sockets * (def->cpu_dies == NUMBER_UNSET ? 1 : def->cpu_dies) * def->cpu_cores * def->cpu_threads;
        if (product != def->vcpus)
                return bad(def, f, "cpu/topology", "sockets x dies x cores x threads is %" PRIu64 ", but there are %" PRIu64 " vcpus", product, def->vcpus);
        return 0;
}

/* QEMU starts with the first ones. */
static int check_vcpu_list(const DomainDef *def, Fault *f) {
        uint64_t current = def->vcpus_current == NUMBER_UNSET ? def->vcpus : def->vcpus_current;

        RECORD_FOREACH(VcpuState, v, def->vcpu_list) {
                if (v->id >= def->vcpus)
                        return xml_fault(&v->head, f, FAULT_INVALID_DEFINITION, "there is no CPU %" PRIu64, v->id);
                if ((v->enabled == YES) != (v->id < current))
                        return xml_fault(&v->head, f, FAULT_NOT_SUPPORTED, "QEMU starts with the first CPUs, which are %" PRIu64 " here: CPU %" PRIu64 " is %s",
                                         current, v->id, v->id < current ? "one of them" : "none of them");
        }
        return 0;
}

static int check_vcpus(const DomainDef *def, Fault *f) {
        if (def->vcpus == 0)
                return bad(def, f, "vcpu", "a domain needs at least one");
        if (def->vcpus_current == 0)
                return bad(def, f, "vcpu/@current", "a domain needs at least one");
        if (def->vcpus_current != NUMBER_UNSET && def->vcpus_current > def->vcpus)
                return bad(def, f, "vcpu/@current", "%" PRIu64 " are more than the maximum of %" PRIu64, def->vcpus_current, def->vcpus);
        return check_vcpu_list(def, f) < 0 ? -EINVAL : check_topology(def, f);
}

/* Where libvirt puts VMs unless told otherwise, and so its live definitions say it. It is our units' slice as well. */
static int check_partition(const DomainDef *def, Fault *f) {
        if (!def->partition || streq(def->partition, "/machine"))
                return 0;
        cannot(def, f, "resource/partition", "'%s': VMs are in /machine (machine.slice) unless their unit says otherwise", def->partition);
        fault_hint(f, "say Slice= in a drop-in: systemctl edit virtqemu@%s", def->name);
        return -EOPNOTSUPP;
}

static int check_boot(const DomainDef *def, Fault *f) {
        unsigned seen = 0;

        for (size_t i = 0; i < def->boot.n; i++) {
                const BootDevice *boot = (const BootDevice *) def->boot.items[i];

                if (seen & (1u << boot->dev))
                        return xml_fault(&boot->head, f, FAULT_INVALID_DEFINITION, "'%s' is given twice", boot_dev_to_string((BootDev) boot->dev));
                seen |= 1u << boot->dev;
        }
        if (def->bootmenu_timeout != NUMBER_UNSET && def->bootmenu == UNSET)
                return bad(def, f, "os/bootmenu", "a timeout needs enable='yes' or 'no'");
        if (def->reboot_timeout != INTEGER_UNSET && (def->reboot_timeout < -1 || def->reboot_timeout > 65535))
                return bad(def, f, "os/bios/@rebootTimeout", "%" PRIi64 " is not between -1 and 65535", def->reboot_timeout);
        if (!def->kernel && def->initrd)
                return bad(def, f, "os/initrd", "an initrd needs a <kernel>");
        if (!def->kernel && def->cmdline)
                return bad(def, f, "os/cmdline", "a kernel command line needs a <kernel>");
        return 0;
}

static int check_paths(const DomainDef *def, Fault *f) {
        const struct {
                const char *where, *path;
        } rows[] = {
                { "os/loader", def->loader },
                { "os/nvram", def->nvram },
                { "os/nvram/source/@file", def->nvram_source },
                { "os/nvram/@template", def->nvram_template },
                { "os/kernel", def->kernel },
                { "os/initrd", def->initrd },
                { "devices/emulator", def->emulator },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].path && *rows[i].path != '/')
                        return bad(def, f, rows[i].where, "'%s' is not an absolute path", rows[i].path);
        if (!def->emulator)
                return bad(def, f, "devices/emulator", "is missing and there is no default one");
        return 0;
}

static int check_firmware(const DomainDef *def, Fault *f) {
        if (def->firmware_features.n > 0 && def->os_firmware == OS_FIRMWARE_NONE)
                return bad(def, f, "os/firmware", "features need <os firmware='efi'>");
        if (def->os_firmware == OS_FIRMWARE_NONE && !def->loader && (domain_nvram(def) || def->nvram_template))
                return bad(def, f, "os/nvram", "firmware variables need a <loader type='pflash'> or <os firmware='efi'>");
        if (def->loader && def->loader_type != LOADER_PFLASH && (domain_nvram(def) || def->nvram_template))
                return bad(def, f, "os/nvram", "only a loader of type 'pflash' keeps variables");
        if (def->loader_type == LOADER_PFLASH && !def->loader && def->os_firmware == OS_FIRMWARE_NONE)
                return bad(def, f, "os/loader", "type 'pflash' needs the path of the firmware");
        if (def->loader_stateless == YES && (domain_nvram(def) || def->nvram_template))
                return bad(def, f, "os/loader", "a stateless one keeps no variables");
        if (def->loader_secure == YES && !domain_is_q35(def))
                return cannot(def, f, "os/loader", "secure='yes' needs System Management Mode, which only machine 'q35' has");
        if (def->smm_segment != NUMBER_UNSET && (!domain_is_q35(def) || def->smm_segment % MIB != 0))
                return bad(def, f, "features/smm/tseg", "it is a number of MiB, of a machine of type q35");
        if (def->loader_secure == YES && switch_state(&def->smm) == NO)
                return bad(def, f, "os/loader", "secure='yes' and <smm state='off'> exclude each other");
        return 0;
}

static int check_lifecycle(const DomainDef *def, Fault *f) {
        const struct {
                const char *where;
                int action;
                bool dumps;
        } rows[] = { { "on_poweroff", def->on_poweroff }, { "on_reboot", def->on_reboot }, { "on_crash", def->on_crash, true } };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].action > LIFECYCLE_PRESERVE && !(rows[i].dumps && rows[i].action >= LIFECYCLE_COREDUMP_DESTROY))
                        return cannot(def, f, rows[i].where, "'%s' is not supported, only destroy, restart and preserve",
                                      lifecycle_action_to_string((LifecycleAction) rows[i].action));
        return 0;
}

static int check_clock(const DomainDef *def, Fault *f) {
        if ((def->clock_offset == CLOCK_TIMEZONE) != (def->clock_timezone != NULL))
                return bad(def, f, "clock", "offset 'timezone' and the attribute timezone belong together");
        if (def->clock_timezone && (!*def->clock_timezone || *def->clock_timezone == '/' || strstr(def->clock_timezone, "..")))
                return bad(def, f, "clock/@timezone", "'%s' is not the name of a time zone such as 'Europe/Berlin'", def->clock_timezone);
        if ((def->clock_offset == CLOCK_ABSOLUTE) != (def->clock_start != NUMBER_UNSET))
                return bad(def, f, "clock", "offset 'absolute' and the attribute start belong together");
        if (def->clock_offset == CLOCK_ABSOLUTE && def->clock_adjustment != INTEGER_UNSET)
                return bad(def, f, "clock/@adjustment", "offset 'absolute' takes none");
        if (def->clock_adjustment != INTEGER_UNSET && (def->clock_adjustment > INT32_MAX || def->clock_adjustment < -INT32_MAX))
                return bad(def, f, "clock/@adjustment", "%" PRIi64 " seconds are too far away", def->clock_adjustment);
        for (size_t i = 0; i < def->timers.n; i++)
                for (size_t j = 0; j < i; j++) {
                        const Timer *a = (const Timer *) def->timers.items[i], *b = (const Timer *) def->timers.items[j];

                        if (a->name == b->name)
                                return xml_fault(&a->head, f, FAULT_INVALID_DEFINITION, "the timer '%s' is already in line %u",
                                                 timer_name_to_string((TimerName) a->name), b->head.line);
                }
        return 0;
}

static int check_pair(const Device *a, const Device *b, Fault *f) {
        const char *x = device_target(a), *y = device_target(b);

        if (streq_null(a->alias, b->alias) && a->alias)
                return xml_fault(&a->head, f, FAULT_INVALID_DEFINITION, "the alias '%s' is already that of the <%s> in line %u", a->alias,
                                 b->ops->element, b->head.line);
        if (x && y && streq(x, y))
                return xml_fault(&a->head, f, FAULT_INVALID_DEFINITION, "the target '%s' is already that of the <%s> in line %u", x, b->ops->element,
                                 b->head.line);
        if (a->boot_order != NUMBER_UNSET && a->boot_order == b->boot_order)
                return xml_fault(&a->head, f, FAULT_INVALID_DEFINITION, "the boot order %" PRIu64 " is already that of the <%s> in line %u",
                                 a->boot_order, b->ops->element, b->head.line);
        return 0;
}

/* QEMU ids: letters, digits and "-._", a letter first. */
static bool is_id(const char *s) {
        return ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') &&
               strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == strlen(s);
}

static int check_device(const DomainDef *def, size_t i, const QemuCaps *caps, Fault *f) {
        const Device *d = (const Device *) def->devices.items[i];
        int r;

        if (d->alias && !is_id(d->alias))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "alias '%s': only letters, digits, '-', '_' and '.' are allowed", d->alias);
        if (d->boot_order != NUMBER_UNSET && def->boot.n > 0)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "<boot order> in a device and <boot dev> in <os> can't be used together");
        for (size_t j = 0; j < i; j++) {
                r = check_pair(d, (const Device *) def->devices.items[j], f);
                if (r < 0)
                        return r;
        }
        return d->ops->check ? d->ops->check(d, def, caps, f) : 0;
}

/* libvirt calls i686 what QEMU calls i386, and any x86 runs its programs. */
static bool is_emulated(const char *arch, const char *target) {
        return streq(arch, target) || (streq(arch, "i686") && (streq(target, "i386") || streq(target, "x86_64")));
}

static int check_machine(const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const CapsMachine *machine;
        const char *near;
        int r;

        if (!is_emulated(def->arch ?: "", caps->target))
                return cannot(def, f, "os/type/@arch", "'%s' is not what %s emulates, that is '%s'", def->arch ?: "", def->emulator, caps->target);

        machine = caps_machine(caps, def->machine);
        if (!machine) {
                near = caps_machine_near(caps, def->machine);
                r = cannot(def, f, "os/type/@machine", "%s has no machine '%s'%s%s%s", def->emulator, def->machine, near ? ", did you mean '" : "",
                           near ?: "", near ? "'?" : "");
                fault_hint(f, "'%s -machine help' lists them", def->emulator);
                return r;
        }
        if (machine->cpu_max > 0 && def->vcpus > machine->cpu_max)
                return cannot(def, f, "vcpu", "machine '%s' has at most %u, not %" PRIu64, def->machine, machine->cpu_max, def->vcpus);
        return 0;
}

static int check_accelerator(const DomainDef *def, const QemuCaps *caps, const DomainDefaults *defaults, Fault *f) {
        int r;

        if (def->type != DOMAIN_TYPE_KVM || (defaults->kvm && (!caps || caps->kvm_present)))
                return 0;
        r = cannot(def, f, "@type", "'kvm' can't be used, %s", defaults->kvm ? "this QEMU is built without it" : "/dev/kvm is not usable here");
        fault_hint(f, "type='qemu' emulates the CPU, slowly");
        return r;
}

/* Guests find it in their ACPI, and no two the same one. */
static int check_acpi_index(const DomainDef *def, size_t n, Fault *f) {
        const Device *d = (const Device *) def->devices.items[n];

        if (d->acpi_index == NUMBER_UNSET)
                return 0;
        if (!d->address || d->address->type != ADDRESS_PCI)
                return xml_fault_below(&d->head, "acpi/@index", f, FAULT_INVALID_DEFINITION, "it belongs to devices with a PCI address");
        for (size_t i = 0; i < n; i++) {
                const Device *other = (const Device *) def->devices.items[i];

                if (other->acpi_index == d->acpi_index)
                        return xml_fault_below(&d->head, "acpi/@index", f, FAULT_INVALID_DEFINITION, "%" PRIu64 " is already that of %s",
                                               d->acpi_index, other->id);
        }
        return 0;
}

int domain_check(const DomainDef *def, const QemuCaps *caps, const DomainDefaults *defaults, Fault *f) {
        int r;

        assert(def);
        assert(defaults);

        r = check_memory(def, defaults, f);
        if (r >= 0)
                r = memory_check(def, f);
        if (r >= 0)
                r = numa_check(def, f);
        if (r >= 0)
                r = smbios_check(def, f);
        if (r >= 0)
                r = iothreads_check(def, f);
        if (r >= 0)
                r = tune_check(def, f);
        if (r >= 0)
                r = check_vcpus(def, f);
        if (r >= 0)
                r = check_partition(def, f);
        if (r >= 0)
                r = check_boot(def, f);
        if (r >= 0)
                r = check_paths(def, f);
        if (r >= 0)
                r = check_firmware(def, f);
        if (r >= 0)
                r = check_lifecycle(def, f);
        if (r >= 0)
                r = check_clock(def, f);
        if (r >= 0)
                r = memory_encryption_check(def, &defaults->encryption, f);
        if (r >= 0 && caps)
                r = check_machine(def, caps, f);
        if (r >= 0)
                r = check_dirty_ring(def, f);
        if (r >= 0 && def->code_cache != NUMBER_UNSET && (def->type == DOMAIN_TYPE_KVM || def->code_cache % MIB != 0 || def->code_cache == 0))
                r = bad(def, f, "features/tcg/tb-cache", "it is a number of MiB, of a domain of type 'qemu'");
        if (r >= 0)
                r = check_accelerator(def, caps, defaults, f);
        if (r >= 0)
                r = cpu_check(def, caps, f);
        for (size_t i = 0; i < def->devices.n && r >= 0; i++)
                r = check_acpi_index(def, i, f);
        for (size_t i = 0; i < def->devices.n && r >= 0; i++)
                r = check_device(def, i, caps, f);
        return r;
}
