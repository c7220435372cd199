/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/service.h"

int main(int argc, char *argv[]) {
        static const DaemonSpec spec = {
                .name = "virtnetworkd",
                .bus_name = NETWORK1_NAME,
                .root = NETWORK1_ROOT,
                .description = "Manages virtual networks.",
                .objects = service_objects,
                .start = service_start,
                .stop = service_stop,
                .reload = service_reload,
        };

        return daemon_run(&spec, argc, argv);
}
