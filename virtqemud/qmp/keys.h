/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "fault.h"
#include "table.h"

/* What is pressed, moved and typed, as QEMU wants to be told. Pure. */

#define KEYS_MAX 16u                /* pressed together; a keyboard knows no more */
#define KEYS_HOLD_MAX_MSEC 60000u
#define INPUT_EVENTS_MAX 256u       /* of one call */

/* Who counts the keys. */
typedef enum KeyCodes {
        KEY_CODES_LINUX,            /* <linux/input-event-codes.h> */
        KEY_CODES_USB,              /* the usages of USB's keyboard page */
        KEY_CODES_QNUM,             /* the PC keyboard's first set, 0x80 added to those after 0xe0 */
        _KEY_CODES_MAX,
        _KEY_CODES_INVALID = -EINVAL,
} KeyCodes;
DECLARE_ENUM(KeyCodes, key_codes);

/* Appends a KeyValue of QMP. FAULT_INVALID_ARGS: there is no such key, or there are too many. */
int keys_add_code(json_t *keys, KeyCodes codes, uint32_t code, Fault *f);
/* By its name: QEMU's ("ctrl", "ret"), or Linux's ("KEY_LEFTCTRL", also without KEY_); capitals are small ones. */
int keys_add_name(json_t *keys, const char *name, Fault *f);

/* Appends an InputEvent of QMP: what happens ("key", "button", "abs", "rel"), to what (a key's name; left, right, …; x, y), and how:
 * 1 down and 0 up, a place from 0 to 32767, a way. */
int input_add_event(json_t *events, const char *kind, const char *what, int32_t value, Fault *f);
