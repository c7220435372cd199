/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../def/controller-def.h"

#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(ControllerType, controller_type, NULL, "pci", "usb", "ide", "sata", "scsi", "fdc", "virtio-serial", "ccid")
DEFINE_ENUM(ControllerModel, controller_model, NULL, "pci-root", "pcie-root", "pcie-root-port", "pci-bridge", "pcie-to-pci-bridge",
            "pcie-switch-upstream-port", "pcie-switch-downstream-port", "dmi-to-pci-bridge", "pcie-expander-bus", "pci-expander-bus",
            "piix3-uhci", "piix4-uhci", "ehci", "ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3", "nec-xhci", "qemu-xhci", "none",
            "virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi", "virtio", "virtio-transitional", "virtio-non-transitional")

/* What QEMU calls it, and what it belongs to. */
static const struct {
        ControllerType type;
        const char *driver;    /* NULL: there is nothing to create */
        SlotKind slot;
} models[] = {
        [MODEL_PCI_ROOT]           = { CONTROLLER_PCI,  NULL,              SLOT_NONE },
        [MODEL_PCIE_ROOT]          = { CONTROLLER_PCI,  NULL,              SLOT_NONE },
        [MODEL_PCIE_ROOT_PORT]     = { CONTROLLER_PCI,  "pcie-root-port",  SLOT_PCI_INTEGRATED },
        [MODEL_PCI_BRIDGE]         = { CONTROLLER_PCI,  "pci-bridge",      SLOT_PCI },
        [MODEL_PCIE_TO_PCI_BRIDGE] = { CONTROLLER_PCI,  "pcie-pci-bridge", SLOT_PCIE },
        [MODEL_PCIE_SWITCH_UPSTREAM]   = { CONTROLLER_PCI, "x3130-upstream", SLOT_PCIE },
        [MODEL_PCIE_SWITCH_DOWNSTREAM] = { CONTROLLER_PCI, "xio3130-downstream", SLOT_PCIE },
        [MODEL_DMI_TO_PCI_BRIDGE]  = { CONTROLLER_PCI,  "i82801b11-bridge", SLOT_PCI },
        [MODEL_PCIE_EXPANDER]      = { CONTROLLER_PCI,  "pxb-pcie",        SLOT_PCI },
        [MODEL_PCI_EXPANDER]       = { CONTROLLER_PCI,  "pxb",             SLOT_PCI },
        [MODEL_PIIX3_UHCI]         = { CONTROLLER_USB,  "piix3-usb-uhci",  SLOT_PCI },
        [MODEL_PIIX4_UHCI]         = { CONTROLLER_USB,  "piix4-usb-uhci",  SLOT_PCI },
        [MODEL_EHCI]               = { CONTROLLER_USB,  "usb-ehci",        SLOT_PCI },
        [MODEL_ICH9_EHCI1]         = { CONTROLLER_USB,  "ich9-usb-ehci1",  SLOT_PCI },
        [MODEL_ICH9_UHCI1]         = { CONTROLLER_USB,  "ich9-usb-uhci1",  SLOT_PCI },
        [MODEL_ICH9_UHCI2]         = { CONTROLLER_USB,  "ich9-usb-uhci2",  SLOT_PCI },
        [MODEL_ICH9_UHCI3]         = { CONTROLLER_USB,  "ich9-usb-uhci3",  SLOT_PCI },
        [MODEL_NEC_XHCI]           = { CONTROLLER_USB,  "nec-usb-xhci",    SLOT_PCIE },
        [MODEL_QEMU_XHCI]          = { CONTROLLER_USB,  "qemu-xhci",       SLOT_PCIE },
        [MODEL_USB_NONE]           = { CONTROLLER_USB,  NULL,              SLOT_NONE },
        [MODEL_VIRTIO_SCSI]        = { CONTROLLER_SCSI, "virtio-scsi-pci", SLOT_PCIE },
        [MODEL_LSILOGIC]           = { CONTROLLER_SCSI, "lsi53c895a",      SLOT_PCI },
        [MODEL_LSISAS1068]         = { CONTROLLER_SCSI, "mptsas1068",      SLOT_PCI },
        [MODEL_LSISAS1078]         = { CONTROLLER_SCSI, "megasas",         SLOT_PCI },
        [MODEL_VMPVSCSI]           = { CONTROLLER_SCSI, "pvscsi",          SLOT_PCI },
        [MODEL_VIRTIO]             = { CONTROLLER_VIRTIO_SERIAL, NULL,     SLOT_PCIE },
        [MODEL_VIRTIO_TRANSITIONAL] = { CONTROLLER_VIRTIO_SERIAL, NULL,    SLOT_PCIE },
        [MODEL_VIRTIO_NON_TRANSITIONAL] = { CONTROLLER_VIRTIO_SERIAL, NULL, SLOT_PCIE },
};

