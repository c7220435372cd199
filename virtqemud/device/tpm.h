/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* Whether what its TPM keeps outlives the domain. */
bool domain_keeps_tpm(const DomainDef *def);
