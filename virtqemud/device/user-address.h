/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "netaddr.h"
#include "record.h"

/* <ip> of an interface of type 'user': which addresses the guest finds. One that is a network's stands for that: in it are the guest (15) and
 * the host (2) where they are with QEMU's own user networking; any other is the guest's. */
typedef struct UserAddress {
        Record head;
        char *address;
        int family;              /* 1: IPv4, 2: IPv6; 0: not said */
        uint64_t prefix;         /* NUMBER_UNSET: 24, 64 */
} UserAddress;

extern const RecordType user_address_record;

/* One of each family at most. */
int user_addresses_check(const RecordList *addresses, Fault *f);
/* Into a netdev of type 'user'. -ENOMEM. */
int user_addresses_to_json(const RecordList *addresses, json_t *netdev);
/* The words passt wants for them, at the end of `argv`. -ENOMEM. */
int user_addresses_to_args(const RecordList *addresses, char ***argv);
