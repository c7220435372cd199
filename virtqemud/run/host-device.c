/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-device.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "mem.h"
#include "str.h"

DEFINE_ENUM(HostKind, host_kind, "pci", "usb", "mdev", "scsi", "net", "block")

static int read_pci(sd_device *device, HostDevice *d);
static int read_usb(sd_device *device, HostDevice *d);
static int read_mdev(sd_device *device, HostDevice *d);
static int read_scsi(sd_device *device, HostDevice *d);
static int read_net(sd_device *device, HostDevice *d);
static int read_block(sd_device *device, HostDevice *d);

static const struct {
        const char *subsystem, *type;  /* type NULL: any */
        int (*read)(sd_device *device, HostDevice *d);
} kinds[] = {
        [HOST_PCI] = { "pci", NULL, read_pci },
        [HOST_USB] = { "usb", "usb_device", read_usb },
        [HOST_MDEV] = { "mdev", NULL, read_mdev },
        [HOST_SCSI] = { "scsi", "scsi_device", read_scsi },
        [HOST_NET] = { "net", NULL, read_net },
        [HOST_BLOCK] = { "block", "disk", read_block },
};
static_assert(ARRAY_SIZE(kinds) == _HOST_KIND_MAX, "a row for each kind");

const char *host_kind_subsystem(HostKind kind) {
        return kinds[kind].subsystem;
}

HostDevice *host_device_free(HostDevice *d) {
        if (!d)
                return NULL;
        free(d->name);
        free(d->syspath);
        free(d->sysname);
        free(d->driver);
        free(d->node);
        free(d->vendor);
        free(d->product);
        free(d);
        return NULL;
}

/* --- small parts --- */

static const char *attribute(sd_device *device, const char *name) {
        const char *value;

        return sd_device_get_sysattr_value(device, name, &value) >= 0 ? value : NULL;
}

static const char *property(sd_device *device, const char *name) {
        const char *value;

        return sd_device_get_property_value(device, name, &value) >= 0 && *value ? value : NULL;
}

static uint32_t hex_attribute(sd_device *device, const char *name) {
        const char *text = attribute(device, name);

        return text ? (uint32_t) strtoul(text, NULL, 16) : 0;
}

static uint32_t number_attribute(sd_device *device, const char *name) {
        const char *text = attribute(device, name);

        return text ? (uint32_t) strtoul(text, NULL, 10) : 0;
}

