/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

typedef struct DeviceOps DeviceOps;

typedef enum AddressType {
        ADDRESS_NONE,
        ADDRESS_PCI,           /* domain, bus, slot, function, multifunction */
        ADDRESS_DRIVE,         /* controller, bus, target, unit */
        ADDRESS_USB,           /* bus, port */
        ADDRESS_VIRTIO_SERIAL, /* controller, bus, port */
        ADDRESS_ISA,           /* iobase, irq */
        ADDRESS_CCID,          /* controller, slot */
        ADDRESS_DIMM,          /* slot, base */
        _ADDRESS_TYPE_MAX,
        _ADDRESS_TYPE_INVALID = -EINVAL,
} AddressType;
DECLARE_ENUM(AddressType, address_type);

/* <address>: where a device is plugged in. One record for all types, as in the XML; `check` refuses attributes that do not belong to
 * the type. Numbers are NUMBER_UNSET when absent. */
typedef struct Address {
        Record head;
        AddressType type;
        uint64_t domain, bus, slot, function;
        Tristate multifunction;
        uint64_t controller, target, unit;
        char *port;            /* USB "1.2" or the number of a virtio-serial port */
        uint64_t iobase, irq;
        uint64_t base;         /* of memory, in the guest's addresses */
} Address;
extern const RecordType address_record;

/* First member of every device's struct. */
typedef struct Device {
        Record head;
        const DeviceOps *ops;  /* set when the record is made */
        char *alias;           /* <alias name=…>: "ua-…" names are the user's and become the QEMU id */
        Address *address;
        uint64_t boot_order;   /* <boot order=…>, from 1 */
        uint64_t acpi_index;   /* by which a guest names it: eno7 */
        bool leaving;          /* live: the guest was asked to let go of it */
        char *id;              /* QEMU id, assigned by domain-fill; in no table */
} Device;

/* By XML element; what the table of <domain> needs to know about devices. In device/device.c. NULL: unknown element. */
const RecordType *device_record_type(const char *element);
const char *const *device_elements(size_t *ret_n);

/* The rows every device's table starts with. */
#define DEVICE_FIELDS(Struct)                                                                           \
        { "alias/@name", &field_string, offsetof(Struct, device.alias), .max_length = 64 },             \
        { "address", &field_record, offsetof(Struct, device.address), .record = &address_record },      \
        { "acpi/@index", &field_number, offsetof(Struct, device.acpi_index), .min = 1, .max = 16383 },  \
        { "boot/@order", &field_number, offsetof(Struct, device.boot_order), .min = 1, .max = 1000 },   \
        { "virtbus:leaving", &field_flag, offsetof(Struct, device.leaving), FIELD_LIVE }
