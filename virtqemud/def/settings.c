/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include "conf.h"
#include "domain-def.h"
#include "mem.h"
#include "str.h"

#define SECOND UINT64_C(1000000)

DEFINE_ENUM(LaunchMode, launch_mode, "auto", "unit", "direct")

#define AT(member) offsetof(Settings, member)
static const ConfRow rows[] = {
        { "Domains", "Launch", conf_enum, AT(launch), .words = &launch_mode_table },
        { "Domains", "Emulator", conf_path, AT(emulator) },
        { "Domains", "MemoryFolder", conf_path, AT(memory_folder) },
        { "Domains", "SpareRootPorts", conf_number, AT(spare_root_ports), .max = 64 },
        { "Domains", "DumpFolder", conf_path, AT(dump_folder) },
        { "Domains", "DumpFolderMax", conf_size, AT(dump_folder_max), .min = UINT64_C(1) << 20 },
        { "Domains", "NoSpaceRetry", conf_duration, AT(no_space_retry_usec), .max = 24 * 3600 * SECOND },
        { "Logs", "Consoles", conf_bool, AT(log_consoles) },
        { "Leases", "Disks", conf_bool, AT(lease_disks) },
        { "Leases", "SharedLockspace", conf_string, AT(shared_lockspace) },
        { "Leases", "OnLost", conf_enum, AT(on_lease_lost), .words = &lock_failure_table },
        { "Displays", "SpiceCertificates", conf_path, AT(spice_certificates) },
        { "Displays", "VncTLS", conf_bool, AT(vnc_tls) },
        { "Displays", "VncCertificates", conf_path, AT(vnc_certificates) },
        { "Displays", "VncVerifyClients", conf_bool, AT(vnc_verify_clients) },
        { "Sleep", "PauseGuests", conf_bool, AT(pause_on_sleep) },
        { "Shutdown", "StopTimeout", conf_duration, AT(stop_timeout_usec), .min = SECOND, .max = 24 * 3600 * SECOND },
        { "Shutdown", "PowerButtonInterval", conf_duration, AT(powerdown_interval_usec), .min = SECOND, .max = 3600 * SECOND },
};

int settings_load(const char *config_dir, Settings *ret, Fault *f) {
        _cleanup_free_ char *path = strf("%s/qemu.conf", config_dir);
        Settings s = {
                .launch = LAUNCH_AUTO, .spare_root_ports = 2,
                .log_consoles = true, .pause_on_sleep = true, .lease_disks = true, .on_lease_lost = LOCK_FAILURE_PAUSE,
                .dump_folder_max = UINT64_C(10) << 30, .no_space_retry_usec = 10 * SECOND,
                .stop_timeout_usec = 90 * SECOND, .powerdown_interval_usec = 5 * SECOND,
        };
        int r;

        assert(config_dir && ret);

        if (!path)
                return fault_oom(f);
        r = conf_load(path, rows, ARRAY_SIZE(rows), &s, f);
        if (r < 0) {
                settings_clear(&s);
                return r;
        }
        *ret = s;
        return 0;
}

void settings_clear(Settings *s) {
        free(s->emulator);
        free(s->memory_folder);
        free(s->dump_folder);
        free(s->shared_lockspace);
        free(s->spice_certificates);
        free(s->vnc_certificates);
        *s = (Settings) {};
}
