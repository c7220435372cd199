/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include "../def/controller-def.h"
#include "mem.h"
#include "memory-backend.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(DiskDevice, disk_device, NULL, "disk", "cdrom", "floppy", "lun")
DEFINE_ENUM(DiskType, disk_type, NULL, "file", "block", "volume", "network", "vhostuser", "dir", "nvme")
DEFINE_ENUM(DiskBus, disk_bus, NULL, "virtio", "scsi", "sata", "ide", "usb", "fdc")
DEFINE_ENUM(DiskFormat, disk_format, NULL, "raw", "qcow2", "vdi", "vpc", "vhdx", "fat", "vmdk", "qed", "qcow")
DEFINE_ENUM(DiskCache, disk_cache, NULL, "default", "none", "writeback", "writethrough", "directsync", "unsafe")

typedef enum DiskIo { IO_UNSET, IO_NATIVE } DiskIo; /* the others need no name */
static const char *const io_words[] = { NULL, "native", "threads", "io_uring" };
static const EnumTable io_table = { io_words, ARRAY_SIZE(io_words) };
static const char *const discard_words[] = { NULL, "unmap", "ignore" };
static const EnumTable discard_table = { discard_words, ARRAY_SIZE(discard_words) };
static const char *const detect_words[] = { NULL, "off", "on", "unmap" };
static const EnumTable detect_table = { detect_words, ARRAY_SIZE(detect_words) };
typedef enum DiskPolicy { POLICY_UNSET, POLICY_STOP, POLICY_REPORT, POLICY_IGNORE, POLICY_ENOSPACE } DiskPolicy;
static const char *const policy_words[] = { NULL, "stop", "report", "ignore", "enospace" };
static const EnumTable policy_table = { policy_words, ARRAY_SIZE(policy_words) };
static const char *const mode_words[] = { NULL, "host", "direct" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };
typedef enum DiskSourceType { SOURCE_UNSAID, SOURCE_UNIX, SOURCE_PCI } DiskSourceType;
static const char *const source_words[] = { NULL, "unix", "pci" };
static const EnumTable source_table = { source_words, ARRAY_SIZE(source_words) };
static const char *const slice_words[] = { NULL, "storage" };
static const EnumTable slice_table = { slice_words, ARRAY_SIZE(slice_words) };
static const char *const tray_words[] = { NULL, "closed", "open" };
static const EnumTable tray_table = { tray_words, ARRAY_SIZE(tray_words) };

static const char *const translation_words[] = { NULL, "auto", "none", "lba" };
static const EnumTable translation_table = { translation_words, ARRAY_SIZE(translation_words) };
static const char *const snapshot_words[] = { NULL, "no", "internal", "external", "manual" };
static const EnumTable snapshot_table = { snapshot_words, ARRAY_SIZE(snapshot_words) };
static const char *const model_words[] = { NULL, "virtio", "virtio-transitional", "virtio-non-transitional" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

const char *disk_io_word(const Disk *d) {
        return enum_to_word(&io_table, d->io);
}

const char *disk_discard_word(const Disk *d) {
        return enum_to_word(&discard_table, d->discard);
}

const char *disk_detect_zeroes_word(const Disk *d) {
        return enum_to_word(&detect_table, d->detect_zeroes);
}

int disk_check_path(const Record *r, int type, const char *file, const char *dev, Fault *f) {
        const char *path = type == DISK_BLOCK ? dev : file;

        if (type == DISK_VOLUME && (file || dev))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'volume' takes <source pool='…' volume='…'/>");
        if ((type == DISK_BLOCK && file) || (type == DISK_FILE && dev))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' takes <source %s='…'/>", disk_type_to_string((DiskType) type),
                                 type == DISK_BLOCK ? "dev" : "file");
        if (path && path[0] != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "source '%.128s' is not an absolute path", path);
        return 0;
}

