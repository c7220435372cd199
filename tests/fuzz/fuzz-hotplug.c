/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtqemud/device/device.h"
#include "../../virtqemud/plan/hotplug.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A machine with some room, as it runs. */
static const char machine[] =
        "<domain type='qemu'><name>web</name><uuid>6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b11</uuid><memory unit='MiB'>64</memory>"
        "<maxMemory slots='2' unit='GiB'>1</maxMemory><memoryBacking><access mode='shared'/></memoryBacking>"
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features><devices>"
        "<controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>"
        "<controller type='usb' model='qemu-xhci'/><disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
        "<interface type='user'><mac address='52:54:00:00:00:01'/></interface><graphics type='spice'/></devices></domain>";

static const DomainDefaults defaults = { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "x86_64", .nvram_folder = "/nvram" };

static DomainDef *make_live(void) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        DomainDef *live;

        if (domain_parse(machine, strlen(machine), &def, NULL) < 0 || domain_fill(def, &defaults, NULL) < 0 || domain_make_live(def, 1, &defaults, &live) < 0)
                abort();
        return live;
}

/* What is plugged in has an id of its own, and what was there is as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(domain_def_freep) DomainDef *live = make_live(), *before = NULL;
        _cleanup_(hotplug_freep) Hotplug *added = NULL, *changed = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT, g = FAULT_INIT;
        Device *device = NULL;

        if (domain_copy(live, &before) < 0)
                abort();
        if (device_parse((const char *) data, size, &device, &f) >= 0) {
                (void) hotplug_new(live, device, &defaults, NULL, &added, &f);
                (void) hotplug_update(live, device, &defaults, NULL, &changed, &g);
        }
        if (!record_equal(&live->head, &before->head))
                abort();
        if (added && (!added->device->id || domain_find_device(live, added->device->id) || added->next->devices.n <= live->devices.n ||
                      hotplug_take(added, live) < 0 || live->devices.n <= before->devices.n))
                abort();
        record_free(device ? &device->head : NULL);
        return 0;
}
