/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-def.h"

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(AddressType, address_type, NULL, "pci", "drive", "usb", "virtio-serial", "isa", "ccid", "dimm")

/* Bus and slot of a PCI address are written in hex, any other in decimal; both are read either way. */
static int bus_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        return field_hex.from_text(f, text, value, ret_wanted);
}

static char *bus_to_text(const Field *f, const void *value) {
        const Address *a = CONTAINER_OF((const char *) value, const Address, bus);

        return a->type == ADDRESS_PCI ? field_hex.to_text(f, value) : field_number.to_text(f, value);
}

static char *slot_to_text(const Field *f, const void *value) {
        const Address *a = CONTAINER_OF((const char *) value, const Address, slot);

        return a->type == ADDRESS_PCI ? field_hex.to_text(f, value) : field_number.to_text(f, value);
}

static bool bus_is_set(const void *value) {
        return *(const uint64_t *) value != NUMBER_UNSET;
}

static bool bus_equal(const void *a, const void *b) {
        return *(const uint64_t *) a == *(const uint64_t *) b;
}

static void bus_init(void *value) {
        *(uint64_t *) value = NUMBER_UNSET;
}

static const FieldType field_bus = {
        .shape = SHAPE_SCALAR,
        .size = sizeof(uint64_t),
        .from_text = bus_from_text,
        .to_text = bus_to_text,
        .is_set = bus_is_set,
        .equal = bus_equal,
        .init = bus_init,
};

static const FieldType field_slot = {
        .shape = SHAPE_SCALAR,
        .size = sizeof(uint64_t),
        .from_text = bus_from_text,
        .to_text = slot_to_text,
        .is_set = bus_is_set,
        .equal = bus_equal,
        .init = bus_init,
};

#define AT(member) offsetof(Address, member)
static const Field address_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &address_type_table },
        { "@domain", &field_hex, AT(domain), .max = 0xffff, .digits = 4 },
        { "@controller", &field_number, AT(controller), .max = 255 },
        { "@bus", &field_bus, AT(bus), .max = 255 },
        { "@slot", &field_slot, AT(slot), .max = 31 },
        { "@function", &field_hex, AT(function), .max = 7, .digits = 1 },
        { "@multifunction", &field_on_off, AT(multifunction) },
        { "@target", &field_number, AT(target), .max = 255 },
        { "@unit", &field_number, AT(unit), .max = 16383 },
        { "@port", &field_string, AT(port), .max_length = 32 },
        { "@iobase", &field_hex, AT(iobase), .max = 0xffff },
        { "@base", &field_hex, AT(base), .max = UINT64_MAX - 1, .digits = 1 },
        { "@irq", &field_hex, AT(irq), .max = 15, .digits = 1 },
};
#undef AT

#define BIT(type) (1u << (type))

static int address_check(Record *r, Fault *f) {
        const Address *a = (const Address *) r;
        const struct {
                const char *name;
                bool set;
                unsigned types;
        } rows[] = {
                { "domain", a->domain != NUMBER_UNSET, BIT(ADDRESS_PCI) },
                { "bus", a->bus != NUMBER_UNSET, BIT(ADDRESS_PCI) | BIT(ADDRESS_DRIVE) | BIT(ADDRESS_USB) | BIT(ADDRESS_VIRTIO_SERIAL) },
                { "slot", a->slot != NUMBER_UNSET, BIT(ADDRESS_PCI) | BIT(ADDRESS_CCID) | BIT(ADDRESS_DIMM) },
                { "function", a->function != NUMBER_UNSET, BIT(ADDRESS_PCI) },
                { "multifunction", a->multifunction != UNSET, BIT(ADDRESS_PCI) },
                { "controller", a->controller != NUMBER_UNSET, BIT(ADDRESS_DRIVE) | BIT(ADDRESS_VIRTIO_SERIAL) | BIT(ADDRESS_CCID) },
                { "target", a->target != NUMBER_UNSET, BIT(ADDRESS_DRIVE) },
                { "unit", a->unit != NUMBER_UNSET, BIT(ADDRESS_DRIVE) },
                { "port", a->port, BIT(ADDRESS_USB) | BIT(ADDRESS_VIRTIO_SERIAL) },
                { "iobase", a->iobase != NUMBER_UNSET, BIT(ADDRESS_ISA) },
                { "base", a->base != NUMBER_UNSET, BIT(ADDRESS_DIMM) },
                { "irq", a->irq != NUMBER_UNSET, BIT(ADDRESS_ISA) },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].set && !(rows[i].types & BIT(a->type)))
                        return xml_fault(r, f, FAULT_INVALID_DEFINITION, "an address of type '%s' has no %s", address_type_to_string(a->type), rows[i].name);
        if (a->port && (a->port[0] == 0 || strspn(a->port, "0123456789.") != strlen(a->port)))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "port '%s' is not a number or, for USB, numbers with dots as in '1.2'", a->port);
        return 0;
}

const RecordType address_record = { "address", sizeof(Address), RECORD_FIELDS(address_fields), .check = address_check };
