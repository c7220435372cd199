/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../pool/pool.h"

/* Name and password that iscsiadm logs in with, put into open-iscsi's own records of the pool's target: a program's arguments can be read by
 * everybody. */
int iscsi_record_set_login(const PoolDef *def, const void *password, size_t length, Fault *f);
