/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* A picture of a guest's screen, as PNG. QEMU draws it into a memfd, which is sealed then. */
typedef struct Screenshot Screenshot;

#define SCREENSHOTS_MAX 8u                             /* under way, of one domain */
#define SCREENSHOT_SIZE_MAX (UINT64_C(256) << 20)      /* bytes; more is no picture of a screen */

/* Exactly once, never from within the call. `fd` is only lent; -1 with `why`. */
typedef void (*ScreenshotDone)(int fd, const Fault *why, void *userdata);
int screenshot_take(Domain *d, uint64_t screen, ScreenshotDone done, void *userdata, Fault *f);

/* QEMU is gone: those that are under way fail. */
void screenshots_abandon(Instance *i);

/* The adapter of a screen, and its head. FAULT_INVALID_STATE: not running; FAULT_NO_SUCH_DEVICE: there is no such screen. */
int screen_find(const Domain *d, uint64_t screen, const char **ret_device, uint64_t *ret_head, Fault *f);