#define AT(member) offsetof(Disk, member)
static const Field disk_fields[] = {
        { "@type", &field_enum, AT(type), .words = &disk_type_table },
        { "@model", &field_enum, AT(model), .words = &model_table },
        { "@snapshot", &field_enum, AT(snapshot), .words = &snapshot_table },
        { "@device", &field_enum, AT(what), .words = &disk_device_table },
        { "driver/@name", &field_string, AT(driver), .max_length = 16 },
        { "driver/@type", &field_enum, AT(format), .words = &disk_format_table },
        { "driver/@cache", &field_enum, AT(cache), .words = &disk_cache_table },
        { "driver/@io", &field_enum, AT(io), .words = &io_table },
        { "driver/@error_policy", &field_enum, AT(error_policy), .words = &policy_table },
        { "driver/@rerror_policy", &field_enum, AT(rerror_policy), .words = &policy_table },
        { "driver/@discard", &field_enum, AT(discard), .words = &discard_table },
        { "driver/@detect_zeroes", &field_enum, AT(detect_zeroes), .words = &detect_table },
        { "driver/@copy_on_read", &field_on_off, AT(copy_on_read) },
        { "source/@file", &field_string, AT(file) },
        { "driver/metadata_cache/max_size", &field_size, AT(metadata_cache), .unit = "B" },
        { "source/@index", &field_number, AT(source_index), FIELD_LIVE },
        { "source/@dev", &field_string, AT(dev) },
        { "source/@pool", &field_string, AT(pool), .max_length = 200 },
        { "source/@volume", &field_string, AT(volume), .max_length = 255 },
        NETWORK_FIELDS(AT(network)),
        { "source/@dir", &field_string, AT(folder) },
        { "source/@type", &field_enum, AT(source_type), .words = &source_table },
        { "source/@namespace", &field_number, AT(name_space), .min = 1, .max = UINT32_MAX },
        { "source/@managed", &field_yes_no, AT(managed) },
        { "source/address", &field_record, AT(pci), .record = &host_pci_record },
        RESERVATION_FIELDS,
        { "source/slices/slice/@type", &field_enum, AT(slice_type), .words = &slice_table },
        { "source/slices/slice/@offset", &field_number, AT(slice_offset), .max = INT64_MAX },
        { "source/slices/slice/@size", &field_number, AT(slice_size), .min = 1, .max = INT64_MAX },
        { "source/@path", &field_string, AT(socket), .max_length = 107 },
        { "source/reconnect/@enabled", &field_yes_no, AT(reconnect) },
        { "@sgio", &field_enum, AT(sgio), .words = &sgio_table },
        { "@rawio", &field_yes_no, AT(raw_io) },
        { "source/@mode", &field_enum, AT(mode), .words = &mode_table },
        { "mirror", &field_xml, AT(mirror), FIELD_LIVE },
        { "source/seclabel", &field_list, AT(labels), .record = &source_label_record, .max = 8 },
        { "virtbus:found", &field_string, AT(found), FIELD_LIVE },
        { "virtbus:served", &field_record, AT(served), FIELD_LIVE, .record = &disk_served_record },
        { "virtbus:medium", &field_number, AT(medium), FIELD_LIVE },
        { "virtbus:found/@block", &field_yes_no, AT(found_block), FIELD_LIVE },
        { "source/@startupPolicy", &field_enum, AT(startup_policy), .words = &startup_policy_table },
        { "source/encryption", &field_record, AT(source_encryption), .record = &disk_encryption_record },
        { "encryption", &field_record, AT(encryption), .record = &disk_encryption_record },
        { "backingStore", &field_record, AT(below), .record = &disk_backing_record },
        { "target/@dev", &field_string, AT(target), FIELD_REQUIRED, .max_length = 32 },
        { "target/@bus", &field_enum, AT(bus), .words = &disk_bus_table },
        { "target/@tray", &field_enum, AT(tray), .words = &tray_table },
        { "readonly", &field_flag, AT(readonly) },
        { "shareable", &field_flag, AT(shareable) },
        { "transient", &field_flag, AT(transient) },
        { "transient/@shareBacking", &field_yes_no, AT(share_backing) },
        { "serial", &field_string, AT(serial), .max_length = 255 },
        { "wwn", &field_string, AT(wwn), .max_length = 18 },
        { "vendor", &field_string, AT(vendor), .max_length = 8 },
        { "product", &field_string, AT(product), .max_length = 40 },
        { "geometry/@cyls", &field_number, AT(cylinders), .min = 1, .max = 65535 },
        { "geometry/@heads", &field_number, AT(heads), .min = 1, .max = 255 },
        { "geometry/@secs", &field_number, AT(sectors), .min = 1, .max = 255 },
        { "geometry/@trans", &field_enum, AT(translation), .words = &translation_table },
        { "blockio/@discard_granularity", &field_number, AT(discard_granularity), .max = UINT32_MAX },
        { "blockio/@logical_block_size", &field_number, AT(logical_block), .min = 512, .max = 32768 },
        { "blockio/@physical_block_size", &field_number, AT(physical_block), .min = 512, .max = 2097152 },
        { "target/@removable", &field_on_off, AT(removable) },
        { "target/@rotation_rate", &field_number, AT(rotation_rate), .min = 1, .max = 65534 },
        { "driver/@queues", &field_number, AT(queues), .min = 1, .max = 1024 },
        { "driver/@iothread", &field_number, AT(iothread), .min = 1, .max = UINT32_MAX },
        { "driver/@queue_size", &field_number, AT(queue_size), .min = 2, .max = 1024 },
#define IO_LIMIT(name, key) { "iotune/" #name, &field_number, AT(tune.name), .max = INT64_MAX },
#include "io-limits.h"
#undef IO_LIMIT
        { "iotune/group_name", &field_string, AT(tune.group), .max_length = 64 },
        VIRTIO_FIELDS(AT(virtio)),
        DEVICE_FIELDS(Disk),
};
#undef AT

