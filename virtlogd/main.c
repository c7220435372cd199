/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

int main(int argc, char *argv[]) {
        static const DaemonSpec spec = {
                .name = "virtlogd",
                .bus_name = LOG1_NAME,
                .root = LOG1_ROOT,
                .description = "Keeps what virtual machines print.",
                .objects = service_objects,
                .start = service_start,
                .stop = service_stop,
                .reload = service_reload,
        };

        return daemon_run(&spec, argc, argv);
}
