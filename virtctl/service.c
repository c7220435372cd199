/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "str.h"

static const Service services[] = {
        { "qemu1", "org.virtbus.qemu1", "virtqemud", .has_jobs = true },
        { "network1", "org.virtbus.network1", "virtnetworkd", .of_host = true },
        { "storage1", "org.virtbus.storage1", "virtstoraged", .has_jobs = true },
        { "lock1", "org.virtbus.lock1", "virtlockd" },
        { "log1", "org.virtbus.log1", "virtlogd" },
};

const Service *service_at(size_t index) {
        return index < ARRAY_SIZE(services) ? &services[index] : NULL;
}

const Service *service_of(const char *path) {
        const char *rest = str_after(path, "/org/virtbus/");

        for (size_t i = 0; rest && i < ARRAY_SIZE(services); i++)
                if (str_after(rest, services[i].name))
                        return &services[i];
        return &services[0];
}