static const char *wwn_digits(const Disk *d) {
        return str_after(d->wwn, "0x") ?: d->wwn;
}

static int check_record(Record *r, Fault *f) {
        const Disk *d = (const Disk *) r;

        if (d->driver && !streq(d->driver, "qemu"))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "driver name '%.16s' is not supported, expected 'qemu'", d->driver);
        if (strspn(d->target, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(d->target) || !*d->target)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "target '%.32s' is not a device name such as 'vda'", d->target);
        if (d->wwn && (strlen(wwn_digits(d)) != 16 || strspn(wwn_digits(d), "0123456789abcdefABCDEF") != 16))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "wwn '%.18s' is not 16 hexadecimal digits", d->wwn);
        if (d->type == DISK_VOLUME && (!d->pool || !d->volume))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'volume' needs <source pool='…' volume='…'/>");
        if (d->type != DISK_VOLUME && (d->pool || d->volume || d->mode || d->served))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "pool, volume and mode of <source> are for type 'volume'");
        if (d->type != DISK_NETWORK && disk_network_any(&d->network))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "protocol, name, <host> and <auth> of a source are for type 'network'");
        if ((d->type == DISK_DIR || d->type == DISK_NVME) && (d->file || d->dev))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "file and dev belong to other types");
        if (d->type == DISK_NETWORK && (d->file || d->dev))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'network' takes <source protocol='…' name='…'><host name='…'/></source>");
        if (d->type != DISK_DIR && d->folder)
                return xml_fault_below(r, "source/@dir", f, FAULT_INVALID_DEFINITION, "it belongs to type 'dir'");
        if (d->type != DISK_NVME && (d->pci || d->name_space != NUMBER_UNSET || d->managed != UNSET || d->source_type == SOURCE_PCI))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "address, namespace and managed belong to type 'nvme'");
        if ((d->type == DISK_VHOSTUSER) != (d->socket != NULL) || (d->socket && d->socket[0] != '/'))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'vhostuser' and <source type='unix' path='/…'/> belong together");
        if (d->reconnect == YES)
                return xml_fault_below(r, "source/reconnect", f, FAULT_NOT_SUPPORTED, "QEMU can't connect again by itself");
        if (d->sgio == SGIO_UNFILTERED || d->raw_io == YES)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "all commands are a right of root, which QEMU has not: the kernel's filter stays");
        if (d->encryption && d->source_encryption)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "<encryption> is said twice: at the disk and at its <source>");
        return disk_check_path(r, d->type == DISK_TYPE_NONE ? DISK_FILE : d->type, d->file, d->dev, f);
}

