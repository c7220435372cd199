/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qmp.h"
#include "table.h"

/* Typed sides of the commands the daemon uses: builders that send, and pure readers of the replies. Anything without a typed side
 * (device_add, blockdev-add, netdev_add, object-add, …) goes through qmp_send() with its JSON. Readers set FAULT_QEMU and return
 * -EBADMSG for a reply of the wrong shape. */
typedef enum QemuState {
        QEMU_STATE_DEBUG,
        QEMU_STATE_INMIGRATE,
        QEMU_STATE_INTERNAL_ERROR,
        QEMU_STATE_IO_ERROR,
        QEMU_STATE_PAUSED,
        QEMU_STATE_POSTMIGRATE,
        QEMU_STATE_PRELAUNCH,
        QEMU_STATE_FINISH_MIGRATE,
        QEMU_STATE_RESTORE_VM,
        QEMU_STATE_RUNNING,
        QEMU_STATE_SAVE_VM,
        QEMU_STATE_SHUTDOWN,
        QEMU_STATE_SUSPENDED,
        QEMU_STATE_WATCHDOG,
        QEMU_STATE_GUEST_PANICKED,
        QEMU_STATE_COLO,
        _QEMU_STATE_MAX,
        _QEMU_STATE_INVALID = -EINVAL,
} QemuState;
DECLARE_ENUM(QemuState, qemu_state);

/* Commands without arguments: "cont", "stop", "system_powerdown", "system_reset", "quit", "query-status", "query-chardev",
 * "query-balloon", "query-block", … */
static inline int qmp_call(Qmp *q, const char *command, QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        return qmp_send(q, command, NULL, QMP_TIMEOUT_USEC, reply, userdata, ret);
}

/* getfd: QEMU keeps the descriptor under `name`. `fd` is taken, also on failure. */
int qmp_getfd(Qmp *q, const char *name, int fd, QmpReplyFunc reply, void *userdata, QmpRequest **ret);

/* {"id": ID}, {"name": NAME}, …; NULL: out of memory, which qmp_send() must not be given. */
json_t *qmp_arg_string(const char *key, const char *value);

/* A whole number >= 0, also one beyond INT64_MAX, which is a string in what was read. Without a key, `object` itself. -EBADMSG. */
int json_get_u64(const json_t *object, const char *key, uint64_t *ret);

typedef struct QmpStatus {
        bool running;
        QemuState state;        /* _QEMU_STATE_INVALID: a word this version does not know */
} QmpStatus;
int qmp_read_status(const json_t *result, QmpStatus *ret, Fault *f);

/* Sets from here on are there for one command, whoever has them counts on. */
#define QMP_FDSET_PASSING 0x40000000u
/* query-fdsets: the first number above all that are taken, but for those. */
unsigned qmp_read_next_fdset(const json_t *result);

int qmp_read_balloon(const json_t *result, uint64_t *ret_bytes, Fault *f);
