/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netlink/netlink.h>

#include "link.h"
#include "mem.h"

/* For files that say more to rtnetlink than link.c does. */

struct nl_sock *links_socket(Links *l);
/* "what name: libnl's error". */
int links_fault(Fault *f, int nl_error, const char *what, const char *name);

DEFINE_CLEANUP_VOID(struct nl_msg *, nlmsg_free)
