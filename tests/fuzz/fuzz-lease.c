/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtlockd/lease.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read from a lock file, which others may have written into, can be shown, and written again as it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_lease_ Lease lease = {}, again = {};
        _cleanup_free_ char *text = NULL;
        char record[LEASE_RECORD_SIZE];

        if (lease_parse_record((const char *) data, size, &lease) < 0)
                return 0;
        text = lease_owner_text(&lease);
        if (!text || !*lease.name || strlen(lease.name) > LEASE_TEXT_MAX || strpbrk(text, "\n\033"))
                abort();
        if (lease_format_record(&lease, record) < 0 || lease_parse_record(record, sizeof(record), &again) < 0 ||
            !streq(lease.name, again.name) || !streq_null(lease.unit, again.unit) || !streq_null(lease.host, again.host) ||
            !streq_null(lease.description, again.description) || lease.pid != again.pid || lease.mode != again.mode ||
            lease.since_usec != again.since_usec || !sd_id128_equal(lease.uuid, again.uuid))
                abort();
        return 0;
}
