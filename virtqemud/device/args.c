/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "args.h"

#include "../def/controller-def.h"
#include "device.h"
#include "wanted.h"
#include "mem.h"
#include "str.h"

DEFINE_ENUM(PlanFdKind, plan_fd_kind, "image", "memfd", "folder", "output", "scratch", "listen", "listen-tcp", "connect", "connect-tcp", "udp",
            "console", "relay", "companion", "socket", "tap", "vhost", "vsock", "usb",
            "log", "log-keep", "lease", "secret", "monitor", "monitor-run")

void args_clear(Args *a) {
        for (size_t i = 0; i < a->n; i++) {
                free(a->items[i].text);
                json_decref(a->items[i].json);
        }
        for (size_t i = 0; i < a->n_fds; i++)
                free(a->fds[i].path);
        free(a->items);
        free(a->fds);
        *a = ARGS_INIT(a->def, a->caps);
}

int args_json(Args *a, ArgKind kind, json_t *json) {
        assert(a);

        if (!json)
                return -ENOMEM;
        if (!GROW(a->items, a->allocated, a->n + 1)) {
                json_decref(json);
                return -ENOMEM;
        }
        a->items[a->n++] = (Arg) { .kind = kind, .json = json };
        return 0;
}

int args_option(Args *a, const char *option, const char *fmt, ...) {
        char *text = NULL;

        assert(a);
        assert(option);

        if (fmt) {
                va_list ap;
                int r;

                va_start(ap, fmt);
                r = vasprintf(&text, fmt, ap);
                va_end(ap);
                if (r < 0)
                        return -ENOMEM;
        }
        if (!GROW(a->items, a->allocated, a->n + 1)) {
                free(text);
                return -ENOMEM;
        }
        a->items[a->n++] = (Arg) { .kind = ARG_OPTION, .option = option, .text = text };
        return 0;
}

static PlanFd *args_find_fd(Args *a, const PlanFd *wanted, bool in_fdset) {
        for (size_t i = 0; i < a->n_fds; i++) {
                PlanFd *fd = &a->fds[i];

                if (fd->kind == wanted->kind && streq_null(fd->path, wanted->path) && fd->writable == wanted->writable &&
                    fd->append == wanted->append && (fd->fdset > 0) == in_fdset)
                        return fd;
        }
        return NULL;
}

int args_fd(Args *a, PlanFdKind kind, const char *path, bool writable, bool append, bool in_fdset, unsigned *ret_fdset) {
        PlanFd wanted = { .kind = kind, .path = (char *) path, .writable = writable, .append = append }, *fd;

        assert(a);

        /* Each has a connection of its own, also to the same place. */
        fd = kind == PLAN_FD_CONNECT || kind == PLAN_FD_CONNECT_TCP ? NULL : args_find_fd(a, &wanted, in_fdset);
        if (!fd) {
                if (!GROW(a->fds, a->fds_allocated, a->n_fds + 1))
                        return -ENOMEM;
                fd = &a->fds[a->n_fds];
                *fd = wanted;
                fd->path = path ? strdup(path) : NULL;
                if (path && !fd->path)
                        return -ENOMEM;
                fd->number = PLAN_FD_BASE + (int) a->n_fds++;
                fd->fdset = in_fdset ? a->next_fdset++ : 0;
        }
        if (ret_fdset)
                *ret_fdset = fd->fdset;
        return fd->number;
}

/* A name that begins with a digit would be a number. */
char *args_fd_name(const Args *a, int number) {
        return number < 0 ? NULL : strf(a->hot ? "fd%d" : "%d", number);
}

int args_socket(Args *a, const char *id, const char *fd, bool server) {
        if (!id || !fd)
                return -ENOMEM;
        return args_json(a, ARG_CHARDEV, json_pack("{s:s, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}", "id", id, "backend", "type", "socket", "data", "addr",
                                                   "type", "fd", "data", "str", fd, "server", (int) server));
}

