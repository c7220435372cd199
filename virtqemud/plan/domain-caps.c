/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-caps.h"

#include "../device/device.h"
#include "mem.h"
#include "str.h"

#define FORMS_MAX 6u

/* Where a set of words stands in the parser's tables, and the definitions in which one is tried, each in place of '@': what is in
 * <devices>, or, with a '|', what is beside it before that. One that passes is enough. */
typedef struct EnumRow {
        const char *group, *name;
        const char *element;        /* the device; NULL: <domain> itself */
        const char *path;           /* with a '*' in it: the words are what stands there in the tables' paths */
        const char *forms[FORMS_MAX];
        bool is_ours;
} EnumRow;

#define SPICE "<graphics type='spice'/>"
#define SHARED "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>|"
#define VIRTIO "<target type='virtio' name='x'/>"
#define GIVEN "<hostdev mode='subsystem' type='"

static const EnumRow enum_rows[] = {
        { "os", "firmware", NULL, "os/@firmware", { "@firmware|" } },
        { "cpu", "mode", NULL, "cpu/@mode", { "<cpu mode='@'/>|", "<cpu mode='@'><model>#</model></cpu>|" } },
        { "memoryBacking", "sourceType", NULL, "memoryBacking/source/@type", {
                "<memoryBacking><source type='@'/></memoryBacking>|" } },
        { "disk", "diskDevice", "disk", "@device", {
                "<disk type='block' device='@'><source dev='/dev/x'/><target dev='vda' bus='virtio'/></disk>",
                "<disk type='block' device='@'><source dev='/dev/x'/><target dev='sda' bus='scsi'/></disk>",
                "<disk type='file' device='@'><source file='/x'/><target dev='sda' bus='sata'/></disk>",
                "<disk type='file' device='@'><source file='/x'/><target dev='fda' bus='fdc'/></disk>" } },
        { "disk", "bus", "disk", "target/@bus", {
                "<disk type='file' device='disk'><source file='/x'/><target dev='sda' bus='@'/></disk>",
                "<disk type='file' device='floppy'><source file='/x'/><target dev='fda' bus='@'/></disk>" } },
        { "disk", "model", "disk", "@model", {
                "<disk type='file' device='disk' model='@'><source file='/x'/><target dev='vda' bus='virtio'/></disk>" } },
        { "graphics", "type", "graphics", "@type", {
                "<graphics type='@'/>", "<graphics type='@'><gl rendernode='/dev/dri/renderD128'/></graphics>",
                SPICE "<graphics type='@'/>" } },
        { "video", "modelType", "video", "model/@type", { "<video><model type='@'/></video>" } },
        { "hostdev", "mode", "hostdev", "@mode", {
                "<hostdev mode='@' type='pci'><source><address bus='0x1' slot='0' function='0'/></source></hostdev>" } },
        { "hostdev", "startupPolicy", "hostdev", "source/@startupPolicy", {
                GIVEN "usb'><source startupPolicy='@'><vendor id='0x1'/><product id='0x1'/></source></hostdev>" } },
        { "hostdev", "subsysType", "hostdev", "@type", {
                GIVEN "@'><source><vendor id='0x1'/><product id='0x1'/></source></hostdev>",
                GIVEN "@'><source><address domain='0' bus='0x1' slot='0' function='0'/></source></hostdev>",
                GIVEN "@'><source><address uuid='0c2f1a5e-1122-4344-8566-778899aabbcc'/></source></hostdev>",
                GIVEN "@'><source><adapter name='scsi_host0'/><address bus='0' target='0' unit='0'/></source></hostdev>",
                GIVEN "@'><source protocol='vhost' wwpn='naa.5123456789abcde0'/></hostdev>" } },
        { "hostdev", "pciBackend", "hostdev", "driver/@name", {
                GIVEN "pci'><driver name='@'/><source><address bus='0x1' slot='0' function='0'/></source></hostdev>" } },
        { "rng", "model", "rng", "@model", { "<rng model='@'><backend model='random'>/dev/urandom</backend></rng>" } },
        { "rng", "backendModel", "rng", "backend/@model", {
                "<rng model='virtio'><backend model='@'>/dev/urandom</backend></rng>", "<rng model='virtio'><backend model='@'/></rng>",
                "<rng model='virtio'><backend model='@' type='unix'><source mode='connect' path='/x'/></backend></rng>" } },
        { "filesystem", "driverType", "filesystem", "driver/@type", {
                SHARED "<filesystem type='mount'><driver type='@'/><source dir='/x'/><target dir='x'/></filesystem>" } },
        { "tpm", "model", "tpm", "@model", { "<tpm model='@'><backend type='emulator' version='2.0'/></tpm>" } },
        { "tpm", "backendModel", "tpm", "backend/@type", {
                "<tpm><backend type='@'/></tpm>", "<tpm><backend type='@'><device path='/dev/tpm0'/></backend></tpm>",
                "<tpm><backend type='@'><source type='unix' mode='connect' path='/x'/></backend></tpm>" } },
        { "tpm", "backendVersion", "tpm", "backend/@version", {
                "<tpm model='tpm-tis'><backend type='emulator' version='@'/></tpm>" } },
        { "redirdev", "bus", "redirdev", "@bus", { SPICE "<redirdev bus='@' type='spicevmc'/>" } },
        { "channel", "type", "channel", "@type", {
                "<channel type='@'>" VIRTIO "</channel>", "<channel type='@'><source path='/dev/x'/>" VIRTIO "</channel>",
                "<channel type='@'><source mode='bind' host='127.0.0.1' service='1'/>" VIRTIO "</channel>",
                SPICE "<channel type='@'>" VIRTIO "</channel>", SPICE "<channel type='@'><source channel='x'/>" VIRTIO "</channel>",
                "<channel type='@'><target type='virtio' name='com.redhat.spice.0'/></channel>" } },
        { "console", "type", "serial", "@type", {
                "<serial type='@'/>", "<serial type='@'><source path='/dev/x'/></serial>",
                "<serial type='@'><source mode='bind' host='127.0.0.1' service='1'/></serial>",
                SPICE "<serial type='@'><source channel='x'/></serial>" } },
        { "crypto", "model", "crypto", "@model", { "<crypto model='@' type='qemu'><backend model='builtin'/></crypto>" } },
        { "crypto", "type", "crypto", "@type", { "<crypto model='virtio' type='@'><backend model='builtin'/></crypto>" } },
        { "crypto", "backendModel", "crypto", "backend/@model", {
                "<crypto model='virtio' type='qemu'><backend model='@'/></crypto>" } },
        { "interface", "backendType", "interface", "backend/@type", { "<interface type='user'><backend type='@'/></interface>" } },
        { "interface", "model", "interface", "model/@type", {
                "<interface type='user'><model type='@'/></interface>" }, .is_ours = true },
        { "panic", "model", "panic", "@model", { "<panic model='@'/>" } },
        { "sound", "model", "sound", "@model", { "<sound model='@'/>" }, .is_ours = true },
        { "watchdog", "model", "watchdog", "@model", { "<watchdog model='@'/>" }, .is_ours = true },
        { "memballoon", "model", "memballoon", "@model", { "<memballoon model='@'/>" }, .is_ours = true },
        { "input", "type", "input", "@type", {
                "<input type='@'/>", "<input type='@' bus='virtio'><source evdev='/dev/input/event0'/></input>",
                "<input type='@'><source dev='/dev/input/event0'/></input>" }, .is_ours = true },
        { "input", "bus", "input", "@bus", {
                "<input type='mouse' bus='@'/>", "<input type='keyboard' bus='@'/>" }, .is_ours = true },
        { "hyperv", "features", NULL, "features/hyperv/*/@state", { "<features><hyperv><@ state='on'/></hyperv></features>|" } },
};

