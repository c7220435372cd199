/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/dump.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-plug.h"
#include "service.h"

BUS_HANDLER(method_core_dump, ACTION_READ_SECURE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *format;
        uint64_t flags;
        Operation *o;
        int fd, r;

        r = sd_bus_message_read(m, "sh", &format, &fd);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = dump_guest(userdata, format, fd, &o, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "o", device_plug_show_job(o));
}

const sd_bus_vtable domain_dump_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("CoreDump", "shta{sv}", SD_BUS_PARAM(format) SD_BUS_PARAM(file) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "o",
                                 SD_BUS_PARAM(job), method_core_dump, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
