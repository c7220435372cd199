/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hotplug.h"

#include <string.h>

#include "../def/controller-def.h"
#include "../device/device.h"
#include "../device/disk.h"
#include "../device/interface.h"
#include "../device/memory.h"
#include "mem.h"
#include "pci.h"
#include "str.h"
#include "xml-read.h"

/* How each kind of part comes and goes, and what it is called by. */
static const struct {
        const char *add, *del, *key;   /* the key is the same in both */
} verbs[] = {
        [ARG_OBJECT] = { "object-add", "object-del", "id" },
        [ARG_CHARDEV] = { "chardev-add", "chardev-remove", "id" },
        [ARG_BLOCKDEV] = { "blockdev-add", "blockdev-del", "node-name" },
        [ARG_NETDEV] = { "netdev_add", "netdev_del", "id" },
        [ARG_DEVICE] = { "device_add", "device_del", "id" },
};

Hotplug *hotplug_free(Hotplug *h) {
        if (!h)
                return NULL;
        domain_def_free(h->next);
        free(h->part.devices.items);
        free(h);
        return NULL;
}

/* --- the definition that is to be --- */

static int check_pluggable(const Device *d, const DomainDef *def, Fault *f) {
        const char *why = device_fixed(d, def);

        if (!why)
                return 0;
        xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "it can't be plugged in while the guest runs: %s", why);
        fault_hint(f, "change the definition: it is there when the VM is started the next time");
        return -EOPNOTSUPP;
}

static int add_device(Hotplug *h, const Device *device, Fault *f) {
        void *copy = NULL;
        int r;

        r = record_copy(&device->head, &copy);
        if (r < 0)
                return fault_oom(f);
        if (record_list_add(&h->next->devices, copy) < 0)
                return fault_oom(f);
        h->device = copy;
        domain_count_memory(h->next, h->device, true);
        free_and_replace(&h->device->id, NULL);
        if (h->device->alias && !str_after(h->device->alias, "ua-"))
                free_and_replace(&h->device->alias, NULL);
        if (h->device->ops->drop_live)
                h->device->ops->drop_live(h->device);
        r = h->device->ops->fill ? h->device->ops->fill(h->device, h->next, f) : 0;
        if (r >= 0)
                r = check_pluggable(h->device, h->next, f);
        return r < 0 ? r : pci_place_hot(h->next, h->device, f);
}

/* Controllers that turned out to be needed come before what is on them. */
static int check_controllers(Hotplug *h, Fault *f) {
        RecordList *list = &h->next->devices;
        Record *device = list->items[h->first_new];
        size_t n = list->n - h->first_new - 1;

        for (size_t i = h->first_new + 1; i < list->n; i++) {
                int r = check_pluggable((const Device *) list->items[i], h->next, f);

                if (r < 0)
                        return r;
        }
        memmove(&list->items[h->first_new], &list->items[h->first_new + 1], n * sizeof(Record *));
        list->items[list->n - 1] = device;
        return 0;
}

static int set_aliases(Hotplug *h, Fault *f) {
        for (size_t i = h->first_new; i < h->next->devices.n; i++) {
                Device *d = (Device *) h->next->devices.items[i];

                if (!d->alias && free_and_strdup(&d->alias, d->id) < 0)
                        return fault_oom(f);
        }
        return 0;
}

static int make_part(Hotplug *h, Fault *f) {
        size_t n = h->before ? 1 : h->next->devices.n - h->first_new;

        h->part = *h->next;
        h->part.devices = (RecordList) { .items = new0(Record *, n), .n = n };
        if (!h->part.devices.items)
                return fault_oom(f);
        memcpy(h->part.devices.items, h->next->devices.items + h->first_new, n * sizeof(Record *));
        /* What the rest of the definition needs is there. */
        h->part.kernel = h->part.initrd = h->part.loader = h->part.nvram = h->part.nvram_source = NULL;
        h->part.sysinfo = h->part.acpi_tables = h->part.numa.cells = (RecordList) {};
        h->part.memory = 0;
        return 0;
}