static const struct {
        const char *name, *form;
} feature_rows[] = {
        { "iothreads", "<iothreads>1</iothreads>|" },
        { "vmcoreinfo", "<features><vmcoreinfo/></features>|" },
        { "genid", "<genid>0c2f1a5e-1122-4344-8566-778899aabbcc</genid>|" },
        { "backingStoreInput", "<disk type='file'><driver type='qcow2'/><source file='/x'/><backingStore type='file'><format type='raw'/>"
          "<source file='/y'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>" },
        { "launchSecurity", "<launchSecurity type='sev'/>|" },
        { "smm", "<features><smm/></features>|" },
};

/* --- trying --- */

typedef struct Trial {
        const DomainCaps *offered;
        DomainDefaults defaults;
} Trial;

/* The form with the word in it; and, in place of '#', a model of a CPU that there is. */
static void add_form(Text *t, const Trial *trial, const char *form, size_t length, const char *word) {
        const QemuCaps *qemu = trial->offered->qemu;

        for (size_t i = 0; i < length; i++)
                if (form[i] == '@')
                        text_add(t, word);
                else if (form[i] == '#')
                        text_add(t, qemu->n_cpus > 0 ? qemu->cpus[0].name : "");
                else
                        text_addn(t, &form[i], 1);
}

static char *definition_of(const Trial *trial, const char *form, const char *word) {
        const char *bar = strchr(form, '|'), *inside = bar ? bar + 1 : form;
        const DomainCaps *c = trial->offered;
        _cleanup_text_ Text t = TEXT_INIT;

        text_addf(&t, "<domain type='%s'><name>trial</name><memory unit='MiB'>64</memory><os", domain_type_to_string(c->type));
        if (streq(form, "@firmware|"))
                text_addf(&t, " firmware='%s'", word);
        text_addf(&t, "><type arch='%s' machine='%s'>hvm</type></os>", c->qemu->target, c->machine);
        if (bar && !streq(form, "@firmware|"))
                add_form(&t, trial, form, (size_t) (bar - form), word);
        text_addf(&t, "<devices><emulator>%s</emulator>", c->emulator);
        add_form(&t, trial, inside, strlen(inside), word);
        text_add(&t, "</devices></domain>");
        return text_finish(&t);
}

