/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "../../virtqemud/device/device.h"
#include "../../virtqemud/plan/domain.h"
#include "../../virtqemud/plan/refused.h"
#include "../../virtqemud/plan/tuning.h"
#include "page.h"
#include "str.h"

#define ALL "all"

/* virtbus.domain(5). When a change comes into effect, and what the program fills in, is asked of the program's own functions with these. */

static const struct {
        const char *element;
        const char *plug, *change;  /* the devices it stands for when they come and go, and when they change; NULL: it is not asked */
        const char *xml;
} examples[] = {
        { "controller", "SCSI and virtio-serial", "scsi", "<controller type='scsi'/>" },
        { "controller", "USB of model qemu-xhci or nec-xhci", "usb", "<controller type='usb'/>" },
        { "controller", "USB of other models", NULL, "<controller type='usb' model='piix3-uhci'/>" },
        { "controller", "others", NULL, "<controller type='ide'/>" },
        { "disk", "on virtio, scsi and usb", "others", "<disk type='file'><source file='/x'/><target dev='vda'/></disk>" },
        { "disk", NULL, "disks that have limits already", "<disk type='file'><source file='/x'/><target dev='vda'/>"
          "<iotune><total_bytes_sec>9</total_bytes_sec></iotune></disk>" },
        { "disk", "on sata, ide and fdc", "drives for media", "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>" },
        { "interface", ALL, "those with a tap", "<interface type='network'><source network='default'/></interface>" },
        { "interface", ALL, "others", "<interface type='user'/>" },
        { "serial", "pci-serial and usb-serial", "pci-serial and usb-serial", "<serial type='pty'><target type='pci-serial'/></serial>" },
        { "serial", "others", "others", "<serial type='pty'/>" },
        { "console", "virtio", "virtio", "<console type='pty'><target type='virtio'/></console>" },
        { "console", "others", "others", "<console type='pty'/>" },
        { "iommu", ALL, ALL, "<iommu model='intel'/>" },
        { "input", "virtio, usb and evdev", "virtio and usb", "<input type='tablet' bus='usb'/>" },
        { "input", "ps2", "ps2", "<input type='mouse' bus='ps2'/>" },
        { "rng", ALL, ALL, "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>" },
        { "memballoon", ALL, ALL, "<memballoon model='virtio'/>" },
        { "memory", "dimm and virtio-mem", "dimm and virtio-mem", "<memory model='virtio-mem'>"
          "<target><size unit='MiB'>128</size><block unit='MiB'>2</block>"
          "<requested unit='MiB'>32</requested></target></memory>" },
        { "memory", "nvdimm and virtio-pmem", "nvdimm and virtio-pmem", "<memory model='virtio-pmem'>"
          "<source><path>/srv/x</path></source><target><size unit='MiB'>1</size></target></memory>" },
        { "parallel", ALL, ALL, "<parallel type='file'><source path='/x'/></parallel>" },
        { "panic", ALL, ALL, "<panic/>" },
        { "audio", ALL, ALL, "<audio id='1' type='none'/>" },
        { "channel", ALL, ALL, "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" },
        { "crypto", ALL, ALL, "<crypto model='virtio' type='qemu'><backend model='builtin'/></crypto>" },
        { "filesystem", "virtiofs", "virtiofs", "<filesystem><driver type='virtiofs'/><source dir='/srv'/><target dir='srv'/></filesystem>" },
        { "filesystem", "9p", "9p", "<filesystem><source dir='/srv'/><target dir='srv'/></filesystem>" },
        { "graphics", ALL, "where there is a password already", "<graphics type='vnc' passwd='x'/>" },
        { "graphics", ALL, "others", "<graphics type='vnc'/>" },
        { "hostdev", "with ramfb", "with ramfb", "<hostdev mode='subsystem' type='mdev' model='vfio-pci' display='on' ramfb='on'>"
          "<source><address uuid='d2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>" },
        { "hostdev", "others", "others", "<hostdev mode='subsystem' type='pci'><source><address bus='2' slot='0' function='0'/></source></hostdev>" },
        { "hub", ALL, ALL, "<hub type='usb'/>" },
        { "lease", ALL, ALL, "<lease><lockspace>x</lockspace><key>y</key><target path='/x'/></lease>" },
        { "redirdev", ALL, ALL, "<redirdev bus='usb' type='spicevmc'/>" },
        { "redirfilter", ALL, ALL, "<redirfilter><usbdev allow='no'/></redirfilter>" },
        { "shmem", ALL, ALL, "<shmem name='x'/>" },
        { "smartcard", ALL, ALL, "<smartcard mode='passthrough' type='spicevmc'/>" },
        { "sound", ALL, ALL, "<sound model='ich9'/>" },
        { "tpm", ALL, ALL, "<tpm><backend type='emulator'/></tpm>" },
        { "video", ALL, ALL, "<video><model type='virtio'/></video>" },
        { "vsock", ALL, ALL, "<vsock model='virtio'/>" },
        { "watchdog", ALL, ALL, "<watchdog model='i6300esb'/>" },
};

