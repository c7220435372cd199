/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keys.h"

#include <inttypes.h>
#include <linux/input-event-codes.h>
#include <strings.h>

#include "mem.h"
#include "str.h"

DEFINE_ENUM(KeyCodes, key_codes, [KEY_CODES_LINUX] = "linux", [KEY_CODES_USB] = "usb", [KEY_CODES_QNUM] = "qnum")

/* A key: Linux's name and number, USB's (0: it has none on that page), QEMU's name. */
#define K(linux_name, usb_usage, qemu_name) { #linux_name, KEY_##linux_name, (usb_usage), (qemu_name) }
static const struct {
        const char *linux_name;
        uint16_t linux_code, usb;
        const char *name;
} keys[] = {
        K(ESC, 0x29, "esc"), K(1, 0x1e, "1"), K(2, 0x1f, "2"), K(3, 0x20, "3"), K(4, 0x21, "4"), K(5, 0x22, "5"),
        K(6, 0x23, "6"), K(7, 0x24, "7"), K(8, 0x25, "8"), K(9, 0x26, "9"), K(0, 0x27, "0"), K(MINUS, 0x2d, "minus"),
        K(EQUAL, 0x2e, "equal"), K(BACKSPACE, 0x2a, "backspace"), K(TAB, 0x2b, "tab"), K(A, 0x04, "a"), K(B, 0x05, "b"),
        K(C, 0x06, "c"), K(D, 0x07, "d"), K(E, 0x08, "e"), K(F, 0x09, "f"), K(G, 0x0a, "g"), K(H, 0x0b, "h"),
        K(I, 0x0c, "i"), K(J, 0x0d, "j"), K(K, 0x0e, "k"), K(L, 0x0f, "l"), K(M, 0x10, "m"), K(N, 0x11, "n"),
        K(O, 0x12, "o"), K(P, 0x13, "p"), K(Q, 0x14, "q"), K(R, 0x15, "r"), K(S, 0x16, "s"), K(T, 0x17, "t"),
        K(U, 0x18, "u"), K(V, 0x19, "v"), K(W, 0x1a, "w"), K(X, 0x1b, "x"), K(Y, 0x1c, "y"), K(Z, 0x1d, "z"),
        K(LEFTBRACE, 0x2f, "bracket_left"), K(RIGHTBRACE, 0x30, "bracket_right"), K(ENTER, 0x28, "ret"),
        K(SEMICOLON, 0x33, "semicolon"), K(APOSTROPHE, 0x34, "apostrophe"), K(GRAVE, 0x35, "grave_accent"),
        K(BACKSLASH, 0x31, "backslash"), K(COMMA, 0x36, "comma"), K(DOT, 0x37, "dot"), K(SLASH, 0x38, "slash"),
        K(SPACE, 0x2c, "spc"), K(CAPSLOCK, 0x39, "caps_lock"), K(102ND, 0x64, "less"), K(LEFTCTRL, 0xe0, "ctrl"),
        K(LEFTSHIFT, 0xe1, "shift"), K(LEFTALT, 0xe2, "alt"), K(LEFTMETA, 0xe3, "meta_l"), K(RIGHTCTRL, 0xe4, "ctrl_r"),
        K(RIGHTSHIFT, 0xe5, "shift_r"), K(RIGHTALT, 0xe6, "alt_r"), K(RIGHTMETA, 0xe7, "meta_r"), K(F1, 0x3a, "f1"),
        K(F2, 0x3b, "f2"), K(F3, 0x3c, "f3"), K(F4, 0x3d, "f4"), K(F5, 0x3e, "f5"), K(F6, 0x3f, "f6"), K(F7, 0x40, "f7"),
        K(F8, 0x41, "f8"), K(F9, 0x42, "f9"), K(F10, 0x43, "f10"), K(F11, 0x44, "f11"), K(F12, 0x45, "f12"),
        K(SYSRQ, 0x46, "print"), K(SCROLLLOCK, 0x47, "scroll_lock"),
        K(PAUSE, 0x48, "pause"), K(INSERT, 0x49, "insert"), K(HOME, 0x4a, "home"), K(PAGEUP, 0x4b, "pgup"),
        K(DELETE, 0x4c, "delete"), K(END, 0x4d, "end"), K(PAGEDOWN, 0x4e, "pgdn"), K(RIGHT, 0x4f, "right"),
        K(LEFT, 0x50, "left"), K(DOWN, 0x51, "down"), K(UP, 0x52, "up"), K(NUMLOCK, 0x53, "num_lock"),
        K(KPSLASH, 0x54, "kp_divide"), K(KPASTERISK, 0x55, "kp_multiply"), K(KPMINUS, 0x56, "kp_subtract"),
        K(KPPLUS, 0x57, "kp_add"), K(KPENTER, 0x58, "kp_enter"), K(KP1, 0x59, "kp_1"), K(KP2, 0x5a, "kp_2"),
        K(KP3, 0x5b, "kp_3"), K(KP4, 0x5c, "kp_4"), K(KP5, 0x5d, "kp_5"), K(KP6, 0x5e, "kp_6"), K(KP7, 0x5f, "kp_7"),
        K(KP8, 0x60, "kp_8"), K(KP9, 0x61, "kp_9"), K(KP0, 0x62, "kp_0"), K(KPDOT, 0x63, "kp_decimal"),
        K(KPEQUAL, 0x67, "kp_equals"), K(KPCOMMA, 0x85, "kp_comma"), K(COMPOSE, 0x65, "compose"),
        K(POWER, 0x66, "power"), K(MENU, 0x76, "menu"), K(OPEN, 0x74, "open"), K(HELP, 0x75, "help"),
        K(FRONT, 0x77, "front"), K(STOP, 0x78, "stop"), K(AGAIN, 0x79, "again"), K(UNDO, 0x7a, "undo"),
        K(CUT, 0x7b, "cut"), K(COPY, 0x7c, "copy"), K(PASTE, 0x7d, "paste"), K(FIND, 0x7e, "find"),
        K(MUTE, 0x7f, "audiomute"), K(VOLUMEUP, 0x80, "volumeup"), K(VOLUMEDOWN, 0x81, "volumedown"), K(RO, 0x87, "ro"),
        K(KATAKANAHIRAGANA, 0x88, "katakanahiragana"), K(YEN, 0x89, "yen"), K(HENKAN, 0x8a, "henkan"),
        K(MUHENKAN, 0x8b, "muhenkan"), K(HANGEUL, 0x90, "lang1"), K(HANJA, 0x91, "lang2"), K(SLEEP, 0, "sleep"),
        K(WAKEUP, 0, "wake"), K(NEXTSONG, 0, "audionext"), K(PREVIOUSSONG, 0, "audioprev"), K(STOPCD, 0, "audiostop"),
        K(PLAYPAUSE, 0, "audioplay"), K(MEDIA, 0, "mediaselect"), K(MAIL, 0, "mail"), K(CALC, 0, "calculator"),
        K(COMPUTER, 0, "computer"), K(HOMEPAGE, 0, "ac_home"), K(BACK, 0, "ac_back"), K(FORWARD, 0, "ac_forward"),
        K(REFRESH, 0, "ac_refresh"), K(BOOKMARKS, 0, "ac_bookmarks"),
};
#undef K

