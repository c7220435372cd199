/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "macro.h"
#include "str.h"

char *program_beside(const char *name) {
        char path[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
        const char *slash = n > 0 ? memrchr(path, '/', (size_t) n) : NULL;

        assert(name);

        return strf("%.*s/%s", slash ? (int) (slash - path) : 0, path, name);
}
