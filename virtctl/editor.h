/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Text in the user's editor: $VIRTCTL_EDITOR, $VISUAL, $EDITOR, or Debian's "editor". */

/* Lets the user change a text that is called `name`. *ret: what it is then; NULL if it is as before, which has been said. 0, or an exit status. */
int editor_run(Client *c, const char *name, const char *text, char **ret);

/* Puts a text that must not get lost into a file of the user's, and says where. *ret (may be NULL): its path. */
int editor_keep(const char *name, const char *text, char **ret);
