/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/caps.h"
#include "../def/domain-def.h"

/* The value of -cpu, or NULL in *ret where QEMU's default CPU is meant. */
int cpu_text(const DomainDef *def, char **ret, Fault *f);

/* Rules of <cpu>, and whether this QEMU has the model; caps may be NULL. */
int cpu_check(const DomainDef *def, const QemuCaps *caps, Fault *f);
