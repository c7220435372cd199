/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libnftnl/rule.h>

#include "../mode/ruleset.h"

/* A Rule as the kernel wants it: an instruction for each step. -ENOMEM. */
int nft_rule_exprs(struct nftnl_rule *to, const Rule *r);