void args_add_value(Text *t, const char *key, const char *value) {
        text_addf(t, ",%s=", key);
        for (; *value; value++) {
                if (*value == ',')
                        text_add(t, ",");
                text_addn(t, value, 1);
        }
}

static void add_members(Text *t, json_t *data);

static void add_member(Text *t, const char *key, json_t *value) {
        if (json_is_string(value))
                args_add_value(t, key, json_string_value(value));
        else if (json_is_integer(value))
                text_addf(t, ",%s=%" JSON_INTEGER_FORMAT, key, json_integer_value(value));
        else if (json_is_boolean(value))
                text_addf(t, ",%s=%s", key, json_is_true(value) ? "on" : "off");
        else if (json_is_object(value))
                add_members(t, json_object_get(value, "data"));
}

/* QMP's names of what the command line calls otherwise: {"out":…} is path=…, an address is spread over the option. */
static void add_members(Text *t, json_t *data) {
        const char *key;
        json_t *value;

        json_object_foreach(data, key, value) {
                const char *name = key; /* the loop goes on from `key` */

                if (streq(key, "out") || streq(key, "device"))
                        name = "path";
                else if (streq(key, "str"))
                        name = "fd";
                else if (streq(key, "fqdn") || streq(key, "type"))
                        name = "name";
                add_member(t, name, value);
        }
}

char *args_chardev_text(json_t *chardev) {
        _cleanup_text_ Text t = TEXT_INIT;
        json_t *backend;

        assert(chardev);

        backend = json_object_get(chardev, "backend");
        text_add(&t, json_string_value(json_object_get(backend, "type")));
        args_add_value(&t, "id", json_string_value(json_object_get(chardev, "id")));
        add_members(&t, json_object_get(backend, "data"));
        return text_finish(&t);
}

static int set_string(json_t *json, const char *key, const char *fmt, ...) _printf_(3, 4);
static int set_string(json_t *json, const char *key, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, fmt);
        r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0)
                return -ENOMEM;
        return json_object_set_new(json, key, json_string(text)) < 0 ? -ENOMEM : 0;
}

static int set_number(json_t *json, const char *key, uint64_t value) {
        return json_object_set_new(json, key, json_integer((json_int_t) value)) < 0 ? -ENOMEM : 0;
}

static int no_controller(const Device *d, const char *type, uint64_t index, Fault *f) {
        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %u, device '%s': there is no %s controller with index %" PRIu64,
                         d->head.line, d->id, type, index);
}

static int pci_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        const Address *at = d->address;
        const Controller *c;
        int r;

        c = domain_find_controller(a->def, CONTROLLER_PCI, at->bus);
        if (!c)
                return no_controller(d, "pci", at->bus, f);

        r = set_string(json, "bus", "%s", c->device.id);
        if (r < 0)
                return r;
        if (at->function == 0)
                r = set_string(json, "addr", "0x%" PRIx64, at->slot);
        else
                r = set_string(json, "addr", "0x%" PRIx64 ".0x%" PRIx64, at->slot, at->function);
        if (r >= 0 && d->acpi_index != NUMBER_UNSET)
                r = set_number(json, "acpi-index", d->acpi_index);
        if (r < 0 || at->multifunction == UNSET)
                return r;
        return json_object_set_new(json, "multifunction", json_boolean(at->multifunction == YES)) < 0 ? -ENOMEM : 0;
}

/* The SATA controller of a q35 board is part of it and its buses are called ide.N. */
static int sata_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        const Controller *c;

        c = domain_find_controller(a->def, CONTROLLER_SATA, d->address->controller);
        if (!c)
                return no_controller(d, "sata", d->address->controller, f);
        return set_string(json, "bus", "%s.%" PRIu64, c->device.id, d->address->unit);
}

static int scsi_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        const Address *at = d->address;
        const Controller *c;
        int r;

        c = domain_find_controller(a->def, CONTROLLER_SCSI, at->controller);
        if (!c)
                return no_controller(d, "scsi", at->controller, f);

        r = set_string(json, "bus", "%s.0", c->device.id);
        if (r < 0)
                return r;
        /* The LSI chips know no channels and number their disks by target only. */
        if (c->model == MODEL_LSILOGIC)
                return set_number(json, "scsi-id", at->unit);
        if (set_number(json, "channel", at->bus) < 0 || set_number(json, "scsi-id", at->target) < 0)
                return -ENOMEM;
        return set_number(json, "lun", at->unit);
}

