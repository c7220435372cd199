/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audio.h"

#include <string.h>

#include "graphics.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(AudioType, audio_type, NULL, "none", "spice", "dbus", "alsa", "coreaudio", "file", "jack", "oss", "pipewire", "pulseaudio", "sdl")

static const char *const format_words[] = { NULL, "s8", "u8", "s16", "u16", "s32", "u32", "f32" };
static const EnumTable format_table = { format_words, ARRAY_SIZE(format_words) };

#define AT(member) offsetof(Audio, member)
static const struct {
        const char *driver;                     /* what QEMU calls it, where that is another name */
        bool device, mixer;                     /* its streams have a device, a sink or source */
} types[_AUDIO_TYPE_MAX] = {
        [AUDIO_ALSA] = { .device = true },
        [AUDIO_OSS] = { .device = true },
        [AUDIO_FILE] = { "wav" },
        [AUDIO_PULSE] = { "pa", .mixer = true },
};

#define OSS_DEVICE "/dev/dsp"                   /* where nothing else is said */

#define STREAM(element, member)                                                                         \
        { element "/@mixingEngine", &field_yes_no, AT(member.mixing_engine) },                          \
        { element "/@fixedSettings", &field_yes_no, AT(member.fixed_settings) },                        \
        { element "/@voices", &field_number, AT(member.voices), .min = 1, .max = 64 },                  \
        { element "/@bufferLength", &field_number, AT(member.buffer_length), .min = 1, .max = 10000000 }, \
        { element "/settings/@frequency", &field_number, AT(member.frequency), .min = 1, .max = 768000 }, \
        { element "/settings/@channels", &field_number, AT(member.channels), .min = 1, .max = 8 },      \
        { element "/settings/@format", &field_enum, AT(member.format), .words = &format_table },         \
        { element "/@dev", &field_string, AT(member.device), .max_length = 255 },                       \
        { element "/@bufferCount", &field_number, AT(member.buffer_count), .min = 1, .max = 1024 },     \
        { element "/@tryPoll", &field_yes_no, AT(member.poll) },                                        \
        { element "/@name", &field_string, AT(member.name), .max_length = 255 },                        \
        { element "/@streamName", &field_string, AT(member.stream), .max_length = 255 },                \
        { element "/@latency", &field_number, AT(member.latency), .min = 1, .max = 10000000 }

static const Field audio_fields[] = {
        { "@id", &field_number, AT(number), FIELD_REQUIRED, .min = 1, .max = 64 },
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &audio_type_table },
        { "@timerPeriod", &field_number, AT(timer_period), .min = 1, .max = 10000000 },
        STREAM("input", input),
        STREAM("output", output),
        { "@tryMMap", &field_yes_no, AT(mmap) },
        { "@exclusive", &field_yes_no, AT(exclusive) },
        { "@dspPolicy", &field_number, AT(dsp_policy), .max = 10 },
        { "@path", &field_string, AT(path) },
        { "@serverName", &field_string, AT(server), .max_length = 255 },
        DEVICE_FIELDS(Audio),
};
#undef AT

static bool has_settings(const AudioStream *s) {
        return s->frequency != NUMBER_UNSET || s->channels != NUMBER_UNSET || s->format;
}

/* What is said of one direction that this type has not. */
static int check_stream(const Audio *a, const AudioStream *s, const char *element, Fault *f) {
        const struct {
                const char *name;
                bool said, fits;
        } rows[] = {
                { "dev", s->device, types[a->type].device },
                { "bufferCount", s->buffer_count != NUMBER_UNSET, a->type == AUDIO_OSS },
                { "tryPoll", s->poll != UNSET, a->type == AUDIO_OSS },
                { "name", s->name, types[a->type].mixer },
                { "streamName", s->stream, types[a->type].mixer },
                { "latency", s->latency != NUMBER_UNSET, types[a->type].mixer },
        };

        if (has_settings(s) && s->fixed_settings != YES)
                return xml_fault(&a->device.head, f, FAULT_INVALID_DEFINITION, "<settings> need fixedSettings='yes'");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].said && !rows[i].fits)
                        return xml_fault_below(&a->device.head, element, f, FAULT_INVALID_DEFINITION, "type '%s' has no %s",
                                               audio_type_to_string((AudioType) a->type), rows[i].name);
        if (a->type == AUDIO_OSS && s->device && (!str_after(s->device, "/dev/") || strstr(s->device, "/../")))
                return xml_fault_below(&a->device.head, element, f, FAULT_INVALID_DEFINITION, "'%s' is no device such as " OSS_DEVICE, s->device);
        return 0;
}

static const char *server_socket(const Audio *a) {
        return str_after(a->server, "unix:") ?: a->server;
}