static const RecordType disk_record = {
        "disk", sizeof(Disk), RECORD_FIELDS(disk_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static const char *disk_prefix(const Device *d) {
        static const char *const prefixes[] = {
                [DISK_BUS_NONE] = "disk", [DISK_VIRTIO] = "virtio-disk", [DISK_SCSI] = "scsi-disk", [DISK_SATA] = "sata-disk",
                [DISK_IDE] = "ide-disk", [DISK_USB] = "usb-disk", [DISK_FDC] = "floppy",
        };

        return prefixes[((const Disk *) d)->bus];
}

static const char *disk_target(const Device *d) {
        return ((const Disk *) d)->target;
}

static BootDev disk_boot_class(const Device *d) {
        static const BootDev classes[] = { [DISK_DISK] = BOOT_HD, [DISK_CDROM] = BOOT_CDROM, [DISK_FLOPPY] = BOOT_FD, [DISK_LUN] = BOOT_HD };

        return classes[((const Disk *) d)->what];
}

static DiskBus bus_of_target(const Disk *d, const DomainDef *def) {
        if (d->what == DISK_FLOPPY || str_after(d->target, "fd"))
                return DISK_FDC;
        if (str_after(d->target, "vd"))
                return DISK_VIRTIO;
        if (str_after(d->target, "hd"))
                return domain_is_i440fx(def) ? DISK_IDE : DISK_SATA;
        if (str_after(d->target, "sd"))
                return d->what == DISK_CDROM || domain_has_pcie(def) ? DISK_SATA : DISK_SCSI;
        return domain_is_i440fx(def) ? DISK_IDE : DISK_SATA;
}

static int disk_fill(Device *device, DomainDef *def, Fault *f) {
        Disk *d = (Disk *) device;

        if (d->type == DISK_TYPE_NONE)
                d->type = DISK_FILE;
        if (d->what == DISK_DEVICE_NONE)
                d->what = DISK_DISK;
        if (d->format == DISK_FORMAT_NONE && d->type != DISK_VOLUME)
                d->format = d->type == DISK_DIR ? DISK_FAT : DISK_RAW; /* never guessed from the content, which the guest writes */
        if (!d->driver && free_and_strdup(&d->driver, "qemu") < 0)
                return fault_oom(f);
        if (d->bus == DISK_BUS_NONE)
                d->bus = bus_of_target(d, def);
        if (d->what == DISK_CDROM)
                d->readonly = true;
        return 0;
}

static SlotKind disk_slot(const Device *d, const DomainDef *def) {
        switch ((DiskBus) ((const Disk *) d)->bus) {
        case DISK_VIRTIO:
                return SLOT_PCIE;
        case DISK_SCSI:
                return SLOT_DRIVE_SCSI;
        case DISK_SATA:
                return SLOT_DRIVE_SATA;
        case DISK_IDE:
                return SLOT_DRIVE_IDE;
        case DISK_USB:
                return SLOT_USB;
        case DISK_FDC:
                return SLOT_DRIVE_FDC;
        case DISK_BUS_NONE:
        case _DISK_BUS_MAX:
        case _DISK_BUS_INVALID:
                break;
        }
        return SLOT_NONE;
}

static const char *disk_driver(const Disk *d) {
        bool cdrom = d->what == DISK_CDROM;

        switch ((DiskBus) d->bus) {
        case DISK_VIRTIO:
                if (d->type == DISK_VHOSTUSER)
                        return "vhost-user-blk-pci";
                return d->model == DISK_MODEL_TRANSITIONAL ? "virtio-blk-pci-transitional" :
                       d->model == DISK_MODEL_NON_TRANSITIONAL ? "virtio-blk-pci-non-transitional" : "virtio-blk-pci";
        case DISK_SCSI:
                return cdrom ? "scsi-cd" : d->what == DISK_LUN ? "scsi-block" : "scsi-hd";
        case DISK_SATA:
        case DISK_IDE:
                return cdrom ? "ide-cd" : "ide-hd";
        case DISK_USB:
                return "usb-storage";
        case DISK_FDC:
                return "floppy";
        case DISK_BUS_NONE:
        case _DISK_BUS_MAX:
        case _DISK_BUS_INVALID:
                break;
        }
        return NULL;
}

static bool is_ata(const Disk *d) {
        return d->bus == DISK_SATA || d->bus == DISK_IDE;
}

/* What only some buses have. */
static int check_settings(const Disk *d, Fault *f) {
        const struct {
                const char *what;
                bool set, fits;
        } rows[] = {
                { "driver/@queues", d->queues != NUMBER_UNSET, d->bus == DISK_VIRTIO },
                { "driver/@queue_size", d->queue_size != NUMBER_UNSET, d->bus == DISK_VIRTIO },
                { "driver/@iothread", d->iothread != NUMBER_UNSET, d->bus == DISK_VIRTIO },
                { "@model", d->model != DISK_MODEL_NONE, d->bus == DISK_VIRTIO },
                { "driver", virtio_options_any(&d->virtio), d->bus == DISK_VIRTIO },
                { "vendor", d->vendor != NULL, d->bus == DISK_SCSI },
                { "product", d->product != NULL, d->bus == DISK_SCSI || is_ata(d) },
                { "target/@removable", d->removable != UNSET, d->bus == DISK_USB || d->bus == DISK_SCSI },
                { "target/@rotation_rate", d->rotation_rate != NUMBER_UNSET, d->bus == DISK_SCSI || is_ata(d) },
                { "geometry/@trans", d->translation != 0, d->what == DISK_DISK && is_ata(d) },
                { "geometry", d->cylinders != NUMBER_UNSET, d->what == DISK_DISK && d->bus != DISK_USB },
        };
        const char *bus = disk_bus_to_string((DiskBus) d->bus);

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].set && !rows[i].fits)
                        return xml_fault_below(&d->device.head, rows[i].what, f, FAULT_NOT_SUPPORTED, "a %s on bus '%s' has none",
                                               disk_device_to_string((DiskDevice) d->what), bus);
        if ((d->cylinders == NUMBER_UNSET) != (d->heads == NUMBER_UNSET) || (d->heads == NUMBER_UNSET) != (d->sectors == NUMBER_UNSET))
                return xml_fault_below(&d->device.head, "geometry", f, FAULT_INVALID_DEFINITION, "it has cyls, heads and secs");
        if (d->product && d->bus == DISK_SCSI && strlen(d->product) > 16)
                return xml_fault_below(&d->device.head, "product", f, FAULT_INVALID_DEFINITION, "bus 'scsi' has 16 characters for it");
        if (!number_is_power_of_two(d->logical_block) || !number_is_power_of_two(d->physical_block) || !number_is_power_of_two(d->queue_size))
                return xml_fault(&d->device.head, f, FAULT_INVALID_DEFINITION, "sizes of blocks and queues are powers of two");
        return 0;
}

