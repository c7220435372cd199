/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-user.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "str.h"

#define USER_PREFIX "_vm-"
#define USER_MAX 31u          /* what systemd takes; letters, digits, '_' and '-' */
#define FILE_NAME "10-user.conf"

static bool template_fits(const char *unit) {
        const char *at = strchr(unit, '@'), *p = at ? at + 1 : unit;

        while (isalnum((unsigned char) *p) || *p == '_' || *p == '-')
                p++;
        return at && streq(p, ".service") && (size_t) (p - at) - 1 <= USER_MAX - strlen(USER_PREFIX);
}

/* Others may look: it is no secret. */
static int make_folder(const char *path) {
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return -errno;
        return chmod(path, 0755) < 0 ? -errno : 0;
}

int unit_user_write(const char *folder, const char *unit) {
        _cleanup_free_ char *path = NULL, *file = NULL, *text = NULL;
        int r;

        assert(folder && unit);

        if (template_fits(unit))
                return 0;
        path = strf("%s/%s.d", folder, unit);
        file = path ? strf("%s/" FILE_NAME, path) : NULL;
        text = strf("# The unit's name is no name of a user.\n[Service]\nUser=" USER_PREFIX "%016" PRIx64 "\n", str_hash(unit));
        if (!file || !text)
                return -ENOMEM;
        if (access(file, F_OK) == 0)
                return 0;
        r = make_folder(path);
        return r < 0 ? r : file_write_atomic(file, text, strlen(text), 0644);
}

void unit_user_remove(const char *folder, const char *unit) {
        _cleanup_free_ char *path = NULL, *file = NULL;

        assert(folder && unit);

        if (template_fits(unit))
                return;
        path = strf("%s/%s.d", folder, unit);
        file = path ? strf("%s/" FILE_NAME, path) : NULL;
        if (!file)
                return;
        (void) unlink(file);
        (void) rmdir(path); /* stays if there are others' */
}
