/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/service.h"

int main(int argc, char *argv[]) {
        static const DaemonSpec spec = {
                .name = "virtqemud",
                .bus_name = QEMU1_NAME,
                .root = QEMU1_ROOT,
                .description = "Manages QEMU virtual machines.",
                .objects = service_objects,
                .for_strangers = "GetPlan",
                .start = service_start,
                .starting = service_starting,
                .stop = service_stop,
                .reload = service_reload,
        };

        return daemon_run(&spec, argc, argv);
}
