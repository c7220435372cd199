/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "image.h"
#include "prepare.h"

/* A Prepare, for the files it is made of: prepare.c opens files and makes the plan, prepare-fds.c gathers the descriptors. */

#define VHOST_NET "/dev/vhost-net"

struct Prepare {
        Domain *domain;
        DomainDef *live;
        PrepareSpec spec;
        WantedFiles wanted;
        ImageOpen *open;
        ImageResult *results;    /* parallel to wanted */
        size_t n_results;
        sd_event_source *defer;  /* nothing to open: done() all the same comes from the loop */
        LaunchPlan *plan;
        int vsock;               /* -1: none */
        int *fds;                /* plan->n_fds + PREPARE_EXTRA_FDS */
        struct CompanionEnd {
                const char *device;  /* the plan's */
                int fd, qemu;
        } *companions;
        size_t n_companions;
        Gathered gathered;       /* while descriptors are */
        PrepareDone done;
        void *userdata;
};