static int check_target_unique(const Disk *d, const DomainDef *def, Fault *f) {
        DEVICE_FOREACH(Disk, other, def, DEVICE_DISK) {
                if (other == d)
                        return 0;
                if (streq(other->target, d->target))
                        return xml_fault(&d->device.head, f, FAULT_INVALID_DEFINITION, "target '%s' is already that of the disk in line %u",
                                         d->target, other->device.head.line);
        }
        return 0;
}

/* The guest speaks with the device itself, so QEMU and the host have no say in it. */
static int check_lun(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;

        if (d->what != DISK_LUN)
                return d->sgio ? xml_fault_below(r, "@sgio", f, FAULT_INVALID_DEFINITION, "it belongs to device='lun'") : 0;
        if (d->bus != DISK_SCSI || (d->type != DISK_BLOCK && d->type != DISK_VOLUME) || d->format > DISK_RAW)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "device='lun' is a whole block device (type='block', format 'raw') on bus 'scsi'");
        if (d->serial || d->wwn || d->vendor || d->product || disk_encryption(d) || iotune_any(&d->tune) || d->copy_on_read == YES)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "of device='lun' the names and all settings of what is read and written are the device's own");
        return 0;
}

static int check_vhostuser(const Disk *d, const DomainDef *def, Fault *f) {
        const Record *r = &d->device.head;

        if (d->bus != DISK_VIRTIO || d->what != DISK_DISK || d->format > DISK_RAW)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'vhostuser' is a disk of format 'raw' on bus 'virtio'");
        if (disk_encryption(d) || iotune_any(&d->tune) || d->copy_on_read == YES || d->cache > CACHE_DEFAULT || d->io || d->discard || d->detect_zeroes ||
            d->readonly || d->serial || d->iothread != NUMBER_UNSET)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "what is read and written is the program's matter, not QEMU's");
        return memory_check_shared(def, r, "the program behind the socket", f);
}

static int check_network(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;
        int error = disk_network_check(&d->network, r, !d->readonly, f);

        if (error < 0)
                return error;
        if (d->io != 0)
                return xml_fault_below(r, "driver/@io", f, FAULT_INVALID_DEFINITION, "it is for files and devices of the host");
        return 0;
}

/* Parts of other files than images would be someone else's to cut. */
static int check_slice(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;

        if (d->slice_type == 0 && d->slice_offset == NUMBER_UNSET && d->slice_size == NUMBER_UNSET)
                return 0;
        if (d->slice_offset == NUMBER_UNSET || d->slice_size == NUMBER_UNSET || d->slice_type == 0)
                return xml_fault_below(r, "source/slices/slice", f, FAULT_INVALID_DEFINITION, "it needs type='storage', an offset and a size");
        if (d->slice_offset % 512 != 0 || d->slice_size % 512 != 0)
                return xml_fault_below(r, "source/slices/slice", f, FAULT_INVALID_DEFINITION, "offset and size are multiples of 512");
        if (!disk_is_image(d) && d->type != DISK_NETWORK)
                return xml_fault_below(r, "source/slices", f, FAULT_NOT_SUPPORTED, "of type '%s' there are no parts", disk_type_to_string((DiskType) d->type));
        if (d->transient)
                return xml_fault_below(r, "source/slices", f, FAULT_NOT_SUPPORTED, "a layer is as large as the whole image");
        return 0;
}

static int check_type(const Disk *d, const DomainDef *def, Fault *f) {
        if ((d->type == DISK_DIR) != (d->format == DISK_FAT))
                return xml_fault_below(&d->device.head, "driver/@type", f, FAULT_INVALID_DEFINITION, "'fat' is what type 'dir' is, and nothing else");
        switch ((DiskType) d->type) {
        case DISK_VHOSTUSER:
                return check_vhostuser(d, def, f);
        case DISK_NETWORK:
                return check_network(d, f);
        case DISK_DIR:
                return disk_dir_check(d, f);
        case DISK_NVME:
                return disk_nvme_check(d, def, f);
        case DISK_FILE:
        case DISK_BLOCK:
        case DISK_VOLUME:
        case DISK_TYPE_NONE:
        case _DISK_TYPE_MAX:
        case _DISK_TYPE_INVALID:
                break;
        }
        return 0;
}

/* Changes go into a layer of our own, beside the image. */
static int check_transient(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;

        if (d->what != DISK_DISK || d->readonly || d->shareable)
                return xml_fault_below(r, "transient", f, FAULT_INVALID_DEFINITION, "only disks that their guest alone writes have changes that can go");
        if ((d->type != DISK_FILE && d->type != DISK_VOLUME) || d->format > DISK_QCOW2)
                return xml_fault_below(r, "transient", f, FAULT_NOT_SUPPORTED, "there are layers on files of the formats raw and qcow2, and on no others");
        if (disk_encryption(d))
                return xml_fault_below(r, "transient", f, FAULT_NOT_SUPPORTED, "the layer of an encrypted image would not be encrypted");
        return 0;
}

