/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"
#include "table.h"

/* How supervisors are started. */
typedef enum LaunchMode {
        LAUNCH_AUTO,     /* as units where systemd runs, else by ourselves */
        LAUNCH_UNIT,
        LAUNCH_DIRECT,
        _LAUNCH_MODE_MAX,
        _LAUNCH_MODE_INVALID = -EINVAL,
} LaunchMode;
DECLARE_ENUM(LaunchMode, launch_mode);

/* CONFIG/qemu.conf and CONFIG/qemu.conf.d/<any>.conf; docs/qemu.conf.rst explains them. A new setting is a row in settings.c. */
typedef struct Settings {
        int launch;                    /* LaunchMode */
        char *emulator;                /* where <emulator> is missing; NULL: by architecture */
        char *memory_folder;           /* for memory of guests that is a file; NULL: our own */
        char *dump_folder;             /* for memory of crashed guests; NULL: our own */
        uint64_t dump_folder_max;      /* bytes of all that is ours in it */
        uint64_t spare_root_ports;     /* free PCI Express ports of a new domain */
        uint64_t no_space_retry_usec;  /* until a guest that stands for want of space is let go on; 0: never */
        bool log_consoles;             /* what guests write to their consoles goes to virtlogd */
        bool lease_disks;              /* images are leased from virtlockd */
        char *shared_lockspace;        /* where images that other hosts see are leased as well; NULL: nowhere */
        int on_lease_lost;             /* LockFailure, where a definition does not say */
        char *spice_certificates;      /* the folder of those for TLS of SPICE; NULL: the usual one */
        bool vnc_tls;                  /* who comes to a display of VNC by a port speaks TLS */
        char *vnc_certificates;        /* likewise for VNC */
        bool vnc_verify_clients;       /* and shows a certificate of the same authority */
        uint64_t stop_timeout_usec;    /* how long a guest may take to power off when its unit is stopped */
        bool pause_on_sleep;           /* guests are paused when the host sleeps */
        uint64_t powerdown_interval_usec; /* until the power button is pressed again */
} Settings;

/* What is not set keeps its default. A wrong line is a fault naming file and line. */
int settings_load(const char *config_dir, Settings *ret, Fault *f);
void settings_clear(Settings *s);
