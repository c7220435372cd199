/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include "../def/controller-def.h"
#include "../device/device.h"
#include "../device/spice-tls.h"
#include "../device/vnc-tls.h"
#include "iothread.h"
#include "mem.h"
#include "numa.h"
#include "pci.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"

void domain_drop_live(DomainDef *def) {
        assert(def);

        def->id = NUMBER_UNSET;
        if (def->doc)
                sym_xmlUnsetProp(sym_xmlDocGetRootElement(def->doc), (const xmlChar *) "id");
        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                if (d->alias && !str_after(d->alias, "ua-"))
                        free_and_replace(&d->alias, NULL);
                if (d->ops->drop_live)
                        d->ops->drop_live(d);
        }
}

int domain_expand_machine(DomainDef *def, const QemuCaps *caps, Fault *f) {
        const CapsMachine *machine;

        assert(def);
        assert(caps);

        machine = def->machine ? caps_machine(caps, def->machine) : NULL;
        if (!machine || streq(machine->name, def->machine))
                return 0;
        return free_and_strdup(&def->machine, machine->name) < 0 ? fault_oom(f) : 0;
}

static bool set_if_missing(char **p, const char *value) {
        return *p || !value || free_and_strdup(p, value) >= 0;
}

static int fill_os(DomainDef *def, const DomainDefaults *defaults, Fault *f) {
        if (!set_if_missing(&def->arch, defaults->arch) || !set_if_missing(&def->emulator, defaults->emulator))
                return fault_oom(f);
        if (def->machine)
                return 0;
        /* What libvirt takes; newer boards are the writer's choice. */
        if (!def->arch || (!streq(def->arch, "x86_64") && !streq(def->arch, "i686")))
                return xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "os/type: machine is missing and '%s' has no default one",
                                 def->arch ?: "this architecture");
        return set_if_missing(&def->machine, "pc") ? 0 : fault_oom(f);
}

/* What libvirt means where the writer is silent. */
static int fill_loader(DomainDef *def, const DomainDefaults *defaults, Fault *f) {
        if (!def->loader)
                return 0;
        if (def->loader_type == LOADER_NONE)
                def->loader_type = LOADER_ROM;
        if (def->loader_type == LOADER_PFLASH && def->loader_readonly == UNSET)
                def->loader_readonly = YES;
        if (is_empty(domain_nvram(def)) && def->nvram_template && defaults->nvram_folder) {
                free(def->nvram);
                def->nvram = strf("%s/%s_VARS.fd", defaults->nvram_folder, def->name);
                if (!def->nvram)
                        return fault_oom(f);
        }
        return 0;
}

static bool has_boot_order(const DomainDef *def) {
        for (size_t i = 0; i < def->devices.n; i++)
                if (((const Device *) def->devices.items[i])->boot_order != NUMBER_UNSET)
                        return true;
        return def->boot.n > 0;
}

static int fill_boot(DomainDef *def, Fault *f) {
        BootDevice *boot;

        if (has_boot_order(def))
                return 0;
        boot = record_new(&boot_device_record);
        if (!boot)
                return fault_oom(f);
        boot->dev = BOOT_HD;
        return record_list_add(&def->boot, boot) < 0 ? fault_oom(f) : 0;
}

static void fill_cpu(DomainDef *def) {
        if (def->cpu_mode == CPU_MODE_NONE && def->cpu_model)
                def->cpu_mode = CPU_MODE_CUSTOM;
        if (def->cpu_mode == CPU_MODE_CUSTOM && def->cpu_match == CPU_MATCH_NONE)
                def->cpu_match = CPU_MATCH_EXACT;
        for (size_t i = 0; i < def->cpu_features.n; i++) {
                CpuFeature *feature = (CpuFeature *) def->cpu_features.items[i];

                if (feature->policy == CPU_POLICY_NONE)
                        feature->policy = CPU_POLICY_REQUIRE;
        }
}

