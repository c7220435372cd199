/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "fault.h"
#include "record.h"

/* Secrets as others than virtstoraged know them: <secret type='passphrase' uuid='…' or usage='…'/> in a definition, and a descriptor with
 * the value, which is asked for over D-Bus and handed on unread. */

typedef struct SecretRef {
        Record head;
        char *type;                  /* "passphrase" */
        sd_id128_t uuid;             /* null: by usage */
        char *usage;
} SecretRef;

extern const RecordType secret_ref_record;

/* Whether it names one passphrase. FAULT_INVALID_DEFINITION. */
int secret_ref_check(const SecretRef *s, Fault *f);

/* Asks virtstoraged for the value of a secret; what a usage is for is in `purpose`: "volume", "iscsi", "ceph". The answer to `done` is
 * `h`, a sealed memfd. */
int secret_ref_open(const SecretRef *s, const char *purpose, sd_bus *bus, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret);
