/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ask.h"
#include "disk-sizes.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Disks of a VM and how large they are, whether it runs or not. */

#define DISK_INTERFACE QEMU1 ".Disk"

static void add_size(Client *c, const char *path, json_t *disk) {
        static const char *const keys[] = { "Capacity", "Allocation", "Physical" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t sizes[ARRAY_SIZE(keys)];

        if (ask(c, path, DISK_INTERFACE, "GetSize", &error, &reply, "ta{sv}", UINT64_C(0), 0) < 0 ||
            sd_bus_message_read(reply, "ttt", &sizes[0], &sizes[1], &sizes[2]) < 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                (void) json_object_set_new(disk, keys[i], json_integer((json_int_t) sizes[i]));
}

void disk_sizes_add(Client *c, json_t *devices) {
        const char *path;
        json_t *interfaces;

        json_object_foreach(devices, path, interfaces) {
                json_t *disk = json_object_get(interfaces, DISK_INTERFACE);

                if (disk)
                        add_size(c, path, disk);
        }
}

/* What is in a drive, in the words of its kind. */
static const char *source_of(const json_t *disk) {
        static const char *const keys[] = { "path", "url", "address", "volume" };
        const json_t *source = json_object_get(disk, "Source");

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (*show_text(source, keys[i]))
                        return show_text(source, keys[i]);
        return "";
}

static json_t *row_of(const json_t *device, const json_t *disk) {
        static const struct {
                const char *from, *to;
        } sizes[] = { { "Capacity", "capacity" }, { "Allocation", "allocation" }, { "Physical", "physical" } };
        json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "alias", show_text(device, "Alias"), "target", show_text(disk, "Target"), "bus",
                                show_text(disk, "Bus"), "kind", show_text(disk, "Kind"), "source", source_of(disk), "format", show_text(disk, "Format"));

        for (size_t i = 0; i < ARRAY_SIZE(sizes) && row; i++)
                (void) json_object_set_new(row, sizes[i].to, json_integer((json_int_t) show_number(disk, sizes[i].from)));
        return row;
}

static json_t *rows_of(json_t *devices) {
        json_t *list = json_array(), *interfaces;
        const char *path;

        json_object_foreach(devices, path, interfaces) {
                const json_t *disk = json_object_get(interfaces, DISK_INTERFACE);

                if (disk)
                        (void) json_array_append_new(list, row_of(json_object_get(interfaces, QEMU1 ".Device"), disk));
        }
        return list;
}

int verb_disks(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "disk", .columns = WORDS("TARGET", "BUS", "FORMAT", "SIZE", "TAKEN", "SOURCE"),
                .shown = WORDS("target", "bus", "format", "size", "taken", "source"), .add_words = storage_show_sizes,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *devices = NULL, *list = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, DOMAIN_INTERFACE, "GetDevices", &reply, NULL);

        if (r != 0)
                return r;
        devices = value_to_json(reply);
        disk_sizes_add(c, devices);
        list = rows_of(devices);
        return rows_show(c, list, &view);
}
