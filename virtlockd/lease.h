/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-id128.h>

#include "fault.h"
#include "table.h"

/* Who has a resource, and how. Pure data; it is what a slot of a lock file holds. */

typedef enum LeaseMode {
        LEASE_EXCLUSIVE,
        LEASE_SHARED,        /* others may have it shared as well */
        _LEASE_MODE_MAX,
        _LEASE_MODE_INVALID = -EINVAL,
} LeaseMode;
DECLARE_ENUM(LeaseMode, lease_mode);

typedef struct Lease {
        LeaseMode mode;
        sd_id128_t uuid;     /* the owner's, a domain's for instance */
        char *name;          /* the owner's; never NULL in a lease that was read */
        char *unit;          /* systemd's, or NULL */
        char *host;          /* NULL until it is written */
        char *description;   /* of the resource, a path for instance; or NULL */
        uint32_t pid;        /* 0: not known */
        uint64_t since_usec; /* CLOCK_REALTIME */
} Lease;

#define LEASE_TEXT_MAX 255u          /* bytes of each string but the description */
#define LEASE_DESCRIPTION_MAX 600u
#define LEASE_RECORD_SIZE 4096u      /* bytes of a record in a lock file */
#define RESOURCE_NAME_MAX 200u       /* bytes of a resource's file name */
#define LOCKSPACE_NAME_MAX 40u

void lease_clear(Lease *l);
int lease_copy(const Lease *l, Lease *ret);
void leases_free(Lease *leases, size_t n);
#define _cleanup_lease_ _cleanup_(lease_clear)

/* Whether the strings are of a kind and size that can be written down. FAULT_INVALID_ARGS. A description that is too long is cut. */
int lease_check(Lease *l, Fault *f);

/* As JSON, and back: -EUCLEAN. */
json_t *lease_to_json(const Lease *l);
int lease_from_json(json_t *json, Lease *ret);

/* A record fills LEASE_RECORD_SIZE bytes. -EUCLEAN. */
int lease_format_record(const Lease *l, char ret[LEASE_RECORD_SIZE]);
int lease_parse_record(const char *record, size_t length, Lease *ret);

/* "web (unit virtqemu@web.service, process 4711 on host node1)"; NULL: out of memory. */
char *lease_owner_text(const Lease *l);

/* Letters, digits and "_-.", not a dot first. FAULT_INVALID_ARGS. */
int lockspace_name_check(const char *name, Fault *f);
/* The file of a resource, whose name is printable ASCII. FAULT_INVALID_ARGS. */
int resource_file_name(const char *resource, char **ret, Fault *f);
