/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev.h"

#include "interface.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

static const char *const mode_words[] = { NULL, "subsystem" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };
static const char *const type_words[] = { NULL, "usb", "pci", "mdev", "scsi", "scsi_host" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };
static const char *const driver_words[] = { NULL, "vfio" };
static const EnumTable driver_table = { driver_words, ARRAY_SIZE(driver_words) };
static const char *const model_words[] = { NULL, "vfio-pci", "virtio-transitional", "virtio-non-transitional" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

static const char *const protocol_words[] = { NULL, "vhost", "iscsi" };
static const EnumTable protocol_table = { protocol_words, ARRAY_SIZE(protocol_words) };

#define AT(member) offsetof(Hostdev, member)
static const Field hostdev_fields[] = {
        { "@mode", &field_enum, AT(mode), FIELD_REQUIRED, .words = &mode_table },
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &type_table },
        { "@managed", &field_yes_no, AT(managed) },
        { "@model", &field_enum, AT(model), .words = &model_table },
        { "@display", &field_on_off, AT(display) },
        { "@ramfb", &field_on_off, AT(ramfb) },
        { "driver/@name", &field_enum, AT(driver), .words = &driver_table },
        { "source/@startupPolicy", &field_enum, AT(startup_policy), .words = &startup_policy_table },
        { "source/@guestReset", &field_enum, AT(guest_reset), .words = &hostdev_reset_table },
        { "source/@writeFiltering", &field_yes_no, AT(write_filtering) },
        { "source/vendor/@id", &field_hex, AT(vendor), .max = UINT16_MAX, .digits = 4 },
        { "source/product/@id", &field_hex, AT(product), .max = UINT16_MAX, .digits = 4 },
        { "source/address/@domain", &field_string, AT(domain_text), .max_length = 10 },
        { "source/address/@bus", &field_string, AT(bus_text), .max_length = 10 },
        { "source/address/@device", &field_number, AT(number), .min = 1, .max = 127 },
        { "source/address/@port", &field_string, AT(port), .max_length = 31 },
        { "source/address/@slot", &field_hex, AT(slot), .max = 31 },
        { "source/address/@function", &field_hex, AT(function), .max = 7, .digits = 1 },
        { "source/address/@uuid", &field_uuid, AT(uuid) },
        { "source/adapter/@name", &field_string, AT(adapter), .max_length = 32 },
        { "source/address/@target", &field_number, AT(target), .max = UINT32_MAX },
        { "source/address/@unit", &field_number, AT(unit), .max = UINT64_MAX - 1 },
        { "source/@protocol", &field_enum, AT(protocol), .words = &protocol_table },
        { "source/@wwpn", &field_string, AT(wwpn), .max_length = 20 },
        { "@sgio", &field_enum, AT(sgio), .words = &sgio_table },
        { "@rawio", &field_yes_no, AT(raw_io) },
        { "readonly", &field_flag, AT(readonly) },
        { "shareable", &field_flag, AT(shareable) },
        { "virtbus:host/@path", &field_string, AT(found_path), FIELD_LIVE },
        { "teaming/@type", &field_enum, AT(teaming), .words = &teaming_table },
        { "teaming/@persistent", &field_string, AT(persistent), .max_length = 64 },
        ROM_FIELDS(AT(rom)),
        { "virtbus:host/@bus", &field_number, AT(found_bus), FIELD_LIVE },
        { "virtbus:host/@device", &field_number, AT(found_number), FIELD_LIVE },
        DEVICE_FIELDS(Hostdev),
};
#undef AT

/* A PCI address is written in hexadecimal, with "0x", and read as decimal without; the number of a USB bus is decimal. */
static int parse_part(const Hostdev *h, const char *path, const char *text, uint64_t max, uint64_t *ret, Fault *f) {
        bool pci = h->type == HOSTDEV_PCI;

        *ret = NUMBER_UNSET;
        if (text && (parse_u64(text, pci ? 0 : 10, ret) < 0 || *ret > max))
                return xml_fault_below(&h->device.head, path, f, FAULT_INVALID_DEFINITION, pci ? "'%s' is not 0x0 to 0x%" PRIx64 : "'%s' is not 1 to %" PRIu64,
                                       text, max);
        return 0;
}

static int check_record(Record *r, Fault *f) {
        Hostdev *h = (Hostdev *) r;

        if (parse_part(h, "source/address/@domain", h->domain_text, UINT16_MAX, &h->domain, f) < 0)
                return -EINVAL;
        return parse_part(h, "source/address/@bus", h->bus_text, h->type == HOSTDEV_PCI ? 255 : 999, &h->bus, f);
}

static void copied(Record *copy, const Record *from) {
        Hostdev *h = (Hostdev *) copy;

        device_copied(copy, from);
        h->domain = ((const Hostdev *) from)->domain;
        h->bus = ((const Hostdev *) from)->bus;
}

static const RecordType hostdev_record = {
        "hostdev", sizeof(Hostdev), RECORD_FIELDS(hostdev_fields), .check = check_record, .clear = device_clear, .copied = copied,
};

const Hostdev *device_as_hostdev(const Device *d) {
        return d && device_kind(d) == DEVICE_HOSTDEV ? (const Hostdev *) d : NULL;
}

