/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

typedef enum AudioType {
        AUDIO_UNSET,
        AUDIO_NONE,
        AUDIO_SPICE,
        AUDIO_DBUS,
        AUDIO_ALSA,
        AUDIO_COREAUDIO,
        AUDIO_FILE,
        AUDIO_JACK,
        AUDIO_OSS,
        AUDIO_PIPEWIRE,
        AUDIO_PULSE,
        AUDIO_SDL,
        _AUDIO_TYPE_MAX,
        _AUDIO_TYPE_INVALID = -EINVAL,
} AudioType;
DECLARE_ENUM(AudioType, audio_type);

/* What becomes of one direction's sound. */
typedef struct AudioStream {
        Tristate mixing_engine, fixed_settings;
        uint64_t voices, buffer_length;         /* µs */
        uint64_t frequency, channels;           /* Hz */
        int format;
        char *device;                           /* of the host: a name of ALSA's, the path of one of OSS */
        uint64_t buffer_count;
        Tristate poll;
        char *name, *stream;                    /* a sink or source of a PulseAudio server, and what it calls this */
        uint64_t latency;                       /* µs */
} AudioStream;

/* <audio>: where the sound of guests goes. A sound device names one by its number. */
typedef struct Audio {
        Device device;
        uint64_t number;                        /* @id, from 1 */
        int type;                               /* AudioType */
        uint64_t timer_period;                  /* µs */
        AudioStream input, output;
        Tristate mmap, exclusive;               /* of OSS */
        uint64_t dsp_policy;
        char *path;                             /* a file that all that is played is written into */
        char *server;                           /* of PulseAudio: "unix:/…" or the path alone */
} Audio;

/* The device files of the host that the domain's sound takes, as paths or classes ("char-alsa"), up to AUDIO_DEVICES_MAX. They are
 * the definition's. Returns how many. */
#define AUDIO_DEVICES_MAX 5u
size_t audio_devices(const DomainDef *def, const char *ret[static AUDIO_DEVICES_MAX]);
#define AUDIO_ALSA_CLASS "char-alsa"
#define AUDIO_ALSA_CARDS "/dev/snd/controlC*"

/* The one with that number; NUMBER_UNSET: the first. */
const Audio *domain_find_audio(const DomainDef *def, uint64_t number);
/* One there is in any case: what <graphics> carries, else silence. */
int domain_need_audio(DomainDef *def, Fault *f);
/* What QEMU calls it: "audio1". */
char *audio_name(const Audio *a);
