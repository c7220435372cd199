/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include <linux/capability.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <reservations>: a guest's persistent reservations of a SCSI unit that it shares with other hosts. QEMU hands the commands, with the unit's
 * descriptor, to qemu-pr-helper. It connects by a path, as often as it likes: the path is that of a descriptor which leads to the socket. */

static const char *const type_words[] = { NULL, "unix" };
const EnumTable reservations_type_table = { type_words, ARRAY_SIZE(type_words) };
static const char *const mode_words[] = { NULL, "client" };
const EnumTable reservations_mode_table = { mode_words, ARRAY_SIZE(mode_words) };

int disk_reservations_check(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;

        if (d->reservations == UNSET && (d->reservations_path || d->reservations_type || d->reservations_mode))
                return xml_fault_below(r, "source/reservations", f, FAULT_INVALID_DEFINITION, "managed is missing: 'yes' or 'no'");
        if (d->reservations == UNSET)
                return 0;
        if (d->what != DISK_LUN)
                return xml_fault_below(r, "source/reservations", f, FAULT_INVALID_DEFINITION, "they are for device='lun', whose commands are the guest's");
        if ((d->reservations == NO) != (d->reservations_path != NULL))
                return xml_fault_below(r, "source/reservations", f, FAULT_INVALID_DEFINITION,
                                       "<source type='unix' path='/…' mode='client'/> names the socket of managed='no', and of no other");
        if (d->reservations_path && d->reservations_path[0] != '/')
                return xml_fault_below(r, "source/reservations/source/@path", f, FAULT_INVALID_DEFINITION, "'%s' is not an absolute path",
                                       d->reservations_path);
        return 0;
}

/* It gives up root's rights but the one to these commands by itself. */
int disk_reservations_companion(Companion *ret) {
        static const char *const argv[] = { "/usr/bin/qemu-pr-helper", "--user=nobody", "--group=nogroup" };
        int r = 0;

        *ret = (Companion) {
                .name = "qemu-pr-helper", .package = "qemu-system-common", .title = "Reservations of Disk", .lost = "can't be reserved any more",
                .listens = true, .by_many = true, .by_activation = true, .greets = true,
                /* To become nobody, and to keep the right to raw commands. */
                .privileges = UINT64_C(1) << CAP_SYS_RAWIO | UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_SETPCAP,
        };
        for (size_t i = 0; i < ARRAY_SIZE(argv) && r >= 0; i++)
                r = strv_push(&ret->argv, argv[i]);
        return r;
}

static char *object_name(const Disk *d) {
        return strf("pr-%s", d->device.id);
}

int disk_reservations_args(const Disk *d, Args *a) {
        _cleanup_free_ char *name = object_name(d), *path = NULL;
        unsigned fdset;
        int number;

        if (d->reservations == UNSET)
                return 0;
        /* QEMU only holds that one, so that the program has somebody to be there for. */
        if (!name || (d->reservations == YES && args_fd(a, PLAN_FD_COMPANION, d->device.id, true, false, true, &fdset) < 0))
                return -ENOMEM;
        number = args_fd(a, PLAN_FD_SOCKET, d->reservations_path ?: d->device.id, false, false, false, NULL);
        path = number < 0 ? NULL : strf("/proc/self/fd/%d", number);
        return args_json(a, ARG_OBJECT, path ? json_pack("{s:s, s:s, s:s}", "qom-type", "pr-manager-helper", "id", name, "path", path) : NULL);
}

int disk_reservations_node(const Disk *d, json_t *json) {
        _cleanup_free_ char *name = d->reservations == UNSET ? NULL : object_name(d);

        return d->reservations == UNSET ? 0 : name ? json_set_text(json, "pr-manager", name) : -ENOMEM;
}
