/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-bus.h"

#include <stdio.h>
#include <unistd.h>

#include "../device/args.h"
#include "../device/chardev.h"
#include "../device/device.h"
#include "../device/disk.h"
#include "../device/interface.h"
#include "../run/instance.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-object.h"
#include "device-plug.h"
#include "disk-resize.h"
#include "disk-size.h"
#include "disk-threshold.h"
#include "fd.h"
#include "graphics-bus.h"
#include "mem.h"
#include "qmp-call.h"
#include "str.h"

#define INTERFACE_DEVICE QEMU1_NAME ".Device"
#define INTERFACE_DISK QEMU1_NAME ".Disk"
#define INTERFACE_NIC QEMU1_NAME ".Nic"
#define INTERFACE_CONSOLE QEMU1_NAME ".Console"

const Device *device_object_device(const DeviceObject *o) {
        return domain_device_by_id(o->domain->live, o->id) ?: domain_device_by_id(o->domain->config, o->id);
}

/* --- which objects there are --- */

char *device_bus_path(const Domain *d, const char *device_id) {
        char domain[DOMAIN_PATH_MAX];
        _cleanup_free_ char *prefix = strf("%s/device", domain_path(d, domain));
        char *path;

        return prefix && sd_bus_path_encode(prefix, device_id, &path) >= 0 ? path : NULL;
}

static DeviceObject *object_free(DeviceObject *o) {
        if (!o)
                return NULL;
        free(o->id);
        free(o->path);
        free(o);
        return NULL;
}
DEFINE_CLEANUP(DeviceObject *, object_free)

static DeviceObject *add_object(Domain *d, const char *id) {
        _cleanup_(object_freep) DeviceObject *o = new0(DeviceObject, 1);
        DeviceObject **end;

        if (!o)
                return NULL;
        o->domain = d;
        o->id = strdup(id);
        o->path = device_bus_path(d, id);
        if (!o->id || !o->path)
                return NULL;
        for (end = &d->device_objects; *end; end = &(*end)->next)
                ;
        *end = o;
        return TAKE_PTR(o);
}

static DeviceObject *find_object(const Domain *d, const char *id) {
        for (DeviceObject *o = d->device_objects; o; o = o->next)
                if (streq(o->id, id))
                        return o;
        return NULL;
}

static void tell_changes(Service *s, DeviceObject *o) {
        static const char *const graphics_properties[] = { "Listen", "Port", "TLSPort", "WebSocketPort", "TLS", "Socket" };
        bool live = domain_device_by_id(o->domain->live, o->id), persistent = domain_device_by_id(o->domain->config, o->id);
        const Device *device = device_object_device(o);

        if (o->live != live)
                bus_changed(s->bus, o->path, INTERFACE_DEVICE, "Live");
        if (o->persistent != persistent)
                bus_changed(s->bus, o->path, INTERFACE_DEVICE, "Persistent");
        if (o->leaving != (device && device->leaving))
                bus_changed(s->bus, o->path, INTERFACE_DEVICE, "RemovalPending");
        if (device && device_is_console(device))
                bus_changed(s->bus, o->path, INTERFACE_CONSOLE, "TTY");
        if (device && device_kind(device) == DEVICE_DISK && !disk_is_fixed((const Disk *) device)) {
                bus_changed(s->bus, o->path, INTERFACE_DISK, "Source");
                bus_changed(s->bus, o->path, INTERFACE_DISK, "TrayOpen");
        }
        if (device && device_kind(device) == DEVICE_INTERFACE)
                bus_changed(s->bus, o->path, INTERFACE_NIC, "LinkUp");
        if (device && device_kind(device) == DEVICE_GRAPHICS)
                for (size_t i = 0; i < ARRAY_SIZE(graphics_properties); i++)
                        bus_changed(s->bus, o->path, INTERFACE_GRAPHICS, graphics_properties[i]);
        o->live = live;
        o->persistent = persistent;
        o->leaving = device && device->leaving;
}

