/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* One guest console. QEMU has a listening socket for it, we are its only client and pass the bytes on: to a pty that people can open
 * as /dev/pts/N, and to any number of descriptors handed out over D-Bus. All of them read; one of them at a time writes. New readers
 * first get the last bytes the guest wrote. Nobody who is slow holds up the guest or another reader: one who is behind by more
 * than those last bytes has lost what came before them. */
typedef struct Console Console;

#define CONSOLE_SCROLLBACK (64u * 1024)
#define CONSOLE_CLIENTS_MAX 32u

typedef enum ConsoleFlags {
        CONSOLE_WRITE = 1 << 0,  /* may type; refused with FAULT_BUSY while another one may */
        CONSOLE_FORCE = 1 << 1,  /* take the writing over from whoever has it, who goes on reading */
        CONSOLE_NO_SCROLLBACK = 1 << 2,
} ConsoleFlags;

/* Connects to QEMU's socket at `path`. With `pty`, makes a pty as well, which a restart of this daemon does not change: it is kept under
 * that name (fdstore.h). */
int console_new(sd_event *event, const char *path, const char *pty, Console **ret, Fault *f);
/* Leaves the pty to the next process. */
Console *console_free(Console *c);
/* Its QEMU has ended: what it has still said is passed on. */
void console_hear_out(Console *c);
/* The console's QEMU has ended: nothing is to be kept. */
void console_forget(Console *c);
DEFINE_CLEANUP(Console *, console_free)

/* A new stream descriptor for a client; closing it ends the reading. */
int console_open(Console *c, unsigned flags, int *ret_fd, Fault *f);

/* "/dev/pts/N", or NULL without pty. */
const char *console_tty(const Console *c);
