/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libxml/tree.h>

#include "macro.h"

/* The definition of a VM made that of another one. Everything that is not touched stays as it was written. */

/* Gives it the name, and takes out or renews what no two VMs may share: UUID, MAC addresses, ports, sockets, firmware variables. -ENOMEM. */
int clone_xml_rename(xmlDoc *doc, const char *name);

/* The disks (of all devices), one after the other; NULL: no more. */
xmlNode *clone_xml_next_disk(xmlDoc *doc, const xmlNode *after);
/* Of an element below (or of the element itself where that is NULL); to be freed, NULL: there is none. */
char *clone_xml_attribute(const xmlNode *node, const char *below, const char *attribute);
bool clone_xml_has(const xmlNode *node, const char *below);
/* The disk is that volume now. -ENOMEM. */
int clone_xml_set_volume(xmlNode *disk, const char *pool, const char *volume, const char *format);

/* What both VMs would write to and nobody can make two of, as "devices/serial: /path"; NULL: nothing. To be freed. */
char *clone_xml_shared_file(xmlDoc *doc);