static void refresh_from(Service *s, Domain *d, const DomainDef *def) {
        for (size_t i = 0; def && i < def->devices.n; i++) {
                const Device *device = (const Device *) def->devices.items[i];
                DeviceObject *o = device->id ? find_object(d, device->id) : NULL;

                if (!device->id || (o && o->seen))
                        continue;
                if (o)
                        tell_changes(s, o);
                else {
                        o = add_object(d, device->id);
                        if (!o)
                                return;
                        o->live = domain_device_by_id(d->live, o->id);
                        o->persistent = domain_device_by_id(d->config, o->id);
                        if (s->announcing)
                                bus_added(s->bus, o->path);
                }
                o->seen = true;
        }
}

/* A device that is in no definition any more; its interfaces are told from what it was. */
static void drop(Service *s, DeviceObject **at) {
        DeviceObject *o = *at;

        *at = o->next;
        bus_removed(s->bus, o->path);
        object_free(o);
}

void device_bus_refresh(Service *s, Domain *d) {
        assert(s && d);

        for (DeviceObject *o = d->device_objects; o; o = o->next)
                o->seen = false;
        refresh_from(s, d, d->live);
        refresh_from(s, d, d->config);
        for (DeviceObject **p = &d->device_objects; *p;)
                if ((*p)->seen)
                        p = &(*p)->next;
                else
                        drop(s, p);
}

void device_bus_forget(Service *s, Domain *d) {
        assert(s && d);

        while (d->device_objects)
                drop(s, &d->device_objects);
}

void device_bus_clear(Domain *d) {
        assert(d);

        while (d->device_objects) {
                DeviceObject *o = d->device_objects;

                d->device_objects = o->next;
                object_free(o);
        }
}

int device_bus_enumerate(const Domain *d, char ***paths, size_t *n) {
        int r = 0;

        for (const DeviceObject *o = d->device_objects; o && r >= 0; o = o->next)
                r = strv_push_nth(paths, n, o->path);
        return r;
}

static DeviceObject *object_at(const char *path, void *userdata) {
        const char *rest;
        Domain *d;

        if (domain_find_path(path, userdata, &d, &rest) <= 0 || !str_after(rest, "/device/"))
                return NULL;
        for (DeviceObject *o = d->device_objects; o; o = o->next)
                if (streq(o->path, path))
                        return o;
        return NULL;
}

static int find_any(const char *path, void *userdata, void **ret) {
        *ret = object_at(path, userdata);
        return *ret ? 1 : 0;
}

int device_object_find(const char *path, void *userdata, void **ret, DeviceKind kind) {
        DeviceObject *o = object_at(path, userdata);
        const Device *device = o ? device_object_device(o) : NULL;

        if (!device || device_kind(device) != kind)
                return 0;
        *ret = o;
        return 1;
}

static int find_disk(const char *path, void *userdata, void **ret) {
        return device_object_find(path, userdata, ret, DEVICE_DISK);
}

static int find_nic(const char *path, void *userdata, void **ret) {
        return device_object_find(path, userdata, ret, DEVICE_INTERFACE);
}

static int find_console(const char *path, void *userdata, void **ret) {
        DeviceObject *o = object_at(path, userdata);
        const Device *device = o ? device_object_device(o) : NULL;

        if (!device || !device_is_stream(device))
                return 0;
        *ret = o;
        return 1;
}

int device_object_details(void *object, sd_bus_message *call) {
        const DeviceObject *o = object;

        return sd_bus_message_append(call, "{ss}{ss}{ss}", "domain", o->domain->name, "uuid", o->domain->uuid_string, "device", o->id);
}

/* --- properties --- */

static int append(sd_bus_message *reply, const char *text) {
        return sd_bus_message_append(reply, "s", text ?: "");
}

BUS_GETTER(get_class) {
        const Device *d = device_object_device(userdata);

        return append(reply, d ? d->ops->element : NULL);
}

BUS_GETTER(get_live) {
        const DeviceObject *o = userdata;

        return sd_bus_message_append(reply, "b", domain_device_by_id(o->domain->live, o->id) != NULL);
}

