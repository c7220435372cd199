/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/network-def.h"
#include "link.h"
#include "nft-dump.h"

/* A packet passes only if every base chain of the host lets it: ours can't help against a chain of Docker, ufw or an administrator. */

/* Sentences that tell which chains certainly drop what the network is there for, and the command that mends it. NULL-terminated; none for a
 * network whose firewall is not ours to care for. Errors as of nft_probe(). */
int foreign_firewall_check(Links *l, NftDump *d, const NetworkDef *def, char ***ret);
