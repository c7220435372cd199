/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-img.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

DEFINE_ENUM(Preallocation, preallocation, "off", "metadata", "falloc", "full")

/* What libvirt calls so is a raw image to QEMU. */
const char *qemu_img_driver(VolumeFormat format) {
        return format == FORMAT_ISO || format >= FORMAT_NONE ? "raw" : volume_format_to_string(format);
}

/* In lists of options a comma is written twice. */
static void add_value(Text *t, const char *value) {
        for (; *value; value++)
                text_addn(t, *value == ',' ? ",," : value, *value == ',' ? 2 : 1);
}

static void add_option(Text *t, const char *name, const char *value) {
        if (!value)
                return;
        text_addf(t, "%s%s=", t->length > 0 ? "," : "", name);
        add_value(t, value);
}

static void add_encryption(Text *t, const VolumeDef *def, const char *secret) {
        const char *prefix = def->format == FORMAT_QCOW2 ? "encrypt." : "";
        _cleanup_free_ char *algorithm = NULL;
        const struct {
                const char *name, *value;
        } rows[] = {
                { "cipher-mode", def->cipher_mode }, { "hash-alg", def->cipher_hash }, { "ivgen-alg", def->ivgen_name }, { "ivgen-hash-alg", def->ivgen_hash },
        };

        if (!secret)
                return;
        if (def->format == FORMAT_QCOW2)
                add_option(t, "encrypt.format", "luks");
        text_addf(t, "%s%skey-secret=s", t->length > 0 ? "," : "", prefix);
        if (def->cipher_name) {
                algorithm = strf("%s-%" PRIu64, def->cipher_name, def->cipher_size == NUMBER_UNSET ? 256 : def->cipher_size);
                t->failed = t->failed || !algorithm;
        }
        if (algorithm)
                text_addf(t, ",%scipher-alg=%s", prefix, algorithm);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].value) {
                        text_addf(t, ",%s%s=", prefix, rows[i].name);
                        add_value(t, rows[i].value);
                }
}

static char *options_of(const VolumeDef *def, Preallocation preallocation, const char *secret) {
        _cleanup_text_ Text t = TEXT_INIT;

        add_option(&t, "compat", def->compat);
        if (def->cluster_size != NUMBER_UNSET)
                text_addf(&t, "%scluster_size=%" PRIu64, t.length > 0 ? "," : "", def->cluster_size);
        if (def->lazy_refcounts)
                add_option(&t, "lazy_refcounts", "on");
        if (def->extended_l2)
                add_option(&t, "extended_l2", "on");
        if (def->nocow)
                add_option(&t, "nocow", "on");
        if (preallocation != PREALLOCATION_OFF)
                add_option(&t, "preallocation", preallocation_to_string(preallocation));
        add_encryption(&t, def, secret);
        return text_finish(&t);
}

/* An image in LUKS format is what libvirt calls an encrypted raw one. */
static const char *driver_of(const VolumeDef *def, const char *secret) {
        return def->format == FORMAT_RAW && secret ? "luks" : qemu_img_driver(def->format);
}

static int push_secret(char ***argv, const char *id, const char *file) {
        int r;

        if (!file)
                return 0;
        r = strv_push(argv, "--object");
        return r < 0 ? r : strv_pushf(argv, "secret,id=%s,file=%s", id, file);
}

static int push(char ***argv, const char *option, const char *value) {
        int r;

        if (!value || !*value)
                return 0;
        r = strv_push(argv, option);
        return r < 0 ? r : strv_push(argv, value);
}

