/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "companion.h"
#include "record.h"
#include "secret-ref.h"

/* <source protocol='…'> of a disk of type 'network'. QEMU has no network: a program beside it, qemu-nbd, speaks the protocol with QEMU's own
 * drivers, and serves what it finds to QEMU alone, as raw bytes over a socket of the two. */

#define NETWORK_HOSTS_MAX 16u

typedef struct DiskAuth {
        Record head;
        char *user;
        SecretRef *secret;
} DiskAuth;
extern const RecordType disk_auth_record;

typedef struct DiskNetwork {
        int protocol;
        char *name;                  /* export, image, path: as the protocol has it */
        char *query;                 /* http(s): behind the '?' */
        RecordList hosts;
        DiskAuth *auth, *source_auth; /* said at the disk, or at its source */
        Tristate tls, verify;        /* nbd is encrypted; whether who answers https is looked at */
        char *tls_hostname;          /* whose certificate it is, if not the host's */
        char *initiator;             /* iscsi: the name we have */
        char *snapshot, *config;     /* rbd */
        char *user, *group;          /* nfs: numbers, "+1000" */
        char *login, *key_file, *agent, *known_hosts; /* ssh */
        uint64_t readahead, timeout; /* bytes; seconds */
        uint64_t reconnect_delay;    /* seconds for which requests wait for a server that has gone */
} DiskNetwork;

extern const RecordType disk_host_record;
extern const EnumTable disk_protocol_table;

/* The rows of a disk's table. */
#define NETWORK_FIELDS(at)                                                                                              \
        { "source/@protocol", &field_enum, (at) + offsetof(DiskNetwork, protocol), .words = &disk_protocol_table },     \
        { "source/@name", &field_string, (at) + offsetof(DiskNetwork, name), .max_length = 1024 },                      \
        { "source/@query", &field_string, (at) + offsetof(DiskNetwork, query), .max_length = 2048 },                    \
        { "source/@tls", &field_yes_no, (at) + offsetof(DiskNetwork, tls) },                                            \
        { "source/@tlsHostname", &field_string, (at) + offsetof(DiskNetwork, tls_hostname), .max_length = 255 },        \
        { "source/host", &field_list, (at) + offsetof(DiskNetwork, hosts), .record = &disk_host_record, .max = NETWORK_HOSTS_MAX }, \
        { "source/auth", &field_record, (at) + offsetof(DiskNetwork, source_auth), .record = &disk_auth_record },       \
        { "auth", &field_record, (at) + offsetof(DiskNetwork, auth), .record = &disk_auth_record },                     \
        { "source/initiator/iqn/@name", &field_string, (at) + offsetof(DiskNetwork, initiator), .max_length = 223 },    \
        { "source/snapshot/@name", &field_string, (at) + offsetof(DiskNetwork, snapshot), .max_length = 255 },          \
        { "source/config/@file", &field_string, (at) + offsetof(DiskNetwork, config) },                                 \
        { "source/ssl/@verify", &field_yes_no, (at) + offsetof(DiskNetwork, verify) },                                  \
        { "source/identity/@user", &field_string, (at) + offsetof(DiskNetwork, user), .max_length = 32 },               \
        { "source/identity/@group", &field_string, (at) + offsetof(DiskNetwork, group), .max_length = 32 },             \
        { "source/identity/@username", &field_string, (at) + offsetof(DiskNetwork, login), .max_length = 255 },         \
        { "source/identity/@keyfile", &field_string, (at) + offsetof(DiskNetwork, key_file) },                          \
        { "source/identity/@agentsock", &field_string, (at) + offsetof(DiskNetwork, agent) },                           \
        { "source/knownHosts/@path", &field_string, (at) + offsetof(DiskNetwork, known_hosts) },                        \
        { "source/readahead/@size", &field_number, (at) + offsetof(DiskNetwork, readahead), .max = 64u << 20 },         \
        { "source/timeout/@seconds", &field_number, (at) + offsetof(DiskNetwork, timeout), .min = 1, .max = 3600 },     \
        { "source/reconnect/@delay", &field_number, (at) + offsetof(DiskNetwork, reconnect_delay), .max = 86400 }

/* Of a disk of type 'network': `head` is the disk's, for messages. */
int disk_network_check(const DiskNetwork *n, const Record *head, bool writable, Fault *f);
/* Whether anything of it is said at all. */
bool disk_network_any(const DiskNetwork *n);
/* What the protocol's server is logged in to with; NULL: nothing. */
const SecretRef *disk_network_secret(const DiskNetwork *n, const char **ret_purpose);
int disk_network_companion(const DiskNetwork *n, bool writable, Companion *ret);
/* "nbd://host:10809/name", for messages and lists; new string. */
char *disk_network_text(const DiskNetwork *n);

/* qemu-nbd with that node, which it takes over and may be NULL. -ENOMEM. */
int disk_nbd_companion(json_t *node, bool writable, Companion *ret);

/* What the program calls what it serves. */
#define NETWORK_EXPORT "disk"