static int add_key(json_t *list, json_t *key, Fault *f) {
        if (json_array_size(list) < KEYS_MAX)
                return json_array_append_new(list, key) < 0 ? fault_oom(f) : 0;
        json_decref(key);
        return fault_set(f, FAULT_INVALID_ARGS, E2BIG, "at most %u keys can be pressed together", KEYS_MAX);
}

static json_t *named_key(const char *name) {
        return json_pack("{s:s, s:s}", "type", "qcode", "data", name);
}

int keys_add_code(json_t *list, KeyCodes codes, uint32_t code, Fault *f) {
        assert(list && codes >= 0 && codes < _KEY_CODES_MAX);

        if (codes == KEY_CODES_QNUM && code > 0 && code <= UINT8_MAX) /* QEMU knows them itself */
                return add_key(list, json_pack("{s:s, s:i}", "type", "number", "data", (int) code), f);
        for (size_t i = 0; i < ARRAY_SIZE(keys) && code > 0; i++)
                if ((codes == KEY_CODES_LINUX && keys[i].linux_code == code) || (codes == KEY_CODES_USB && keys[i].usb == code))
                        return add_key(list, named_key(keys[i].name), f);
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%" PRIu32 " is no key of \"%s\" that QEMU has", code, key_codes_to_string(codes));
}

