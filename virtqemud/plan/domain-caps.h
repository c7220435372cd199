/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "firmware.h"

/* What a definition may say for one QEMU, machine type and accelerator. Nothing here is a list of its own: the words are those of
 * the parser's tables, and those are offered with which a small definition passes all checks. */

/* A set of words: of "disk" the "bus" may be "virtio", "sata", … */
typedef struct OfferedEnum {
        const char *group, *name;
        bool is_ours;           /* libvirt's format has no place for it */
        char **words;
        size_t n_words;
} OfferedEnum;

typedef struct OfferedFeature {
        const char *name;
        bool supported;
} OfferedFeature;

typedef struct DomainCaps {
        char *emulator, *machine;   /* the machine's name, never an alias */
        DomainType type;
        uint32_t cpu_max;           /* 0: no limit */
        OfferedEnum *enums;
        size_t n_enums;
        OfferedFeature *features;
        size_t n_features;
        FirmwareOffer *firmware;
        size_t n_firmware;
        QemuCaps *qemu;
} DomainCaps;

/* `machine` NULL or empty: QEMU's default one. Type NONE: kvm where it works. `firmware` is taken over, also on failure. */
int domain_caps_new(QemuCaps *caps, const char *emulator, const char *machine, DomainType type, const DomainDefaults *defaults,
                    FirmwareOffer *firmware, size_t n_firmware, DomainCaps **ret, Fault *f);
DomainCaps *domain_caps_free(DomainCaps *c);
DEFINE_CLEANUP(DomainCaps *, domain_caps_free)

bool domain_caps_offer(const DomainCaps *c, const char *group, const char *name, const char *word);
bool domain_caps_has_feature(const DomainCaps *c, const char *name);

/* A named model, on the accelerator that is meant. */
bool domain_caps_cpu_usable(const DomainCaps *c, const CapsCpu *cpu);

/* libvirt's <domainCapabilities>. -ENOMEM. */
int domain_caps_to_xml(const DomainCaps *c, char **ret);