static bool is_versioned(const Controller *c) {
        return c->model == MODEL_VIRTIO_TRANSITIONAL || c->model == MODEL_VIRTIO_NON_TRANSITIONAL;
}

static bool is_virtio_scsi(const Controller *c) {
        return c->type == CONTROLLER_SCSI && (c->model == MODEL_VIRTIO_SCSI || is_versioned(c));
}

#define AT(member) offsetof(Controller, member)
static const Field controller_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &controller_type_table },
        { "@index", &field_number, AT(index), .max = 255 },
        { "@model", &field_enum, AT(model), .words = &controller_model_table },
        { "@ports", &field_number, AT(ports), .min = 1, .max = 31 },
        { "@vectors", &field_number, AT(vectors), .max = 1024 },
        { "driver/@queues", &field_number, AT(queues), .min = 1, .max = 1024 },
        { "driver/@cmd_per_lun", &field_number, AT(per_unit), .min = 1, .max = 65535 },
        { "driver/@max_sectors", &field_number, AT(max_sectors), .min = 1, .max = UINT32_MAX },
        { "driver/@iothread", &field_number, AT(iothread), .min = 1, .max = UINT32_MAX },
        VIRTIO_FIELDS(AT(virtio)),
        { "master/@startport", &field_number, AT(master_startport), .max = 15 },
        { "model/@name", &field_string, AT(model_name), .max_length = 64 },
        { "target/@chassisNr", &field_number, AT(chassis_nr), .min = 1, .max = 255 },
        { "target/@chassis", &field_number, AT(chassis), .max = 255 },
        { "target/@busNr", &field_number, AT(bus_number), .min = 1, .max = 254 },
        { "target/node", &field_number, AT(node), .max = 127 },
        { "target/@hotplug", &field_on_off, AT(hotplug) },
        { "pcihole64", &field_size, AT(hole), .unit = "KiB" },
        { "target/@port", &field_hex, AT(port), .max = 255 },
        DEVICE_FIELDS(Controller),
};
#undef AT

static bool is_xhci(const Controller *c) {
        return c->model == MODEL_NEC_XHCI || c->model == MODEL_QEMU_XHCI || (c->type == CONTROLLER_USB && c->model == MODEL_NONE);
}

static int check_record(Record *r, Fault *f) {
        const Controller *c = (const Controller *) r;

        if (c->model != MODEL_NONE && (int) models[c->model].type != c->type && !is_virtio_scsi(c))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "'%s' is no model of a controller of type '%s'",
                                 controller_model_to_string((ControllerModel) c->model), controller_type_to_string((ControllerType) c->type));
        if (c->ports != NUMBER_UNSET && c->type != CONTROLLER_VIRTIO_SERIAL && !is_xhci(c))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only virtio-serial and xhci controllers have a number of ports");
        if (c->ports != NUMBER_UNSET && c->type == CONTROLLER_USB && c->ports > 15)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "an xhci controller has at most 15 ports");
        if (c->vectors != NUMBER_UNSET && c->type != CONTROLLER_VIRTIO_SERIAL)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only virtio-serial controllers have a number of vectors");
        if (c->type != CONTROLLER_PCI && (c->model_name || c->chassis != NUMBER_UNSET || c->port != NUMBER_UNSET || c->chassis_nr != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only pci controllers have <model name> and <target>");
        if (c->hotplug != UNSET && c->model != MODEL_PCIE_ROOT_PORT && c->model != MODEL_PCIE_SWITCH_DOWNSTREAM && c->model != MODEL_PCI_ROOT)
                return xml_fault_below(r, "target/@hotplug", f, FAULT_INVALID_DEFINITION,
                                       "only a pcie-root-port, a switch's downstream port and the root of a pc have it");
        if ((c->bus_number != NUMBER_UNSET || c->node != NUMBER_UNSET) && c->model != MODEL_PCIE_EXPANDER && c->model != MODEL_PCI_EXPANDER)
                return xml_fault_below(r, "target", f, FAULT_INVALID_DEFINITION, "busNr and node belong to expander buses");
        if (c->hole != NUMBER_UNSET && c->model != MODEL_PCI_ROOT && c->model != MODEL_PCIE_ROOT)
                return xml_fault_below(r, "pcihole64", f, FAULT_INVALID_DEFINITION, "it belongs to the root, which is controller 0");
        if (c->master_startport != NUMBER_UNSET &&
            (c->model < MODEL_ICH9_UHCI1 || c->model > MODEL_ICH9_UHCI3))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "<master> belongs to the models ich9-uhci1 to ich9-uhci3 only");
        return 0;
}

