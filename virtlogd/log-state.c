/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-state.h"

#include <string.h>

#include "mem.h"
#include "store.h"

int log_name_check(const char *name, Fault *f) {
        static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

        if (*name && *name != '.' && strlen(name) <= LOG_NAME_MAX && name[strspn(name, good)] == '\0')
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL,
                         "\"%.64s\" can't be the name of a log: up to %u letters, digits, '_', '-' and '.', which is not the first", name,
                         LOG_NAME_MAX);
}

int log_state_parse(const char *text, size_t length, GuestlogSpec *ret, uint64_t *ret_first, bool *ret_open, json_t **ret_owner) {
        const char *uuid, *unit = NULL;
        json_int_t size, first;
        int backups, journal, open;
        json_t *o = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);

        if (!o || json_unpack(o, "{s:s, s:s, s:s, s?s, s:I, s:i, s:b, s:I, s:b}", "uuid", &uuid, "domain", &ret->domain, "log", &ret->name,
                              "unit", &unit, "max-size", &size, "max-backups", &backups, "journal", &journal, "first", &first,
                              "open", &open) < 0 ||
            sd_id128_from_string(uuid, &ret->uuid) < 0 || log_name_check(ret->name, NULL) < 0 || !*ret->domain ||
            strlen(ret->domain) > STORE_NAME_MAX || size < 0 || first < 0 || backups < 0) {
                json_decref(o);
                return -EUCLEAN;
        }
        ret->unit = unit;
        ret->limits = (LogfileLimits) { (uint64_t) size, (unsigned) backups };
        ret->journal = journal;
        *ret_first = (uint64_t) first;
        *ret_open = open;
        *ret_owner = o; /* the strings are in there */
        return 0;
}
