/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "graphics.h"

/* TLS of SPICE: who wants it, and what QEMU gets for it. QEMU speaks it itself, as channels know whether they are encrypted; the ports and the
 * files of the certificates are opened by this daemon. */

/* What each channel takes: clients with TLS, without, or both. */
typedef enum SpiceMode { SPICE_MODE_UNSET, SPICE_MODE_ANY, SPICE_MODE_SECURE, SPICE_MODE_INSECURE } SpiceMode;
extern const EnumTable spice_mode_table, spice_channel_table;

/* Whether the modes, the ports and where they are go together. */
int spice_tls_check(const Graphics *g, Fault *f);

/* No channel answers without TLS. */
bool spice_tls_only(const Graphics *g);

/* A display that is about to be started, with the folder where the host's certificates are. */
int spice_tls_name_certificates(Graphics *g, const char *folder);
/* The certificates: they may be missing where TLS is only chosen by us, as the port is. */
int spice_tls_files(const Graphics *g, WantedFiles *requests);
/* DeviceOps.lose_file: it goes on without TLS. */
int spice_tls_lose_file(Graphics *g, const char *path);

/* Appends to the value of -spice. */
int spice_tls_args(const Graphics *g, Args *a, Text *t);
