/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../def/dhcp-leases.h"

/* What dnsmasq has given to the guests of one network: its file, read again whenever it was written. */
typedef struct Leases Leases;

typedef struct LeasesWatch {
        void (*added)(const DhcpGrant *g, void *userdata);
        void (*removed)(const DhcpGrant *g, void *userdata);
        void (*changed)(void *userdata);         /* once for each reading with anything new in it, at the end */
} LeasesWatch;

/* The file's folder must be there; the file may come later. What is in the file now is not told. */
int leases_new(sd_event *event, const char *path, const LeasesWatch *watch, void *userdata, Leases **ret);
Leases *leases_free(Leases *l);
DEFINE_CLEANUP(Leases *, leases_free)

const DhcpGrants *leases_get(const Leases *l);
