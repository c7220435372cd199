/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"
#include "bus-error.h"

#include "str.h"

int bus_get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *value, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", *(char **) value ?: "");
}

int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *value, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", *(bool *) value);
}

int bus_get_id(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
               void *value, sd_bus_error *error) {
        return sd_bus_message_append_array(reply, 'y', ((sd_id128_t *) value)->bytes, sizeof(sd_id128_t));
}

int bus_get_strings(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *value, sd_bus_error *error) {
        return sd_bus_message_append_strv(reply, *(char ***) value);
}

static int read_option(sd_bus_message *m, const char *name, const BusOption *options, size_t n, Fault *f) {
        for (size_t i = 0; i < n; i++) {
                char type[2] = { options[i].type, '\0' };

                if (!streq(options[i].name, name))
                        continue;
                if (sd_bus_message_read(m, "v", type, options[i].value) < 0)
                        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the option \"%s\" must have type '%s'", name, type);
                return 0;
        }
        fault_set(f, FAULT_INVALID_ARGS, EINVAL, "unknown option \"%s\"", name);
        if (n == 0)
                fault_hint(f, "this method knows no options yet: give an empty array");
        return -EINVAL;
}

int bus_read_dict(sd_bus_message *m, const BusOption *options, size_t n, Fault *f) {
        int r;

        assert(m);

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_option(m, name, options, n, f);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_options(sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, const BusOption *options, size_t n, Fault *f) {
        uint64_t flags;
        int r;

        assert(m && ret_flags);

        r = sd_bus_message_read(m, "t", &flags);
        if (r < 0)
                return r;
        if (flags & ~known_flags)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "this method does not know the flags 0x%" PRIx64, flags & ~known_flags);
        r = bus_read_dict(m, options, n, f);
        if (r >= 0)
                *ret_flags = flags;
        return r;
}

int bus_read_flags(sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = bus_read_options(m, known_flags, ret_flags, NULL, 0, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 0;
}

#define FORMAT_XML "libvirt-xml"

int bus_check_format(const char *format, Fault *f) {
        return streq(format, FORMAT_XML) ? 0 : fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the format is " FORMAT_XML ", not \"%.32s\"", format);
}

int bus_read_definition(sd_bus_message *m, const char **ret_text, Fault *f) {
        const char *format;
        int r = sd_bus_message_read(m, "ss", &format, ret_text);

        return r < 0 ? r : bus_check_format(format, f);
}

int bus_check_generation(const char *name, uint64_t expected, uint64_t generation, Fault *f) {
        if (expected == 0 || expected == generation)
                return 0;
        fault_set(f, FAULT_INVALID_STATE, ESTALE, "%s was changed meanwhile: its generation is %" PRIu64 ", not %" PRIu64, name, generation, expected);
        fault_hint(f, "read the definition again and repeat the change on it");
        return -ESTALE;
}

int bus_read_uuid(sd_bus_message *m, sd_id128_t *ret, Fault *f) {
        const void *bytes;
        size_t n;
        int r;

        r = sd_bus_message_read_array(m, 'y', &bytes, &n);
        if (r < 0)
                return r;
        if (n != sizeof(*ret))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a UUID has 16 bytes, not %zu", n);
        memcpy(ret, bytes, n);
        return 0;
}

/* sd-bus's own looks for the end anew with each string: somebody's large message would hold up everybody for minutes. */
int bus_read_strings(sd_bus_message *m, char ***ret, Fault *f) {
        _cleanup_strv_ char **v = NULL;
        const char *s;
        size_t n = 0;
        int r;

        assert(m && ret);

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &s)) > 0)
                r = n < BUS_STRINGS_MAX ? strv_push_nth(&v, &n, s) : fault_set(f, FAULT_LIMIT, E2BIG, "an array has more than %u strings", BUS_STRINGS_MAX);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = v;
        v = NULL;
        return 0;
}
