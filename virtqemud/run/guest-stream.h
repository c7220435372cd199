/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest-agent.h"

/* A program in the guest of a domain whose output is read while it runs. Agents give output when a program has ended, so it goes into a file of
 * the guest, which is read as it grows: that takes a shell there. */
typedef struct GuestStream GuestStream;

typedef struct GuestStreamSpec {
        const char *path;
        json_t *arguments, *environment; /* arrays of strings; borrowed */
        /* It runs: `fd`, which is taken over, gives its output, both kinds. */
        void (*opened)(int fd, void *userdata);
        void (*progress)(uint64_t bytes, void *userdata);
        /* Exactly once, and never from within guest_stream_new(): it has ended, with that code, or 128 and the number of its signal. */
        void (*done)(const Fault *why, int code, void *userdata);
        void *userdata;
} GuestStreamSpec;

int guest_stream_new(Domain *d, const GuestStreamSpec *spec, GuestStream **ret, Fault *f);
/* Its output is read no more; the program goes on. */
void guest_stream_cancel(GuestStream *s);