static int check_place(const Audio *a, Fault *f) {
        const Record *r = &a->device.head;

        if (a->type == AUDIO_FILE && (!a->path || a->path[0] != '/'))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'file' needs the absolute path of a file that is written: path='/….wav'");
        if (a->type == AUDIO_PULSE && (!a->server || server_socket(a)[0] != '/')) {
                xml_fault_below(r, "@serverName", f, FAULT_NOT_SUPPORTED, "QEMU has no network, and finds no server by itself");
                fault_hint(f, "name the socket of one: serverName='unix:/run/user/UID/pulse/native'");
                return -EOPNOTSUPP;
        }
        return 0;
}

static int check_record(Record *r, Fault *f) {
        const Audio *a = (const Audio *) r;
        const struct {
                const char *name;
                bool said;
                int type;
        } rows[] = {
                { "@tryMMap", a->mmap != UNSET, AUDIO_OSS },
                { "@exclusive", a->exclusive != UNSET, AUDIO_OSS },
                { "@dspPolicy", a->dsp_policy != NUMBER_UNSET, AUDIO_OSS },
                { "@path", a->path, AUDIO_FILE },
                { "@serverName", a->server, AUDIO_PULSE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].said && a->type != rows[i].type)
                        return xml_fault_below(r, rows[i].name, f, FAULT_INVALID_DEFINITION, "it belongs to type '%s'",
                                               audio_type_to_string((AudioType) rows[i].type));
        if (check_stream(a, &a->input, "input", f) < 0 || check_stream(a, &a->output, "output", f) < 0)
                return -EINVAL;
        return check_place(a, f);
}

static const RecordType audio_record = {
        "audio", sizeof(Audio), RECORD_FIELDS(audio_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

const Audio *domain_find_audio(const DomainDef *def, uint64_t number) {
        DEVICE_FOREACH(Audio, a, def, DEVICE_AUDIO)
                if (number == NUMBER_UNSET || a->number == number)
                        return a;
        return NULL;
}

int domain_need_audio(DomainDef *def, Fault *f) {
        Audio *a;

        if (domain_find_audio(def, NUMBER_UNSET))
                return 0;
        a = device_new(DEVICE_AUDIO);
        if (!a)
                return fault_oom(f);
        a->number = 1;
        a->type = domain_find_graphics(def, GRAPHICS_SPICE) ? AUDIO_SPICE : AUDIO_NONE;
        return record_list_add(&def->devices, a) < 0 ? fault_oom(f) : 0;
}

char *audio_name(const Audio *a) {
        return strf("audio%" PRIu64, a->number);
}

static int check_type(const Audio *a, const DomainDef *def, Fault *f) {
        const Record *r = &a->device.head;

        if (a->type == AUDIO_SPICE && !domain_find_graphics(def, GRAPHICS_SPICE))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'spice' needs a <graphics type='spice'>");
        if (a->type == AUDIO_DBUS && !domain_find_graphics(def, GRAPHICS_DBUS))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type 'dbus' needs a <graphics type='dbus'>");
        if (a->type <= AUDIO_DBUS || types[a->type].device || types[a->type].driver)
                return 0;
        xml_fault(r, f, FAULT_NOT_SUPPORTED, "type '%s': QEMU has no access to a desktop's sound", audio_type_to_string((AudioType) a->type) ?: "");
        fault_hint(f, "type 'spice' lets the viewer play it, 'alsa' is a card of the host, 'none' is silence");
        return -EOPNOTSUPP;
}

static bool has_device(const char *const *devices, size_t n, const char *device) {
        for (size_t i = 0; i < n; i++)
                if (streq(devices[i], device))
                        return true;
        return false;
}

/* Also one more than there may be, of which it says so. */
static size_t find_devices(const DomainDef *def, const char *ret[static AUDIO_DEVICES_MAX + 1]) {
        size_t n = 0;

        DEVICE_FOREACH(Audio, a, def, DEVICE_AUDIO) {
                const char *both[] = { a->output.device ?: OSS_DEVICE, a->input.device ?: OSS_DEVICE };

                if (a->type == AUDIO_ALSA)
                        both[0] = both[1] = AUDIO_ALSA_CLASS;
                for (size_t i = 0; types[a->type].device && i < ARRAY_SIZE(both) && n <= AUDIO_DEVICES_MAX; i++)
                        if (!has_device(ret, n, both[i]))
                                ret[n++] = both[i];
        }
        return n;
}

size_t audio_devices(const DomainDef *def, const char *ret[static AUDIO_DEVICES_MAX]) {
        const char *found[AUDIO_DEVICES_MAX + 1];
        size_t n = MIN(find_devices(def, found), AUDIO_DEVICES_MAX);

        memcpy(ret, found, n * sizeof(found[0]));
        return n;
}

static int audio_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const char *devices[AUDIO_DEVICES_MAX + 1];
        const Audio *a = (const Audio *) d;

        DEVICE_FOREACH(Audio, other, def, DEVICE_AUDIO) {
                if (other == a)
                        break;
                if (other->number == a->number)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the id %" PRIu64 " is already that of the audio in line %u", a->number,
                                         other->device.head.line);
        }
        if (find_devices(def, devices) > AUDIO_DEVICES_MAX)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "a domain has at most %u sound devices of the host", AUDIO_DEVICES_MAX);
        return check_type(a, def, f);
}

