/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Autostart is the unit being enabled, so that systemctl enable and SetAutostart() are one thing. Where VMs are not units, it is a
 * link in CONFIG/autostart that this daemon follows once after boot. */

/* `d` is NULL when the domain has gone meanwhile. */
typedef void (*AutostartDone)(Domain *d, int error, const Fault *f, void *userdata);
/* `done` (may be NULL) is called exactly once, perhaps from within, unless this fails. */
int autostart_set(Domain *d, bool on, AutostartDone done, void *userdata, Fault *f);
/* The domain loses its name: no link of the old one stays behind. */
void autostart_forget(Domain *d);

/* Finds out which domains have it, by looking at the links of enabled units; again whenever systemd says they changed. */
void autostart_refresh(Manager *m);
/* The same for one that is new. */
void autostart_look(Domain *d);
/* Without units: starts what is marked, once per boot. */
void autostart_run(Manager *m);
/* Gives up calls under way: FAULT_CANCELED. */
void autostart_clear(Manager *m);
