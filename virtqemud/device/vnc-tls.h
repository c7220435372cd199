/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "graphics.h"

/* TLS of VNC, which the host's settings turn on: who comes by the port then has to begin with it (VeNCrypt). QEMU speaks it itself. */

/* A display that is about to be started, with the folder where the host's certificates are; NULL: the host wants none. */
int vnc_tls_name_certificates(Graphics *g, const char *folder, bool verify_clients);
int vnc_tls_files(const Graphics *g, WantedFiles *requests);

/* The credentials, and what is appended to the value of -vnc. */
int vnc_tls_args(const Graphics *g, Args *a, Text *t);
