/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include "../def/controller-def.h"
#include "../device/device.h"
#include "mem.h"
#include "pci.h"
#include "str.h"
#include "xml-read.h"

/* Addresses the writer gave are taken first; the rest gets the first free place of its sort, in document order, so that the same text
 * always gives the same machine. */

Address *device_add_address(Device *d, AddressType type) {
        if (!d->address)
                d->address = record_new(&address_record);
        if (d->address)
                d->address->type = type;
        return d->address;
}

static bool is_drive(SlotKind kind) {
        return kind == SLOT_DRIVE_IDE || kind == SLOT_DRIVE_SATA || kind == SLOT_DRIVE_SCSI || kind == SLOT_DRIVE_FDC;
}

static AddressType address_of_slot(SlotKind kind) {
        switch (kind) {
        case SLOT_PCI:
        case SLOT_PCIE:
        case SLOT_PCI_INTEGRATED:
                return ADDRESS_PCI;
        case SLOT_DRIVE_IDE:
        case SLOT_DRIVE_SATA:
        case SLOT_DRIVE_SCSI:
        case SLOT_DRIVE_FDC:
                return ADDRESS_DRIVE;
        case SLOT_USB:
                return ADDRESS_USB;
        case SLOT_VIRTIO_SERIAL:
                return ADDRESS_VIRTIO_SERIAL;
        case SLOT_CCID:
                return ADDRESS_CCID;
        case SLOT_NONE:
                break;
        }
        return ADDRESS_NONE;
}

/* What the writer left out of an address means zero. */
static void complete(Address *a) {
        uint64_t *numbers[] = { &a->domain, &a->bus, &a->slot, &a->function, &a->controller, &a->target, &a->unit };
        static const size_t first[_ADDRESS_TYPE_MAX] = { [ADDRESS_PCI] = 0, [ADDRESS_DRIVE] = 4 };
        static const size_t end[_ADDRESS_TYPE_MAX] = { [ADDRESS_PCI] = 4, [ADDRESS_DRIVE] = 7 };

        for (size_t i = first[a->type]; i < end[a->type]; i++)
                if (*numbers[i] == NUMBER_UNSET)
                        *numbers[i] = 0;
        if (a->type != ADDRESS_PCI && a->type != ADDRESS_ISA && a->type != ADDRESS_DIMM && a->type != ADDRESS_CCID && a->bus == NUMBER_UNSET)
                a->bus = 0;
        if ((a->type == ADDRESS_VIRTIO_SERIAL || a->type == ADDRESS_CCID) && a->controller == NUMBER_UNSET)
                a->controller = 0;
        if (a->type == ADDRESS_CCID && a->slot == NUMBER_UNSET)
                a->slot = 0;
}

static int check_type(const DomainDef *def, Device *d, Fault *f) {
        AddressType wanted = address_of_slot(device_slot(d, def));

        if (wanted == ADDRESS_NONE || d->address->type == ADDRESS_NONE || d->address->type == wanted)
                return 0;
        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "an address of type '%s' does not fit this device, it takes one of type '%s'",
                         address_type_to_string(d->address->type), address_type_to_string(wanted));
}

static bool same_place(const DomainDef *def, const Device *a, const Device *b) {
        const Address *x = a->address, *y = b->address;

        if (!y || x->type != y->type)
                return false;

        switch (x->type) {
        case ADDRESS_DRIVE:
                return device_slot(a, def) == device_slot(b, def) && x->controller == y->controller && x->bus == y->bus &&
                       x->target == y->target && x->unit == y->unit;
        case ADDRESS_USB:
                return x->bus == y->bus && x->port && streq_null(x->port, y->port);
        case ADDRESS_VIRTIO_SERIAL:
                return x->controller == y->controller && x->port && streq_null(x->port, y->port);
        case ADDRESS_CCID:
                return x->controller == y->controller && x->slot == y->slot;
        case ADDRESS_NONE:
        case ADDRESS_PCI:
        case ADDRESS_ISA:
        case ADDRESS_DIMM:
        case _ADDRESS_TYPE_MAX:
        case _ADDRESS_TYPE_INVALID:
                break;
        }
        return false;
}

static const Device *who_is_at(const DomainDef *def, const Device *d) {
        for (size_t i = 0; i < def->devices.n; i++) {
                const Device *other = (const Device *) def->devices.items[i];

                if (other != d && same_place(def, d, other))
                        return other;
        }
        return NULL;
}

static int check_free(const DomainDef *def, Device *d, Fault *f) {
        const Device *other = who_is_at(def, d);

        if (!other)
                return 0;
        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "its address is already taken by the <%s> in line %u", other->ops->element,
                         other->head.line);
}

/* Controllers of that type up to the index exist. */
static int need_controller(DomainDef *def, ControllerType type, ControllerModel model, uint64_t index, const Device *d, Fault *f) {
        if (index > 255)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "controller %" PRIu64 " is too high, 255 is the last", index);

        for (uint64_t i = 0; i <= index; i++)
                if (!domain_find_controller(def, type, i) && !domain_add_controller(def, type, model, i))
                        return fault_oom(f);
        return 0;
}

