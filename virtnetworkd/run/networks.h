/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "firewalld.h"
#include "link.h"
#include "macvtap.h"
#include "neighbours.h"
#include "network.h"
#include "nft.h"
#include "registry.h"
#include "store.h"

#define NETWORKS_MAX 1000u

/* What bus/ wants to hear. */
typedef struct NetworkWatch {
        void (*added)(Network *n, void *userdata);
        void (*removed)(Network *n, void *userdata);       /* still whole */
        void (*changed)(Network *n, unsigned what, void *userdata);
        void (*lease)(Network *n, const DhcpGrant *g, bool added, void *userdata);
        void (*addresses)(const MacAddress *mac, void *userdata); /* what guest_addresses() says of it may be something else now */
        void (*busy)(bool busy, void *userdata);
} NetworkWatch;

/* All networks of the host, and what they share. */
struct Networks {
        sd_event *event;
        sd_bus *bus;                 /* NULL without a message bus */
        bool by_unit;                /* systemd runs */
        char *run_dir, *state_dir;
        Registry *registry;
        Store *configs, *autostarts, *statuses;
        Links *links;
        Macvtaps *macvtaps;
        bool macvtaps_used;
        Neighbours *neighbours;
        Firewalld *firewalld;        /* NULL without a message bus */
        Nft *nft;
        sd_event_source *mend;       /* the firewall, soon */
        sd_event_source *look;       /* at others' rules, soon */
        uint64_t looked;             /* CLOCK_MONOTONIC; when that was done last */
        NetworkWatch watch;
        void *watch_userdata;
        bool loading, adopting, was_busy;
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
/* The definitions that were changed by hand. Active networks stay as they are until they are started again. */
int networks_reload(Networks *s);

/* By name or UUID. FAULT_NO_SUCH_NETWORK. */
int networks_find(Networks *s, const char *name, Network **ret, Fault *f);
Network *networks_find_uuid(Networks *s, sd_id128_t uuid);

/* A new definition, or another one for a network that is there. `expect`: it must be of that one. */
int networks_define(Networks *s, const char *text, size_t length, bool validate_only, const Network *expect, Network **ret, Fault *f);
/* What networks_define() would take for this network; nothing is changed. */
int networks_read_for(Network *n, const char *text, size_t length, NetworkDef **ret, Fault *f);
/* Whether other networks leave it what it needs. FAULT_NETWORK_EXISTS. */
int networks_check_others(Networks *s, const NetworkDef *def, Fault *f);
/* A network that is gone when it is stopped; it is not started yet. */
int networks_add_transient(Networks *s, const char *text, size_t length, Network **ret, Fault *f);
int networks_undefine(Network *n, Fault *f);
int networks_set_autostart(Network *n, bool on, Fault *f);

/* For network.c. */
/* Logged, and tried again. */
int networks_save(Network *n);
void networks_changed(Network *n, unsigned what);
/* A transient network that has ended goes. */
void networks_settle(Network *n);

/* networks-firewall.c: all rules, in one transaction. */
int networks_apply_rules(Networks *s, Fault *f);
/* NftChanged. */
void networks_on_firewall_changed(bool ours, void *userdata);
/* Soon: whether others' rules let pass what active networks need. */
void networks_look_at_firewall(Networks *s);
