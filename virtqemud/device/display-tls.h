/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "graphics.h"

/* The certificates of a display that is served with TLS: files in the folder Graphics.certificates, whose names are the same everywhere.
 * QEMU gets what is in them, not the files. */
typedef enum TlsFile { TLS_CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY, _TLS_FILE_MAX } TlsFile;

/* "FOLDER/ca-cert.pem"; new string. */
char *display_tls_path(const Graphics *g, TlsFile which);

/* Appends those files, if it has TLS. `purpose`: static, as in WantedFile. */
int display_tls_files(const Graphics *g, bool optional, const char *purpose, WantedFiles *requests);
bool display_tls_is_file(const Graphics *g, const char *path);

/* The content of one, as a descriptor of QEMU's; its number, or a negative errno. */
int display_tls_fd(const Graphics *g, TlsFile which, Args *a);