static const char *find_name(const char *name) {
        const char *bare = strncasecmp(name, "KEY_", 4) == 0 ? name + 4 : name;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (strcasecmp(keys[i].name, name) == 0)
                        return keys[i].name;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (strcasecmp(keys[i].linux_name, bare) == 0)
                        return keys[i].name;
        return NULL;
}

static int no_such_key(const char *name, Fault *f) {
        const char *names[ARRAY_SIZE(keys)], *near;

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                names[i] = keys[i].name;
        near = str_nearest(name, names, ARRAY_SIZE(names));
        fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no key", name);
        if (near)
                fault_hint(f, "did you mean \"%s\"?", near);
        return -EINVAL;
}

int keys_add_name(json_t *list, const char *name, Fault *f) {
        const char *found;

        assert(list && name);

        found = find_name(name);
        return found ? add_key(list, named_key(found), f) : no_such_key(name, f);
}

/* --- input events --- */

static const char *const axes[] = { "x", "y", NULL };
static const char *const buttons[] = {
        "left", "middle", "right", "wheel-up", "wheel-down", "side", "extra", "wheel-left", "wheel-right", NULL
};

static int one_of(const char *const *words, const char *what, Fault *f) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *all = NULL;

        for (size_t i = 0; words[i]; i++) {
                if (streq(words[i], what))
                        return 0;
                text_addf(&t, "%s%s", i > 0 ? ", " : "", words[i]);
        }
        all = text_finish(&t);
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is none of %s", what, all ?: "those there are");
}

static int make_switch(const char *kind, const char *what, int32_t value, json_t **ret, Fault *f) {
        bool key = streq(kind, "key");
        const char *name = key ? find_name(what) : what;
        int r = key ? (name ? 0 : no_such_key(what, f)) : one_of(buttons, what, f);

        if (r < 0)
                return r;
        if (value != 0 && value != 1)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%s\" is pressed (1) or let go (0), not %" PRIi32, name, value);
        if (key)
                *ret = json_pack("{s:s, s:{s:{s:s, s:s}, s:b}}", "type", "key", "data", "key", "type", "qcode", "data", name, "down", (int) value);
        else
                *ret = json_pack("{s:s, s:{s:s, s:b}}", "type", "btn", "data", "button", name, "down", (int) value);
        return 0;
}

static int make_move(const char *kind, const char *what, int32_t value, json_t **ret, Fault *f) {
        int r = one_of(axes, what, f);

        if (r < 0)
                return r;
        if (streq(kind, "abs") ? value < 0 || value > INT16_MAX : value < INT16_MIN || value > INT16_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "%s %" PRIi32 " is out of range: a place is from 0 to 32767 on each axis, "
                                 "a way as far at most", what, value);
        *ret = json_pack("{s:s, s:{s:s, s:i}}", "type", kind, "data", "axis", what, "value", (int) value);
        return 0;
}

int input_add_event(json_t *events, const char *kind, const char *what, int32_t value, Fault *f) {
        json_t *event = NULL;
        int r;

        assert(events && kind && what);

        if (json_array_size(events) >= INPUT_EVENTS_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, E2BIG, "at most %u things can happen in one call", INPUT_EVENTS_MAX);
        if (streq(kind, "key") || streq(kind, "button"))
                r = make_switch(kind, what, value, &event, f);
        else if (streq(kind, "abs") || streq(kind, "rel"))
                r = make_move(kind, what, value, &event, f);
        else
                r = fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is none of key, button, abs, rel", kind);
        if (r < 0)
                return r;
        return event && json_array_append_new(events, event) >= 0 ? 0 : fault_oom(f);
}
