/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../qmp/guest-event.h"
#include "domain.h"

/* What has happened to a guest: the last of each kind and device since its start, told to the journal and to bus/. A guest can make
 * many; of one kind and device only the first is told at once, those that follow are told together. */
typedef struct DomainEvents DomainEvents;

#define EVENTS_MAX 128u                    /* kinds and devices; the oldest goes */
#define EVENTS_GAP_USEC (1000u * 1000)     /* between two of one kind and device */

struct DomainEvent {
        GuestEvent kind;
        char *device;                /* its id; NULL: none */
        json_t *details;
        uint64_t usec;               /* CLOCK_REALTIME */
        uint64_t count;              /* how often, since the start */
        uint64_t told;               /* of these */
        uint64_t told_usec;          /* CLOCK_MONOTONIC; 0: never */
};

/* `data` is QEMU's; `device` the id, or NULL. */
void events_add(Domain *d, GuestEvent kind, const char *device, const json_t *data);

/* The last one of that kind; NULL: there was none. */
const DomainEvent *events_last(const Domain *d, GuestEvent kind);
size_t events_count(const Domain *d);
const DomainEvent *events_get(const Domain *d, size_t i);

/* A new run begins. */
void events_clear(Domain *d);
DomainEvents *events_free(DomainEvents *e);

/* For the status file: new array, NULL: out of memory; what can't be used of it is left out. */
json_t *events_to_json(const Domain *d);
int events_from_json(Domain *d, const json_t *list);
