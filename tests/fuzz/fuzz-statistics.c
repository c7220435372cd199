/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "../../virtqemud/plan/domain.h"
#include "../../virtqemud/run/stats-host.h"
#include "../../virtqemud/run/stats-qemu.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char definition[] =
        "<domain type='qemu'><name>a</name><memory>1024</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a'/><backingStore type='file'><format type='raw'/>"
        "<source file='/b'/></backingStore><target dev='vda' bus='virtio'/></disk>"
        "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk></devices></domain>";

static DomainDef *make_definition(void) {
        const DomainDefaults defaults = { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "x86_64", .nvram_folder = "/nvram" };
        _cleanup_fault_ Fault f = FAULT_INIT;
        DomainDef *def;

        if (domain_parse(definition, strlen(definition), &def, &f) < 0 || domain_fill(def, &defaults, &f) < 0) {
                fprintf(stderr, "%s\n", fault_text(&f));
                abort();
        }
        return def;
}

/* Whatever QEMU says, a sample can be sent: keys are there once, texts are UTF-8. */
static void check(StatsSet *s) {
        for (size_t i = 0; i < s->n; i++) {
                const StatsValue *v = &s->items[i];

                if (!*v->key || (v->type == 's' && !is_utf8(v->text)) || (v->type == 'a' && !v->list.items))
                        abort();
                for (size_t k = 0; k < i; k++)
                        if (streq(s->items[k].key, v->key))
                                abort();
        }
        stats_set_clear(s);
}

static void read_answer(const DomainDef *def, const json_t *answer) {
        StatsSet sets[7] = {};
        const char *names[4];

        stats_read_balloon(def, answer, &sets[0]);
        stats_read_guest_memory(answer, &sets[1]);
        stats_read_block(def, answer, &sets[2], &sets[3]);
        stats_read_backing(def, answer, &sets[4]);
        stats_read_dirty_rate(answer, &sets[5]);
        stats_read_halt(answer, &sets[6]);
        for (size_t i = 0; i < stats_find_uncounted(def, answer, names, ARRAY_SIZE(names)); i++)
                if (!names[i])
                        abort();
        for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
                check(&sets[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static DomainDef *def;
        _cleanup_free_ char *text = strndup((const char *) data, size);
        json_auto_t *answer = json_loadb((const char *) data, size, JSON_DECODE_ANY, NULL);
        NetDevices *devices = NULL;

        if (!def)
                def = make_definition();
        if (answer)
                read_answer(def, answer);
        if (text && net_devices_parse(text, &devices) >= 0)
                net_devices_free(devices);
        return 0;
}