static int need_controller_of(DomainDef *def, const Device *d, Fault *f) {
        switch (device_slot(d, def)) {
        case SLOT_DRIVE_IDE:
                return need_controller(def, CONTROLLER_IDE, MODEL_NONE, d->address->controller, d, f);
        case SLOT_DRIVE_SATA:
                return need_controller(def, CONTROLLER_SATA, MODEL_NONE, d->address->controller, d, f);
        case SLOT_DRIVE_FDC:
                return need_controller(def, CONTROLLER_FDC, MODEL_NONE, d->address->controller, d, f);
        case SLOT_DRIVE_SCSI:
                return need_controller(def, CONTROLLER_SCSI, MODEL_VIRTIO_SCSI, d->address->controller, d, f);
        case SLOT_USB:
                return need_controller(def, CONTROLLER_USB, domain_has_pcie(def) ? MODEL_QEMU_XHCI : MODEL_PIIX3_UHCI, d->address->bus, d, f);
        case SLOT_VIRTIO_SERIAL:
                return need_controller(def, CONTROLLER_VIRTIO_SERIAL, MODEL_NONE, d->address->controller, d, f);
        case SLOT_CCID:
                return need_controller(def, CONTROLLER_CCID, MODEL_NONE, d->address->controller, d, f);
        case SLOT_NONE:
        case SLOT_PCI:
        case SLOT_PCIE:
        case SLOT_PCI_INTEGRATED:
                break;
        }
        return 0;
}

/* "sda" is 0, "sdz" 25, "sdaa" 26; the letters "hd", "sd", "vd", "fd" before do not count. */
static uint64_t target_number(const Device *d) {
        const char *target = device_target(d);
        uint64_t n = 0;

        if (!target || strlen(target) < 3)
                return 0;
        for (const char *p = target + 2; *p >= 'a' && *p <= 'z' && n < 10000; p++)
                n = n * 26 + (uint64_t) (*p - 'a') + 1;
        return n > 0 ? n - 1 : 0;
}

static void set_drive(Address *a, SlotKind kind, uint64_t n) {
        a->target = 0;
        a->bus = 0;
        switch (kind) {
        case SLOT_DRIVE_IDE:
                a->controller = n / 4;
                a->bus = n / 2 % 2;
                a->unit = n % 2;
                break;
        case SLOT_DRIVE_SATA:
                a->controller = n / 6;
                a->unit = n % 6;
                break;
        case SLOT_DRIVE_FDC:
                a->controller = n / 2;
                a->unit = n % 2;
                break;
        case SLOT_DRIVE_SCSI: /* seven on one bus, the number that every kind of controller can do */
                a->controller = n / 7;
                a->unit = n % 7;
                break;
        case SLOT_NONE:
        case SLOT_PCI:
        case SLOT_PCIE:
        case SLOT_PCI_INTEGRATED:
        case SLOT_USB:
        case SLOT_VIRTIO_SERIAL:
        case SLOT_CCID:
                assert(false);
        }
}

/* The place that follows from the target's name, so that sdb stays the second disk when sda goes; else the first free one. */
static int assign_drive(DomainDef *def, Device *d, SlotKind kind, Fault *f) {
        if (!device_add_address(d, ADDRESS_DRIVE))
                return fault_oom(f);

        set_drive(d->address, kind, target_number(d));
        for (uint64_t n = 0; who_is_at(def, d); n++)
                set_drive(d->address, kind, n);
        if (kind == SLOT_DRIVE_FDC && d->address->controller > 0)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there are only two places for floppy disks (fda and fdb)");
        if (kind == SLOT_DRIVE_IDE && d->address->controller > 0)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there are only four places for IDE disks (hda to hdd)");
        return 0;
}

static uint64_t usb_ports(const Controller *c) {
        switch ((ControllerModel) c->model) {
        case MODEL_EHCI:
        case MODEL_ICH9_EHCI1:
                return 6;
        case MODEL_NEC_XHCI:
        case MODEL_QEMU_XHCI:
                return c->ports == NUMBER_UNSET ? 4 : c->ports;
        case MODEL_USB_NONE:
                return 0;
        case MODEL_NONE:
        case MODEL_PCI_ROOT:
        case MODEL_PCIE_ROOT:
        case MODEL_PCIE_ROOT_PORT:
        case MODEL_PCI_BRIDGE:
        case MODEL_PCIE_TO_PCI_BRIDGE:
        case MODEL_PCIE_SWITCH_UPSTREAM:
        case MODEL_PCIE_SWITCH_DOWNSTREAM:
        case MODEL_DMI_TO_PCI_BRIDGE:
        case MODEL_PCIE_EXPANDER:
        case MODEL_PCI_EXPANDER:
        case MODEL_PIIX3_UHCI:
        case MODEL_PIIX4_UHCI:
        case MODEL_ICH9_UHCI1:
        case MODEL_ICH9_UHCI2:
        case MODEL_ICH9_UHCI3:
        case MODEL_VIRTIO_SCSI:
        case MODEL_LSILOGIC:
        case MODEL_LSISAS1068:
        case MODEL_LSISAS1078:
        case MODEL_VMPVSCSI:
        case MODEL_VIRTIO:
        case MODEL_VIRTIO_TRANSITIONAL:
        case MODEL_VIRTIO_NON_TRANSITIONAL:
        case _CONTROLLER_MODEL_MAX:
        case _CONTROLLER_MODEL_INVALID:
                break;
        }
        return 2;
}