static const RecordType controller_record = {
        "controller", sizeof(Controller), RECORD_FIELDS(controller_fields), .check = check_record, .clear = device_clear,
        .copied = device_copied,
};

static ControllerModel default_model(const Controller *c, const DomainDef *def) {
        bool pcie = domain_has_pcie(def);

        switch ((ControllerType) c->type) {
        case CONTROLLER_PCI:
                if (c->index == 0)
                        return pcie ? MODEL_PCIE_ROOT : MODEL_PCI_ROOT;
                return pcie ? MODEL_PCIE_ROOT_PORT : MODEL_PCI_BRIDGE;
        case CONTROLLER_USB:
                return pcie ? MODEL_QEMU_XHCI : MODEL_PIIX3_UHCI;
        case CONTROLLER_SCSI:
                return MODEL_VIRTIO_SCSI;
        case CONTROLLER_IDE:
        case CONTROLLER_SATA:
        case CONTROLLER_VIRTIO_SERIAL:
        case CONTROLLER_CCID:
        case CONTROLLER_FDC:
        case CONTROLLER_NONE:
        case _CONTROLLER_TYPE_MAX:
        case _CONTROLLER_TYPE_INVALID:
                break;
        }
        return MODEL_NONE;
}

/* The companions of an EHCI controller take its ports in pairs, in their order. */
static void fill_companion(Controller *c, const DomainDef *def) {
        if (c->model < MODEL_ICH9_UHCI1 || c->model > MODEL_ICH9_UHCI3 || c->master_startport != NUMBER_UNSET)
                return;
        DEVICE_FOREACH(Controller, other, def, DEVICE_CONTROLLER)
                if (other->model == MODEL_ICH9_EHCI1 && other->index == c->index)
                        c->master_startport = (uint64_t) (c->model - MODEL_ICH9_UHCI1) * 2;
}

static int controller_fill(Device *d, DomainDef *def, Fault *f) {
        Controller *c = (Controller *) d;

        if (c->model == MODEL_NONE)
                c->model = default_model(c, def);
        fill_companion(c, def);
        if (c->type == CONTROLLER_PCI && models[c->model].driver && !c->model_name &&
            free_and_strdup(&c->model_name, models[c->model].driver) < 0)
                return fault_oom(f);
        return 0;
}

/* IDE and floppy on i440FX and the first SATA controller on q35 are part of the board. */
static bool is_built_in(const Controller *c, const DomainDef *def) {
        return c->index == 0 && ((c->type == CONTROLLER_SATA && domain_is_q35(def)) ||
                                 ((c->type == CONTROLLER_IDE || c->type == CONTROLLER_FDC) && domain_is_i440fx(def)));
}

static SlotKind controller_slot(const Device *d, const DomainDef *def) {
        const Controller *c = (const Controller *) d;

        switch ((ControllerType) c->type) {
        case CONTROLLER_PCI:
        case CONTROLLER_USB:
        case CONTROLLER_SCSI:
                return models[c->model].slot;
        case CONTROLLER_SATA:
                return is_built_in(c, def) ? SLOT_PCI_INTEGRATED : SLOT_PCI;
        case CONTROLLER_VIRTIO_SERIAL:
                return SLOT_PCIE;
        case CONTROLLER_CCID:
                return SLOT_USB;
        case CONTROLLER_FDC:
                return SLOT_NONE;
        case CONTROLLER_IDE:
                return is_built_in(c, def) ? SLOT_PCI_INTEGRATED : SLOT_NONE;
        case CONTROLLER_NONE:
        case _CONTROLLER_TYPE_MAX:
        case _CONTROLLER_TYPE_INVALID:
                break;
        }
        return SLOT_NONE;
}

