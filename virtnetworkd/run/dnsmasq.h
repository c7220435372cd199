/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "../def/network-def.h"
#include "fault.h"

/* The dnsmasq of one network: its files, and the process. With systemd it is the unit virtdnsmasq@NAME.service, which lives on when we
 * are restarted; without, it is a process that we started. */
typedef struct Dnsmasq Dnsmasq;

typedef struct DnsmasqOptions {
        sd_event *event;
        sd_bus *bus;             /* of systemd; NULL: processes of our own */
        const char *name;        /* the network's */
        const char *run_dir, *state_dir;
        void (*ended)(const char *why, void *userdata);     /* though nobody stopped it */
        void *userdata;
} DnsmasqOptions;

int dnsmasq_new(const DnsmasqOptions *options, Dnsmasq **ret);
/* Lets it run on. */
Dnsmasq *dnsmasq_free(Dnsmasq *d);
DEFINE_CLEANUP(Dnsmasq *, dnsmasq_free)

/* Exactly once, never from within the call. */
typedef void (*DnsmasqDone)(const Fault *why, void *userdata);

/* Writes the files and starts it; where it runs already it reads the hosts again, if they are others. */
int dnsmasq_start(Dnsmasq *d, const NetworkDef *def, DnsmasqDone done, void *userdata, Fault *f);
int dnsmasq_stop(Dnsmasq *d, DnsmasqDone done, void *userdata, Fault *f);
/* Of one that could not be started. */
void dnsmasq_remove_files(const Dnsmasq *d);
/* Where it writes down what it gives. */
const char *dnsmasq_leases(const Dnsmasq *d);
/* What runs goes over to another definition; leases are kept. Where nothing else has changed it reads the hosts again, else it is restarted. */
int dnsmasq_update(Dnsmasq *d, const NetworkDef *def, DnsmasqDone done, void *userdata, Fault *f);