/* The controller of an i440FX board is part of it. */
static int fdc_address(const Args *a, const Device *d, json_t *json) {
        int r = domain_is_i440fx(a->def) ? 0 : set_string(json, "bus", "fdc%" PRIu64 ".0", d->address->controller);

        return r < 0 ? r : set_number(json, "unit", d->address->unit);
}

static int drive_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        int r;

        switch (device_slot(d, a->def)) {
        case SLOT_DRIVE_IDE:
                r = set_string(json, "bus", "ide.%" PRIu64, d->address->bus);
                return r < 0 ? r : set_number(json, "unit", d->address->unit);
        case SLOT_DRIVE_SATA:
                return sata_address(a, d, json, f);
        case SLOT_DRIVE_FDC:
                return fdc_address(a, d, json);
        case SLOT_DRIVE_SCSI:
                return scsi_address(a, d, json, f);
        case SLOT_NONE:
        case SLOT_PCI:
        case SLOT_PCIE:
        case SLOT_PCI_INTEGRATED:
        case SLOT_USB:
        case SLOT_VIRTIO_SERIAL:
        case SLOT_CCID:
                break;
        }
        return 0;
}

static int usb_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        const Controller *c;
        int r;

        c = domain_find_controller(a->def, CONTROLLER_USB, d->address->bus);
        if (!c)
                return no_controller(d, "usb", d->address->bus, f);

        r = set_string(json, "bus", "%s.0", c->device.id);
        return r < 0 || !d->address->port ? r : set_string(json, "port", "%s", d->address->port);
}

static int virtio_serial_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        uint64_t port;
        const Controller *c;
        int r;

        c = domain_find_controller(a->def, CONTROLLER_VIRTIO_SERIAL, d->address->controller);
        if (!c)
                return no_controller(d, "virtio-serial", d->address->controller, f);
        if (!d->address->port || parse_u64(d->address->port, 10, &port) < 0)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "line %u, device '%s': a virtio-serial port is a number",
                                 d->head.line, d->id);

        r = set_string(json, "bus", "%s.0", c->device.id);
        return r < 0 ? r : set_number(json, "nr", port);
}

static int ccid_address(const Args *a, const Device *d, json_t *json, Fault *f) {
        const Controller *c = domain_find_controller(a->def, CONTROLLER_CCID, d->address->controller);

        return c ? set_string(json, "bus", "%s.0", c->device.id) : no_controller(d, "ccid", d->address->controller, f);
}

int args_address(Args *a, const Device *d, json_t *json, Fault *f) {
        assert(a);
        assert(d);

        if (!json)
                return -ENOMEM;
        if (!d->address)
                return 0;

        switch (d->address->type) {
        case ADDRESS_PCI:
                return pci_address(a, d, json, f);
        case ADDRESS_DRIVE:
                return drive_address(a, d, json, f);
        case ADDRESS_USB:
                return usb_address(a, d, json, f);
        case ADDRESS_VIRTIO_SERIAL:
                return virtio_serial_address(a, d, json, f);
        case ADDRESS_CCID:
                return ccid_address(a, d, json, f);
        case ADDRESS_DIMM:
                if (d->address->base != NUMBER_UNSET && set_number(json, "addr", d->address->base) < 0)
                        return -ENOMEM;
                return set_number(json, "slot", d->address->slot == NUMBER_UNSET ? 0 : d->address->slot);
        case ADDRESS_ISA:
                if (d->address->iobase != NUMBER_UNSET && set_number(json, "iobase", d->address->iobase) < 0)
                        return -ENOMEM;
                return d->address->irq != NUMBER_UNSET ? set_number(json, "irq", d->address->irq) : 0;
        case ADDRESS_NONE:
        case _ADDRESS_TYPE_MAX:
        case _ADDRESS_TYPE_INVALID:
                break;
        }
        return 0;
}