static const char *controller_driver(const Controller *c, const DomainDef *def) {
        if (is_built_in(c, def))
                return NULL;
        if (c->type == CONTROLLER_SATA)
                return "ich9-ahci";
        if (c->type == CONTROLLER_VIRTIO_SERIAL)
                return virtio_driver("virtio-serial", c->model == MODEL_VIRTIO_TRANSITIONAL, c->model == MODEL_VIRTIO_NON_TRANSITIONAL);
        if (is_virtio_scsi(c))
                return virtio_driver("virtio-scsi", c->model == MODEL_VIRTIO_TRANSITIONAL, c->model == MODEL_VIRTIO_NON_TRANSITIONAL);
        if (c->type == CONTROLLER_CCID)
                return "usb-ccid";
        if (c->type == CONTROLLER_FDC)
                return "isa-fdc";
        return c->model_name ?: models[c->model].driver;
}

static int check_driver(const Controller *c, const DomainDef *def, Fault *f) {
        bool scsi = is_virtio_scsi(c);
        bool settings = c->queues != NUMBER_UNSET || c->per_unit != NUMBER_UNSET || c->max_sectors != NUMBER_UNSET || c->iothread != NUMBER_UNSET;

        if (settings && !scsi)
                return xml_fault_below(&c->device.head, "driver", f, FAULT_NOT_SUPPORTED,
                                       "queues, cmd_per_lun, max_sectors and iothread are for model 'virtio-scsi'");
        if (virtio_options_any(&c->virtio) && !scsi && c->type != CONTROLLER_VIRTIO_SERIAL)
                return xml_fault_below(&c->device.head, "driver", f, FAULT_NOT_SUPPORTED, "these are settings of virtio controllers");
        if (c->iothread != NUMBER_UNSET && !domain_has_iothread(def, c->iothread))
                return xml_fault_below(&c->device.head, "driver/@iothread", f, FAULT_INVALID_DEFINITION, "there is no iothread %" PRIu64, c->iothread);
        return 0;
}

static int check_unique(const Controller *c, const DomainDef *def, Fault *f) {
        DEVICE_FOREACH(Controller, other, def, DEVICE_CONTROLLER) {
                if (other == c)
                        return 0;
                /* The parts of an ICH9 USB controller share an index. */
                if (other->type != c->type || other->index != c->index || c->master_startport != NUMBER_UNSET || other->master_startport != NUMBER_UNSET)
                        continue;
                return xml_fault(&c->device.head, f, FAULT_INVALID_DEFINITION, "its index %" PRIu64 " is already that of the %s controller in line %u",
                                 c->index, controller_type_to_string((ControllerType) c->type), other->device.head.line);
        }
        return 0;
}

static int controller_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Controller *c = (const Controller *) d;
        const char *driver = controller_driver(c, def);

        if (c->type == CONTROLLER_FDC && c->index > 0)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "a board has one floppy controller");
        if (c->type == CONTROLLER_IDE && !is_built_in(c, def))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "machine '%s' has no such IDE controller; disks can use bus 'sata' or 'virtio'",
                                 def->machine);
        if (c->model_name && !streq_null(c->model_name, models[c->model].driver) &&
            !(c->model == MODEL_PCIE_ROOT_PORT && streq(c->model_name, "ioh3420")))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "model name '%s' does not fit model '%s'", c->model_name,
                                 controller_model_to_string((ControllerModel) c->model));
        if (c->model == MODEL_PCI_EXPANDER && !domain_is_i440fx(def))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "a pci-expander-bus is for machines of type pc; q35 takes a pcie-expander-bus");
        if (c->model >= MODEL_PCIE_SWITCH_UPSTREAM && c->model <= MODEL_PCIE_EXPANDER && !domain_has_pcie(def))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "machine '%s' has no PCI Express", def->machine);
        if (c->node != NUMBER_UNSET && c->node >= def->numa.cells.n)
                return xml_fault_below(&d->head, "target/node", f, FAULT_INVALID_DEFINITION, "the guest has no node %" PRIu64, c->node);
        if (driver && caps && !caps_has_device(caps, driver))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", driver);
        return check_driver(c, def, f) < 0 ? -EINVAL : check_unique(c, def, f);
}