static int try_form(const Trial *trial, const char *form, const char *word, Fault *f) {
        _cleanup_free_ char *text = definition_of(trial, form, word);
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        int r;

        if (!text)
                return fault_oom(f);
        r = domain_parse(text, strlen(text), &def, f);
        if (r >= 0)
                r = domain_fill(def, &trial->defaults, f);
        return r < 0 ? r : domain_check(def, trial->offered->qemu, &trial->defaults, f);
}

/* What has to be there for it to be chosen is no question of the definition. */
static bool has_firmware(const Trial *trial, const EnumRow *row, const char *word) {
        bool efi = streq(row->name, "firmware") && streq(word, os_firmware_to_string(OS_FIRMWARE_EFI));

        return !efi || trial->offered->n_firmware > 0;
}

static int try_word(const Trial *trial, const EnumRow *row, const char *word, OfferedEnum *e) {
        for (size_t i = 0; i < FORMS_MAX && row->forms[i]; i++) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int r = try_form(trial, row->forms[i], word, &f);

                if (r == -ENOMEM)
                        return r;
                if (r >= 0)
                        return has_firmware(trial, row, word) ? strv_push_nth(&e->words, &e->n_words, word) : 0;
        }
        return 0;
}

/* --- the words that there are --- */

static const Field *find_field(const RecordType *type, const char *path) {
        for (size_t i = 0; type && i < type->n_fields; i++)
                if (streq(type->fields[i].path, path))
                        return &type->fields[i];
        return NULL;
}

/* "features/hyperv/relaxed/@state" is "relaxed" where the pattern has its star; new string. NULL: another path. */
static char *match_star(const char *path, const char *pattern) {
        const char *star = strchr(pattern, '*'), *rest;
        size_t head = (size_t) (star - pattern), n;

        if (strncmp(path, pattern, head) != 0)
                return NULL;
        rest = path + head;
        n = strcspn(rest, "/");
        return streq(rest + n, star + 1) ? strndup(rest, n) : NULL;
}

static int offer_names(const Trial *trial, const EnumRow *row, const RecordType *type, OfferedEnum *e) {
        int r = 0;

        for (size_t i = 0; i < type->n_fields && r >= 0; i++) {
                _cleanup_free_ char *word = match_star(type->fields[i].path, row->path);

                r = word ? try_word(trial, row, word, e) : 0;
        }
        return r;
}

static int offer_row(const Trial *trial, const EnumRow *row, OfferedEnum *e) {
        const RecordType *type = row->element ? device_record_type(row->element) : &domain_record;
        const Field *field;
        int r = 0;

        *e = (OfferedEnum) { .group = row->group, .name = row->name, .is_ours = row->is_ours };
        if (strchr(row->path, '*'))
                return offer_names(trial, row, type, e);
        field = find_field(type, row->path);
        assert(field && field->words);
        for (int i = 0; i < field->words->n && r >= 0; i++)
                if (field->words->words[i])
                        r = try_word(trial, row, field->words->words[i], e);
        return r;
}

