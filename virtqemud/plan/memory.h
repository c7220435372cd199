/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"
#include "../device/wanted.h"
#include "str.h"

/* <memoryBacking>: where the guest's memory comes from. */

int memory_check(const DomainDef *def, Fault *f);
/* What -machine says of it, and the object that it names. */
void memory_machine(const DomainDef *def, Text *t);
int memory_args(const DomainDef *def, Args *a);
/* The files it is, with that of its devices. */
int memory_files(const DomainDef *def, WantedFiles *requests);
