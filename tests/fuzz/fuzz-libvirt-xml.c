/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../../virtctl/libvirt-xml.h"
#include "mem.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a libvirt's folder or a backup of one has: the first line says what it should be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *kind = strndup((const char *) data, size), *name = NULL, *uuid = NULL, *nvram = NULL, *without = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        char *text = kind ? strchr(kind, '\n') : NULL;

        if (!text)
                return 0;
        *text++ = '\0';
        if (libvirt_xml_identify(kind, text, &name, &uuid, &f) < 0)
                return 0;
        nvram = libvirt_xml_nvram(text);
        (void) libvirt_xml_has_tpm(text);
        without = libvirt_xml_without_uuid(text);
        if (!libvirt_xml_same(text, text))
                abort();
        if (!without || libvirt_xml_same(without, text) != libvirt_xml_same(without, text))
                abort();
        return 0;
}
