/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "values.h"

#include <arpa/inet.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "client.h"
#include "mem.h"
#include "str.h"

static json_t *read_bytes(sd_bus_message *m) {
        char uuid[SD_ID128_UUID_STRING_MAX], text[INET6_ADDRSTRLEN];
        const void *bytes;
        sd_id128_t id;
        size_t n;

        /* Of a struct's 16 bytes only its signature says whether they are an IP address. */
        const char *around = sd_bus_message_get_signature(m, false);
        bool address = streq_null(around, "sayys") || streq_null(around, "ayy");

        if (sd_bus_message_read_array(m, 'y', &bytes, &n) < 0)
                return json_null();
        if (address && (n == 4 || n == 16))
                return json_string(inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text)) ?: "");
        if (n != sizeof(id))
                return json_null();
        memcpy(&id, bytes, n);
        return json_string(sd_id128_to_uuid_string(id, uuid));
}

static json_t *read_dictionary(sd_bus_message *m, const char *entry) {
        _cleanup_free_ char *inside = strndup(entry + 1, strlen(entry) - 2);
        json_t *o = json_object();
        const char *key;

        if (!inside || sd_bus_message_enter_container(m, 'a', entry) < 0)
                return o;
        while (sd_bus_message_enter_container(m, 'e', inside) > 0) {
                if (sd_bus_message_read_basic(m, inside[0], &key) < 0)
                        break;
                (void) json_object_set_new(o, key, value_to_json(m));
                (void) sd_bus_message_exit_container(m);
        }
        (void) sd_bus_message_exit_container(m);
        return o;
}

static json_t *read_list(sd_bus_message *m, char type, const char *inside) {
        json_t *a = json_array();

        if (sd_bus_message_enter_container(m, type, inside) < 0)
                return a;
        while (sd_bus_message_at_end(m, false) == 0)
                if (json_array_append_new(a, value_to_json(m)) < 0)
                        break;
        (void) sd_bus_message_exit_container(m);
        return a;
}

static json_t *read_basic(sd_bus_message *m, char type) {
        union { const char *s; int b; uint32_t u; int32_t i; uint64_t t; int64_t x; uint16_t q; int16_t n; uint8_t y; double d; } v = {};

        if (sd_bus_message_read_basic(m, type, &v) < 0)
                return json_null();
        switch (type) {
        case 's': case 'o': case 'g': return json_string(v.s);
        case 'b': return json_boolean(v.b);
        case 'u': return json_integer(v.u);
        case 'i': return json_integer(v.i);
        case 'y': return json_integer(v.y);
        case 'q': return json_integer(v.q);
        case 'n': return json_integer(v.n);
        case 'x': return json_integer(v.x);
        case 'd': return json_real(v.d);
        default: return json_integer((json_int_t) v.t);
        }
}

json_t *value_to_json(sd_bus_message *m) {
        const char *inside;
        json_t *value;
        char type;

        if (sd_bus_message_peek_type(m, &type, &inside) <= 0)
                return json_null();
        if (type == 'v') {
                if (sd_bus_message_enter_container(m, 'v', inside) < 0)
                        return json_null();
                value = value_to_json(m);
                (void) sd_bus_message_exit_container(m);
                return value;
        }
        if (type == 'a' && streq(inside, "y"))
                return read_bytes(m);
        if (type == 'a' && inside[0] == '{')
                return read_dictionary(m, inside);
        if (type == 'a' || type == 'r')
                return read_list(m, type, inside);
        return read_basic(m, type);
}

int value_read_size(const char *text, uint64_t *ret) {
        size_t digits = strspn(text, "0123456789");
        _cleanup_free_ char *number = strndup(text, digits);
        uint64_t factor = 1;

        if (!number || parse_u64(number, 10, ret) < 0 || (text[digits] && parse_size_unit(text + digits, &factor) < 0) ||
            __builtin_mul_overflow(*ret, factor, ret)) {
                (void) client_fail("\"%s\" is no size, like 20G or 512MiB", text);
                return USAGE;
        }
        return 0;
}
