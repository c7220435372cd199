/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-cmd.h"

#include <stdio.h>

#include "mem.h"
#include "str.h"

DEFINE_ENUM(QemuState, qemu_state,
        [QEMU_STATE_DEBUG] = "debug",
        [QEMU_STATE_INMIGRATE] = "inmigrate",
        [QEMU_STATE_INTERNAL_ERROR] = "internal-error",
        [QEMU_STATE_IO_ERROR] = "io-error",
        [QEMU_STATE_PAUSED] = "paused",
        [QEMU_STATE_POSTMIGRATE] = "postmigrate",
        [QEMU_STATE_PRELAUNCH] = "prelaunch",
        [QEMU_STATE_FINISH_MIGRATE] = "finish-migrate",
        [QEMU_STATE_RESTORE_VM] = "restore-vm",
        [QEMU_STATE_RUNNING] = "running",
        [QEMU_STATE_SAVE_VM] = "save-vm",
        [QEMU_STATE_SHUTDOWN] = "shutdown",
        [QEMU_STATE_SUSPENDED] = "suspended",
        [QEMU_STATE_WATCHDOG] = "watchdog",
        [QEMU_STATE_GUEST_PANICKED] = "guest-panicked",
        [QEMU_STATE_COLO] = "colo")

static int bad_reply(Fault *f, const char *command, const char *what) {
        return fault_set(f, FAULT_QEMU, EBADMSG, "QEMU answered %s without a usable %s", command, what);
}

json_t *qmp_arg_string(const char *key, const char *value) {
        return json_pack("{s:s}", key, value);
}

int json_get_u64(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *v = key ? json_object_get(object, key) : object;

        if (json_is_integer(v) && json_integer_value(v) >= 0)
                *ret = (uint64_t) json_integer_value(v);
        else if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) < 18446744073709551616.0)
                *ret = (uint64_t) json_real_value(v);
        else if (!json_is_string(v) || parse_u64(json_string_value(v), 10, ret) < 0)
                return -EBADMSG;
        return 0;
}

/* ---- builders ---- */

int qmp_getfd(Qmp *q, const char *name, int fd, QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        json_t *arguments = qmp_arg_string("fdname", name);

        assert(name && fd >= 0);

        if (!arguments) {
                (void) close(fd);
                return -ENOMEM;
        }
        return qmp_send_fds(q, "getfd", arguments, &fd, 1, QMP_TIMEOUT_USEC, reply, userdata, ret);
}

/* ---- readers ---- */

int qmp_read_status(const json_t *result, QmpStatus *ret, Fault *f) {
        const json_t *running = json_object_get(result, "running");
        const char *word = json_string_value(json_object_get(result, "status"));

        assert(ret);

        if (!json_is_boolean(running) || !word)
                return bad_reply(f, "query-status", "status");
        *ret = (QmpStatus) { .running = json_is_true(running), .state = qemu_state_from_string(word) };
        return 0;
}

unsigned qmp_read_next_fdset(const json_t *result) {
        json_int_t next = 1;
        json_t *set;
        size_t i;

        json_array_foreach(result, i, set) {
                json_int_t id = json_integer_value(json_object_get(set, "fdset-id"));

                next = id >= next && id < QMP_FDSET_PASSING ? id + 1 : next;
        }
        return (unsigned) next;
}

int qmp_read_balloon(const json_t *result, uint64_t *ret_bytes, Fault *f) {
        assert(ret_bytes);

        if (json_get_u64(result, "actual", ret_bytes) < 0)
                return bad_reply(f, "query-balloon", "size");
        return 0;
}
