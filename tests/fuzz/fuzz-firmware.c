/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtqemud/plan/domain.h"
#include "../../virtqemud/plan/firmware.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A descriptor that can't be understood offers nothing; one that can gives a loader with a path. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char xml[] = "<domain type='qemu'><name>x</name><memory>65536</memory>"
                                  "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>";
        const DomainDefaults defaults = { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "x86_64", .nvram_folder = "/nvram" };
        FirmwareText text = { .name = "50.json", .folder = "/f", .text = (const char *) data, .length = size };
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        FirmwareOffer *offers;
        size_t n;

        if (domain_parse(xml, strlen(xml), &def, &f) < 0 || domain_fill(def, &defaults, &f) < 0)
                abort();
        (void) firmware_select(&text, 1, def, "/nvram", &f);
        if (firmware_offers(&text, 1, def->arch, def->machine, &offers, &n) >= 0)
                firmware_offers_free(offers, n);
        return 0;
}
