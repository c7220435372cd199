/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtbus-generator: run by systemd before it loads units, at boot and when it reads them again. VMs that start with the host need a user
 * each before there is a virtqemud. See common/unit-user.h. */

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"
#include "store.h"
#include "str.h"
#include "unit.h"
#include "unit-user.h"

#define DEFINITIONS "/etc/virtbus/domains"

static void write_user(const char *folder, const char *file) {
        _cleanup_free_ char *stem = NULL, *name = NULL, *unit = NULL;
        int r;

        if (!str_ends(file, ".xml"))
                return;
        stem = strndup(file, strlen(file) - strlen(".xml"));
        name = stem ? store_unescape(stem) : NULL;
        if (!name || unit_name_from_instance("virtqemu", name, ".service", &unit) < 0)
                return;
        r = unit_user_write(folder, unit);
        if (r < 0)
                fprintf(stderr, "%s gets no user: %s\n", unit, strerror(-r));
}

int main(int argc, char *argv[]) {
        const struct dirent *e;
        DIR *d;

        if (argc < 2)
                return 64;
        (void) umask(0022);
        d = opendir(DEFINITIONS);
        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.')
                        write_user(argv[1], e->d_name);
        if (d)
                closedir(d);
        return 0;
}