static int disk_check(const Device *device, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Disk *d = (const Disk *) device;
        const Record *r = &device->head;
        int error = check_lun(d, f);

        if (error >= 0)
                error = check_type(d, def, f);
        if (error >= 0)
                error = disk_reservations_check(d, f);
        if (error >= 0)
                error = check_slice(d, f);
        if (error >= 0)
                error = disk_check_layers(d, f);
        if (error < 0)
                return error;
        if (disk_is_empty(d) && disk_is_fixed(d) && d->type != DISK_VOLUME)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only a cdrom or floppy can be without <source>");
        if ((d->what == DISK_FLOPPY) != (d->bus == DISK_FDC))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "a floppy is on bus 'fdc', and nothing else is");
        if (d->bus == DISK_VIRTIO && d->what == DISK_CDROM)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "there are no virtio cdroms, use bus 'sata' or 'scsi'");
        if (d->what == DISK_DISK && d->readonly && (d->bus == DISK_IDE || d->bus == DISK_SATA))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "ide and sata disks can't be read-only, use bus 'virtio' or 'scsi'");
        if (d->wwn && (d->bus == DISK_VIRTIO || d->bus == DISK_USB))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "disks on bus '%s' have no wwn", disk_bus_to_string((DiskBus) d->bus));
        if (d->io == IO_NATIVE && d->cache != CACHE_NONE && d->cache != CACHE_DIRECTSYNC) {
                xml_fault(r, f, FAULT_INVALID_DEFINITION, "io='native' needs a cache that goes past the host's");
                fault_hint(f, "set cache='none' or cache='directsync'");
                return -EINVAL;
        }
        if (d->copy_on_read == YES && d->readonly)
                return xml_fault_below(r, "driver/@copy_on_read", f, FAULT_INVALID_DEFINITION, "what is read can't be written into a disk that is read-only");
        if (d->metadata_cache != NUMBER_UNSET && d->format != DISK_QCOW2)
                return xml_fault_below(r, "driver/metadata_cache", f, FAULT_INVALID_DEFINITION, "only qcow2 images have one");
        error = d->transient ? check_transient(d, f) : 0;
        if (error < 0)
                return error;
        if (iotune_check(d, def, f) < 0)
                return -EINVAL;
        if (disk_encryption(d) && caps && !caps_has_object(caps, "secret"))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no secrets, which encrypted images need");
        if (d->below && d->below->type != DISK_TYPE_NONE && d->format != DISK_QCOW2)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "a %s image has no backing store", disk_format_to_string((DiskFormat) d->format));
        if (check_settings(d, f) < 0)
                return -EINVAL;
        if (d->iothread != NUMBER_UNSET && !domain_has_iothread(def, d->iothread))
                return xml_fault_below(r, "driver/@iothread", f, FAULT_INVALID_DEFINITION, "there is no iothread %" PRIu64, d->iothread);
        if (caps && !caps_has_device(caps, disk_driver(d)))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", disk_driver(d));
        return check_target_unique(d, def, f);
}

/* --- files --- */

static bool may_be_missing(const Disk *d) {
        return d->startup_policy == STARTUP_OPTIONAL && (d->type == DISK_FILE || d->type == DISK_BLOCK);
}

static int disk_lose_file(Device *device, const char *path) {
        Disk *d = (Disk *) device;

        if (!may_be_missing(d) || !streq_null(disk_path(d), path))
                return 0;
        if (disk_is_fixed(d))
                return 2;
        free_and_replace(&d->file, NULL);
        free_and_replace(&d->dev, NULL);
        d->below = record_free(d->below ? &d->below->head : NULL);
        return 1;
}

static int want_level(const Disk *d, WantedFiles *requests, const char *path, int format, bool writable, bool last) {
        const WantedFile file = {
                .want = last && disk_chain_is_open(d) ? WANTED_CHAIN : WANTED_FD,
                .path = (char *) path, .format = (char *) disk_format_to_string((DiskFormat) format), .writable = writable,
                .optional = may_be_missing(d) && streq_null(disk_path(d), path),
                .lease = writable && !d->shareable ? LEASE_ALONE : LEASE_WITH_OTHERS, .line = d->device.head.line,
        };

        return wanted_files_add(requests, &file);
}

static int want_layer(const Disk *d, WantedFiles *requests) {
        const WantedFile file = {
                .want = WANTED_LAYER, .path = (char *) disk_path(d), .format = (char *) disk_format_to_string((DiskFormat) d->format),
                .key = d->device.id, .writable = true, .optional = may_be_missing(d), .lease = LEASE_NONE, .line = d->device.head.line,
        };

        return d->transient ? wanted_files_add(requests, &file) : 0;
}

