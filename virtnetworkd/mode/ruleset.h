/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <net/if.h>

#include "netaddr.h"

/* The firewall as data: pure, so that it can be compared and shown, and sent to the kernel by run/nft.c in one piece. All of it is one
 * table of the family inet; what is not in here is not ours. */

#define RULESET_TABLE "virtbus"
#define CHAIN_NAME_MAX 64u
#define RULE_MATCHES_MAX 6u

typedef enum MatchKind {
        MATCH_IIF, MATCH_OIF, MATCH_SADDR, MATCH_DADDR,
        MATCH_LOCAL,                 /* what is sent to an address of the host; of one family */
        MATCH_ESTABLISHED,
        MATCH_FORWARDED,             /* sent on by a rule with VERDICT_DNAT */
        MATCH_PROTOCOL, MATCH_DPORT, _MATCH_MAX,
} MatchKind;

typedef struct Match {
        MatchKind kind;
        bool negate;
        char interface[IFNAMSIZ];
        IpAddress address;           /* a network for a prefix that is shorter */
        unsigned prefix;
        unsigned number;             /* protocol, port or family */
        unsigned last;               /* of a range of ports */
} Match;

typedef enum VerdictKind {
        VERDICT_REJECT, VERDICT_RETURN, VERDICT_JUMP, VERDICT_MASQUERADE, VERDICT_SNAT, VERDICT_DNAT, _VERDICT_MAX,
} VerdictKind;

typedef struct Rule {
        char chain[CHAIN_NAME_MAX];
        Match matches[RULE_MATCHES_MAX];
        unsigned n_matches;
        VerdictKind verdict;
        char target[CHAIN_NAME_MAX]; /* VERDICT_JUMP */
        IpAddress nat_start, nat_end; /* VERDICT_SNAT, VERDICT_DNAT */
        uint16_t port_start, port_end; /* 0: as it is */
        bool random;                 /* of the ports */
} Rule;

typedef struct Chain {
        char name[CHAIN_NAME_MAX];
        const char *type, *hook;     /* "filter", "nat"; NULL: reached by jumps only */
        int priority;
} Chain;

typedef struct Ruleset {
        Chain *chains;
        size_t n_chains, chains_allocated;
        Rule *rules;
        size_t n_rules, rules_allocated;
} Ruleset;

#define CHAIN_FORWARD "forward"
#define CHAIN_POSTROUTING "postrouting"
#define CHAIN_PREROUTING "prerouting"
#define CHAIN_OUTPUT "output"

/* With the chains that every ruleset has: the first two. -ENOMEM. */
int ruleset_init(Ruleset *s);
void ruleset_clear(Ruleset *s);
#define _cleanup_ruleset_ _cleanup_(ruleset_clear)

int ruleset_add_chain(Ruleset *s, const char *name);
bool ruleset_has_chain(const Ruleset *s, const char *name);
/* The other two. */
int ruleset_add_port_chains(Ruleset *s);
/* A rule at the end of a chain, to be filled; NULL: out of memory. It is valid until the next one is added. */
Rule *ruleset_add(Ruleset *s, const char *chain, VerdictKind verdict);

/* Each adds one more condition. */
void rule_match_interface(Rule *r, MatchKind kind, const char *interface);
void rule_match_network(Rule *r, MatchKind kind, const IpAddress *address, unsigned prefix, bool negate);
void rule_match_established(Rule *r);
void rule_match_forwarded(Rule *r);
void rule_match_local(Rule *r, int family);
void rule_match_ports(Rule *r, unsigned protocol, unsigned first, unsigned last);
void rule_match_number(Rule *r, MatchKind kind, unsigned number);

/* The same in nft's own language, to be read by people and by `nft -c -f`. NULL: out of memory. */
char *ruleset_to_text(const Ruleset *s);