static int offer_all(const Trial *trial, DomainCaps *c) {
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(enum_rows) && r >= 0; i++) {
                r = offer_row(trial, &enum_rows[i], &c->enums[i]);
                c->n_enums = i + 1;
        }
        for (size_t i = 0; i < ARRAY_SIZE(feature_rows) && r >= 0; i++) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int q = try_form(trial, feature_rows[i].form, "", &f);

                r = q == -ENOMEM ? q : 0;
                c->features[i] = (OfferedFeature) { feature_rows[i].name, q >= 0 };
                c->n_features = i + 1;
        }
        return r;
}

/* --- the whole --- */

DomainCaps *domain_caps_free(DomainCaps *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_enums; i++)
                strv_free(c->enums[i].words);
        free(c->enums);
        free(c->features);
        firmware_offers_free(c->firmware, c->n_firmware);
        caps_free(c->qemu);
        free(c->emulator);
        free(c->machine);
        free(c);
        return NULL;
}

static int check_machine(const QemuCaps *caps, const char *emulator, const char *name, const CapsMachine **ret, Fault *f) {
        const char *near;

        *ret = caps_machine(caps, name) ?: is_empty(name) && caps->n_machines > 0 ? &caps->machines[0] : NULL;
        if (*ret)
                return 0;
        fault_set(f, FAULT_NOT_SUPPORTED, ENOENT, "%s has no machine '%s'", emulator, name ?: "");
        near = name ? caps_machine_near(caps, name) : NULL;
        if (near)
                fault_hint(f, "did you mean '%s'?", near);
        return -ENOENT;
}

int domain_caps_new(QemuCaps *caps, const char *emulator, const char *machine, DomainType type, const DomainDefaults *defaults,
                    FirmwareOffer *firmware, size_t n_firmware, DomainCaps **ret, Fault *f) {
        _cleanup_(domain_caps_freep) DomainCaps *c = new0(DomainCaps, 1);
        const CapsMachine *m;
        Trial trial;
        int r;

        assert(caps && emulator && defaults && ret);

        if (!c) {
                firmware_offers_free(firmware, n_firmware);
                return fault_oom(f);
        }
        c->firmware = firmware;
        c->n_firmware = n_firmware;
        c->qemu = caps_ref(caps);
        r = check_machine(caps, emulator, machine, &m, f);
        if (r < 0)
                return r;
        c->emulator = strdup(emulator);
        c->machine = strdup(m->name);
        c->cpu_max = m->cpu_max;
        c->type = type != DOMAIN_TYPE_NONE ? type : caps->kvm && defaults->kvm ? DOMAIN_TYPE_KVM : DOMAIN_TYPE_QEMU;
        c->enums = new0(OfferedEnum, ARRAY_SIZE(enum_rows));
        c->features = new0(OfferedFeature, ARRAY_SIZE(feature_rows));
        if (!c->emulator || !c->machine || !c->enums || !c->features)
                return fault_oom(f);

        trial = (Trial) { c, *defaults };
        trial.defaults.emulator = c->emulator;
        trial.defaults.host_memory = 0;
        trial.defaults.spare_root_ports = 0;
        /* Where not even a definition without devices passes, that is what the caller has to know. */
        r = try_form(&trial, "", "", f);
        if (r >= 0 && offer_all(&trial, c) < 0)
                r = fault_oom(f);
        if (r >= 0)
                *ret = TAKE_PTR(c);
        return r;
}

bool domain_caps_offer(const DomainCaps *c, const char *group, const char *name, const char *word) {
        assert(c && group && name && word);

        for (size_t i = 0; i < c->n_enums; i++)
                if (streq(c->enums[i].group, group) && streq(c->enums[i].name, name))
                        return strv_contains(c->enums[i].words, word);
        return false;
}

bool domain_caps_has_feature(const DomainCaps *c, const char *name) {
        assert(c && name);

        for (size_t i = 0; i < c->n_features; i++)
                if (streq(c->features[i].name, name))
                        return c->features[i].supported;
        return false;
}

bool domain_caps_cpu_usable(const DomainCaps *c, const CapsCpu *cpu) {
        assert(c && cpu);

        return c->type == DOMAIN_TYPE_KVM ? cpu->kvm : cpu->tcg;
}
