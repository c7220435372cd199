/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* What a client has to know of libvirt's definitions. */

/* Name and UUID; a secret is called by what it is for. `kind` is its root element. What is missing stays as it is, so that *name may be a guess. */
int libvirt_xml_identify(const char *kind, const char *text, char **name, char **uuid, Fault *f);

/* Where a domain's firmware keeps its variables; new string, NULL: nowhere. */
char *libvirt_xml_nvram(const char *text);
bool libvirt_xml_has_tpm(const char *text);

/* The same without <uuid>: what goes by its name then. New string, NULL: out of memory. */
char *libvirt_xml_without_uuid(const char *text);

/* Whether `ours` says all that `theirs` does, and nothing besides but what a daemon chooses where a definition is silent. */
bool libvirt_xml_same(const char *theirs, const char *ours);
