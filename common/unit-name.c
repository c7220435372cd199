/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <ctype.h>

#include "mem.h"
#include "str.h"

#define UNIT_NAME_MAX 255u

static int finish_name(Text *t, const char *suffix, char **ret) {
        _cleanup_free_ char *name = NULL;

        text_add(t, suffix);
        name = text_finish(t);
        if (!name)
                return -ENOMEM;
        if (strlen(name) > UNIT_NAME_MAX)
                return -ENAMETOOLONG;
        *ret = TAKE_PTR(name);
        return 0;
}

int unit_name_from_instance(const char *prefix, const char *instance, const char *suffix, char **ret) {
        Text t = TEXT_INIT;

        assert(prefix && instance && suffix && ret);

        if (!*instance)
                return -EINVAL;
        text_addf(&t, "%s@", prefix);
        for (const char *p = instance; *p; p++)
                if (isalnum((unsigned char) *p) || *p == '_' || ((*p == '.' || *p == '-') && p != instance))
                        text_addn(&t, p, 1);
                else
                        text_addf(&t, "\\x%02x", (unsigned char) *p);
        return finish_name(&t, suffix, ret);
}

int unit_instance_unescape(const char *escaped, char **ret) {
        Text t = TEXT_INIT;

        assert(escaped && ret);

        text_add(&t, "");
        for (const char *p = escaped; *p; p++) {
                char hex[3] = {}, c;
                uint64_t v;

                if (*p != '\\') {
                        text_addn(&t, p, 1);
                        continue;
                }
                if (p[1] != 'x' || !p[2] || !p[3]) {
                        text_clear(&t);
                        return -EINVAL;
                }
                memcpy(hex, p + 2, 2);
                if (parse_u64(hex, 16, &v) < 0 || v == 0) {
                        text_clear(&t);
                        return -EINVAL;
                }
                c = (char) v;
                text_addn(&t, &c, 1);
                p += 3;
        }
        *ret = text_finish(&t);
        return *ret ? 0 : -ENOMEM;
}

int unit_name_from_path(const char *path, const char *suffix, char **ret) {
        Text t = TEXT_INIT;

        assert(path && suffix && ret);

        while (*path == '/')
                path++;
        if (!*path)
                return -EINVAL;
        for (const char *p = path; *p; p++) {
                if (*p == '/') {
                        if (p[1] && p[1] != '/')
                                text_add(&t, "-");
                } else if (isalnum((unsigned char) *p) || *p == '_' || *p == ':' || (*p == '.' && p != path))
                        text_addn(&t, p, 1);
                else
                        text_addf(&t, "\\x%02x", (unsigned char) *p);
        }
        return finish_name(&t, suffix, ret);
}
