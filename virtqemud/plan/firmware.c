/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firmware.h"

#include <fnmatch.h>
#include <jansson.h>

#include "domain.h"
#include "mem.h"
#include "str.h"

static int compare_texts(const void *a, const void *b) {
        const FirmwareText *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : (x->rank > y->rank) - (x->rank < y->rank);
}

static bool has_word(const json_t *array, const char *word) {
        for (size_t i = 0; i < json_array_size(array); i++)
                if (streq_null(json_string_value(json_array_get(array, i)), word))
                        return true;
        return false;
}

static bool fits_machine(const json_t *targets, const char *arch, const char *machine_type) {
        for (size_t i = 0; i < json_array_size(targets); i++) {
                const json_t *target = json_array_get(targets, i), *machines = json_object_get(target, "machines");

                if (!streq_null(json_string_value(json_object_get(target, "architecture")), arch))
                        continue;
                for (size_t j = 0; j < json_array_size(machines); j++) {
                        const char *pattern = json_string_value(json_array_get(machines, j));

                        if (pattern && fnmatch(pattern, machine_type, 0) == 0)
                                return true;
                }
        }
        return false;
}

/* Keys are in none but that which starts only what they have signed. */
static bool wants_secure_boot(const DomainDef *def) {
        for (size_t i = 0; i < def->firmware_features.n; i++) {
                const FirmwareFeature *feature = (const FirmwareFeature *) def->firmware_features.items[i];

                if ((streq(feature->name, "secure-boot") || streq(feature->name, "enrolled-keys")) && feature->enabled == YES)
                        return true;
        }
        return def->loader_secure == YES;
}

/* Firmware that needs System Management Mode is there to keep the guest's kernel out of its variables. Only for who asks. */
static bool fits_features(const json_t *features, const DomainDef *def) {
        bool secure = wants_secure_boot(def);

        for (size_t i = 0; i < def->firmware_features.n; i++) {
                const FirmwareFeature *feature = (const FirmwareFeature *) def->firmware_features.items[i];

                if (has_word(features, feature->name) != (feature->enabled == YES))
                        return false;
        }
        if (secure)
                return has_word(features, "secure-boot");
        return !has_word(features, "requires-smm") || (switch_state(&def->smm) == YES && def->loader_secure != NO);
}

/* Where the images are, in a descriptor of the split kind; the format is what -blockdev is told. */
static const char *image_of(const json_t *mapping, const char *key) {
        const json_t *image = json_object_get(mapping, key);
        const char *path = json_string_value(json_object_get(image, "filename"));

        return path && *path == '/' && streq_null(json_string_value(json_object_get(image, "format")), "raw") ? path : NULL;
}

static bool is_split_flash(const json_t *mapping) {
        const char *mode = json_string_value(json_object_get(mapping, "mode"));

        return streq_null(json_string_value(json_object_get(mapping, "device")), "flash") && (!mode || streq(mode, "split")) &&
               image_of(mapping, "executable") && image_of(mapping, "nvram-template");
}

static bool is_uefi_for(const json_t *descriptor, const char *arch, const char *machine) {
        return has_word(json_object_get(descriptor, "interface-types"), "uefi") && is_split_flash(json_object_get(descriptor, "mapping")) &&
               fits_machine(json_object_get(descriptor, "targets"), arch, machine);
}

static bool fits(const json_t *descriptor, const DomainDef *def) {
        return is_uefi_for(descriptor, def->arch, def->machine) && fits_features(json_object_get(descriptor, "features"), def);
}

static int apply(const json_t *descriptor, DomainDef *def, const char *nvram_folder) {
        const json_t *mapping = json_object_get(descriptor, "mapping");
        bool smm = has_word(json_object_get(descriptor, "features"), "requires-smm");

        if (free_and_strdup(&def->loader, image_of(mapping, "executable")) < 0)
                return -ENOMEM;
        if (!def->nvram_template && free_and_strdup(&def->nvram_template, image_of(mapping, "nvram-template")) < 0)
                return -ENOMEM;
        if (is_empty(domain_nvram(def))) {
                free(def->nvram);
                def->nvram = strf("%s/%s_VARS.fd", nvram_folder, def->name);
                if (!def->nvram)
                        return -ENOMEM;
        }
        def->loader_type = LOADER_PFLASH;
        def->loader_readonly = YES;
        if (smm) {
                def->loader_secure = YES;
                def->smm = (Switch) { .present = true, .state = YES };
        }
        return 0;
}

/* The one whose folder comes first hides the others of its name. */
static json_t *read_descriptor(const FirmwareText *texts, size_t i) {
        if (i > 0 && streq(texts[i].name, texts[i - 1].name))
                return NULL;
        return json_loadb(texts[i].text, texts[i].length, JSON_REJECT_DUPLICATES, NULL);
}

int firmware_select(FirmwareText *texts, size_t n, DomainDef *def, const char *nvram_folder, Fault *f) {
        assert(texts || n == 0);
        assert(def);
        assert(nvram_folder);

        if (def->os_firmware != OS_FIRMWARE_EFI || def->loader)
                return 0;

        if (n > 0)
                qsort(texts, n, sizeof(*texts), compare_texts);
        for (size_t i = 0; i < n; i++) {
                json_auto_t *descriptor = read_descriptor(texts, i);

                if (descriptor && fits(descriptor, def))
                        return apply(descriptor, def, nvram_folder) < 0 ? fault_oom(f) : 0;
        }

        domain_fault(def, f, FAULT_NOT_SUPPORTED, "os/@firmware", "none of the %zu installed firmware descriptors gives UEFI%s for %s on machine '%s'", n,
                  wants_secure_boot(def) ? " with secure boot" : "", def->arch, def->machine);
        fault_hint(f, "install an EDK2 package for this architecture (ovmf), or name the images in <loader> and <nvram>");
        return -ENOENT;
}

void firmware_offers_free(FirmwareOffer *offers, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(offers[i].loader);
                free(offers[i].nvram_template);
        }
        free(offers);
}

static int set_offer(FirmwareOffer *o, const json_t *descriptor) {
        const json_t *mapping = json_object_get(descriptor, "mapping"), *features = json_object_get(descriptor, "features");

        o->loader = strdup(image_of(mapping, "executable"));
        o->nvram_template = strdup(image_of(mapping, "nvram-template"));
        o->secure_boot = has_word(features, "secure-boot");
        o->enrolled_keys = has_word(features, "enrolled-keys");
        return o->loader && o->nvram_template ? 0 : -ENOMEM;
}

int firmware_offers(FirmwareText *texts, size_t n, const char *arch, const char *machine, FirmwareOffer **ret, size_t *ret_n) {
        FirmwareOffer *offers = new0(FirmwareOffer, n);
        size_t n_offers = 0;
        int r = 0;

        assert(texts || n == 0);
        assert(arch && machine && ret && ret_n);

        if (!offers)
                return -ENOMEM;
        if (n > 0)
                qsort(texts, n, sizeof(*texts), compare_texts);
        for (size_t i = 0; i < n && r >= 0; i++) {
                json_auto_t *descriptor = read_descriptor(texts, i);

                if (descriptor && is_uefi_for(descriptor, arch, machine))
                        r = set_offer(&offers[n_offers++], descriptor);
        }
        if (r < 0) {
                firmware_offers_free(offers, n_offers);
                return r;
        }
        *ret = offers;
        *ret_n = n_offers;
        return 0;
}
