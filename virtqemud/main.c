/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/service.h"

int main(int argc, char *argv[]) {
        return daemon_run(&service_spec, argc, argv);
}
