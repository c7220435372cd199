/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"

/* A file in the guest of a domain that is copied to or from a pipe, piece by piece through its agent. */
typedef struct GuestFile GuestFile;

typedef enum GuestFileMode { GUEST_FILE_READ, GUEST_FILE_WRITE, GUEST_FILE_APPEND } GuestFileMode;

typedef struct GuestFileSpec {
        const char *path;
        GuestFileMode mode;
        /* It is open: `fd`, which is taken over, is the other end of the pipe. Never called when it can't be opened. */
        void (*opened)(int fd, void *userdata);
        void (*progress)(uint64_t bytes, void *userdata);
        /* All there is was read: guest_file_go_on() says whether there may be more. NULL: there is none. */
        void (*at_end)(void *userdata);
        /* Exactly once, and never from within guest_file_new(). It has freed itself then. */
        void (*done)(const Fault *why, void *userdata);
        void *userdata;
} GuestFileSpec;

int guest_file_new(Domain *d, const GuestFileSpec *spec, GuestFile **ret, Fault *f);
void guest_file_go_on(GuestFile *g, bool more);
/* Ends it, which `done` hears of. */
void guest_file_cancel(GuestFile *g);