static bool is_scsi(const Hostdev *h) {
        return h->type == HOSTDEV_SCSI || h->type == HOSTDEV_SCSI_HOST;
}

char *hostdev_text(const Hostdev *h) {
        if (is_scsi(h))
                return hostdev_scsi_text(h);
        return h->type == HOSTDEV_USB ? hostdev_usb_text(h) : hostdev_pci_text(h);
}

static SlotKind hostdev_slot(const Device *d, const DomainDef *def) {
        static const SlotKind slots[] = {
                [HOSTDEV_USB] = SLOT_USB, [HOSTDEV_PCI] = SLOT_PCIE, [HOSTDEV_MDEV] = SLOT_PCIE, [HOSTDEV_SCSI] = SLOT_DRIVE_SCSI,
                [HOSTDEV_SCSI_HOST] = SLOT_PCIE,
        };

        return slots[((const Hostdev *) d)->type];
}

/* What only some types have. */
static int check_fits(const Hostdev *h, Fault *f) {
        const bool scsi = h->type == HOSTDEV_SCSI, vhost = h->type == HOSTDEV_SCSI_HOST, usb = h->type == HOSTDEV_USB, pci = h->type == HOSTDEV_PCI,
                   mdev = h->type == HOSTDEV_MDEV;
        const struct {
                const char *where;
                bool said, fits;
        } rows[] = {
                { "@model", h->model == HOSTDEV_VFIO_PCI, mdev }, { "@model", h->model > HOSTDEV_VFIO_PCI, vhost },
                { "@display", h->display != UNSET, mdev },
                { "@ramfb", h->ramfb != UNSET, mdev },
                { "driver", h->driver != 0, pci },
                { "teaming", h->teaming || h->persistent, pci },
                { "rom", rom_is_said(&h->rom), pci || mdev },
                { "source/adapter", h->adapter, scsi },
                { "source/@wwpn", h->wwpn, vhost },
                { "source/@protocol", h->protocol != 0, scsi || vhost },
                { "@sgio", h->sgio || h->raw_io != UNSET, scsi },
                { "readonly", h->readonly, scsi },
                { "shareable", h->shareable, scsi },
                { "source/address/@target", h->target != NUMBER_UNSET || h->unit != NUMBER_UNSET, scsi },
                { "source/@startupPolicy", h->startup_policy != 0, usb },
                { "source/@guestReset", h->guest_reset != 0, usb },
                { "source/@writeFiltering", h->write_filtering != UNSET, pci },
                { "source/vendor", h->vendor != NUMBER_UNSET || h->product != NUMBER_UNSET, usb },
                { "source/address/@bus", h->bus != NUMBER_UNSET, usb || pci || scsi },
                { "source/address/@device", h->number != NUMBER_UNSET, usb },
                { "source/address/@port", h->port, usb },
                { "source/address/@domain", h->domain_text, pci },
                { "source/address/@slot", h->slot != NUMBER_UNSET, pci },
                { "source/address/@function", h->function != NUMBER_UNSET, pci },
                { "source/address/@uuid", !sd_id128_is_null(h->uuid), mdev },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].said && !rows[i].fits)
                        return xml_fault_below(&h->device.head, rows[i].where, f, FAULT_INVALID_DEFINITION, "type '%s' has none", type_words[h->type]);
        return 0;
}

static int hostdev_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Hostdev *h = (const Hostdev *) d;

        if (check_fits(h, f) < 0 || rom_check(&h->rom, &d->head, f) < 0)
                return -EINVAL;
        if (is_scsi(h))
                return hostdev_scsi_check(h, caps, f);
        return h->type == HOSTDEV_USB ? hostdev_usb_check(h, caps, f) : hostdev_pci_check(h, def, caps, f);
}

static int hostdev_args(const Device *d, Args *a, Fault *f) {
        const Hostdev *h = (const Hostdev *) d;

        if (is_scsi(h))
                return hostdev_scsi_args(h, a, f);
        return h->type == HOSTDEV_USB ? hostdev_usb_args(h, a, f) : hostdev_pci_args(h, a, f);
}

/* Which USB device is meant is known only when it was looked for. */
static char *hostdev_claim(const Device *d) {
        const Hostdev *h = (const Hostdev *) d;

        return h->type == HOSTDEV_USB ? NULL : hostdev_text(h);
}

static int hostdev_companion(const Device *d, const char *state, Companion *ret) {
        const Hostdev *h = (const Hostdev *) d;

        return is_scsi(h) ? hostdev_scsi_companion(h, ret) : hostdev_pci_companion(h, ret);
}

static int hostdev_files(const Device *d, WantedFiles *requests) {
        return rom_files(&((const Hostdev *) d)->rom, &d->head, requests);
}

static const char *hostdev_fixed(const Device *d, const DomainDef *def) {
        return ((const Hostdev *) d)->ramfb == YES ? "with ramfb it is there from the start" : NULL;
}

const DeviceOps device_hostdev = {
        .kind = DEVICE_HOSTDEV, .element = "hostdev", .type = &hostdev_record, .slot = hostdev_slot, .check = hostdev_check, .fixed = hostdev_fixed,
        .files = hostdev_files, .args = hostdev_args, .claim = hostdev_claim, .companion = hostdev_companion,
};
