/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"
#include "../device/wanted.h"

/* <sysinfo>, <smbios>, <genid> and <acpi><table>: by what a guest knows its machine, and what it finds in the firmware's configuration. */

int smbios_check(const DomainDef *def, Fault *f);
int smbios_files(const DomainDef *def, WantedFiles *requests);
int smbios_args(const DomainDef *def, Args *a);
