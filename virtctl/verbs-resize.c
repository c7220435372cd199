/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "values.h"
#include "verbs.h"

/* A disk of a VM that runs, made larger under it. */

int verb_resize(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL, *device = NULL;
        bool running = false;
        uint64_t bytes;
        int r = value_read_size(argv[2], &bytes) ?: client_domain(c, argv[0], &domain) ?:
                client_find(c, domain, DOMAIN_INTERFACE, "GetDevice", argv[1], &device) ?:
                domain_is_running(c, domain, &running);

        if (r == 0 && !running)
                return client_fail("%s does not run: make the image of its disk larger itself, as virtctl resize-volume does", argv[0]);
        return r ?: client_call(c, device, QEMU1 ".Disk", "Resize", NULL, "tta{sv}", bytes, c->force ? FLAG_FORCE : UINT64_C(0), 0);
}