int qemu_img_create(const VolumeDef *def, const char *path, Preallocation preallocation, const char *secret, char ***ret) {
        _cleanup_free_ char *options = options_of(def, preallocation, secret);
        _cleanup_strv_ char **argv = NULL;
        int r;

        if (!options)
                return -ENOMEM;
        r = strv_push(&argv, "qemu-img");
        if (r >= 0)
                r = strv_push(&argv, "create");
        if (r >= 0)
                r = push_secret(&argv, "s", secret);
        if (r >= 0)
                r = strv_push(&argv, "-q");
        if (r >= 0)
                r = push(&argv, "-f", driver_of(def, secret));
        if (r >= 0)
                r = push(&argv, "-o", options);
        if (r >= 0 && def->backing_path) {
                r = push(&argv, "-b", def->backing_path);
                if (r >= 0)
                        r = push(&argv, "-F", qemu_img_driver(def->backing_format));
                /* The chain is looked at by us, with limits; what it is made of need not be there now. */
                if (r >= 0 && def->capacity != NUMBER_UNSET)
                        r = strv_push(&argv, "-u");
        }
        if (r >= 0)
                r = strv_push(&argv, path);
        if (r >= 0 && def->capacity != NUMBER_UNSET)
                r = strv_pushf(&argv, "%" PRIu64, def->capacity);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

int qemu_img_convert(const ImageSource *from, const VolumeDef *def, const char *path, Preallocation preallocation, const char *secret, char ***ret) {
        _cleanup_free_ char *options = options_of(def, preallocation, secret);
        _cleanup_strv_ char **argv = NULL;
        int r;

        if (!options)
                return -ENOMEM;
        r = strv_push(&argv, "qemu-img");
        if (r >= 0)
                r = strv_push(&argv, "convert");
        if (r >= 0)
                r = push_secret(&argv, "s", secret);
        if (r >= 0)
                r = push_secret(&argv, "f", from->secret);
        if (r >= 0)
                r = strv_push(&argv, "-p");
        if (r >= 0)
                r = push(&argv, "-t", "writeback"); /* its own choice is not to have on the disk what it has said is done */
        if (r >= 0 && from->secret)
                r = strv_push(&argv, "--image-opts");
        if (r >= 0 && !from->secret)
                r = push(&argv, "-f", qemu_img_driver(from->format));
        if (r >= 0)
                r = push(&argv, "-O", driver_of(def, secret));
        if (r >= 0)
                r = push(&argv, "-o", options);
        if (r >= 0 && from->secret) {
                _cleanup_text_ Text t = TEXT_INIT;
                bool qcow2 = from->format == FORMAT_QCOW2;

                text_addf(&t, "driver=%s,%skey-secret=f,file.driver=file,file.filename=", qcow2 ? "qcow2" : "luks",
                          qcow2 ? "encrypt.format=luks,encrypt." : "");
                add_value(&t, from->path);
                r = strv_take(&argv, text_finish(&t));
        } else if (r >= 0)
                r = strv_push(&argv, from->path);
        if (r >= 0)
                r = strv_push(&argv, path);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

int qemu_img_resize(const char *path, VolumeFormat format, uint64_t capacity, bool shrink, const char *secret, char ***ret) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        r = strv_push(&argv, "qemu-img");
        if (r >= 0)
                r = strv_push(&argv, "resize");
        if (r >= 0)
                r = push_secret(&argv, "s", secret);
        if (r >= 0)
                r = strv_push(&argv, "-q");
        if (r >= 0 && shrink)
                r = strv_push(&argv, "--shrink");
        if (r >= 0 && !secret)
                r = push(&argv, "-f", qemu_img_driver(format));
        if (r >= 0 && secret) {
                _cleanup_text_ Text t = TEXT_INIT;

                text_addf(&t, "driver=%s,%skey-secret=s,file.driver=file,file.filename=", format == FORMAT_QCOW2 ? "qcow2" : "luks",
                          format == FORMAT_QCOW2 ? "encrypt.format=luks,encrypt." : "");
                add_value(&t, path);
                r = strv_push(&argv, "--image-opts");
                if (r >= 0)
                        r = strv_take(&argv, text_finish(&t));
        } else if (r >= 0)
                r = strv_push(&argv, path);
        if (r >= 0)
                r = strv_pushf(&argv, "%" PRIu64, capacity);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

int qemu_img_progress(const char *text, unsigned *ret) {
        const char *open = strrchr(text, '(');
        unsigned whole = 0, part = 0;

        /* The last one that is whole: another may have begun behind it. */
        while (open && !strchr(open, '%'))
                open = open > text ? memrchr(text, '(', (size_t) (open - text)) : NULL;
        if (!open || sscanf(open, "(%3u.%2u/100%%", &whole, &part) != 2 || whole > 100)
                return -EAGAIN;
        *ret = MIN(whole * 100 + part, 10000u);
        return 0;
}