static BootDev boot_class(const Device *d) {
        return d->ops->boot_class ? d->ops->boot_class(d) : BOOT_NONE;
}

static bool is_first_of_class(const DomainDef *def, const Device *d, BootDev class) {
        for (size_t i = 0; i < def->devices.n; i++) {
                const Device *other = (const Device *) def->devices.items[i];

                if (boot_class(other) == class)
                        return other == d;
        }
        return false;
}

uint64_t device_boot_index(const DomainDef *def, const Device *d) {
        BootDev class;

        assert(def);
        assert(d);

        if (d->boot_order != NUMBER_UNSET)
                return d->boot_order;

        class = boot_class(d);
        if (class == BOOT_NONE)
                return 0;
        for (size_t i = 0; i < def->boot.n; i++)
                if (((const BootDevice *) def->boot.items[i])->dev == (int) class && is_first_of_class(def, d, class))
                        return i + 1;
        return 0;
}

int args_bootindex(Args *a, const Device *d, json_t *json) {
        uint64_t index;

        assert(a);

        if (!json)
                return -ENOMEM;
        index = device_boot_index(a->def, d);
        return index > 0 ? set_number(json, "bootindex", index) : 0;
}

int args_command(json_t *commands, const char *command, json_t *arguments) {
        assert(commands && command);

        if (!arguments)
                return -ENOMEM;
        return json_array_append_new(commands, json_pack("{s:s, s:o}", "execute", command, "arguments", arguments)) < 0 ? -ENOMEM : 0;
}

int args_command_undo(json_t *commands, const char *command, json_t *arguments, const char *undo, json_t *undo_arguments) {
        json_t *last;
        int r;

        assert(commands && command && undo);

        r = undo_arguments ? args_command(commands, command, arguments) : -ENOMEM;
        if (r < 0)
                return r;
        last = json_array_get(commands, json_array_size(commands) - 1);
        return json_object_set_new(last, "undo", json_pack("{s:s, s:o}", "execute", undo, "arguments", undo_arguments)) < 0 ? -ENOMEM : 0;
}

static json_t *boot_index(const char *path, uint64_t index) {
        return json_pack("{s:s, s:s, s:I}", "path", path, "property", "bootindex", "value", index == 0 ? -1 : (json_int_t) index);
}

int args_boot_change(json_t *commands, const Device *before, const Device *after, const DomainDef *def) {
        _cleanup_free_ char *path = NULL;

        assert(before && after && def);

        path = strf("/machine/peripheral/%s", after->id);
        if (!path)
                return -ENOMEM;
        return args_command_undo(commands, "qom-set", boot_index(path, device_boot_index(def, after)), "qom-set",
                                 boot_index(path, before->boot_order == NUMBER_UNSET ? 0 : before->boot_order));
}

static void wanted_file_clear(WantedFile *w) {
        free(w->path);
        free(w->format);
        free(w->template);
        free(w->key);
}

void wanted_files_keep(WantedFiles *r, size_t n) {
        while (r->n > n)
                wanted_file_clear(&r->items[--r->n]);
}

void wanted_files_clear(WantedFiles *r) {
        wanted_files_keep(r, 0);
        free(r->items);
        *r = (WantedFiles) {};
}

int wanted_files_add(WantedFiles *r, const WantedFile *request) {
        WantedFile *copy;

        assert(r);
        assert(request);

        if (!GROW(r->items, r->allocated, r->n + 1))
                return -ENOMEM;
        copy = &r->items[r->n++];
        *copy = *request;
        copy->path = copy->format = copy->template = copy->key = NULL;
        if (free_and_strdup(&copy->path, request->path) < 0 || free_and_strdup(&copy->format, request->format) < 0 ||
            free_and_strdup(&copy->key, request->key) < 0)
                return -ENOMEM;
        return free_and_strdup(&copy->template, request->template);
}