static const char frame[] = "<domain type='kvm'><name>x</name><memory unit='MiB'>512</memory><maxMemory slots='4' unit='GiB'>2</maxMemory>"
                            "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>%s</devices></domain>";
static const char plain[] = "<domain type='kvm'><name>x</name><memory unit='MiB'>512</memory><os><type>hvm</type></os></domain>";

static const DomainDefaults defaults = { .arch = "x86_64" };

/* As it was written, and as the program completes it. */
typedef struct Example {
        DomainDef *before, *after;
} Example;

static Example asked[ARRAY_SIZE(examples)], bare;

static bool make_example(Example *e, const char *text, char **ret_why) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = domain_parse(text, strlen(text), &e->before, &f);

        if (r >= 0)
                r = domain_parse(text, strlen(text), &e->after, &f);
        if (r >= 0)
                r = domain_fill(e->after, &defaults, &f);
        if (r < 0)
                *ret_why = must(strdup(f.message ?: "?"));
        return r >= 0;
}

static const Example *example(size_t i) {
        _cleanup_free_ char *text = NULL, *why = NULL;

        if (asked[i].after)
                return &asked[i];
        text = must(strf(frame, examples[i].xml));
        if (!make_example(&asked[i], text, &why)) {
                fprintf(stderr, "the example %s: %s\n", examples[i].xml, why);
                exit(EXIT_FAILURE);
        }
        return &asked[i];
}

/* The first device of that kind is the one that was asked for: what is filled in comes behind it. */
static Device *device_of(const DomainDef *def, const char *element) {
        for (size_t i = 0; i < def->devices.n; i++) {
                Device *d = (Device *) def->devices.items[i];

                if (streq(d->ops->element, element))
                        return d;
        }
        return must(NULL);
}

/* "disk" of "devices/disk/driver/@cache"; the rest may be NULL. NULL: it belongs to no device. */
static const DeviceOps *device_at(const char *path, const char **ret_rest) {
        const char *at = str_after(path, "devices/");
        _cleanup_free_ char *element = at ? must(strndup(at, strcspn(at, "/"))) : NULL;

        if (!element)
                return NULL;
        *ret_rest = at[strlen(element)] ? at + strlen(element) + 1 : NULL;
        return device_ops_by_element(element);
}

/* --- when --- */

static char *plug_text(const DeviceOps *ops) {
        XmlGroups g = {};

        for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
                const DomainDef *def;
                const char *why;

                if (!examples[i].plug || !streq(examples[i].element, ops->element))
                        continue;
                def = example(i)->after;
                why = device_fixed(device_of(def, ops->element), def);
                xml_groups_add(&g, why ? "is there from the start, and stays" : "comes and goes while the guest runs", examples[i].plug);
        }
        return xml_groups_text(&g, true);
}

static char *verdict_text(const DeviceOps *ops, const char *rest) {
        XmlGroups g = {};

        for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
                ChangeVerdict v = CHANGE_AT_POWER_OFF;
                const Device *d;

                if (!examples[i].change || !streq(examples[i].element, ops->element))
                        continue;
                d = device_of(example(i)->after, ops->element);
                if (ops->verdict)
                        v = ops->verdict(d, d, rest);
                xml_groups_add(&g, change_verdict_to_string(v), examples[i].change);
        }
        return xml_groups_text(&g, true);
}