/* First free number between `first` and `end` as the device's port; false if all are taken. */
static bool take_port(const DomainDef *def, Device *d, uint64_t first, uint64_t end) {
        for (uint64_t n = first; n < end; n++) {
                free_and_replace(&d->address->port, strf("%" PRIu64, n));
                if (d->address->port && !who_is_at(def, d))
                        return true;
        }
        free_and_replace(&d->address->port, NULL);
        return false;
}

/* With a bus but no port given only that bus is looked at. */
static int assign_usb(DomainDef *def, Device *d, bool bus_given, Fault *f) {
        if (!device_add_address(d, ADDRESS_USB))
                return fault_oom(f);

        for (uint64_t bus = bus_given ? d->address->bus : 0;; bus++) {
                const Controller *c;
                int r;

                d->address->bus = bus;
                r = need_controller_of(def, d, f);
                if (r < 0)
                        return r;
                c = domain_find_controller(def, CONTROLLER_USB, bus);
                if (take_port(def, d, 1, usb_ports(c) + 1))
                        return 0;
                if (c->model == MODEL_USB_NONE)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a USB device, but USB is switched off by the controller in line %u",
                                         c->device.head.line);
                if (bus_given)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "all ports of USB controller %" PRIu64 " are taken", bus);
        }
}

/* Port 0 is a console's by the virtio standard. */
static int assign_virtio_serial(DomainDef *def, Device *d, bool controller_given, Fault *f) {
        uint64_t first = device_kind(d) == DEVICE_CONSOLE ? 0 : 1;

        if (!device_add_address(d, ADDRESS_VIRTIO_SERIAL))
                return fault_oom(f);

        d->address->bus = 0;
        for (uint64_t index = controller_given ? d->address->controller : 0;; index++) {
                const Controller *c;
                int r;

                d->address->controller = index;
                r = need_controller_of(def, d, f);
                if (r < 0)
                        return r;
                c = domain_find_controller(def, CONTROLLER_VIRTIO_SERIAL, index);
                if (take_port(def, d, first, c->ports == NUMBER_UNSET ? 31 : c->ports))
                        return 0;
                if (controller_given)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "all ports of virtio-serial controller %" PRIu64 " are taken", index);
        }
}

/* A reader has one slot. */
static int assign_ccid(DomainDef *def, Device *d, Fault *f) {
        if (!device_add_address(d, ADDRESS_CCID))
                return fault_oom(f);
        d->address->slot = 0;
        for (d->address->controller = 0; who_is_at(def, d);)
                d->address->controller++;
        return need_controller_of(def, d, f);
}

static int take_given(DomainDef *def, Device *d, Fault *f) {
        SlotKind kind = device_slot(d, def);
        int r;

        if (!d->address || d->address->type == ADDRESS_NONE)
                return 0;
        r = check_type(def, d, f);
        if (r < 0 || d->address->type == ADDRESS_PCI)
                return r;

        complete(d->address);
        if (is_drive(kind) || kind == SLOT_CCID || ((kind == SLOT_USB || kind == SLOT_VIRTIO_SERIAL) && d->address->port)) {
                r = need_controller_of(def, d, f);
                if (r < 0)
                        return r;
        }
        return check_free(def, d, f);
}

static int assign_other(DomainDef *def, Device *d, Fault *f) {
        SlotKind kind = device_slot(d, def);
        bool given = d->address && d->address->type != ADDRESS_NONE;

        if (is_drive(kind))
                return given ? 0 : assign_drive(def, d, kind, f) ?: need_controller_of(def, d, f);
        if (kind == SLOT_USB)
                return given && d->address->port ? 0 : assign_usb(def, d, given, f);
        if (kind == SLOT_CCID)
                return given ? 0 : assign_ccid(def, d, f);
        if (kind == SLOT_VIRTIO_SERIAL)
                return given && d->address->port ? 0 : assign_virtio_serial(def, d, given, f);
        return 0;
}

int domain_assign_addresses(DomainDef *def, Fault *f) {
        assert(def);

        /* The list grows by the controllers that turn out to be needed. PCI comes last: those want places, too. */
        for (size_t i = 0; i < def->devices.n; i++) {
                int r = take_given(def, (Device *) def->devices.items[i], f);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < def->devices.n; i++) {
                int r = assign_other(def, (Device *) def->devices.items[i], f);
                if (r < 0)
                        return r;
        }
        return pci_assign(def, f);
}
