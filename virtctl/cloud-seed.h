/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* What cloud-init(1) in a guest is told at its first start: its NoCloud data source, an ISO 9660 image with the label "cidata". */

typedef struct CloudSeed {
        char *user_data, *meta_data;
        char *network_config;        /* NULL: what the image does without a word, which is DHCP */
} CloudSeed;
void cloud_seed_clear(CloudSeed *s);
#define _cleanup_cloud_seed_ _cleanup_(cloud_seed_clear)

/* Whether the options say something that only cloud-init can do. */
bool cloud_seed_is_wanted(const Client *c);
/* From the options, for a VM of that name. 0, or an exit status, and it has been told. */
int cloud_seed_read(Client *c, const char *name, CloudSeed *ret);
/* The image, in a file that has no name any more; *ret_size in bytes. 0, or an exit status, and it has been told. */
int cloud_seed_to_image(const CloudSeed *s, int *ret, uint64_t *ret_size);