static char *domain_when(const XmlPath *p) {
        const char *rest = NULL;
        const DeviceOps *ops = device_at(p->path, &rest);

        if (p->variant)
                return plug_text(ops);
        if (streq(p->path, "name") || streq(p->path, "uuid")) /* with others it is another VM */
                return NULL;
        if ((p->field->flags & FIELD_LIVE) || p->field->type->shape == SHAPE_RECORD || p->field->type->shape == SHAPE_LIST)
                return NULL;
        return ops ? verdict_text(ops, rest) : must(strdup(change_verdict_to_string(domain_verdict(p->path))));
}

/* --- what is filled in --- */

static const Field *own_field(const RecordType *type, const char *path) {
        for (size_t i = 0; i < type->n_fields; i++)
                if (streq(type->fields[i].path, path))
                        return &type->fields[i];
        return NULL;
}

/* What is there afterwards and was not before, unless it is made up anew each time. */
static char *filled_text(const Record *before, const Record *after, const Field *f) {
        bool chance = f->type == &field_mac || f->type == &field_uuid;

        if (!f->type->to_text || f->type->shape == SHAPE_SIZE || chance || f->type->is_set(field_value(before, f)) ||
            !f->type->is_set(field_value(after, f)))
                return NULL;
        return must(f->type->to_text(f, field_value(after, f)));
}

static char *device_preset(const DeviceOps *ops, const char *rest) {
        const Field *f = own_field(ops->type, rest);
        XmlGroups g = {};

        for (size_t i = 0; f && i < ARRAY_SIZE(examples); i++) {
                _cleanup_free_ char *text = NULL;
                const Example *e;

                if (!examples[i].change || !streq(examples[i].element, ops->element))
                        continue;
                e = example(i);
                text = filled_text(&device_of(e->before, ops->element)->head, &device_of(e->after, ops->element)->head, f);
                xml_groups_add(&g, text, examples[i].change);
        }
        return xml_groups_text(&g, false);
}

/* What is filled in there depends on the rest of the definition; the descriptions say how. */
static bool depends(const char *path) {
        static const char *const paths[] = { "os/type/@arch", "devices/disk/target/@bus", "devices/controller/@index",
                                             "devices/serial/target/@port", "devices/console/target/@port", "devices/video/model/@primary" };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                if (streq(path, paths[i]))
                        return true;
        return false;
}

static char *domain_preset(const XmlPath *p) {
        _cleanup_free_ char *why = NULL;
        const char *rest = NULL;
        const DeviceOps *ops = device_at(p->path, &rest);
        const Field *f = own_field(&domain_record, p->path);

        if (depends(p->path))
                return NULL;
        if (ops)
                return rest && !(p->field->flags & FIELD_LIVE) ? device_preset(ops, rest) : NULL;
        if (!bare.after && !make_example(&bare, plain, &why)) {
                fprintf(stderr, "the plain example: %s\n", why);
                exit(EXIT_FAILURE);
        }
        return f ? filled_text(&bare.before->head, &bare.after->head, f) : NULL;
}

/* --- the rest --- */

static bool domain_refused(size_t i, XmlRefusal *ret) {
        Refused row;
        const char *parent;

        if (!refused_row(i, &row))
                return false;
        parent = str_after(row.parent, "domain/") ?: "";
        *ret = (XmlRefusal) { .why = row.reason, .instead = row.hint };
        ret->what = must(row.name ? strf("%s%s%s", parent, *parent ? "/" : "", row.name) : strf("%s/@%s = %s", parent, row.attribute, row.value));
        return true;
}

static bool has_example(const char *element) {
        for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
                if (streq(examples[i].element, element))
                        return true;
        return false;
}

static size_t domain_check_examples(void (*told)(const char *fault)) {
        size_t faults = 0, n = 0;
        const char *const *names = device_elements(&n);

        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *fault = must(strf("docs/xml/domain.c: <%s> has no row in examples[]: add one that domain_fill() takes", names[i]));

                if (has_example(names[i]))
                        continue;
                told(fault);
                faults++;
        }
        for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
                (void) example(i);
        return faults;
}

int main(int argc, char **argv) {
        static const XmlPage page = {
                .name = "virtbus.domain", .title = "XML of virtual machines",
                .roots = { { "", &domain_record } },
                .when = domain_when, .preset = domain_preset, .refused = domain_refused, .check = domain_check_examples,
        };

        return xml_page_main(&page, argc, argv);
}
