/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "user-forward.h"

#include <inttypes.h>
#include <string.h>

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(ForwardProtocol, forward_protocol, NULL, "tcp", "udp")

#define AT(member) offsetof(ForwardRange, member)
static const Field range_fields[] = {
        { "@start", &field_number, AT(start), FIELD_REQUIRED, .min = 1, .max = 65535 },
        { "@end", &field_number, AT(end), .min = 1, .max = 65535 },
        { "@to", &field_number, AT(to), .min = 1, .max = 65535 },
        { "@exclude", &field_yes_no, AT(exclude) },
};
#undef AT

static int check_range(Record *record, Fault *f) {
        const ForwardRange *r = (const ForwardRange *) record;
        uint64_t end = r->end == NUMBER_UNSET ? r->start : r->end;

        if (end < r->start)
                return xml_fault(record, f, FAULT_INVALID_DEFINITION, "the range of ports ends before it starts");
        if (r->to != NUMBER_UNSET && r->exclude == YES)
                return xml_fault(record, f, FAULT_INVALID_DEFINITION, "ports that are excluded go nowhere: leave out to");
        if (r->to != NUMBER_UNSET && r->to + (end - r->start) > 65535)
                return xml_fault(record, f, FAULT_INVALID_DEFINITION, "%" PRIu64 " ports from %" PRIu64 " on: there are 65535", end - r->start + 1, r->to);
        return 0;
}

static const RecordType range_record = { "range", sizeof(ForwardRange), RECORD_FIELDS(range_fields), .check = check_range };

#define AT(member) offsetof(UserForward, member)
static const Field forward_fields[] = {
        { "@proto", &field_enum, AT(protocol), FIELD_REQUIRED, .words = &forward_protocol_table },
        { "@address", &field_string, AT(address), .max_length = IP_TEXT_MAX },
        { "@dev", &field_string, AT(dev), .max_length = 15 },
        { "range", &field_list, AT(ranges), .record = &range_record },
};
#undef AT

/* Both become part of a word of passt's command line. */
static int check_forward(Record *record, Fault *f) {
        const UserForward *w = (const UserForward *) record;
        IpAddress address;

        if (w->address && ip_from_text(w->address, &address) < 0)
                return xml_fault(record, f, FAULT_INVALID_DEFINITION, "\"%s\" is no IP address", w->address);
        if (w->dev && (!*w->dev || w->dev[strcspn(w->dev, "/%:,~ \t\n")]))
                return xml_fault(record, f, FAULT_INVALID_DEFINITION, "\"%s\" is no link's name", w->dev);
        return 0;
}

const RecordType user_forward_record = { "portForward", sizeof(UserForward), RECORD_FIELDS(forward_fields), .check = check_forward };

static void add_range(Text *t, const ForwardRange *r) {
        uint64_t end = r->end == NUMBER_UNSET ? r->start : r->end;

        text_addf(t, "%s%" PRIu64, r->exclude == YES ? "~" : "", r->start);
        if (end > r->start)
                text_addf(t, "-%" PRIu64, end);
        if (r->to == NUMBER_UNSET)
                return;
        text_addf(t, ":%" PRIu64, r->to);
        if (end > r->start)
                text_addf(t, "-%" PRIu64, r->to + end - r->start);
}

/* "192.0.2.1%eth0/2222:22,8000-8010,~8005" */
static char *to_word(const UserForward *w) {
        _cleanup_text_ Text t = TEXT_INIT;

        text_add(&t, w->address ?: "");
        if (w->dev)
                text_addf(&t, "%%%s", w->dev);
        if (w->address || w->dev)
                text_add(&t, "/");
        for (size_t i = 0; i < w->ranges.n; i++) {
                text_add(&t, i > 0 ? "," : "");
                add_range(&t, (const ForwardRange *) w->ranges.items[i]);
        }
        if (w->ranges.n == 0)
                text_add(&t, "all");
        return text_finish(&t);
}

int user_forwards_to_args(const RecordList *forwards, char ***argv) {
        int r = 0;

        for (size_t i = 0; i < forwards->n && r >= 0; i++) {
                const UserForward *w = (const UserForward *) forwards->items[i];
                _cleanup_free_ char *word = to_word(w);

                r = word ? strv_push(argv, w->protocol == FORWARD_UDP ? "--udp-ports" : "--tcp-ports") : -ENOMEM;
                if (r >= 0)
                        r = strv_push(argv, word);
        }
        return r;
}
