/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev-bus.h"

#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "str.h"

#define INTERFACE_HOSTDEV QEMU1_NAME ".HostDevice"
#define FOLDER QEMU1_ROOT "/hostdev"

/* Names are made of what paths may hold. */
static char *path_of(const HostDevice *d) {
        return strf("%s/%s", FOLDER, d->name);
}

static HostDevices *devices_of(void *userdata) {
        Service *s = service_of(userdata);

        return s ? s->host_devices : NULL;
}

/* --- which there are --- */

static int find(const char *path, void *userdata, void **ret) {
        const char *name = str_after(path, FOLDER "/");
        HostDevices *h = devices_of(userdata);

        *ret = h && name ? host_devices_find(h, name) : NULL;
        return *ret ? 1 : 0;
}

static int enumerate(char ***ret, void *userdata) {
        HostDevices *h = devices_of(userdata);
        _cleanup_strv_ char **paths = NULL;
        size_t n = 0;

        for (const HostDevice *d = h ? host_devices_next(h, NULL) : NULL; d; d = host_devices_next(h, d)) {
                _cleanup_free_ char *path = path_of(d);
                int r = path ? strv_push_nth(&paths, &n, path) : -ENOMEM;

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(paths);
        return 0;
}

static int details(void *object, sd_bus_message *call) {
        return sd_bus_message_append(call, "{ss}", "device", ((const HostDevice *) object)->name);
}

/* --- news --- */

static void on_added(HostDevice *d, void *userdata) {
        _cleanup_free_ char *path = path_of(d);

        if (path)
                bus_added(((Service *) userdata)->bus, path);
}

static void on_removed(HostDevice *d, void *userdata) {
        _cleanup_free_ char *path = path_of(d);

        if (path)
                bus_removed(((Service *) userdata)->bus, path);
}

static void on_changed(HostDevice *d, unsigned what, void *userdata) {
        static const struct {
                unsigned what;
                const char *property;
        } rows[] = {
                { HOST_DEVICE_DRIVER, "Driver" }, { HOST_DEVICE_NAMES, "Vendor" }, { HOST_DEVICE_NAMES, "Product" },
                { HOST_DEVICE_GROUP, "IOMMUGroup" }, { HOST_DEVICE_NODE, "DeviceNode" }, { HOST_DEVICE_OWNER, "AssignedTo" },
        };
        _cleanup_free_ char *path = path_of(d);

        for (size_t i = 0; path && i < ARRAY_SIZE(rows); i++)
                if (rows[i].what & what)
                        bus_changed(((Service *) userdata)->bus, path, INTERFACE_HOSTDEV, rows[i].property);
}

const HostDeviceWatch hostdev_watch = { .added = on_added, .removed = on_removed, .changed = on_changed };

/* --- properties --- */

BUS_GETTER(get_kind) {
        return sd_bus_message_append(reply, "s", host_kind_to_string(((const HostDevice *) userdata)->kind));
}

BUS_GETTER(get_parent) {
        const HostDevice *parent = host_device_parent(userdata);
        _cleanup_free_ char *path_of_parent = parent ? path_of(parent) : NULL;

        return sd_bus_message_append(reply, "o", path_of_parent ?: "/");
}

BUS_GETTER(get_pci) {
        const uint32_t *n = ((const HostDevice *) userdata)->pci;

        return sd_bus_message_append(reply, "(uuuu)", n[0], n[1], n[2], n[3]);
}

BUS_GETTER(get_usb) {
        const uint32_t *n = ((const HostDevice *) userdata)->usb;

        return sd_bus_message_append(reply, "(uu)", n[0], n[1]);
}

BUS_GETTER(get_assigned) {
        const HostDevice *d = userdata;
        char path_of_domain[DOMAIN_PATH_MAX];

        return sd_bus_message_append(reply, "o", d->owner ? domain_path(d->owner, path_of_domain) : "/");
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define AT(member) offsetof(HostDevice, member)

static const sd_bus_vtable hostdev_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", bus_get_string, AT(name), CONST),
        SD_BUS_PROPERTY("Kind", "s", get_kind, 0, CONST),
        SD_BUS_PROPERTY("SysfsPath", "s", bus_get_string, AT(syspath), CONST),
        SD_BUS_PROPERTY("Parent", "o", get_parent, 0, CONST),
        SD_BUS_PROPERTY("Driver", "s", bus_get_string, AT(driver), EMITS),
        SD_BUS_PROPERTY("DeviceNode", "s", bus_get_string, AT(node), EMITS),
        SD_BUS_PROPERTY("PCI", "(uuuu)", get_pci, 0, CONST),
        SD_BUS_PROPERTY("USB", "(uu)", get_usb, 0, CONST),
        SD_BUS_PROPERTY("Class", "u", NULL, AT(class), CONST),
        SD_BUS_PROPERTY("VendorID", "u", NULL, AT(vendor_id), CONST),
        SD_BUS_PROPERTY("ProductID", "u", NULL, AT(product_id), CONST),
        SD_BUS_PROPERTY("Vendor", "s", bus_get_string, AT(vendor), EMITS),
        SD_BUS_PROPERTY("Product", "s", bus_get_string, AT(product), EMITS),
        SD_BUS_PROPERTY("IOMMUGroup", "i", NULL, AT(group), EMITS),
        SD_BUS_PROPERTY("AssignedTo", "o", get_assigned, 0, EMITS),
        SD_BUS_VTABLE_END
};
static const sd_bus_vtable *const hostdev_vtables[] = { hostdev_vtable, NULL };

const BusObject hostdev_object = {
        .path = FOLDER, .many = true, .interface = INTERFACE_HOSTDEV, .vtables = hostdev_vtables,
        .find = find, .enumerate = enumerate, .details = details,
};

/* --- all of them --- */

static int append_device(sd_bus_message *reply, const HostDevice *d) {
        const char *between = d->vendor && d->product ? " " : "";
        _cleanup_free_ char *path = path_of(d), *text = strf("%s%s%s", d->vendor ?: "", between, d->product ?: "");
        char path_of_domain[DOMAIN_PATH_MAX];

        if (!path || !text)
                return -ENOMEM;
        return sd_bus_message_append(reply, "(ssssoo)", d->name, host_kind_to_string(d->kind), text, d->driver ?: "",
                                     d->owner ? domain_path(d->owner, path_of_domain) : "/", path);
}

/* Of one kind, or (_HOST_KIND_INVALID) of all. */
static int reply_devices(sd_bus_message *m, HostDevices *h, HostKind kind) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssoo)");
        for (const HostDevice *d = host_devices_next(h, NULL); d && r >= 0; d = host_devices_next(h, d))
                if (kind < 0 || d->kind == kind)
                        r = append_device(reply, d);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_list_host_devices, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        HostKind kind = _HOST_KIND_INVALID;
        const char *word;
        int r;

        r = sd_bus_message_read(m, "s", &word);
        if (r >= 0)
                r = bus_read_dict(m, NULL, 0, &f);
        if (r >= 0 && !is_empty(word)) {
                kind = host_kind_from_string(word);
                if (kind < 0)
                        r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no kind of device: pci, usb, mdev, scsi, net or block",
                                      word);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : reply_devices(m, devices_of(userdata), kind);
}

const sd_bus_vtable manager_hostdev_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("ListHostDevices", "sa{sv}", SD_BUS_PARAM(kind) SD_BUS_PARAM(options), "a(ssssoo)",
                                 SD_BUS_PARAM(devices), method_list_host_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