static int fill_scalars(DomainDef *def, Fault *f) {
        if (sd_id128_is_null(def->uuid)) {
                int r = sd_id128_randomize(&def->uuid);
                if (r < 0)
                        return fault_set(f, FAULT_HOST, -r, "can't make a uuid");
        }
        numa_fill(def);
        if (def->current_memory == NUMBER_UNSET || def->current_memory == 0 || def->current_memory > def->memory)
                def->current_memory = def->memory;
        if (def->vcpus == NUMBER_UNSET)
                def->vcpus = 1;
        if (def->clock_offset == CLOCK_NONE)
                def->clock_offset = CLOCK_UTC;
        if (def->on_poweroff == LIFECYCLE_NONE)
                def->on_poweroff = LIFECYCLE_DESTROY;
        if (def->on_reboot == LIFECYCLE_NONE)
                def->on_reboot = LIFECYCLE_RESTART;
        if (def->on_crash == LIFECYCLE_NONE)
                def->on_crash = LIFECYCLE_DESTROY;
        fill_cpu(def);
        return iothreads_fill(def) < 0 ? fault_oom(f) : 0;
}

/* The controllers a board has anyway, so that the definition shows them. USB on q35 comes with the first USB device only. */
static int fill_controllers(DomainDef *def, Fault *f) {
        DEVICE_FOREACH(Controller, c, def, DEVICE_CONTROLLER)
                if (c->index == NUMBER_UNSET) {
                        /* The first PCI bus is the board's own. */
                        uint64_t index = c->type == CONTROLLER_PCI && c->model != MODEL_PCI_ROOT && c->model != MODEL_PCIE_ROOT;

                        while (domain_find_controller(def, (ControllerType) c->type, index))
                                index++;
                        c->index = index;
                }
        if (domain_is_i440fx(def) && !domain_find_controller(def, CONTROLLER_USB, 0) &&
            !domain_add_controller(def, CONTROLLER_USB, MODEL_PIIX3_UHCI, 0))
                return fault_oom(f);
        if (domain_is_q35(def) && !domain_find_controller(def, CONTROLLER_SATA, 0) &&
            !domain_add_controller(def, CONTROLLER_SATA, MODEL_NONE, 0))
                return fault_oom(f);
        return 0;
}

/* A guest without a balloon is asked for with model='none'. */
static int fill_balloon(DomainDef *def, Fault *f) {
        size_t i = 0;
        Device *d;

        if (device_next(def, DEVICE_MEMBALLOON, &i) || (!domain_has_pcie(def) && !domain_is_i440fx(def)))
                return 0;
        d = device_new(DEVICE_MEMBALLOON);
        return !d || record_list_add(&def->devices, d) < 0 ? fault_oom(f) : 0;
}

