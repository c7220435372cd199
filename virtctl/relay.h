/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* A socket whose visitors each talk to a stream of their own. */
typedef struct Relay {
        int listener;
        pid_t viewer;                /* whose end is the end; 0: there is none */
        int (*open)(void *userdata, int *ret);       /* a stream for one visitor, or an exit status; it has told why */
        void *userdata;
} Relay;

/* Until the viewer has ended, or somebody wants it to end (Ctrl-C), which ends the viewer, too. *ret_status: the viewer's, as waitpid() has it. Signals
 * that are to end it must be blocked before the viewer is started: relay_block_signals(). 0, or an exit status. */
int relay_serve(const Relay *relay, int *ret_status);
void relay_block_signals(void);
/* In the child that becomes the viewer. */
void relay_unblock_signals(void);
