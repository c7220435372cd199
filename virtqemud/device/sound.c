/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audio.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <sound>: a sound card. Those of Intel are a bus for codecs. */
typedef struct Sound {
        Device device;
        int model;
        uint64_t audio;              /* number of the <audio>; absent: the first */
        Tristate multichannel;       /* usb */
        RecordList codecs;           /* Codec */
} Sound;

typedef struct Codec {
        Record head;
        int type;
} Codec;

typedef enum SoundModel {
        SOUND_UNSET,
        SOUND_ICH6,
        SOUND_ICH9,
        SOUND_AC97,
        SOUND_ES1370,
        SOUND_SB16,
        SOUND_USB,
        SOUND_PCSPK,
        SOUND_ICH7,
        SOUND_VIRTIO
} SoundModel;
static const char *const model_words[] = { NULL, "ich6", "ich9", "ac97", "es1370", "sb16", "usb", "pcspk", "ich7", "virtio" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

static const struct {
        const char *driver;
        SlotKind slot;
        bool codecs;
} models[] = {
        [SOUND_ICH6] = { "intel-hda", SLOT_PCI, true }, [SOUND_ICH9] = { "ich9-intel-hda", SLOT_PCI, true },
        [SOUND_AC97] = { "AC97", SLOT_PCI },            [SOUND_ES1370] = { "ES1370", SLOT_PCI },
        [SOUND_SB16] = { "sb16", SLOT_NONE },           [SOUND_USB] = { "usb-audio", SLOT_USB },
        [SOUND_PCSPK] = { NULL, SLOT_NONE },            [SOUND_ICH7] = { NULL, SLOT_NONE },
        [SOUND_VIRTIO] = { NULL, SLOT_NONE },
};

typedef enum CodecType { CODEC_UNSET, CODEC_DUPLEX, CODEC_MICRO, CODEC_OUTPUT } CodecType;
static const char *const codec_words[] = { NULL, "duplex", "micro", "output" };
static const EnumTable codec_table = { codec_words, ARRAY_SIZE(codec_words) };

static const Field codec_fields[] = {
        { "@type", &field_enum, offsetof(Codec, type), FIELD_REQUIRED, .words = &codec_table },
};
static const RecordType codec_record = { "codec", sizeof(Codec), RECORD_FIELDS(codec_fields) };

static const Field sound_fields[] = {
        { "@model", &field_enum, offsetof(Sound, model), FIELD_REQUIRED, .words = &model_table },
        { "@multichannel", &field_yes_no, offsetof(Sound, multichannel) },
        { "codec", &field_list, offsetof(Sound, codecs), .record = &codec_record, .max = 8 },
        { "audio/@id", &field_number, offsetof(Sound, audio), .min = 1, .max = 64 },
        DEVICE_FIELDS(Sound),
};

static int check_record(Record *r, Fault *f) {
        const Sound *s = (const Sound *) r;

        if (s->model == SOUND_ICH7 || s->model == SOUND_VIRTIO)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model '%s' is none of QEMU's: use 'ich9'", enum_to_word(&model_table, s->model));
        if (s->codecs.n > 0 && !models[s->model].codecs)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only the models 'ich6' and 'ich9' have codecs");
        if (s->multichannel != UNSET && s->model != SOUND_USB)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only model 'usb' has multichannel");
        return 0;
}

static const RecordType sound_record = {
        "sound", sizeof(Sound), RECORD_FIELDS(sound_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static int sound_fill(Device *d, DomainDef *def, Fault *f) {
        return domain_need_audio(def, f);
}

static SlotKind sound_slot(const Device *d, const DomainDef *def) {
        return models[((const Sound *) d)->model].slot;
}

static int sound_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Sound *s = (const Sound *) d;

        if (!domain_find_audio(def, s->audio))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no <audio> with the id %" PRIu64, s->audio);
        if (s->model == SOUND_PCSPK && !domain_is_i440fx(def) && !domain_is_q35(def))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "machine '%s' has no speaker", def->machine);
        if (caps && models[s->model].driver && !caps_has_device(caps, models[s->model].driver))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", models[s->model].driver);
        return 0;
}

static int add_codec(const Sound *s, Args *a, size_t n, CodecType type, const char *audio) {
        static const char *const drivers[] = { [CODEC_DUPLEX] = "hda-duplex", [CODEC_MICRO] = "hda-micro", [CODEC_OUTPUT] = "hda-output" };
        _cleanup_free_ char *id = strf("%s-codec%zu", s->device.id, n), *bus = strf("%s.0", s->device.id);

        if (!id || !bus)
                return -ENOMEM;
        return args_json(a, ARG_DEVICE, json_pack("{s:s, s:s, s:s, s:I, s:s}", "driver", drivers[type], "id", id, "bus", bus, "cad", (json_int_t) n,
                                                  "audiodev", audio));
}

static int add_codecs(const Sound *s, Args *a, const char *audio) {
        int r = 0;

        if (s->codecs.n == 0)
                return add_codec(s, a, 0, CODEC_DUPLEX, audio);
        for (size_t i = 0; i < s->codecs.n && r >= 0; i++)
                r = add_codec(s, a, i, (CodecType) ((const Codec *) s->codecs.items[i])->type, audio);
        return r;
}

static int sound_args(const Device *d, Args *a, Fault *f) {
        const Sound *s = (const Sound *) d;
        _cleanup_free_ char *audio = audio_name(domain_find_audio(a->def, s->audio));
        json_auto_t *json = NULL;
        int r;

        if (!audio)
                return -ENOMEM;
        if (s->model == SOUND_PCSPK)
                return args_option(a, "-machine", "pcspk-audiodev=%s", audio);
        json = json_pack("{s:s, s:s}", "driver", models[s->model].driver, "id", d->id);
        r = json && (models[s->model].codecs || json_object_set_new(json, "audiodev", json_string(audio)) >= 0) ? 0 : -ENOMEM;
        if (r >= 0)
                r = json_set_switch(json, "multi", s->multichannel);
        if (r >= 0)
                r = args_address(a, d, json, f);
        if (r >= 0)
                r = args_json(a, ARG_DEVICE, TAKE_PTR(json));
        return r < 0 || !models[s->model].codecs ? r : add_codecs(s, a, audio);
}

const DeviceOps device_sound = {
        .kind = DEVICE_SOUND, .element = "sound", .type = &sound_record,
        .fill = sound_fill, .slot = sound_slot, .check = sound_check, .args = sound_args,
};
