/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "store.h"
#include "str.h"

DEFINE_ENUM(LeaseMode, lease_mode, [LEASE_EXCLUSIVE] = "exclusive", [LEASE_SHARED] = "shared")

void lease_clear(Lease *l) {
        free(l->name);
        free(l->unit);
        free(l->host);
        free(l->description);
        *l = (Lease) {};
}

void leases_free(Lease *leases, size_t n) {
        for (size_t i = 0; i < n; i++)
                lease_clear(&leases[i]);
        free(leases);
}

int lease_copy(const Lease *l, Lease *ret) {
        _cleanup_lease_ Lease copy = { .mode = l->mode, .uuid = l->uuid, .pid = l->pid, .since_usec = l->since_usec };

        if (free_and_strdup(&copy.name, l->name) < 0 || free_and_strdup(&copy.unit, l->unit) < 0 ||
            free_and_strdup(&copy.host, l->host) < 0 || free_and_strdup(&copy.description, l->description) < 0)
                return -ENOMEM;
        *ret = TAKE(copy, (Lease) {});
        return 0;
}

/* --- what is accepted --- */

static bool is_clean(const char *s) {
        if (!is_utf8(s))
                return false;
        for (; *s; s++)
                if ((unsigned char) *s < 0x20 || *s == 0x7f)
                        return false;
        return true;
}

static int check_text(const char *what, const char *s, Fault *f) {
        if (!s || (strlen(s) <= LEASE_TEXT_MAX && is_clean(s)))
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the %s has more than %u bytes, control characters or is no UTF-8", what,
                         LEASE_TEXT_MAX);
}

/* Whole characters only. */
static void cut(char *s, size_t max) {
        if (strlen(s) <= max)
                return;
        while (max > 0 && ((unsigned char) s[max] & 0xc0) == 0x80)
                max--;
        s[max] = '\0';
}

int lease_check(Lease *l, Fault *f) {
        int r;

        assert(l);

        if (is_empty(l->name))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the owner has no name");
        r = check_text("name of the owner", l->name, f);
        if (r >= 0)
                r = check_text("unit", l->unit, f);
        if (r < 0)
                return r;
        if (!l->description)
                return 0;
        cut(l->description, LEASE_DESCRIPTION_MAX);
        return is_clean(l->description) ? 0 : fault_set(f, FAULT_INVALID_ARGS, EINVAL,
                                                        "the description has control characters or is no UTF-8");
}

int lockspace_name_check(const char *name, Fault *f) {
        static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

        if (*name && *name != '.' && strlen(name) <= LOCKSPACE_NAME_MAX && name[strspn(name, good)] == '\0')
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL,
                         "\"%.64s\" can't be the name of a lockspace: up to %u letters, digits, '_', '-' and '.', which is not the first",
                         name, LOCKSPACE_NAME_MAX);
}

int resource_file_name(const char *resource, char **ret, Fault *f) {
        _cleanup_free_ char *file = NULL;

        for (const char *p = resource; *p; p++)
                if (*p <= 0x20 || *p >= 0x7f)
                        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the name of a resource is printable ASCII without blanks");
        file = store_escape(resource);
        if (!file)
                return fault_oom(f);
        if (!*file || strlen(file) > RESOURCE_NAME_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL,
                                 "the name of a resource has 1 to %u characters, and less where they can't be in a file's name",
                                 RESOURCE_NAME_MAX);
        *ret = TAKE_PTR(file);
        return 0;
}

/* --- JSON --- */

json_t *lease_to_json(const Lease *l) {
        char uuid[SD_ID128_UUID_STRING_MAX];

        return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:I, s:I}", "mode", lease_mode_to_string(l->mode), "uuid",
                         sd_id128_to_uuid_string(l->uuid, uuid), "name", l->name, "unit", l->unit, "host", l->host, "description",
                         l->description, "pid", (json_int_t) l->pid, "since", (json_int_t) l->since_usec);
}

int lease_from_json(json_t *json, Lease *ret) {
        const char *mode, *uuid, *name, *unit = NULL, *host = NULL, *description = NULL;
        json_int_t pid, since;
        _cleanup_lease_ Lease l = {};

        if (json_unpack(json, "{s:s, s:s, s:s, s?s, s?s, s?s, s:I, s:I}", "mode", &mode, "uuid", &uuid, "name", &name, "unit", &unit,
                        "host", &host, "description", &description, "pid", &pid, "since", &since) < 0)
                return -EUCLEAN;
        l.mode = lease_mode_from_string(mode);
        l.pid = (uint32_t) pid;
        l.since_usec = (uint64_t) since;
        if (l.mode < 0 || pid < 0 || pid > INT32_MAX || since < 0 || sd_id128_from_string(uuid, &l.uuid) < 0)
                return -EUCLEAN;
        if (free_and_strdup(&l.name, name) < 0 || free_and_strdup(&l.unit, unit) < 0 || free_and_strdup(&l.host, host) < 0 ||
            free_and_strdup(&l.description, description) < 0)
                return -ENOMEM;
        if (lease_check(&l, NULL) < 0 || check_text("host", l.host, NULL) < 0)
                return -EUCLEAN;
        *ret = l;
        l = (Lease) {};
        return 0;
}

int lease_format_record(const Lease *l, char ret[LEASE_RECORD_SIZE]) {
        json_auto_t *json = lease_to_json(l);
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        size_t length;

        if (!text)
                return -ENOMEM;
        length = strlen(text);
        if (length >= LEASE_RECORD_SIZE)
                return -E2BIG;
        memcpy(ret, text, length);
        memset(ret + length, '\n', LEASE_RECORD_SIZE - length);
        return 0;
}

int lease_parse_record(const char *record, size_t length, Lease *ret) {
        json_auto_t *json = json_loadb(record, length, JSON_REJECT_DUPLICATES, NULL);

        return json ? lease_from_json(json, ret) : -EUCLEAN;
}

char *lease_owner_text(const Lease *l) {
        _cleanup_text_ Text t = TEXT_INIT;

        text_add(&t, l->name);
        if (l->unit || l->pid > 0 || l->host) {
                text_add(&t, " (");
                if (l->unit)
                        text_addf(&t, "unit %s", l->unit);
                if (l->pid > 0)
                        text_addf(&t, "%sprocess %" PRIu32, l->unit ? ", " : "", l->pid);
                if (l->host)
                        text_addf(&t, "%son host %s", l->pid > 0 ? " " : l->unit ? ", " : "", l->host);
                text_add(&t, ")");
        }
        return text_finish(&t);
}
