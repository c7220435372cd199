/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "redirfilter.h"

#include <stdlib.h>

#include "str.h"
#include "xml-read.h"

/* <redirfilter>: which USB devices a viewer may put into <redirdev>s; the first rule that fits counts. -1 stands for any. */
typedef struct RedirFilter {
        Device device;
        RecordList rules;            /* UsbRule */
} RedirFilter;

typedef struct UsbRule {
        Record head;
        char *usb_class, *vendor, *product, *version; /* "0x08", "-1"; version "2.00" */
        Tristate allow;
} UsbRule;

static const Field rule_fields[] = {
        { "@class", &field_string, offsetof(UsbRule, usb_class), .max_length = 8 },
        { "@vendor", &field_string, offsetof(UsbRule, vendor), .max_length = 8 },
        { "@product", &field_string, offsetof(UsbRule, product), .max_length = 8 },
        { "@version", &field_string, offsetof(UsbRule, version), .max_length = 8 },
        { "@allow", &field_yes_no, offsetof(UsbRule, allow), FIELD_REQUIRED },
};

/* -1: any. -EINVAL. */
static int read_number(const char *text, long max, long *ret) {
        char *end;

        *ret = -1;
        if (!text || streq(text, "-1"))
                return 0;
        *ret = strtol(text, &end, 0);
        return *end || end == text || *ret < 0 || *ret > max ? -EINVAL : 0;
}

/* "2.10" is 0x0210 on the bus. */
static int read_version(const char *text, long *ret) {
        unsigned long major, minor;
        char *end;

        *ret = -1;
        if (!text || streq(text, "-1"))
                return 0;
        major = strtoul(text, &end, 16);
        if (end == text || *end != '.' || major > 0xff)
                return -EINVAL;
        text = end + 1;
        minor = strtoul(text, &end, 16);
        if (end == text || *end || minor > 0xff)
                return -EINVAL;
        *ret = (long) (major << 8 | (end - text == 1 ? minor << 4 : minor));
        return 0;
}

static int rule_numbers(const UsbRule *u, long numbers[4]) {
        if (read_number(u->usb_class, 0xff, &numbers[0]) < 0 || read_number(u->vendor, 0xffff, &numbers[1]) < 0 ||
            read_number(u->product, 0xffff, &numbers[2]) < 0)
                return -EINVAL;
        return read_version(u->version, &numbers[3]);
}

static int rule_check(Record *r, Fault *f) {
        long numbers[4];

        if (rule_numbers((const UsbRule *) r, numbers) >= 0)
                return 0;
        return xml_fault(r, f, FAULT_INVALID_DEFINITION, "class, vendor and product are numbers such as 0x08, the version is like 2.00; -1 is any");
}

static const RecordType rule_record = { "usbdev", sizeof(UsbRule), RECORD_FIELDS(rule_fields), .check = rule_check };

static const Field filter_fields[] = {
        { "usbdev", &field_list, offsetof(RedirFilter, rules), .record = &rule_record, .max = 64 },
        DEVICE_FIELDS(RedirFilter),
};

static const RecordType filter_record = {
        "redirfilter", sizeof(RedirFilter), RECORD_FIELDS(filter_fields), .clear = device_clear, .copied = device_copied,
};

int redirfilter_text(const DomainDef *def, char **ret) {
        _cleanup_text_ Text t = TEXT_INIT;

        DEVICE_FOREACH(RedirFilter, filter, def, DEVICE_REDIRFILTER)
                RECORD_FOREACH(UsbRule, u, filter->rules) {
                        long n[4];

                        (void) rule_numbers(u, n);
                        text_addf(&t, t.length > 0 ? "|" : "");
                        for (size_t i = 0; i < ARRAY_SIZE(n); i++)
                                if (n[i] < 0)
                                        text_add(&t, "-1:");
                                else
                                        text_addf(&t, "0x%0*lx:", i == 0 ? 2 : 4, (unsigned long) n[i]);
                        text_add(&t, u->allow == YES ? "1" : "0");
                }
        if (t.length == 0)
                return 0;
        *ret = text_finish(&t);
        return *ret ? 0 : -ENOMEM;
}

static int filter_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        size_t i = 0;

        return device_next(def, DEVICE_REDIRFILTER, &i) == d ? 0 : xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one already");
}

/* Each <redirdev> says them. */
static int filter_args(const Device *d, Args *a, Fault *f) {
        return 0;
}

const DeviceOps device_redirfilter = {
        .kind = DEVICE_REDIRFILTER, .element = "redirfilter", .type = &filter_record, .check = filter_check, .args = filter_args,
};
