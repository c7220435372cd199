/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../qmp/qmp.h"
#include "domain.h"

/* CPUs of a QEMU that runs, as query-hotpluggable-cpus lists them: the last one first. */

/* domain_ask() for them. */
int vcpus_ask(Domain *d, QmpReplyFunc reply, void *userdata, QmpRequest **ret);

bool vcpus_is_there(const json_t *cpu);
uint64_t vcpus_count(const json_t *cpus);

/* So many the live definition says. */
uint64_t vcpus_live(const Domain *d);
/* So many there are now: the live definition says it, and new threads are pinned. */
void vcpus_set_live(Domain *d, uint64_t n);
/* One may have gone that nobody waits for. */
void vcpus_count_again(Domain *d);