/* From the n-th device on; the list may grow meanwhile. */
static int fill_devices(DomainDef *def, size_t from, Fault *f) {
        for (size_t i = from; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                if (d->ops->fill) {
                        int r = d->ops->fill(d, def, f);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static bool id_is_free(const DomainDef *def, const char *id) {
        for (size_t i = 0; i < def->devices.n; i++)
                if (streq_null(((const Device *) def->devices.items[i])->id, id))
                        return false;
        return true;
}

static char *controller_id(const DomainDef *def, const Controller *c) {
        switch ((ControllerType) c->type) {
        case CONTROLLER_PCI:
                return strf("%s.%" PRIu64, c->model == MODEL_PCIE_ROOT ? "pcie" : "pci", c->index);
        case CONTROLLER_IDE:
                return strdup("ide");
        case CONTROLLER_SATA:
                return c->index == 0 && domain_is_q35(def) ? strdup("ide") : strf("sata%" PRIu64, c->index);
        case CONTROLLER_USB:
                /* Companions share index and bus with their master. */
                if (c->master_startport != NUMBER_UNSET)
                        return strf("usb%" PRIu64 "-%s", c->index, controller_model_to_string((ControllerModel) c->model));
                return strf("usb%" PRIu64, c->index);
        case CONTROLLER_SCSI:
        case CONTROLLER_FDC:
        case CONTROLLER_VIRTIO_SERIAL:
        case CONTROLLER_CCID:
        case CONTROLLER_NONE:
        case _CONTROLLER_TYPE_MAX:
        case _CONTROLLER_TYPE_INVALID:
                break;
        }
        return strf("%s%" PRIu64, controller_type_to_string((ControllerType) c->type), c->index);
}

/* Counts up from the number of devices seen with this prefix; ids that aliases took are stepped over. */
static char *counted_id(const DomainDef *def, const Device *d, size_t *n) {
        const char *prefix = d->ops->id_prefix ? d->ops->id_prefix(d) : d->ops->element;

        for (;; (*n)++) {
                char *id = strf("%s%zu", prefix, *n);

                if (!id || id_is_free(def, id))
                        return id;
                free(id);
        }
}

/* Gives each device its QEMU id: a live alias or a user's one, else PREFIX + number. */
static int domain_assign_ids(DomainDef *def, Fault *f) {
        assert(def);

        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                free_and_replace(&d->id, d->alias ? strdup(d->alias) : NULL);
                if (d->alias && !d->id)
                        return fault_oom(f);
        }
        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];
                bool counted = device_kind(d) != DEVICE_CONTROLLER;
                size_t n = 0;

                if (d->id)
                        continue;
                d->id = counted ? counted_id(def, d, &n) : controller_id(def, (const Controller *) d);
                if (!d->id)
                        return fault_oom(f);
        }
        return 0;
}

int domain_make_live(const DomainDef *def, uint64_t id, const DomainDefaults *defaults, DomainDef **ret) {
        _cleanup_(domain_def_freep) DomainDef *live = NULL;
        int r;

        assert(def && defaults);
        assert(ret);

        r = domain_copy(def, &live);
        if (r < 0)
                return r;

        live->id = id;
        for (size_t i = 0; i < live->devices.n; i++) {
                Device *d = (Device *) live->devices.items[i];

                r = d->alias ? 0 : free_and_strdup(&d->alias, d->id);
                if (r < 0)
                        return r;
        }
        DEVICE_FOREACH(Graphics, g, live, DEVICE_GRAPHICS) {
                r = g->type == GRAPHICS_VNC ? vnc_tls_name_certificates(g, defaults->vnc_certificates, defaults->vnc_verify_clients)
                                            : spice_tls_name_certificates(g, defaults->certificates);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(live);
        return 0;
}

/* Who has said how many there are, or was told once, keeps them: else each device plugged in for good would leave another one. */
static bool has_root_port(const DomainDef *def) {
        DEVICE_FOREACH(Controller, c, def, DEVICE_CONTROLLER)
                if (c->model == (int) MODEL_PCIE_ROOT_PORT)
                        return true;
        return false;
}

int domain_fill(DomainDef *def, const DomainDefaults *defaults, Fault *f) {
        unsigned spare = has_root_port(def) ? 0 : defaults->spare_root_ports;
        size_t filled;
        int r;

        assert(def);
        assert(defaults);

        r = fill_os(def, defaults, f);
        if (r >= 0)
                r = fill_loader(def, defaults, f);
        if (r >= 0)
                r = fill_scalars(def, f);
        if (r >= 0)
                r = fill_boot(def, f);
        if (r >= 0)
                r = fill_controllers(def, f);
        if (r >= 0)
                r = fill_balloon(def, f);
        if (r >= 0)
                r = fill_devices(def, 0, f);
        filled = def->devices.n;
        if (r >= 0)
                r = domain_assign_addresses(def, f);
        if (r >= 0 && spare > 0 && domain_has_pcie(def))
                r = pci_add_spare_ports(def, spare, f);
        if (r >= 0)
                r = fill_devices(def, filled, f);
        return r < 0 ? r : domain_assign_ids(def, f);
}
