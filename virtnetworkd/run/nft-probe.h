/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <net/if.h>

#include "nft-dump.h"

/* What becomes of a packet in the chains of others. Only what is certain is told: a rule that looks at something we don't know of the packet
 * may let it pass, or not. */

typedef struct NftPacket {
        int family;                  /* AF_INET, AF_INET6 */
        uint32_t hook;               /* NF_INET_FORWARD, NF_INET_LOCAL_IN */
        char in[IFNAMSIZ], out[IFNAMSIZ]; /* links; "" for `out`: none */
        uint8_t protocol;            /* IPPROTO_…; 0: any */
        uint16_t port;               /* it goes to; 0: any */
        bool established;            /* an answer; else the first packet of a connection */
} NftPacket;

/* The base chain that certainly drops it; NULL: none does. Errors as of nft_dump_load(). */
int nft_probe(NftDump *d, const NftPacket *p, const NftChain **ret);
