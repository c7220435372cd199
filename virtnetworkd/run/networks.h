/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "firewalld.h"
#include "link.h"
#include "macvtap.h"
#include "neighbours.h"
#include "network.h"
#include "nft.h"
#include "switch-ports.h"

#define NETWORKS_MAX 1000u

/* What bus/ wants to hear. */
typedef struct NetworkWatch {
        DefinitionsWatch networks;
        void (*lease)(Network *n, const DhcpGrant *g, bool added, void *userdata);
        void (*addresses)(const MacAddress *mac, void *userdata); /* what guest_addresses() says of it may be something else now */
        void (*busy)(bool busy, void *userdata);
} NetworkWatch;

/* All networks of the host, and what they share. How they are defined and undefined: definitions.h, with `set`. */
struct Networks {
        Definitions set;
        sd_event *event;
        sd_bus *bus;                 /* NULL without a message bus */
        bool by_unit;                /* systemd runs */
        char *run_dir, *state_dir;
        Links *links;
        Macvtaps *macvtaps;
        SwitchPorts *switch_ports;
        bool macvtaps_used, switches_used;
        Neighbours *neighbours;
        Firewalld *firewalld;        /* NULL without a message bus */
        Nft *nft;
        sd_event_source *mend;       /* the firewall, soon */
        sd_event_source *look;       /* at others' rules, soon */
        uint64_t looked;             /* CLOCK_MONOTONIC; when that was done last */
        NetworkWatch watch;
        void *watch_userdata;
        bool adopting, was_busy;
};

typedef struct NetworksOptions {
        sd_event *event;
        sd_bus *bus;
        const char *config_dir, *run_dir, *state_dir;      /* ending in "virtbus"; copied */
        NetworkWatch watch;
        void *watch_userdata;
} NetworksOptions;

int networks_new(const NetworksOptions *options, Networks **ret, Fault *f);
/* Everything runs on. */
Networks *networks_free(Networks *s);
DEFINE_CLEANUP(Networks *, networks_free)
/* Reads definitions, takes up what is active, starts what is to be. */
int networks_load(Networks *s);

/* Whether other networks leave it what it needs. FAULT_NETWORK_EXISTS. */
int networks_check_others(Networks *s, const NetworkDef *def, Fault *f);

/* For network.c. */
void networks_changed(Network *n, unsigned what);

/* networks-firewall.c: all rules, in one transaction. */
int networks_apply_rules(Networks *s, Fault *f);
/* NftChanged. */
void networks_on_firewall_changed(bool ours, void *userdata);
/* Soon: whether others' rules let pass what active networks need. */
void networks_look_at_firewall(Networks *s);
