/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* What is printed from now on goes through $VIRTCTL_PAGER, $SYSTEMD_PAGER, $PAGER or less, where standard output is a terminal and nobody has
 * said --no-pager. At the end it is waited for. */
void pager_open(const Client *c);
