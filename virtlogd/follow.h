/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "logfile.h"

/* Those who follow one log. Each has a socket and a place in the stream, so one that reads slowly or not at all costs nothing but that;
 * when rotation overtakes it, it goes on with the oldest byte that is kept. */
typedef struct Followers Followers;

int followers_new(sd_event *event, Followers **ret);
Followers *followers_free(Followers *f);
DEFINE_CLEANUP(Followers *, followers_free)

/* -EUSERS: there are `max` already. */
int followers_add(Followers *f, const Logfile *file, uint64_t at, unsigned max, int *ret_fd);
/* There is more to read. */
void followers_wake(Followers *f);
/* There will be no more: each ends when it has read all. */
void followers_end(Followers *f);
unsigned followers_count(const Followers *f);
