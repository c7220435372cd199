/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>         /* before the kernel's own */
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "fault.h"

/* What others have in the kernel's firewall: their chains, and the rules and sets of those that somebody looks at. All of it is at most
 * NFT_DUMP_RULES_MAX rules: more are not looked at. */

#define NFT_DUMP_RULES_MAX 8192u

typedef struct NftChain {
        uint32_t family;             /* NFPROTO_… */
        char *table, *name;
        bool base;                   /* packets come in at `hook`, rather than by jumps */
        uint32_t hook, policy;       /* NF_INET_…, NF_… */
        bool loaded;
        struct nftnl_rule **rules;
        size_t n, allocated;
} NftChain;

typedef struct NftDump NftDump;

/* -EAGAIN: somebody was changing it, so that no part of it is to be believed. */
int nft_dump_new(NftDump **ret);
NftDump *nft_dump_free(NftDump *d);
DEFINE_CLEANUP(NftDump *, nft_dump_free)

NftChain *nft_dump_chains(NftDump *d, size_t *ret_n);
/* NULL: there is none. */
NftChain *nft_dump_find(NftDump *d, uint32_t family, const char *table, const char *name);
/* Reads its rules, once. -E2BIG: too many. */
int nft_dump_load(NftDump *d, NftChain *c);
/* Elements of a set, to be freed with nftnl_set_free(). -E2BIG, -EOPNOTSUPP: it has ranges. */
int nft_dump_set(NftDump *d, const NftChain *c, const char *name, struct nftnl_set **ret);