BUS_GETTER(get_persistent) {
        const DeviceObject *o = userdata;

        return sd_bus_message_append(reply, "b", domain_device_by_id(o->domain->config, o->id) != NULL);
}

BUS_GETTER(get_removal_pending) {
        const Device *d = device_object_device(userdata);

        return sd_bus_message_append(reply, "b", d && d->leaving);
}

BUS_GETTER(get_boot_index) {
        const DeviceObject *o = userdata;
        const Device *d = device_object_device(o);

        return sd_bus_message_append(reply, "u", d ? (uint32_t) device_boot_index(domain_def(o->domain), d) : 0);
}

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable device_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Alias", "s", bus_get_string, offsetof(DeviceObject, id), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Class", "s", get_class, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Live", "b", get_live, 0, EMITS),
        SD_BUS_PROPERTY("Persistent", "b", get_persistent, 0, EMITS),
        SD_BUS_PROPERTY("RemovalPending", "b", get_removal_pending, 0, EMITS),
        SD_BUS_PROPERTY("BootIndex", "u", get_boot_index, 0, 0),
        SD_BUS_METHOD_WITH_NAMES("Update", "ssta{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(definition) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "as", SD_BUS_PARAM(plan), device_method_update, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("Detach", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "oas", SD_BUS_PARAM(job) SD_BUS_PARAM(plan),
                                 device_method_detach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* A string property of a disk: its name and how it is got. */
#define DISK_GETTER(name, value)                                                                        \
        BUS_GETTER(name) {                                                                              \
                const Disk *d = (const Disk *) device_object_device(userdata);                          \
                                                                                                        \
                return append(reply, d ? (value) : NULL);                                               \
        }

DISK_GETTER(get_target, d->target)
DISK_GETTER(get_bus, disk_bus_to_string((DiskBus) d->bus))
DISK_GETTER(get_kind, disk_device_to_string((DiskDevice) d->what))
DISK_GETTER(get_format, disk_format_to_string((DiskFormat) d->format))
DISK_GETTER(get_cache, disk_cache_to_string((DiskCache) d->cache))
DISK_GETTER(get_serial, d->serial)

static int append_nvme(sd_bus_message *reply, const Disk *d) {
        _cleanup_free_ char *address = host_pci_text(d->pci);

        return address ? sd_bus_message_append(reply, "{sv}{sv}", "address", "s", address, "namespace", "t", d->name_space) : -ENOMEM;
}

/* What there is to read, where there is something. */
static int append_source(sd_bus_message *reply, const Disk *d) {
        const char *path = d->type == DISK_DIR ? d->folder : d->type == DISK_VHOSTUSER ? d->socket : disk_path(d);
        _cleanup_free_ char *url = disk_network(d) ? disk_network_text(disk_network(d)) : NULL;
        int r = disk_is_empty(d) ? 0 : sd_bus_message_append(reply, "{sv}", "type", "s", disk_type_to_string((DiskType) d->type));

        if (r >= 0 && path)
                r = sd_bus_message_append(reply, "{sv}", "path", "s", path);
        if (r >= 0 && disk_network(d))
                r = url ? sd_bus_message_append(reply, "{sv}", "url", "s", url) : -ENOMEM;
        if (r >= 0 && d->type == DISK_NVME)
                r = append_nvme(reply, d);
        if (r >= 0 && d->type == DISK_VOLUME)
                r = sd_bus_message_append(reply, "{sv}{sv}", "pool", "s", d->pool, "volume", "s", d->volume);
        return r;
}

BUS_GETTER(get_source) {
        const Disk *d = (const Disk *) device_object_device(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        if (r >= 0 && d)
                r = append_source(reply, d);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_readonly) {
        const Disk *d = (const Disk *) device_object_device(userdata);

        return sd_bus_message_append(reply, "b", d && (d->readonly || d->what == DISK_CDROM));
}

BUS_GETTER(get_shareable) {
        const Disk *d = (const Disk *) device_object_device(userdata);

        return sd_bus_message_append(reply, "b", d && d->shareable);
}

BUS_GETTER(get_tray_open) {
        const Disk *d = (const Disk *) device_object_device(userdata);

        return sd_bus_message_append(reply, "b", d && disk_tray_is_open(d));
}

BUS_HANDLER(method_resize, ACTION_CONFIG) {
        const DeviceObject *o = userdata;
        const Disk *d = (const Disk *) device_object_device(o);
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t capacity, flags;
        int r;

        r = sd_bus_message_read(m, "t", &capacity);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_FORCE, &flags, NULL, 0, &f);
        if (r >= 0)
                r = disk_resize(o->domain, d ? d->target : "", capacity, flags & BUS_FLAG_FORCE, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_get_size, BUS_OPEN) {
        const DeviceObject *o = userdata;
        const Disk *d = (const Disk *) device_object_device(o);
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r = bus_read_options(m, 0, &flags, NULL, 0, &f);

        if (r >= 0)
                r = d ? disk_size_ask(o->domain->manager->watch_userdata, o->domain, d, m, &f) : -ENODEV;
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_set_write_threshold, ACTION_CONFIG) {
        const DeviceObject *o = userdata;
        const Device *device = o->domain->live ? domain_find_device(o->domain->live, o->id) : NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t bytes, flags;
        int r;

        r = sd_bus_message_read(m, "t", &bytes);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = disk_set_threshold(o->domain, device ? device_as_disk(device) : NULL, bytes, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static const sd_bus_vtable disk_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Target", "s", get_target, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Bus", "s", get_bus, 0, 0),
        SD_BUS_PROPERTY("Kind", "s", get_kind, 0, 0),
        SD_BUS_PROPERTY("Source", "a{sv}", get_source, 0, EMITS),
        SD_BUS_PROPERTY("Format", "s", get_format, 0, 0),
        SD_BUS_PROPERTY("Cache", "s", get_cache, 0, 0),
        SD_BUS_PROPERTY("ReadOnly", "b", get_readonly, 0, 0),
        SD_BUS_PROPERTY("Shareable", "b", get_shareable, 0, 0),
        SD_BUS_PROPERTY("Serial", "s", get_serial, 0, 0),
        SD_BUS_PROPERTY("TrayOpen", "b", get_tray_open, 0, EMITS),
        SD_BUS_METHOD_WITH_NAMES("ChangeMedia", "a{sv}ta{sv}", SD_BUS_PARAM(source) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "as",
                                 SD_BUS_PARAM(plan), disk_method_change_media, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetWriteThreshold", "tta{sv}", SD_BUS_PARAM(bytes) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,,
                                 method_set_write_threshold, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetSize", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "ttt", SD_BUS_PARAM(capacity) SD_BUS_PARAM(allocation) SD_BUS_PARAM(physical), method_get_size,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Resize", "tta{sv}", SD_BUS_PARAM(capacity) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_resize,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

BUS_GETTER(get_mac) {
        const Interface *n = (const Interface *) device_object_device(userdata);
        char text[18] = "";

        if (n && n->mac.set)
                (void) snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", n->mac.octets[0], n->mac.octets[1],
                                n->mac.octets[2], n->mac.octets[3], n->mac.octets[4], n->mac.octets[5]);
        return append(reply, text);
}

BUS_GETTER(get_model) {
        const Interface *n = (const Interface *) device_object_device(userdata);

        return append(reply, n ? interface_model_to_string((InterfaceModel) n->model) : NULL);
}

BUS_GETTER(get_type) {
        const Interface *n = (const Interface *) device_object_device(userdata);

        return append(reply, n ? interface_type_to_string((InterfaceType) n->type) : NULL);
}

BUS_GETTER(get_nic_source) {
        const Interface *n = (const Interface *) device_object_device(userdata);

        return append(reply, !n ? NULL : n->network ?: n->bridge ?: n->direct ?: n->host);
}

BUS_GETTER(get_link) {
        const Interface *n = (const Interface *) device_object_device(userdata);

        return sd_bus_message_append(reply, "b", n && n->link != LINK_DOWN);
}

static const sd_bus_vtable nic_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("MAC", "s", get_mac, 0, 0),
        SD_BUS_PROPERTY("Model", "s", get_model, 0, 0),
        SD_BUS_PROPERTY("Type", "s", get_type, 0, 0),
        SD_BUS_PROPERTY("Source", "s", get_nic_source, 0, 0),
        SD_BUS_PROPERTY("LinkUp", "b", get_link, 0, EMITS),
        SD_BUS_METHOD_WITH_NAMES("SetLink", "bta{sv}", SD_BUS_PARAM(up) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "as", SD_BUS_PARAM(plan),
                                 nic_method_set_link,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* --- consoles --- */

BUS_GETTER(get_console_kind) {
        const Chardev *c = (const Chardev *) device_object_device(userdata);

        return append(reply, c ? serial_target_to_string((SerialTarget) c->target) : NULL);
}

BUS_GETTER(get_tty) {
        const DeviceObject *o = userdata;
        const Console *c = o->domain->instance ? instance_find_console(o->domain->instance, o->id) : NULL;

        return append(reply, c ? console_tty(c) : NULL);
}

BUS_GETTER(get_log) {
        const Chardev *c = (const Chardev *) device_object_device(userdata);

        return append(reply, c ? c->log : NULL);
}

BUS_HANDLER(method_open, ACTION_CONSOLE) {
        DeviceObject *o = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_fd_ int fd = -1;
        int write = true, force = false, scrollback = true, r;
        const BusOption options[] = { { "write", 'b', &write }, { "force", 'b', &force }, { "scrollback", 'b', &scrollback } };
        uint64_t flags;
        Console *c;

        r = bus_read_options(m, BUS_FLAG_FORCE, &flags, options, ARRAY_SIZE(options), &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        c = o->domain->instance ? instance_find_console(o->domain->instance, o->id) : NULL;
        if (!c)
                r = fault_set(&f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: its console %s is not there", o->domain->name,
                              domain_state_to_string(o->domain->state), o->id);
        else
                r = console_open(c, (write ? CONSOLE_WRITE : 0) | (force || (flags & BUS_FLAG_FORCE) ? CONSOLE_FORCE : 0) |
                                 (scrollback ? 0 : CONSOLE_NO_SCROLLBACK), &fd, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

static int send_break(sd_bus_message *m, const DeviceObject *o, Fault *f) {
        _cleanup_free_ char *id = strf("char%s", o->id);
        uint64_t flags;
        int r = id ? bus_read_options(m, 0, &flags, NULL, 0, f) : -ENOMEM;

        if (r < 0)
                return r;
        return qmp_call(o->domain, "chardev-send-break", json_pack("{s:s}", "id", id), NULL, m, f);
}

/* What a guest's kernel takes for its attention key. */
BUS_HANDLER(method_send_break, ACTION_CONSOLE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = send_break(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static const sd_bus_vtable console_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Kind", "s", get_console_kind, 0, 0),
        SD_BUS_PROPERTY("TTY", "s", get_tty, 0, EMITS),
        SD_BUS_PROPERTY("Log", "s", get_log, 0, 0),
        SD_BUS_METHOD_WITH_NAMES("Open", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "h", SD_BUS_PARAM(stream), method_open,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SendBreak", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_send_break, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const device_vtables[] = { device_vtable, NULL };
static const sd_bus_vtable *const disk_vtables[] = { disk_vtable, NULL };
static const sd_bus_vtable *const nic_vtables[] = { nic_vtable, NULL };
static const sd_bus_vtable *const console_vtables[] = { console_vtable, NULL };

DEVICE_OBJECT(device_object, INTERFACE_DEVICE, device_vtables, find_any);
DEVICE_OBJECT(disk_object, INTERFACE_DISK, disk_vtables, find_disk);
DEVICE_OBJECT(nic_object, INTERFACE_NIC, nic_vtables, find_nic);
DEVICE_OBJECT(console_object, INTERFACE_CONSOLE, console_vtables, find_console);
