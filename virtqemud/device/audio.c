/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audio.h"

#include "graphics.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(AudioType, audio_type, NULL, "none", "spice", "dbus", "alsa", "coreaudio", "file", "jack", "oss", "pipewire", "pulseaudio", "sdl")

static const char *const format_words[] = { NULL, "s8", "u8", "s16", "u16", "s32", "u32", "f32" };
static const EnumTable format_table = { format_words, ARRAY_SIZE(format_words) };

#define AT(member) offsetof(Audio, member)
#define STREAM(element, member)                                                                         \
        { element "/@mixingEngine", &field_yes_no, AT(member.mixing_engine) },                          \
        { element "/@fixedSettings", &field_yes_no, AT(member.fixed_settings) },                        \
        { element "/@voices", &field_number, AT(member.voices), .min = 1, .max = 64 },                  \
        { element "/@bufferLength", &field_number, AT(member.buffer_length), .min = 1, .max = 10000000 }, \
        { element "/settings/@frequency", &field_number, AT(member.frequency), .min = 1, .max = 768000 }, \
        { element "/settings/@channels", &field_number, AT(member.channels), .min = 1, .max = 8 },      \
        { element "/settings/@format", &field_enum, AT(member.format), .words = &format_table }

static const Field audio_fields[] = {
        { "@id", &field_number, AT(number), FIELD_REQUIRED, .min = 1, .max = 64 },
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &audio_type_table },
        { "@timerPeriod", &field_number, AT(timer_period), .min = 1, .max = 10000000 },
        STREAM("input", input),
        STREAM("output", output),
        DEVICE_FIELDS(Audio),
};
#undef AT

static bool has_settings(const AudioStream *s) {
        return s->frequency != NUMBER_UNSET || s->channels != NUMBER_UNSET || s->format;
}

static int check_record(Record *r, Fault *f) {
        const Audio *a = (const Audio *) r;

        if ((has_settings(&a->input) && a->input.fixed_settings != YES) || (has_settings(&a->output) && a->output.fixed_settings != YES))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "<settings> need fixedSettings='yes'");
        return 0;
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
        if (a->type <= AUDIO_DBUS)
                return 0;
        xml_fault(r, f, FAULT_NOT_SUPPORTED, "type '%s': QEMU has no access to the host's sound", audio_type_to_string((AudioType) a->type) ?: "");
        fault_hint(f, "type 'spice' lets the viewer play it, 'none' is silence");
        return -EOPNOTSUPP;
}

static int audio_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Audio *a = (const Audio *) d;

        DEVICE_FOREACH(Audio, other, def, DEVICE_AUDIO) {
                if (other == a)
                        break;
                if (other->number == a->number)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the id %" PRIu64 " is already that of the audio in line %u", a->number,
                                         other->device.head.line);
        }
        return check_type(a, def, f);
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
        if (r < 0 || json_object_size(json) == 0)
                return r;
        return json_object_set(to, name, json) < 0 ? -ENOMEM : 0;
}

/* QEMU takes JSON here as well, but has no run-time form of it. */
static int audio_args(const Device *d, Args *a, Fault *f) {
        const Audio *audio = (const Audio *) d;
        _cleanup_free_ char *name = audio_name(audio), *text = NULL;
        json_auto_t *json = name ? json_pack("{s:s, s:s}", "id", name, "driver", audio_type_to_string((AudioType) audio->type)) : NULL;
        int r = json ? json_set_number(json, "timer-period", audio->timer_period) : -ENOMEM;

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
        .kind = DEVICE_AUDIO, .element = "audio", .type = &audio_record, .check = audio_check, .args = audio_args,
};
