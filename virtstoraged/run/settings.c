/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include "conf.h"
#include "str.h"

static const ConfRow rows[] = {
        { "Pools", "Deadline", conf_duration, offsetof(Settings, deadline_usec), .min = 1000000, .max = 3600ull * 1000000 },
        { "Pools", "CheckInterval", conf_duration, offsetof(Settings, check_usec), .max = 24ull * 3600 * 1000000 },
        { "Pools", "FreeWatermark", conf_number, offsetof(Settings, watermark), .max = 99 },
};

int settings_load(Settings *s, const char *config_dir, Fault *f) {
        _cleanup_free_ char *path = strf("%s/storage.conf", config_dir);
        Settings loaded = { .deadline_usec = 30 * 1000000u, .check_usec = 30 * 1000000u, .watermark = 10 };
        int r;

        if (!path)
                return fault_oom(f);
        r = conf_load(path, rows, ARRAY_SIZE(rows), &loaded, f);
        if (r >= 0)
                *s = loaded;
        return r;
}