static int add_usb(json_t *json, const Controller *c, const DomainDef *def) {
        if (json_set_number(json, "p2", c->ports) < 0 || json_set_number(json, "p3", c->ports) < 0)
                return -ENOMEM;
        if (c->master_startport == NUMBER_UNSET)
                return 0;

        DEVICE_FOREACH(Controller, master, def, DEVICE_CONTROLLER)
                if (master->type == CONTROLLER_USB && master->index == c->index && master->master_startport == NUMBER_UNSET) {
                        _cleanup_free_ char *bus = strf("%s.0", master->device.id);

                        if (!bus || json_object_set_new(json, "masterbus", json_string(bus)) < 0)
                                return -ENOMEM;
                }
        return json_set_number(json, "firstport", c->master_startport);
}

static int add_scsi(json_t *json, const Controller *c) {
        _cleanup_free_ char *name = c->iothread == NUMBER_UNSET ? NULL : strf("iothread%" PRIu64, c->iothread);
        int r = json_set_number(json, "num_queues", c->queues);

        if (r >= 0)
                r = json_set_number(json, "cmd_per_lun", c->per_unit);
        if (r >= 0)
                r = json_set_number(json, "max_sectors", c->max_sectors);
        return r < 0 ? r : json_set_text(json, "iothread", name);
}

static int controller_args(const Device *d, Args *a, Fault *f) {
        const Controller *c = (const Controller *) d;
        const char *driver = controller_driver(c, a->def);
        json_auto_t *json = NULL;
        int r = 0;

        if (!driver)
                return 0;
        json = json_pack("{s:s, s:s}", "driver", driver, "id", d->id);
        if (!json)
                return -ENOMEM;

        r = virtio_options_add(&c->virtio, json);
        if (r >= 0 && c->type == CONTROLLER_SCSI)
                r = add_scsi(json, c);
        if (r < 0)
                return r;
        if (c->type == CONTROLLER_USB)
                r = add_usb(json, c, a->def);
        else if (c->type == CONTROLLER_VIRTIO_SERIAL) {
                r = json_set_number(json, "max_ports", c->ports);
                if (r >= 0)
                        r = json_set_number(json, "vectors", c->vectors);
        } else if (json_set_number(json, "port", c->port) < 0 || json_set_number(json, "chassis", c->chassis) < 0 ||
                   json_set_number(json, "chassis_nr", c->chassis_nr) < 0 || json_set_switch(json, "hotplug", c->hotplug) < 0 ||
                   json_set_number(json, "bus_nr", c->bus_number) < 0 || json_set_number(json, "numa_node", c->node) < 0)
                r = -ENOMEM;
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *controller_fixed(const Device *d, const DomainDef *def) {
        const Controller *c = (const Controller *) d;

        switch ((ControllerType) c->type) {
        case CONTROLLER_SCSI:
        case CONTROLLER_VIRTIO_SERIAL:
                return NULL;
        case CONTROLLER_USB:
                return c->model == MODEL_QEMU_XHCI || c->model == MODEL_NEC_XHCI ? NULL : "of the USB controllers only xhci ones can be";
        case CONTROLLER_CCID:
        case CONTROLLER_PCI:
        case CONTROLLER_IDE:
        case CONTROLLER_SATA:
        case CONTROLLER_FDC:
        case CONTROLLER_NONE:
        case _CONTROLLER_TYPE_MAX:
        case _CONTROLLER_TYPE_INVALID:
                break;
        }
        return "the board has such controllers from its start";
}

const DeviceOps device_controller = {
        .kind = DEVICE_CONTROLLER,
        .element = "controller",
        .type = &controller_record,
        .fill = controller_fill,
        .slot = controller_slot,
        .check = controller_check,
        .fixed = controller_fixed, .args = controller_args,
};
