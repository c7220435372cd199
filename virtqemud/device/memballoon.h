/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* The id of the balloon that the guest has, or NULL. With `ret_tells`: whether its guest tells how it uses its memory. */
const char *memballoon_id(const DomainDef *def, bool *ret_tells);
