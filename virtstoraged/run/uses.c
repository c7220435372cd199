/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uses.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "str.h"

#define QEMU1_NAME "org.virtbus.qemu1"
#define QEMU1_ROOT "/org/virtbus/qemu1"
#define OWNER_CHANGES "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" QEMU1_NAME "'"
#define QEMU1_MANAGER QEMU1_NAME ".Manager"

typedef struct Use {
        char *domain, *target, *path;
        bool writable;
} Use;

struct Uses {
        sd_bus *bus;
        sd_bus_slot *changes, *owners, *call;
        Use *items;
        size_t n, allocated;
        bool begun, known, again;
        UsesChanged changed;
        void *userdata;
};

static void use_clear(Use *use) {
        free(use->domain);
        free(use->target);
        free(use->path);
}

static void clear_items(Uses *u) {
        for (size_t i = 0; i < u->n; i++) {
                use_clear(&u->items[i]);
        }
        u->n = 0;
}

Uses *uses_free(Uses *u) {
        if (!u)
                return NULL;
        sd_bus_slot_unref(u->changes);
        sd_bus_slot_unref(u->owners);
        sd_bus_slot_unref(u->call);
        sd_bus_unref(u->bus);
        clear_items(u);
        free(u->items);
        free(u);
        return NULL;
}

/* --- asking --- */

static int add(Uses *u, const char *domain, const char *target, const char *path, bool writable) {
        Use use = { strdup(domain), strdup(target), strdup(path), writable };

        if (use.domain && use.target && use.path && GROW(u->items, u->allocated, u->n + 1)) {
                u->items[u->n++] = use;
                return 0;
        }
        use_clear(&use);
        return -ENOMEM;
}

static int by_path(const void *a, const void *b) {
        return strcmp(((const Use *) a)->path, ((const Use *) b)->path);
}

/* The first of those with that path; `*ret_end` is behind the last. */
static const Use *find_path(const Uses *u, const char *path, const Use **ret_end) {
        size_t low = 0, high = u->n, end;

        if (high == 0)
                return *ret_end = NULL;
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(u->items[middle].path, path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (end = low; end < u->n && streq(u->items[end].path, path); end++)
                ;
        *ret_end = u->items + end;
        return u->items + low;
}

static int take_list(Uses *u, sd_bus_message *reply) {
        const char *domain, *device, *path;
        int writable, r;

        clear_items(u);
        r = sd_bus_message_enter_container(reply, 'a', "(sssb)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sssb)", &domain, &device, &path, &writable)) > 0)
                r = add(u, domain, device, path, writable);
        if (u->n > 0)
                qsort(u->items, u->n, sizeof(*u->items), by_path);
        return r;
}

static void ask(Uses *u);

/* One that is not installed runs no VMs. */
static int on_list(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        Uses *u = userdata;
        int r = 0;

        u->call = sd_bus_slot_unref(u->call);
        if (e && !streq(e->name, SD_BUS_ERROR_SERVICE_UNKNOWN) && !streq(e->name, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                log_warning("virtqemud does not say which volumes are in use: %s", e->message ?: e->name);
        if (!e)
                r = take_list(u, reply);
        if (r < 0)
                (void) log_warning_errno(r, "what virtqemud says of volumes in use can't be read: %m");
        u->known = true;
        if (TAKE(u->again, false))
                ask(u);
        u->changed(u->userdata);
        return 0;
}

static void ask(Uses *u) {
        int r;

        if (u->call) {
                u->again = true;
                return;
        }
        r = sd_bus_call_method_async(u->bus, &u->call, QEMU1_NAME, QEMU1_ROOT, QEMU1_MANAGER, "ListDisks", on_list, u, NULL);
        if (r < 0) {
                (void) log_warning_errno(r, "virtqemud can't be asked which volumes are in use: %m");
                u->known = true;
        }
}

static int on_change(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Uses *u = userdata;

        if (u->begun)
                ask(u);
        return 0;
}

/* Without it VMs run on, and with the next one there may be other news. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old, *new;
        Uses *u = userdata;

        if (u->begun && sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 && *new)
                ask(u);
        return 0;
}

int uses_new(sd_bus *bus, UsesChanged changed, void *userdata, Uses **ret) {
        _cleanup_(uses_freep) Uses *u = new0(Uses, 1);
        int r = 0;

        if (!u)
                return -ENOMEM;
        u->changed = changed;
        u->userdata = userdata;
        if (bus) {
                u->bus = sd_bus_ref(bus);
                r = sd_bus_match_signal_async(bus, &u->changes, QEMU1_NAME, QEMU1_ROOT, QEMU1_MANAGER, "DisksChanged", on_change, NULL, u);
                if (r >= 0)
                        r = sd_bus_add_match_async(bus, &u->owners, OWNER_CHANGES, on_owner, NULL, u);
        }
        if (r >= 0)
                *ret = TAKE_PTR(u);
        return r;
}

void uses_begin(Uses *u) {
        if (u->bus && !u->begun) {
                u->begun = true;
                ask(u);
        }
}

bool uses_known(const Uses *u) {
        return !u->bus || u->known;
}

bool uses_writer(const Uses *u, const char *path, const char **ret_domain, const char **ret_target) {
        const Use *end, *found = find_path(u, path, &end);

        if (end - found != 1 || !found->writable)
                return false;
        *ret_domain = found->domain;
        *ret_target = found->target;
        return true;
}

int uses_of(const Uses *u, const char *path, char ***ret) {
        const Use *end, *use = find_path(u, path, &end);
        int r = 0;

        for (; use < end && r >= 0; use++)
                if (!strv_contains(*ret, use->domain))
                        r = strv_push(ret, use->domain);
        return r;
}