static int disk_files(const Device *device, WantedFiles *requests) {
        const Disk *d = (const Disk *) device;
        const BackingStore *b = d->below;
        bool last = !b || b->type == DISK_TYPE_NONE;
        int r;

        if (disk_is_empty(d) || (!disk_is_image(d) && !disk_network(d)))
                return 0;
        r = disk_path(d) ? want_level(d, requests, disk_path(d), d->format, !d->readonly && !d->transient, last) : 0;
        if (r >= 0 && disk_path(d))
                r = want_layer(d, requests);
        for (; b && b->type != DISK_TYPE_NONE && r >= 0; b = b->below)
                r = backing_network(b) ? 0 : want_level(d, requests, backing_path(b), b->format, false, !b->below || b->below->type == DISK_TYPE_NONE);
        return r;
}

/* --- QEMU --- */

static int add_identity(const Disk *d, json_t *json) {
        _cleanup_free_ char *wwn = d->wwn ? strf("0x%s", wwn_digits(d)) : NULL;

        if (json_set_text(json, "serial", d->serial) < 0)
                return -ENOMEM;
        if (d->bus == DISK_SCSI && d->what != DISK_LUN && json_set_text(json, "device_id", d->serial ?: d->device.id) < 0)
                return -ENOMEM;
        if (wwn) {
                uint64_t n;

                if (parse_u64(wwn_digits(d), 16, &n) < 0 || n > INT64_MAX) /* JSON numbers end there, the option also takes text */
                        return json_set_text(json, "wwn", wwn);
                return json_object_set_new(json, "wwn", json_integer((json_int_t) n)) < 0 ? -ENOMEM : 0;
        }
        return 0;
}

/* Reading never runs out of room: for it QEMU knows no such policy. */
static int add_policies(const Disk *d, json_t *json) {
        bool space = d->error_policy == POLICY_ENOSPACE;
        int r = json_set_text(json, "werror", space ? "enospc" : enum_to_word(&policy_table, d->error_policy));

        return r < 0 ? r : json_set_text(json, "rerror", enum_to_word(&policy_table, d->rerror_policy ?: space ? POLICY_REPORT : d->error_policy));
}

static int add_drive(const Disk *d, json_t *json) {
        _cleanup_free_ char *node = blockdev_top_name(d);
        bool through = d->cache == CACHE_WRITETHROUGH || d->cache == CACHE_DIRECTSYNC;

        if (!node || json_set_text(json, "drive", node) < 0)
                return -ENOMEM;
        if (d->cache != CACHE_UNSET && d->cache != CACHE_DEFAULT && d->what == DISK_DISK && d->bus != DISK_USB &&
            json_set_text(json, "write-cache", through ? "off" : "on") < 0)
                return -ENOMEM;
        if (d->shareable && json_set_switch(json, "share-rw", YES) < 0)
                return -ENOMEM;
        return add_policies(d, json);
}

static int add_iothread(const Disk *d, json_t *json) {
        _cleanup_free_ char *name = NULL;

        if (d->iothread == NUMBER_UNSET)
                return 0;
        name = strf("iothread%" PRIu64, d->iothread);
        return name ? json_set_text(json, "iothread", name) : -ENOMEM;
}

static int add_settings(const Disk *d, json_t *json) {
        const struct {
                const char *key;
                uint64_t value;
        } rows[] = {
                { "num-queues", d->queues }, { "queue-size", d->queue_size }, { "cyls", d->cylinders }, { "heads", d->heads }, { "secs", d->sectors },
                { "logical_block_size", d->logical_block }, { "physical_block_size", d->physical_block }, { "rotation_rate", d->rotation_rate },
                { "discard_granularity", d->discard_granularity },
        };
        int r = virtio_options_add(&d->virtio, json);

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
                r = json_set_number(json, rows[i].key, rows[i].value);
        if (r >= 0)
                r = json_set_text(json, "vendor", d->vendor);
        if (r >= 0)
                r = json_set_text(json, is_ata(d) ? "model" : "product", d->product);
        if (r >= 0)
                r = json_set_text(json, "bios-chs-trans", enum_to_word(&translation_table, d->translation));
        return r < 0 ? r : json_set_switch(json, "removable", d->removable);
}

/* It is the controller that is booted from. */
static int add_floppy_boot(const Disk *d, Args *a) {
        uint64_t index = device_boot_index(a->def, &d->device);

        return index == 0 ? 0 : args_option(a, "-global", "isa-fdc.bootindex%c=%" PRIu64, d->device.address->unit == 0 ? 'A' : 'B', index);
}

