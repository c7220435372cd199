/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "fault.h"
#include "mem.h"
#include "netaddr.h"
#include "store.h"
#include "str.h"
#include "unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name that is a file's or a unit's name comes back as it was. */
static void check_names(const char *text) {
        _cleanup_free_ char *file = store_escape(text), *name = file ? store_unescape(file) : NULL, *other = store_unescape(text);
        _cleanup_free_ char *unit = NULL, *instance = NULL, *back = NULL, *escaped = NULL;

        if (other && strlen(other) > strlen(text))
                abort();
        if (file && (!name || !streq(name, text) || strchr(file, '/')))
                abort();
        (void) unit_instance_unescape(text, &back);
        if (!*text || unit_name_from_instance("virtqemu", text, ".service", &unit) < 0)
                return;
        escaped = strndup(unit + strlen("virtqemu@"), strlen(unit) - strlen("virtqemu@.service"));
        if (!escaped || unit_instance_unescape(escaped, &instance) < 0 || !streq(instance, text))
                abort();
}

static void check_address(const char *text) {
        IpAddress ip, again;
        char shown[IP_TEXT_MAX];

        if (ip_from_text(text, &ip) >= 0 && (ip_from_text(ip_to_text(&ip, shown), &again) < 0 || !ip_equal(&ip, &again)))
                abort();
}

/* Whatever it says, a fault can be told on D-Bus. */
static void check_fault(const char *text) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_HOST, EIO, "%.7s", text);
        fault_hint(&f, "%s", text);
        fault_prefix(&f, "%.3s", text);
        if (!is_utf8(fault_text(&f)) || (f.hint && !is_utf8(f.hint)))
                abort();
}

static void check_base64(const char *text) {
        _cleanup_free_ void *bytes = NULL;
        _cleanup_free_ char *again = NULL;
        size_t n = 0;

        if (base64_decode(text, &bytes, &n) < 0)
                return;
        again = base64_encode(bytes, n);
        if (!again || n > strlen(text))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        uint64_t number;

        if (!text)
                return 0;
        check_names(text);
        check_address(text);
        check_fault(text);
        check_base64(text);
        (void) parse_u64(text, 0, &number);
        (void) parse_u64(text, 10, &number);
        return 0;
}