int hotplug_new(const DomainDef *live, const Device *device, const DomainDefaults *defaults, const QemuCaps *caps, Hotplug **ret, Fault *f) {
        _cleanup_(hotplug_freep) Hotplug *h = new0(Hotplug, 1);
        DomainDefaults as_is;
        int r;

        assert(live && device && defaults && ret);

        if (!h || domain_copy(live, &h->next) < 0)
                return fault_oom(f);
        as_is = *defaults;
        as_is.spare_root_ports = 0;
        h->first_new = live->devices.n;
        r = add_device(h, device, f);
        if (r >= 0)
                r = domain_fill(h->next, &as_is, f);
        if (r >= 0)
                r = check_controllers(h, f);
        if (r >= 0)
                r = set_aliases(h, f);
        if (r >= 0)
                r = domain_check(h->next, caps, &as_is, f);
        if (r >= 0)
                r = make_part(h, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

/* What nobody has said stays as it is. */
static int inherit(Hotplug *h, Fault *f) {
        const Device *before = h->before;
        Device *d = h->device;

        if (free_and_strdup(&d->id, before->id) < 0 || free_and_strdup(&d->alias, before->alias) < 0)
                return fault_oom(f);
        if (!d->address && before->address) {
                void *copy;

                if (record_copy(&before->address->head, &copy) < 0)
                        return fault_oom(f);
                d->address = copy;
        }
        /* What a drive has of its medium goes with that. */
        if (!device_as_disk(d) && record_inherit_live(&d->head, &before->head) < 0)
                return fault_oom(f);
        if (d->ops->inherit)
                d->ops->inherit(d, before);
        return d->ops->fill ? d->ops->fill(d, h->next, f) : 0;
}

/* Nothing of what stands behind a device is made again, but for another medium. */
static int keep_backends(Hotplug *h, Fault *f) {
        Disk *disk = device_as_disk(h->device);
        int r = disk ? disk_next_medium(disk, device_as_disk(h->before)) : 0;

        if (r == 0)
                h->part.devices.n = 0;
        return r < 0 ? fault_oom(f) : 0;
}

static int replace_device(Hotplug *h, const DomainDef *live, const Device *device, Fault *f) {
        const Device *before = device->id ? domain_find_device(live, device->id) : domain_find_same(live, device);
        void *copy;

        for (size_t i = 0; before && i < live->devices.n; i++) {
                if (live->devices.items[i] != &before->head)
                        continue;
                if (record_copy(&device->head, &copy) < 0)
                        return fault_oom(f);
                record_free(h->next->devices.items[i]);
                h->next->devices.items[i] = copy;
                h->before = before;
                h->device = copy;
                h->first_new = i;
                return inherit(h, f);
        }
        return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "there is no <%s> like that in the running machine", device->ops->element);
}

int hotplug_update(const DomainDef *live, const Device *device, const DomainDefaults *defaults, const QemuCaps *caps, Hotplug **ret, Fault *f) {
        _cleanup_(hotplug_freep) Hotplug *h = new0(Hotplug, 1);
        DomainDefaults as_is;
        int r;

        assert(live && device && defaults && ret);

        if (!h || domain_copy(live, &h->next) < 0)
                return fault_oom(f);
        as_is = *defaults;
        as_is.spare_root_ports = 0;
        r = replace_device(h, live, device, f);
        if (r >= 0)
                iotune_share(h->next, h->device);
        if (r >= 0)
                r = domain_fill(h->next, &as_is, f);
        if (r >= 0 && !h->device->ops->update)
                r = xml_fault(&h->device->head, f, FAULT_NOT_SUPPORTED, "nothing of it can be changed while the guest runs");
        if (r >= 0)
                r = domain_check(h->next, caps, &as_is, f);
        if (r >= 0)
                r = make_part(h, f);
        if (r >= 0)
                r = device_check_update(h->before, h->device, f);
        if (r >= 0)
                r = keep_backends(h, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

static int take_changed(Hotplug *h, DomainDef *live) {
        for (size_t i = 0; i < live->devices.n; i++)
                if (live->devices.items[i] == &h->before->head) {
                        live->devices.items[i] = &h->device->head;
                        h->next->devices.items[h->first_new] = NULL;
                        record_free((Record *) h->before);
                        h->before = NULL;
                        h->device = NULL;
                        h->part.devices.n = 0;
                        iotune_share(live, (const Device *) live->devices.items[i]);
                        return 0;
                }
        return -ENODEV;
}

int hotplug_take(Hotplug *h, DomainDef *live) {
        assert(h && live && h->device);

        if (h->before)
                return take_changed(h, live);

        domain_count_memory(live, h->device, true);
        for (size_t i = h->first_new; i < h->next->devices.n; i++) {
                int r = record_list_add(&live->devices, h->next->devices.items[i]); /* which frees it when it fails */

                h->next->devices.items[i] = NULL;
                if (r < 0) {
                        while (++i < h->next->devices.n)
                                record_free(TAKE_PTR(h->next->devices.items[i]));
                        h->next->devices.n = h->first_new;
                        return r;
                }
        }
        h->next->devices.n = h->first_new;
        h->part.devices.n = 0;
        h->device = NULL;
        return 0;
}

/* --- commands --- */

static json_t *command(const char *name, json_t *arguments) {
        return arguments ? json_pack("{s:s, s:o}", "execute", name, "arguments", arguments) : NULL;
}

static int append(json_t *commands, json_t *step, const char *key, json_t *value) {
        if (!step || (key && json_object_set_new(step, key, value) < 0) || json_array_append_new(commands, step) < 0)
                return -ENOMEM;
        return 0;
}

/* What stays in a set of descriptors can be opened by QEMU at any time, and is found by the device's name; what has a name itself is used
 * up. */
static int add_fd(json_t *commands, const PlanFd *fd, unsigned set, const char *device) {
        _cleanup_free_ char *name = strf("fd%d", fd->number);
        json_t *step, *undo;

        if (!name)
                return -ENOMEM;
        if (set > 0) {
                step = command("add-fd", json_pack("{s:i, s:s}", "fdset-id", (int) set, "opaque", device));
                undo = command("remove-fd", json_pack("{s:i}", "fdset-id", (int) set));
        } else {
                step = command("getfd", json_pack("{s:s}", "fdname", name));
                undo = command("closefd", json_pack("{s:s}", "fdname", name));
        }
        if (step && json_object_set_new(step, "fd", json_integer(fd->number)) < 0)
                return -ENOMEM;
        return append(commands, step, "undo", undo);
}

static bool is_read_by_path(const PlanFd *fd) {
        bool is_file = fd->kind == PLAN_FD_IMAGE || fd->kind == PLAN_FD_OUTPUT || fd->kind == PLAN_FD_SCRATCH;

        return fd->kind == PLAN_FD_SECRET || fd->kind == PLAN_FD_MEMFD || (is_file && fd->fdset == 0);
}

static int add_fds(const Hotplug *h, LaunchPlan *p, const Args *a) {
        int r = 0;

        p->next_fdset = a->next_fdset;
        for (size_t i = 0; i < a->n_fds && r >= 0; i++)
                r = add_fd(p->commands, &a->fds[i], is_read_by_path(&a->fds[i]) ? p->next_fdset++ : a->fds[i].fdset, h->device->id);
        return r;
}

static int add_item(json_t *commands, const Arg *arg) {
        const char *name = json_string_value(json_object_get(arg->json, verbs[arg->kind].key));

        return append(commands, command(verbs[arg->kind].add, json_incref(arg->json)), "undo",
                      command(verbs[arg->kind].del, name ? json_pack("{s:s}", verbs[arg->kind].key, name) : json_object()));
}

/* Only a start can say it. */
static int no_option(const Hotplug *h, const Arg *arg, Fault *f) {
        return xml_fault(&h->device->head, f, FAULT_NOT_SUPPORTED, "it can't be plugged in while the guest runs: QEMU knows %s only from its start",
                         arg->option);
}

static int add_items(const Hotplug *h, LaunchPlan *p, const Args *a, Fault *f) {
        int r = add_fds(h, p, a);

        for (size_t i = 0; i < a->n && r >= 0; i++) {
                const Arg *arg = &a->items[i];

                if (h->before && (arg->kind == ARG_DEVICE || arg->kind == ARG_OPTION))
                        continue;
                r = arg->kind == ARG_OPTION ? no_option(h, arg, f) : add_item(p->commands, arg);
        }
        if (h->before && r >= 0)
                r = h->device->ops->update(h->before, h->device, h->next, p->commands);
        for (size_t i = 0; i < h->part.devices.n && r >= 0 && !h->before; i++) {
                const Device *d = (const Device *) h->part.devices.items[i];

                r = d->ops->settle ? d->ops->settle(d, h->next, p->commands) : 0;
        }
        /* It was read when the object was made. */
        for (unsigned set = a->next_fdset; set < p->next_fdset && r >= 0; set++)
                r = append(p->commands, command("remove-fd", json_pack("{s:i}", "fdset-id", (int) set)), NULL, NULL);
        return r;
}

int hotplug_plan(const Hotplug *h, const QemuCaps *caps, unsigned launch_flags, unsigned first_fdset, LaunchPlan **ret, Fault *f) {
        _cleanup_(launch_plan_freep) LaunchPlan *p = new0(LaunchPlan, 1);
        _cleanup_args_ Args a = ARGS_INIT(h->next, caps);
        int r = 0;

        assert(h && caps && ret);

        if (!p || !(p->commands = json_array()))
                return fault_oom(f);
        a.hot = true;
        a.flags = launch_flags;
        a.next_fdset = first_fdset;
        for (size_t i = 0; i < h->part.devices.n && r >= 0; i++) {
                const Device *d = (const Device *) h->part.devices.items[i];

                r = d->ops->args ? d->ops->args(d, &a, f) : 0;
        }
        if (r >= 0)
                r = add_items(h, p, &a, f);
        if (r < 0)
                return r == -ENOMEM ? fault_oom(f) : r;
        p->fds = TAKE_PTR(a.fds);
        p->n_fds = TAKE(a.n_fds, 0);
        *ret = TAKE_PTR(p);
        return 0;
}

int hotplug_plan_keep(LaunchPlan *p, PlanFdKind kind, unsigned index, const char *device, bool writable) {
        PlanFd *grown = reallocarray(p->fds, p->n_fds + 1, sizeof(*grown));
        unsigned set = p->next_fdset++;
        json_t *step, *undo;
        int number = PLAN_FD_BASE;

        if (!grown)
                return -ENOMEM;
        p->fds = grown;
        for (size_t i = 0; i < p->n_fds; i++)
                number = MAX(number, p->fds[i].number + 1);
        p->fds[p->n_fds++] = (PlanFd) { .kind = kind, .number = number, .fdset = index, .writable = writable };

        step = command("add-fd", json_pack("{s:i, s:s}", "fdset-id", (int) set, "opaque", device));
        undo = command("remove-fd", json_pack("{s:i}", "fdset-id", (int) set));
        if (!step || json_object_set_new(step, "fd", json_integer(number)) < 0 || json_object_set_new(step, "undo", undo) < 0 ||
            json_array_insert_new(p->commands, 0, step) < 0)
                return -ENOMEM;
        return number;
}

/* --- away again --- */

int hotplug_clean_before(const Hotplug *h, const QemuCaps *caps, const json_t *nodes, const json_t *sets, LaunchPlan *p, Fault *f) {
        int r;

        assert(h && h->before && caps && p && !p->tidy);

        if (h->part.devices.n == 0)
                return 0;
        r = hotplug_clean(h->next, h->before, caps, &p->tidy, f);
        /* The names of both begin the same; but the new ones have no nodes yet. */
        if (r >= 0)
                r = hotplug_drop_images(h->before, nodes, p->tidy);
        return r < 0 ? r : hotplug_drop_kept(h->before, nodes, sets, p->tidy);
}

int hotplug_clean(const DomainDef *live, const Device *device, const QemuCaps *caps, json_t **ret, Fault *f) {
        json_auto_t *commands = json_array();
        _cleanup_args_ Args a = ARGS_INIT(live, caps);
        int r;

        assert(live && device && caps && ret);

        a.hot = true;
        r = !commands ? -ENOMEM : device->ops->args ? device->ops->args(device, &a, f) : 0;
        for (size_t i = a.n; i-- > 0 && r >= 0;) {
                ArgKind kind = a.items[i].kind;
                const char *name = json_string_value(json_object_get(a.items[i].json, verbs[kind].key));

                if (kind != ARG_OPTION && kind != ARG_DEVICE && name)
                        r = append(commands, command(verbs[kind].del, json_pack("{s:s}", verbs[kind].key, name)), NULL, NULL);
        }
        if (r < 0)
                return r == -ENOMEM ? fault_oom(f) : r;
        *ret = TAKE_PTR(commands);
        return 0;
}

static bool owns_node(const Device *device, const json_t *node) {
        const char *name = json_string_value(json_object_get(node, "node-name"));
        const Disk *disk = device_as_disk(device);

        return disk && name && blockdev_owns(disk, name);
}

/* The set a file's name stands for; 0: it is no set. */
static uint64_t set_of(const json_t *node) {
        const char *number = str_after(json_string_value(json_object_get(node, "file")) ?: "", "/dev/fdset/");
        uint64_t set;

        return number && parse_u64(number, 10, &set) >= 0 ? set : 0;
}

/* An image that two disks stand on is one set. */
static bool is_used_elsewhere(const json_t *nodes, const Device *d, uint64_t set) {
        json_t *node;
        size_t i;

        json_array_foreach(nodes, i, node)
                if (set_of(node) == set && !owns_node(d, node))
                        return true;
        return false;
}

/* Both a node of the format and the one below tell the file's name. */
static bool is_dropped(const json_t *commands, uint64_t set) {
        json_t *step;
        size_t i;

        json_array_foreach(commands, i, step)
                if (streq_null(json_string_value(json_object_get(step, "execute")), "remove-fd") &&
                    json_integer_value(json_object_get(json_object_get(step, "arguments"), "fdset-id")) == (json_int_t) set)
                        return true;
        return false;
}

static int drop_set(const Device *d, const json_t *nodes, uint64_t set, json_t *commands) {
        if (set == 0 || is_dropped(commands, set) || is_used_elsewhere(nodes, d, set))
                return 0;
        return append(commands, command("remove-fd", json_pack("{s:I}", "fdset-id", (json_int_t) set)), NULL, NULL);
}

int hotplug_drop_images(const Device *device, const json_t *nodes, json_t *commands) {
        json_t *node;
        size_t i;
        int r = 0;

        assert(device && commands);

        json_array_foreach(nodes, i, node)
                if (r >= 0 && owns_node(device, node))
                        r = drop_set(device, nodes, set_of(node), commands);
        return r;
}

int hotplug_drop_kept(const Device *device, const json_t *nodes, const json_t *sets, json_t *commands) {
        json_t *set, *fd;
        size_t i, k;
        int r = 0;

        assert(device && commands);

        json_array_foreach(sets, i, set)
                json_array_foreach(json_object_get(set, "fds"), k, fd)
                        if (r >= 0 && streq_null(json_string_value(json_object_get(fd, "opaque")), device->id))
                                r = drop_set(device, nodes, (uint64_t) json_integer_value(json_object_get(set, "fdset-id")), commands);
        return r;
}

/* --- the same device elsewhere --- */

static bool same_place(const Address *a, const Address *b) {
        return a && b && a->type != ADDRESS_NONE && record_equal(&a->head, &b->head);
}

static bool is_same(const Device *a, const Device *b) {
        const char *target = device_target(a), *other = device_target(b);
        const Interface *n = device_as_interface(a);

        if (a->ops != b->ops)
                return false;
        if (target || other)
                return streq_null(target, other);
        if (n)
                return field_mac.equal(&n->mac, &device_as_interface(b)->mac);
        return same_place(a->address, b->address) || (!a->address && !b->address && streq_null(a->id, b->id));
}

Device *domain_find_same(const DomainDef *def, const Device *d) {
        assert(d);

        for (size_t i = 0; def && i < def->devices.n; i++)
                if (is_same((const Device *) def->devices.items[i], d))
                        return (Device *) def->devices.items[i];
        return NULL;
}

/* Free in both. */
static int give_other_id(DomainDef *def, const DomainDef *live, Device *d) {
        const char *prefix = d->ops->id_prefix ? d->ops->id_prefix(d) : d->ops->element;

        for (size_t n = 0;; n++) {
                char *id = strf("%s%zu", prefix, n);

                if (!id)
                        return -ENOMEM;
                if (!domain_device_by_id(def, id) && !domain_device_by_id(live, id)) {
                        free_and_replace(&d->id, id);
                        return 0;
                }
                free(id);
        }
}

static bool is_named_freely(const Device *d) {
        return !d->alias && device_kind(d) != DEVICE_CONTROLLER;
}

static int match_id(DomainDef *def, const DomainDef *live, Device *d) {
        const Device *same = domain_find_same(live, d);
        Device *namesake = same && same->id ? domain_device_by_id(def, same->id) : NULL;
        int r = 0;

        if (!same)
                return domain_device_by_id(live, d->id) ? give_other_id(def, live, d) : 0;
        if (!same->id || namesake == d)
                return 0;
        if (namesake)
                r = is_named_freely(namesake) ? give_other_id(def, live, namesake) : -EEXIST;
        return r < 0 ? r : free_and_strdup(&d->id, same->id);
}

int domain_match_ids(DomainDef *def, const DomainDef *live) {
        int r = 0;

        assert(def && live);

        for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                Device *d = (Device *) def->devices.items[i];

                if (is_named_freely(d))
                        r = match_id(def, live, d);
                if (r == -EEXIST) /* somebody has called another one so */
                        r = 0;
        }
        return r;
}
