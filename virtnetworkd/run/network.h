/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../def/network-def.h"
#include "definitions.h"
#include "dnsmasq.h"
#include "fault.h"
#include "leases.h"

typedef struct Networks Networks;

/* One network: its definition, and while it is active (`live`) what it is made of on the host. Owned by the Networks. */
typedef struct Network {
        DEFINED_MEMBERS(Networks, NetworkDef);
        bool active;                 /* all of it is there */
        bool has_rules;              /* the firewall's */
        int ifindex;                 /* of the bridge; 0: none */
        sd_event_source *removal;    /* of the bridge, while it is waited for */
        Dnsmasq *dnsmasq;
        Leases *leases;              /* NULL: no dnsmasq, or it comes or goes */
        bool targets_moved;          /* of port forwards, by what is being told of leases */
        char **warnings;
        char **blocked;              /* warnings of what others' firewall rules drop; NULL: not looked at yet */
        struct NetworkOperation *operation;
        struct Attaching *waiting;   /* ports, for the operation to end */
} Network;

typedef enum NetworkChange {
        NETWORK_CHANGED_ACTIVE    = DEFINED_CHANGED_STATE,
        NETWORK_CHANGED_CONFIG    = DEFINED_CHANGED_CONFIG,
        NETWORK_CHANGED_AUTOSTART = DEFINED_CHANGED_AUTOSTART,
        NETWORK_CHANGED_WARNINGS  = DEFINED_CHANGED_MORE,
        NETWORK_CHANGED_LEASES    = DEFINED_CHANGED_MORE << 1,
        NETWORK_CHANGED_FORWARDS  = DEFINED_CHANGED_MORE << 2,
        NETWORK_CHANGED_STARTED   = DEFINED_CHANGED_MORE << 3,
} NetworkChange;

/* Brings it up; what is there already stays as it is. FAULT_INVALID_STATE: active. FAULT_BUSY. */
int network_start(Network *n, DefinedDone done, void *userdata, Fault *f);
/* Likewise; without `force` only if nothing but the host is on its bridge. */
int network_stop(Network *n, bool force, DefinedDone done, void *userdata, Fault *f);
/* Changes it while it is active, as far as network_can_become() allows. Takes over `next`, also on failure. */
int network_update(Network *n, NetworkDef *next, DefinedDone done, void *userdata, Fault *f);

/* What a port is to be. */
typedef struct PortRequest {
        char *domain, *group;        /* NULL: none */
        sd_id128_t uuid;             /* of the domain; null: nobody knows */
        MacAddress mac;
        uint32_t queues;
        bool isolated;
        uint32_t coalesce;       /* frames */
        PortSettings settings;
} PortRequest;
void port_request_init(PortRequest *q);
void port_request_clear(PortRequest *q);

/* Exactly once, from within the call or later. The descriptors are the caller's to close. */
typedef void (*PortDone)(const char *name, const int *fds, uint32_t n, const Fault *why, void *userdata);
/* A port on a network, which is started if it is not active. That it is being started, stopped or changed is waited for. Takes over what is
 * in `q`, also on failure. */
int network_attach(Network *n, PortRequest *q, PortDone done, void *userdata, Fault *f);
/* A tap that was a port of it, and lost its bridge when the network was stopped by force, is one again. FAULT_INVALID_STATE: the network is
 * not active, or the tap is on a bridge. */
int network_reattach(Network *n, const char *tap, const PortRequest *q, Fault *f);
/* For network.c: the operation has ended; or it never will. */
void network_attach_waiting(Network *n);
void network_fail_waiting(Network *n, const Fault *why);

/* Names of what is on its bridge, or of macvtaps on its links. -ENODEV: it is not active. */
int network_ports(const Network *n, char ***ret);

/* Takes up one that an earlier life of this daemon has started, mending what is missing. Takes over `live`. */
int network_adopt(Network *n, NetworkDef *live, Fault *f);

/* Frees what it holds, and lets all run on. */
void network_clear(Network *n);

/* The definition that says what it is now; NULL for a broken one. */
static inline const NetworkDef *network_def(const Network *n) {
        return n->live ?: n->config;
}
/* NULL: nothing is known of them. */
static inline const DhcpGrants *network_grants(const Network *n) {
        return n->leases ? leases_get(n->leases) : NULL;
}
