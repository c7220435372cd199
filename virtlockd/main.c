/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

int main(int argc, char *argv[]) {
        static const DaemonSpec spec = {
                .name = "virtlockd",
                .bus_name = LOCK1_NAME,
                .root = LOCK1_ROOT,
                .description = "Keeps two virtual machines from using one disk.",
                .objects = service_objects,
                .start = service_start,
                .stop = service_stop,
                .reload = service_reload,
        };

        return daemon_run(&spec, argc, argv);
}
