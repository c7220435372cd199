/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtnetworkd/def/dhcp-leases.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever guests make dnsmasq write: what is read can be shown, is sorted, and no address is there twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_grants_ DhcpGrants g = {};

        if (dhcp_grants_parse((const char *) data, size, &g) < 0)
                return 0;
        for (size_t i = 0; i < g.n; i++) {
                const DhcpGrant *d = &g.items[i];

                if (i > 0 && ip_compare(&g.items[i - 1].address, &d->address) >= 0)
                        abort();
                if (strlen(d->mac) != 0 && strlen(d->mac) != DHCP_MAC_TEXT_MAX - 1)
                        abort();
                if (d->name && (!*d->name || strpbrk(d->name, " \n\033;'\"")))
                        abort();
                if (d->client_id && strspn(d->client_id, "0123456789abcdefABCDEF:") != strlen(d->client_id))
                        abort();
        }
        return 0;
}