/* "PREFIX_KERNEL_NAME": whatever is no letter or digit becomes '_'. */
static int set_name(HostDevice *d, const char *prefix, const char *kernel_name, const char *rest) {
        free_and_replace(&d->name, strf("%s_%s%s%s", prefix, kernel_name, rest ? "_" : "", rest ?: ""));
        if (!d->name)
                return -ENOMEM;
        for (char *p = d->name; *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9')))
                        *p = '_';
        return 0;
}

/* SCSI pads its texts with blanks, and others end in some. What is no UTF-8 can't be told on D-Bus, and what a device says of itself
 * may be meant for the terminal of who reads it. */
static int set_text(char **p, const char *value) {
        size_t n = value ? strlen(value) : 0;

        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\n'))
                n--;
        if (n == 0 || !is_utf8(value))
                return 0;
        free_and_replace(p, strndup(value, n));
        for (char *c = *p; c && *c; c++)
                *c = (unsigned char) *c < ' ' || *c == 0x7f ? ' ' : *c;
        return *p ? 0 : -ENOMEM;
}

static int set_database_names(HostDevice *d, sd_device *device) {
        int r = set_text(&d->vendor, property(device, "ID_VENDOR_FROM_DATABASE"));

        return r < 0 ? r : set_text(&d->product, property(device, "ID_MODEL_FROM_DATABASE"));
}

/* A device's own word for it is no number. */
static const char *own_word(sd_device *device, const char *name) {
        const char *value = attribute(device, name);

        return value && !str_after(value, "0x") ? value : NULL;
}

/* The data base of names that udev has knows more than most devices do. */
static int set_names(HostDevice *d, sd_device *device, const char *vendor, const char *product) {
        int r = set_database_names(d, device);

        if (r >= 0 && !d->vendor)
                r = set_text(&d->vendor, own_word(device, vendor));
        return r < 0 || d->product ? r : set_text(&d->product, own_word(device, product));
}

static int set_node(HostDevice *d, sd_device *device) {
        const char *node;

        return sd_device_get_devname(device, &node) >= 0 ? free_and_strdup(&d->node, node) : 0;
}

static int32_t read_group(const HostDevice *d) {
        _cleanup_free_ char *path = strf("%s/iommu_group", d->syspath);
        char target[PATH_MAX];
        ssize_t n = path ? readlink(path, target, sizeof(target) - 1) : -1;
        const char *slash;
        uint32_t group;

        if (n < 0)
                return -1;
        target[n] = '\0';
        slash = strrchr(target, '/');
        return slash && parse_u32(slash + 1, &group) >= 0 && group <= INT32_MAX ? (int32_t) group : -1;
}

/* --- the kinds --- */

static int read_pci(sd_device *device, HostDevice *d) {
        int r;

        if (sscanf(d->sysname, "%8" SCNx32 ":%2" SCNx32 ":%2" SCNx32 ".%1" SCNx32, &d->pci[0], &d->pci[1], &d->pci[2],
                   &d->pci[3]) != 4)
                return -ENODEV;
        d->class = hex_attribute(device, "class");
        d->vendor_id = hex_attribute(device, "vendor");
        d->product_id = hex_attribute(device, "device");
        r = set_database_names(d, device);
        return r < 0 ? r : set_name(d, "pci", d->sysname, NULL);
}

static int read_usb(sd_device *device, HostDevice *d) {
        int r = set_names(d, device, "manufacturer", "product");

        d->class = hex_attribute(device, "bDeviceClass");
        d->vendor_id = hex_attribute(device, "idVendor");
        d->product_id = hex_attribute(device, "idProduct");
        d->usb[0] = number_attribute(device, "busnum");
        d->usb[1] = number_attribute(device, "devnum");
        if (r >= 0)
                r = set_node(d, device);
        return r < 0 ? r : set_name(d, "usb", d->sysname, NULL);
}

/* It is a part of the device that stands above it. */
static int read_mdev(sd_device *device, HostDevice *d) {
        const char *parent = NULL;
        sd_device *above;

        if (sd_device_get_parent(device, &above) >= 0)
                (void) sd_device_get_sysname(above, &parent);
        return set_name(d, "mdev", d->sysname, parent);
}

/* Commands go through the device of the driver sg, which stands below. */
static int find_generic(HostDevice *d) {
        _cleanup_free_ char *folder = strf("%s/scsi_generic", d->syspath);
        DIR *dir = folder ? opendir(folder) : NULL;
        struct dirent *e;
        int r = 0;

        while (dir && !d->node && r >= 0 && (e = readdir(dir)))
                if (e->d_name[0] != '.') {
                        d->node = strf("/dev/%s", e->d_name);
                        r = d->node ? 0 : -ENOMEM;
                }
        if (dir)
                closedir(dir);
        return r;
}

static int read_scsi(sd_device *device, HostDevice *d) {
        int r = set_names(d, device, "vendor", "model");

        if (r >= 0)
                r = find_generic(d);
        return r < 0 ? r : set_name(d, "scsi", d->sysname, NULL);
}

/* Its names are those that udev gives it of what it is a part of. */
static int read_net(sd_device *device, HostDevice *d) {
        int r = set_database_names(d, device);

        return r < 0 ? r : set_name(d, "net", d->sysname, attribute(device, "address"));
}

static int read_block(sd_device *device, HostDevice *d) {
        int r = set_names(d, device, "device/vendor", "device/model");

        if (r >= 0)
                r = set_node(d, device);
        return r < 0 ? r : set_name(d, "block", d->sysname, property(device, "ID_SERIAL"));
}

/* --- the whole --- */

static HostKind kind_of(sd_device *device) {
        const char *subsystem, *type = NULL;

        if (sd_device_get_subsystem(device, &subsystem) < 0)
                return _HOST_KIND_INVALID;
        (void) sd_device_get_devtype(device, &type);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(kinds[i].subsystem, subsystem) && (!kinds[i].type || streq_null(kinds[i].type, type)))
                        return (HostKind) i;
        return _HOST_KIND_INVALID;
}

int host_device_read(sd_device *device, HostDevice **ret) {
        _cleanup_(host_device_freep) HostDevice *d = NULL;
        const char *syspath, *sysname, *driver;
        HostKind kind;
        int r;

        assert(device && ret);

        kind = kind_of(device);
        if (kind < 0)
                return -ENODEV;
        d = new0(HostDevice, 1);
        if (!d)
                return -ENOMEM;
        d->kind = kind;
        r = sd_device_get_syspath(device, &syspath);
        if (r >= 0)
                r = sd_device_get_sysname(device, &sysname);
        if (r >= 0)
                r = free_and_strdup(&d->syspath, syspath);
        if (r >= 0)
                r = free_and_strdup(&d->sysname, sysname);
        if (r >= 0 && sd_device_get_driver(device, &driver) >= 0)
                r = free_and_strdup(&d->driver, driver);
        if (r >= 0)
                r = kinds[kind].read(device, d);
        if (r < 0)
                return r;
        d->group = read_group(d);
        /* What was read of a device that is just leaving may be half of it. */
        if (access(d->syspath, F_OK) < 0)
                return -ENODEV;
        *ret = TAKE_PTR(d);
        return 0;
}

static bool take_text(char **p, char **fresh) {
        if (streq_null(*p, *fresh))
                return false;
        free_and_replace(p, TAKE_PTR(*fresh));
        return true;
}

unsigned host_device_update(HostDevice *d, HostDevice *fresh) {
        unsigned what = 0;

        assert(d && fresh);

        what |= take_text(&d->driver, &fresh->driver) ? HOST_DEVICE_DRIVER : 0;
        what |= take_text(&d->vendor, &fresh->vendor) ? HOST_DEVICE_NAMES : 0;
        what |= take_text(&d->product, &fresh->product) ? HOST_DEVICE_NAMES : 0;
        what |= take_text(&d->node, &fresh->node) ? HOST_DEVICE_NODE : 0;
        what |= d->group != fresh->group ? HOST_DEVICE_GROUP : 0;
        d->group = fresh->group;
        return what;
}
