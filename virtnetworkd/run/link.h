/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <net/if.h>

#include "../def/network-def.h"
#include "fault.h"

/* Links, addresses and routes of the host, over rtnetlink. The kernel does what it is asked before it answers: nothing waits. */
typedef struct Links Links;

int links_new(Links **ret, Fault *f);
Links *links_free(Links *l);
DEFINE_CLEANUP(Links *, links_free)

typedef struct LinkInfo {
        int index;
        unsigned mtu;
        char kind[16];               /* "bridge"; "" */
        char alias[128];             /* what somebody wrote on it */
} LinkInfo;

/* -ENODEV. */
int links_find(Links *l, const char *name, LinkInfo *ret);
/* "virbr0" or the next that no link has; into a buffer of IFNAMSIZ bytes. -ENOSPC. */
int links_free_name(Links *l, const char *prefix, bool (*taken)(const char *name, void *userdata), void *userdata, char *ret);

typedef struct BridgeSpec {
        const char *name, *alias;
        MacAddress mac;
        uint64_t mtu;                /* NUMBER_UNSET: as the kernel has it */
        bool stp;
        uint64_t delay;              /* seconds */
} BridgeSpec;

/* Makes it, down. FAULT_NETWORK. */
int links_add_bridge(Links *l, const BridgeSpec *spec, int *ret_index, Fault *f);
/* One that is not there is no error. It takes its time: see link-removal.h. */
int links_remove(Links *l, int index);
int links_set_up(Links *l, int index, Fault *f);
/* Puts a link on a bridge and sets it up. `mac` NULL, `mtu` NUMBER_UNSET, `alias` NULL: as they are. */
int links_connect(Links *l, const char *name, const char *bridge, const MacAddress *mac, uint64_t mtu, const char *alias, Fault *f);
/* On no bridge. */
int links_set_up_tap(Links *l, const char *name, const MacAddress *mac, uint64_t mtu, const char *alias, Fault *f);
/* A guest behind a port of a bridge, so that the bridge need not learn of it. FAULT_NETWORK. */
int links_add_to_bridge_table(Links *l, const char *port, const MacAddress *mac, Fault *f);
/* `mode`: bridge, private, vepa or passthrough; set up. FAULT_NETWORK. */
int links_add_macvtap(Links *l, const char *name, const char *lower, const char *mode, const MacAddress *mac, const char *alias, int *ret_index,
                      Fault *f);
typedef struct MacvtapInfo {
        int index;
        char name[IFNAMSIZ], link[IFNAMSIZ]; /* `link`: what it is on; "" if that is gone */
        const char *alias;
} MacvtapInfo;
/* Ends with the first error of `found`. */
int links_macvtaps(Links *l, int (*found)(const MacvtapInfo *info, void *userdata), void *userdata);

/* One that is there already is no error. */
int links_add_address(Links *l, int index, const IpAddress *a, unsigned prefix, Fault *f);
int links_add_route(Links *l, int index, const IpAddress *network, unsigned prefix, const IpAddress *gateway, uint32_t metric, Fault *f);

/* The length of the prefix that link has for this address; all of its bits if it has none. */
unsigned links_prefix_of(Links *l, int index, const IpAddress *a);
/* The link of the default route, into a buffer of IFNAMSIZ bytes. -ENODEV: there is none. */
int links_default(Links *l, int family, char *ret);
/* Whether the network meets one that another link than `except` (0: none) has an address in or a route to: FAULT_NETWORK, naming it. */
int links_check_free(Links *l, const IpAddress *a, unsigned prefix, int except, Fault *f);

/* Writes /proc/sys/net/…; `name` is the rest. */
int sysctl_set(const char *name, const char *value);
