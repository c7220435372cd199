/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

#define FORMAT_XML "libvirt-xml"

/* Definitions to a daemon and from it, in libvirt's XML. */

/* A file's text; "-" is standard input. 0, or an exit status. */
int definition_read(const char *name, char **ret);
/* Hands each file to a method that takes a definition, or has it checked only; "-" is standard input. Goes on after a failure; the first
 * one decides about the exit status. */
int definition_send(Client *c, const char *root, const char *interface, const char *method, int argc, char **files);
/* What an object's ExportDefinition gives, to standard output. 0, or an exit status. */
int definition_print(Client *c, const char *path, const char *interface, uint64_t flags);
