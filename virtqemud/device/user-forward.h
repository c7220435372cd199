/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netaddr.h"
#include "record.h"

/* <portForward> of an interface of type 'user': ports of the host that passt leads to the guest. */

typedef enum ForwardProtocol { FORWARD_NONE, FORWARD_TCP, FORWARD_UDP, _FORWARD_PROTOCOL_MAX, _FORWARD_PROTOCOL_INVALID = -EINVAL } ForwardProtocol;
DECLARE_ENUM(ForwardProtocol, forward_protocol);

typedef struct ForwardRange {
        Record head;
        uint64_t start, end;     /* end NUMBER_UNSET: one port */
        uint64_t to;             /* the guest's first port; NUMBER_UNSET: the same ones */
        Tristate exclude;        /* not these ones */
} ForwardRange;

typedef struct UserForward {
        Record head;
        int protocol;            /* ForwardProtocol */
        char *address;           /* of the host; NULL: any */
        char *dev;               /* of the host; NULL: any */
        RecordList ranges;       /* ForwardRange; none: all ports */
} UserForward;

extern const RecordType user_forward_record;

/* The words passt wants for them, at the end of `argv`. */
int user_forwards_to_args(const RecordList *forwards, char ***argv);
