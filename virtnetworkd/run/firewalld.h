/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "macro.h"

/* Where firewalld runs, what belongs to no zone of it is in its default one, which lets little pass: each bridge of ours is put into one. */
typedef struct Firewalld Firewalld;

/* `back`: it has come, or has read its rules again: all bridges must be told anew. */
int firewalld_new(sd_bus *bus, void (*back)(void *userdata), void *userdata, Firewalld **ret);
Firewalld *firewalld_free(Firewalld *f);
DEFINE_CLEANUP(Firewalld *, firewalld_free)

/* Puts it there if firewalld runs. `zone` NULL: ours. Nothing waits for the answer: a refusal is logged. */
void firewalld_add(Firewalld *f, const char *zone, const char *bridge);