/* No node of QEMU's: the guest's memory is read and written by another program. */
static int vhostuser_args(const Disk *d, Args *a, Fault *f) {
        _cleanup_free_ char *fd = args_fd_name(a, args_fd(a, PLAN_FD_CONNECT, d->socket, false, false, false, NULL)), *chardev = strf("char%s", d->device.id);
        json_auto_t *json = NULL;
        int r = args_socket(a, chardev, fd, false);

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", disk_driver(d), "id", d->device.id, "chardev", chardev);
        if (!json || json_set_number(json, "num-queues", d->queues) < 0 || json_set_number(json, "queue-size", d->queue_size) < 0 ||
            virtio_options_add(&d->virtio, json) < 0)
                return -ENOMEM;
        r = args_bootindex(a, &d->device, json);
        if (r >= 0)
                r = args_address(a, &d->device, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static int disk_args(const Device *device, Args *a, Fault *f) {
        const Disk *d = (const Disk *) device;
        json_auto_t *json = NULL;
        int r = 0;

        if (d->type == DISK_VOLUME && !d->found)
                return xml_fault(&device->head, f, FAULT_INVALID_STATE, "nobody has looked yet where the volume %s of the pool %s is", d->volume, d->pool);
        if (d->type == DISK_VHOSTUSER)
                return vhostuser_args(d, a, f);
        if (!disk_is_empty(d))
                r = blockdev_args(d, a);
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s}", "driver", disk_driver(d), "id", device->id);
        if (!json || (!disk_is_empty(d) && add_drive(d, json) < 0) || add_identity(d, json) < 0 || add_settings(d, json) < 0 || add_iothread(d, json) < 0)
                return -ENOMEM;
        r = args_address(a, device, json, f);
        if (r >= 0)
                r = d->bus == DISK_FDC ? add_floppy_boot(d, a) : args_bootindex(a, device, json);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *disk_fixed(const Device *d, const DomainDef *def) {
        if (((const Disk *) d)->reservations != UNSET)
                return "disks with <reservations> are there from the start";
        switch ((DiskBus) ((const Disk *) d)->bus) {
        case DISK_VIRTIO:
        case DISK_SCSI:
        case DISK_USB:
                return NULL;
        case DISK_SATA:
        case DISK_IDE:
        case DISK_FDC:
        case DISK_BUS_NONE:
        case _DISK_BUS_MAX:
        case _DISK_BUS_INVALID:
                break;
        }
        return "only the buses virtio, scsi and usb take disks then";
}

static const SecretRef *disk_secret(const Device *device, const char **ret_purpose) {
        const Disk *d = (const Disk *) device;

        *ret_purpose = "volume";
        return !disk_is_empty(d) && disk_encryption(d) ? disk_encryption(d)->secret : NULL;
}

static const SecretRef *disk_companion_secret(const Device *device, const char **ret_purpose) {
        const Disk *d = (const Disk *) device;

        return disk_network(d) ? disk_network_secret(disk_network(d), ret_purpose) : NULL;
}

static const SecretRef *disk_layer_secret(const Device *device, unsigned layer, const char **ret_purpose) {
        const DiskNetwork *n = disk_layer_network((const Disk *) device, layer);

        return n ? disk_network_secret(n, ret_purpose) : NULL;
}

static int disk_companion(const Device *device, const char *state, Companion *ret) {
        const Disk *d = (const Disk *) device;

        if (d->type == DISK_NVME)
                return disk_nvme_companion(d, ret);
        if (d->reservations == YES)
                return disk_reservations_companion(ret);
        return d->type == DISK_DIR ? disk_dir_companion(d, ret) : disk_network_companion(disk_network(d), !d->readonly, ret);
}

static int disk_layer_companion(const Device *device, unsigned layer, Companion *ret) {
        const DiskNetwork *n = disk_layer_network((const Disk *) device, layer);

        return n ? disk_network_companion(n, false, ret) : -ENOENT;
}

static char *disk_claim(const Device *device) {
        const Disk *d = (const Disk *) device;

        return d->type == DISK_NVME ? disk_nvme_claim(d) : NULL;
}

const DeviceOps device_disk = {
        .kind = DEVICE_DISK, .element = "disk", .type = &disk_record,
        .id_prefix = disk_prefix, .target = disk_target, .boot_class = disk_boot_class,
        .fill = disk_fill, .slot = disk_slot, .check = disk_check,
        .files = disk_files, .lose_file = disk_lose_file, .apply_chain = disk_apply_chain, .args = disk_args,
        .fixed = disk_fixed, .verdict = disk_verdict, .update = disk_update, .secret = disk_secret,
        .companion_secret = disk_companion_secret, .companion = disk_companion,
        .layer_secret = disk_layer_secret, .layer_companion = disk_layer_companion, .claim = disk_claim,
};

Disk *device_as_disk(const Device *d) {
        return d->ops == &device_disk ? (Disk *) d : NULL;
}
