/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "default-network.h"

#include <string.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "str.h"

#define DEFAULT_NAME "default"

static const char definition[] =
        "<network>\n"
        "  <name>" DEFAULT_NAME "</name>\n"
        "  <forward mode='nat'/>\n"
        "  <ip family='ipv4'>\n"
        "    <dhcp/>\n"
        "  </ip>\n"
        "</network>\n";

int default_network_offer(Networks *s, Fault *f) {
        _cleanup_free_ char *folder = NULL, *marker = NULL;
        int r = 0;

        assert(s);

        folder = strf("%s/network", s->state_dir);
        marker = strf("%s/network/default-offered", s->state_dir);
        if (!folder || !marker)
                return fault_oom(f);
        if (access(marker, F_OK) >= 0)
                return 0;
        if (!registry_find_name(s->set.registry, DEFAULT_NAME)) {
                r = definitions_define(&s->set, definition, strlen(definition), false, NULL, NULL, f);
                if (r < 0)
                        return r;
                log_info("the network " DEFAULT_NAME " is defined");
        }
        r = mkdir_parents(folder, 0700);
        if (r >= 0)
                r = file_write_atomic(marker, "", 0, 0600);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "%s can't be written: %s", marker, strerror(-r)) : 0;
}
