/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device-def.h"
#include "virtio-def.h"

typedef struct DomainDef DomainDef;

typedef enum ControllerType {
        CONTROLLER_NONE,
        CONTROLLER_PCI,
        CONTROLLER_USB,
        CONTROLLER_IDE,
        CONTROLLER_SATA,
        CONTROLLER_SCSI,
        CONTROLLER_FDC,
        CONTROLLER_VIRTIO_SERIAL,
        CONTROLLER_CCID,
        _CONTROLLER_TYPE_MAX,
        _CONTROLLER_TYPE_INVALID = -EINVAL,
} ControllerType;
DECLARE_ENUM(ControllerType, controller_type);

/* All models of all types in one list, as the attribute is one; `check` in controller.c says which belong to which type. */
typedef enum ControllerModel {
        MODEL_NONE,
        /* pci */
        MODEL_PCI_ROOT, MODEL_PCIE_ROOT, MODEL_PCIE_ROOT_PORT, MODEL_PCI_BRIDGE, MODEL_PCIE_TO_PCI_BRIDGE,
        MODEL_PCIE_SWITCH_UPSTREAM, MODEL_PCIE_SWITCH_DOWNSTREAM, MODEL_DMI_TO_PCI_BRIDGE, MODEL_PCIE_EXPANDER, MODEL_PCI_EXPANDER,
        /* usb */
        MODEL_PIIX3_UHCI, MODEL_PIIX4_UHCI, MODEL_EHCI, MODEL_ICH9_EHCI1, MODEL_ICH9_UHCI1, MODEL_ICH9_UHCI2, MODEL_ICH9_UHCI3,
        MODEL_NEC_XHCI, MODEL_QEMU_XHCI, MODEL_USB_NONE,
        /* scsi */
        MODEL_VIRTIO_SCSI, MODEL_LSILOGIC, MODEL_LSISAS1068, MODEL_LSISAS1078, MODEL_VMPVSCSI,
        /* virtio-serial; scsi, too */
        MODEL_VIRTIO, MODEL_VIRTIO_TRANSITIONAL, MODEL_VIRTIO_NON_TRANSITIONAL,
        _CONTROLLER_MODEL_MAX,
        _CONTROLLER_MODEL_INVALID = -EINVAL,
} ControllerModel;
DECLARE_ENUM(ControllerModel, controller_model);

/* <controller>. Its QEMU id is PREFIX + index: "pci.3" (built-in roots: "pcie.0", "pci.0"), "usb0", "scsi0", "ide", "sata0",
 * "virtio-serial0"; the drive controllers that are part of the board are "ide". device/controller.c has table and ops. */
typedef struct Controller {
        Device device;
        int type;              /* ControllerType */
        uint64_t index;
        int model;             /* ControllerModel */
        char *model_name;      /* <model name=…>: "pcie-root-port"; pci only */
        uint64_t chassis, port, chassis_nr; /* <target> of pci controllers */
        uint64_t ports, vectors;            /* virtio-serial; usb xhci: ports */
        uint64_t bus_number, node;          /* of expanders: what the guest calls the bus, and the NUMA node it is at */
        Tristate hotplug;                   /* of a root port */
        uint64_t hole;                      /* bytes; pci roots */
        uint64_t master_startport;          /* ich9 companions */
        /* <driver> of virtio controllers; all but `virtio` of scsi only */
        VirtioOptions virtio;
        uint64_t queues, per_unit, max_sectors, iothread;
} Controller;

/* Makes a controller, adds it at the end of the definition's devices and returns it; NULL: out of memory. index NUMBER_UNSET: the
 * first free one of that type. In device/device.c. */
Controller *domain_add_controller(DomainDef *def, ControllerType type, ControllerModel model, uint64_t index);
Controller *domain_find_controller(const DomainDef *def, ControllerType type, uint64_t index);
