/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../mode/ruleset.h"
#include "fault.h"

/* The kernel's side of a Ruleset: our table is replaced as a whole in one transaction, so that packets meet the old rules or the new ones.
 * Nothing else of the host's firewall is touched. The kernel answers at once: nothing waits. */
typedef struct Nft Nft;

/* Called when somebody else has changed the host's firewall; `ours`: our table is, or may be, what was changed or removed. */
typedef void (*NftChanged)(bool ours, void *userdata);

int nft_new(sd_event *event, NftChanged changed, void *userdata, Nft **ret, Fault *f);
Nft *nft_free(Nft *n);
DEFINE_CLEANUP(Nft *, nft_free)

/* FAULT_FIREWALL. All or nothing. */
int nft_apply(Nft *n, const Ruleset *s, Fault *f);
/* Removes our table. */
int nft_remove(Nft *n, Fault *f);