static int audio_files(const Device *d, WantedFiles *requests) {
        const Audio *a = (const Audio *) d;
        const WantedFile file = { .want = WANTED_OUTPUT, .path = a->path, .writable = true, .lease = LEASE_NONE, .line = d->head.line };

        return a->path ? wanted_files_add(requests, &file) : 0;
}

static int audio_companion(const Device *d, const char *state, Companion *ret) {
        const Audio *a = (const Audio *) d;

        return a->path ? companion_hostdev(ret, "file", a->path, false) : -ENOENT;
}

static int add_place(json_t *json, const AudioStream *s) {
        int r = json_set_text(json, "dev", s->device);

        if (r >= 0)
                r = json_set_number(json, "buffer-count", s->buffer_count);
        if (r >= 0)
                r = json_set_switch(json, "try-poll", s->poll);
        if (r >= 0)
                r = json_set_text(json, "name", s->name);
        if (r >= 0)
                r = json_set_text(json, "stream-name", s->stream);
        return r < 0 ? r : json_set_number(json, "latency", s->latency);
}

static int add_stream(json_t *to, const char *name, const AudioStream *s) {
        json_auto_t *json = json_object();
        int r = json ? json_set_switch(json, "mixing-engine", s->mixing_engine) : -ENOMEM;

        if (r >= 0)
                r = json_set_switch(json, "fixed-settings", s->fixed_settings);
        if (r >= 0)
                r = json_set_number(json, "frequency", s->frequency);
        if (r >= 0)
                r = json_set_number(json, "channels", s->channels);
        if (r >= 0)
                r = json_set_text(json, "format", enum_to_word(&format_table, s->format));
        if (r >= 0)
                r = json_set_number(json, "voices", s->voices);
        if (r >= 0)
                r = json_set_number(json, "buffer-length", s->buffer_length);
        if (r >= 0)
                r = add_place(json, s);
        if (r < 0 || json_object_size(json) == 0)
                return r;
        return json_object_set(to, name, json) < 0 ? -ENOMEM : 0;
}

/* What QEMU opens by itself is a descriptor, under another name. */
static int add_descriptor(json_t *json, const Audio *audio, Args *a) {
        _cleanup_free_ char *name = NULL;
        unsigned fdset;
        int fd;

        if (!audio->path && !audio->server)
                return 0;
        fd = audio->path ? args_fd(a, PLAN_FD_OUTPUT, audio->path, true, false, false, NULL)
                         : args_fd(a, PLAN_FD_SOCKET, server_socket(audio), false, false, false, NULL);
        /* QEMU only holds that one, so that the program which lets it open the file has somebody to be there for. */
        if (fd < 0 || (audio->path && args_fd(a, PLAN_FD_COMPANION, audio->device.id, true, false, true, &fdset) < 0))
                return -ENOMEM;
        name = strf("%s/proc/self/fd/%d", audio->path ? "" : "unix:", fd);
        return name ? json_set_text(json, audio->path ? "path" : "server", name) : -ENOMEM;
}

/* QEMU takes JSON here as well, but has no run-time form of it. */
static int audio_args(const Device *d, Args *a, Fault *f) {
        const Audio *audio = (const Audio *) d;
        const char *driver = types[audio->type].driver ?: audio_type_to_string((AudioType) audio->type);
        _cleanup_free_ char *name = audio_name(audio), *text = NULL;
        json_auto_t *json = name ? json_pack("{s:s, s:s}", "id", name, "driver", driver) : NULL;
        int r = json ? json_set_number(json, "timer-period", audio->timer_period) : -ENOMEM;

        if (r >= 0)
                r = json_set_switch(json, "try-mmap", audio->mmap);
        if (r >= 0)
                r = json_set_switch(json, "exclusive", audio->exclusive);
        if (r >= 0)
                r = json_set_number(json, "dsp-policy", audio->dsp_policy);
        if (r >= 0)
                r = add_descriptor(json, audio, a);
        if (r >= 0)
                r = add_stream(json, "in", &audio->input);
        if (r >= 0)
                r = add_stream(json, "out", &audio->output);
        if (r < 0)
                return r;
        text = json_dumps(json, JSON_COMPACT);
        return text ? args_option(a, "-audiodev", "%s", text) : -ENOMEM;
}

const DeviceOps device_audio = {
        .kind = DEVICE_AUDIO, .element = "audio", .type = &audio_record, .check = audio_check, .args = audio_args, .files = audio_files,
        .companion = audio_companion,
};
