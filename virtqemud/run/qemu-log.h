/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "domain.h"

/* Logs of a domain as plain files, LOGDIR/qemu/DOMAIN/NAME.log, where virtlogd has them, too; and QEMU's own one, whose last words are part
 * of the error when a start fails. */
#define QEMU_LOG_NAME "qemu"

/* Opens a log for appending, for want of virtlogd. */
int qemu_log_open_file(Domain *d, const char *name);
/* QEMU's own log is virtlogd's: notes where this run begins. */
void qemu_log_by_daemon(Domain *d);

/* Has virtlogd write down what it was told so far; the answer's content does not matter. */
int qemu_log_sync(const Domain *d, sd_bus_message_handler_t written, void *userdata, sd_bus_slot **ret);

/* The last lines of this run, as one line; NULL if there are none. */
char *qemu_log_last_words(const Domain *d);
