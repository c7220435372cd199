/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include "conf.h"
#include "logfile.h"
#include "mem.h"
#include "str.h"

#define SECOND UINT64_C(1000000)

#define AT(member) offsetof(Settings, member)
static const ConfRow rows[] = {
        { "Files", "MaxSize", conf_size, AT(max_size), .min = LOGFILE_SIZE_MIN, .max = UINT64_C(1) << 40 },
        { "Files", "MaxBackups", conf_number, AT(max_backups), .max = LOGFILE_BACKUPS_MAX },
        { "Files", "BlockLimit", conf_duration, AT(block_limit_usec), .max = 3600 * SECOND },
        { "Journal", "Enabled", conf_bool, AT(journal) },
        { "Journal", "RateLimitInterval", conf_duration, AT(rate_interval_usec), .min = SECOND, .max = 3600 * SECOND },
        { "Journal", "RateLimitBurst", conf_number, AT(rate_burst), .max = 1000000 },
};

int settings_load(const char *config_dir, Settings *ret, Fault *f) {
        _cleanup_free_ char *path = strf("%s/log.conf", config_dir);
        Settings s = {
                .max_size = 2 * 1024 * 1024, .max_backups = 3, .block_limit_usec = 5 * SECOND,
                .journal = true, .rate_interval_usec = 30 * SECOND, .rate_burst = 1000,
        };
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
