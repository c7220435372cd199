/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "caps.h"
#include "fault.h"

/* QemuCaps by binary: from memory, from CACHEDIR/qemu-HASH.json, or by asking that QEMU (two short runs with -machine none). The
 * answer is good while path, inode, mtime and size of the binary, our own format and the usability of /dev/kvm stay. */
typedef struct CapsStore CapsStore;
typedef struct CapsWait CapsWait;

#define CAPS_PROBE_USEC UINT64_C(60000000)   /* for one run of QEMU: long for a cold cache and a busy host; nobody else waits for it */

/* `caps` is valid inside the callback and until the store learns about a changed binary: keep a reference with caps_ref().
 * Otherwise NULL and the fault. The store must not be freed inside. */
typedef void (*CapsFunc)(CapsStore *s, const char *binary, QemuCaps *caps, const Fault *fault, void *userdata);

/* `cache_dir` need not exist; NULL: nothing is kept on disk. SIGCHLD must be blocked before the first probe (sd-event wants it). */
int caps_store_new(sd_event *e, const char *cache_dir, CapsStore **ret);
/* Only programs are run that nobody but root can change. */
void caps_store_distrust(CapsStore *s);
CapsStore *caps_store_free(CapsStore *s);
DEFINE_CLEANUP(CapsStore *, caps_store_free)

/* What is known now without asking QEMU (memory or cache file), or NULL. Borrowed. */
QemuCaps *caps_store_peek(CapsStore *s, const char *binary);

/* Calls `done` exactly once: at once from inside this call when the answer is known (then *ret is NULL), else later. All who wait
 * for the same binary share one probe. caps_wait_free() forgets one. Returns < 0 only without memory; then `done` is not called. */
int caps_store_get(CapsStore *s, const char *binary, CapsFunc done, void *userdata, CapsWait **ret);
CapsWait *caps_wait_free(CapsWait *w);
DEFINE_CLEANUP(CapsWait *, caps_wait_free)
