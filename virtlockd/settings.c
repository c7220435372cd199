/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include "conf.h"
#include "str.h"

#define SECOND UINT64_C(1000000)

#define AT(member) offsetof(Settings, member)
static const ConfRow rows[] = {
        { "Lockspaces", "Deadline", conf_duration, AT(deadline_usec), .min = SECOND, .max = 600 * SECOND },
        { "Lockspaces", "CheckInterval", conf_duration, AT(check_interval_usec), .min = SECOND, .max = 3600 * SECOND },
};

int settings_load(const char *config_dir, Settings *ret, Fault *f) {
        _cleanup_free_ char *path = strf("%s/lock.conf", config_dir);
        Settings s = { .deadline_usec = 10 * SECOND, .check_interval_usec = 30 * SECOND };
        int r;

        assert(config_dir && ret);

        if (!path)
                return fault_oom(f);
        r = conf_load(path, rows, ARRAY_SIZE(rows), &s, f);
        if (r < 0)
                return r;
        *ret = s;
        return 0;
}
