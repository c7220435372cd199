/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* A verb is a row of verb-list.h. Handlers get what follows the verb, and give the exit status. */

typedef enum VerbGroup { DOMAINS, DEVICES, INSIDE, NETWORKS, POOLS, VOLUMES, SECRETS, LEASES, HOST, _VERB_GROUP_MAX } VerbGroup;

typedef struct Verb {
        VerbGroup group;
        const char *name, *arguments, *help;
        int (*handler)(Client *c, int argc, char **argv);
} Verb;

extern const Verb verbs[];
extern const size_t n_verbs;

const Verb *verb_find(const char *word);
/* Says that there is no such verb, and which one may be meant. */
int verb_unknown(const char *word);

#define VERB(group, name, function, arguments, help) int verb_##function(Client *c, int argc, char **argv);
#include "verb-list.h"
#undef VERB

/* Whether there is a machine now, whatever its state. */
int domain_is_running(Client *c, const char *domain, bool *ret);
/* Which of the running domain and its definition a change is meant for: what was said, else all there are. */
int change_flags(Client *c, const char *domain, uint64_t *ret);
/* The lines of an answer: what --dry-run is for. */
int change_print_plan(sd_bus_message *reply);
/* A device by its id, or by what else it is called: "vda". */
int device_find(Client *c, const char *domain, const char *name, char **ret);
