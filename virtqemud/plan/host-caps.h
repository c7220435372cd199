/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/caps.h"
#include "../def/host-def.h"

/* A QEMU that is installed, and what it can. */
typedef struct HostEmulator {
        char *path;
        QemuCaps *caps;
} HostEmulator;

/* libvirt's <capabilities>: the host, and the guests it can have. What virtqemud can't do (migration) is not in it. -ENOMEM. */
int host_caps_to_xml(const HostInfo *host, const HostEmulator *emulators, size_t n, char **ret);
