/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spec.h"

#include <string.h>

#include "client.h"
#include "mem.h"
#include "str.h"
#include "values.h"

/* Up to a single comma, with double ones made single. */
static char *take_part(const char **text) {
        _cleanup_text_ Text part = TEXT_INIT;
        const char *s = *text;

        for (;; s++) {
                if (*s == '\0' || (*s == ',' && s[1] != ','))
                        break;
                text_addn(&part, s, 1);
                s += *s == ',';
        }
        *text = *s ? s + 1 : NULL;
        text_add(&part, "");
        return text_finish(&part);
}

bool spec_is_choice(const char *word, const char *choices) {
        size_t n = strlen(word);

        for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
                if (strncmp(c, word, n) == 0 && (c[n] == '|' || c[n] == '\0'))
                        return true;
        return false;
}

static const SpecKey *find_key(const SpecKey *keys, size_t n, const char *part) {
        for (size_t i = 0; i < n; i++) {
                const char *rest = str_after(part, keys[i].name);

                if (rest && *rest == '=')
                        return &keys[i];
        }
        return NULL;
}

static int tell_unknown(const char *option, const char *text, const SpecKey *keys, size_t n, const char *part) {
        _cleanup_free_ char *word = strndup(part, strcspn(part, "=")), *all = NULL;
        _cleanup_strv_ char **known = NULL;
        const char *near, **names = new0(const char *, n);

        for (size_t i = 0; names && i < n; i++) {
                names[i] = keys[i].name;
                (void) strv_push(&known, keys[i].name);
        }
        near = names && word ? str_nearest(word, names, n) : NULL;
        free(names);
        all = strv_join(known, "=, ");
        if (near)
                (void) client_fail("--%s=%s: \"%s\" is none of %s=; did you mean %s=?", option, text, part, all ?: "", near);
        else
                (void) client_fail("--%s=%s: \"%s\" is none of %s=", option, text, part, all ?: "");
        return USAGE;
}

static int set_yes_no(const char *option, const SpecKey *key, const char *value, bool *field) {
        if (!streq(value, "yes") && !streq(value, "no")) {
                (void) client_fail("--%s: %s=%s: expected yes or no", option, key->name, value);
                return USAGE;
        }
        *field = streq(value, "yes");
        return 0;
}

static int set_field(const char *option, const SpecKey *key, const char *value, void *into) {
        void *field = (char *) into + key->field;

        if (key->type == SPEC_SIZE)
                return value_read_size(value, field);
        if (key->type == SPEC_YES_NO)
                return set_yes_no(option, key, value, field);
        if (is_empty(value) || (key->choices && !spec_is_choice(value, key->choices))) {
                (void) client_fail("--%s: %s=%s: expected %s", option, key->name, value, key->choices ?: "a value");
                return USAGE;
        }
        return free_and_strdup(field, value) < 0 ? client_fail("out of memory") : 0;
}

int spec_read(const char *option, const char *text, const SpecKey *keys, size_t n, void *into, char **ret_what) {
        _cleanup_free_ char *what = NULL;
        const char *rest = text;
        int r = 0;

        for (bool first = true; rest && r == 0; first = false) {
                _cleanup_free_ char *part = take_part(&rest);
                const SpecKey *key = part ? find_key(keys, n, part) : NULL;

                if (!part)
                        return client_fail("out of memory");
                if (key)
                        r = set_field(option, key, part + strlen(key->name) + 1, into);
                else if (first)
                        what = TAKE_PTR(part);
                else
                        r = tell_unknown(option, text, keys, n, part);
        }
        if (r == 0)
                *ret_what = TAKE_PTR(what);
        return r;
}
