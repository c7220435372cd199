/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm.h"

#include "device.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <tpm>: a trusted platform module, emulated by swtpm. */
typedef enum TpmModel { TPM_UNSET, TPM_TIS, TPM_CRB, _TPM_MODEL_MAX } TpmModel;
static const char *const model_words[] = { NULL, "tpm-tis", "tpm-crb" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

typedef enum TpmBackend { TPM_BACKEND_NONE, TPM_EMULATOR, TPM_EXTERNAL, TPM_PASSTHROUGH } TpmBackend;
static const char *const backend_words[] = { NULL, "emulator", "external", "passthrough" };
static const EnumTable backend_table = { backend_words, ARRAY_SIZE(backend_words) };

typedef enum TpmVersion { TPM_VERSION_UNSET, TPM_1_2, TPM_2_0 } TpmVersion;
static const char *const version_words[] = { NULL, "1.2", "2.0" };
static const EnumTable version_table = { version_words, ARRAY_SIZE(version_words) };

typedef struct Tpm {
        Device device;
        int model, backend, version;
        Tristate persistent;         /* its state outlives the definition */
        SecretRef secret;            /* by uuid; null: its state is not encrypted */
        int source_type, source_mode; /* of an external one: unix, connect */
        char *source;
        char *host;                  /* a passed through one: its device */
        bool banks[4];               /* active_pcr_banks; none: as swtpm has them */
} Tpm;

static const char *const bank_words[] = { "sha1", "sha256", "sha384", "sha512" };

static const char *const source_words[] = { NULL, "unix" };
static const EnumTable source_table = { source_words, ARRAY_SIZE(source_words) };
static const char *const mode_words[] = { NULL, "connect" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };

#define AT(member) offsetof(Tpm, member)
static const Field tpm_fields[] = {
        { "@model", &field_enum, AT(model), .words = &model_table },
        { "backend/@type", &field_enum, AT(backend), FIELD_REQUIRED, .words = &backend_table },
        { "backend/@version", &field_enum, AT(version), .words = &version_table },
        { "backend/@persistent_state", &field_yes_no, AT(persistent) },
        { "backend/encryption/@secret", &field_uuid, AT(secret.uuid) },
        { "backend/source/@type", &field_enum, AT(source_type), .words = &source_table },
        { "backend/source/@mode", &field_enum, AT(source_mode), .words = &mode_table },
        { "backend/source/@path", &field_string, AT(source) },
        { "backend/device/@path", &field_string, AT(host) },
        { "backend/active_pcr_banks/sha1", &field_flag, AT(banks[0]) },
        { "backend/active_pcr_banks/sha256", &field_flag, AT(banks[1]) },
        { "backend/active_pcr_banks/sha384", &field_flag, AT(banks[2]) },
        { "backend/active_pcr_banks/sha512", &field_flag, AT(banks[3]) },
        DEVICE_FIELDS(Tpm),
};
#undef AT

static bool has_banks(const Tpm *t) {
        for (size_t i = 0; i < ARRAY_SIZE(bank_words); i++)
                if (t->banks[i])
                        return true;
        return false;
}

static int check_record(Record *r, Fault *f) {
        const Tpm *t = (const Tpm *) r;

        if (t->backend == TPM_PASSTHROUGH && (!t->host || t->host[0] != '/'))
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION, "type 'passthrough' needs a <device path='/dev/tpm0'/>");
        if (t->backend == TPM_PASSTHROUGH && (!sd_id128_is_null(t->secret.uuid) || t->persistent != UNSET))
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION, "the state of type 'passthrough' is in the host's chip");
        if (t->host && t->backend != TPM_PASSTHROUGH)
                return xml_fault_below(r, "backend/device", f, FAULT_INVALID_DEFINITION, "it belongs to type 'passthrough'");
        if ((t->source || t->source_type || t->source_mode) && t->backend != TPM_EXTERNAL)
                return xml_fault_below(r, "backend/source", f, FAULT_INVALID_DEFINITION, "it belongs to type 'external'");
        if (t->backend == TPM_EXTERNAL && (!t->source || t->source[0] != '/'))
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION, "type 'external' needs a <source type='unix' mode='connect' path='/…'/>");
        if (t->backend == TPM_EXTERNAL && (!sd_id128_is_null(t->secret.uuid) || t->persistent != UNSET))
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION, "the state of type 'external' is somebody else's");
        if (has_banks(t) && (t->backend != TPM_EMULATOR || t->version == TPM_1_2))
                return xml_fault_below(r, "backend/active_pcr_banks", f, FAULT_INVALID_DEFINITION, "it belongs to type 'emulator' of version 2.0");
        return 0;
}

static const RecordType tpm_record = {
        "tpm", sizeof(Tpm), RECORD_FIELDS(tpm_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static int tpm_fill(Device *d, DomainDef *def, Fault *f) {
        Tpm *t = (Tpm *) d;

        if (t->model == TPM_UNSET)
                t->model = t->version == TPM_2_0 ? TPM_CRB : TPM_TIS;
        if (t->version == TPM_VERSION_UNSET && t->backend == TPM_EMULATOR)
                t->version = TPM_2_0;
        return 0;
}

static int tpm_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Tpm *t = (const Tpm *) d;
        size_t i = 0;

        if (device_next(def, DEVICE_TPM, &i) != d)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one already");
        if (t->version == TPM_1_2 && t->model == TPM_CRB)
                return xml_fault_below(&d->head, "backend/@version", f, FAULT_INVALID_DEFINITION, "model 'tpm-crb' is of version 2.0 only");
        if (caps && !caps_has_device(caps, model_words[t->model]))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", model_words[t->model]);
        return 0;
}

static const SecretRef *tpm_secret(const Device *d, const char **ret_purpose) {
        const Tpm *t = (const Tpm *) d;

        *ret_purpose = "vtpm";
        return sd_id128_is_null(t->secret.uuid) ? NULL : &t->secret;
}

/* The banks are what swtpm_setup writes into the module's state, new or not, before swtpm takes it up; what they both read the key from is opened anew. */
static const char setup[] =
        "state=$1 banks=$2 key=$3; shift 3; how=; [ ! -e \"$state\"/tpm2-00.permall ] || how=--reconfigure; "
        "[ -z \"$key\" ] || { exec 5</proc/self/fd/1; key='--pwdfile-fd 5 --cipher aes-256-cbc'; }; "
        "swtpm_setup --tpm2 --tpmstate \"dir://$state\" --config /dev/null --pcr-banks \"$banks\" $how $key </dev/null >&2 || exit; "
        "exec 5<&-; exec \"$@\"";

static int add_setup(const Tpm *t, const char *state, Companion *ret) {
        const char *const before[] = { "/bin/sh", "-c", setup, "sh", state };
        _cleanup_text_ Text banks = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(bank_words); i++)
                if (t->banks[i])
                        text_addf(&banks, "%s%s", banks.length > 0 ? "," : "", bank_words[i]);
        text = text_finish(&banks);
        for (size_t i = 0; i < ARRAY_SIZE(before) && r >= 0; i++)
                r = strv_push(&ret->argv, before[i]);
        if (r >= 0)
                r = text ? strv_push(&ret->argv, text) : -ENOMEM;
        ret->helper = "/usr/bin/swtpm_setup";
        ret->helper_package = "swtpm-tools";
        return r < 0 ? r : strv_push(&ret->argv, sd_id128_is_null(t->secret.uuid) ? "" : "key");
}

static int tpm_companion(const Device *d, const char *state, Companion *ret) {
        static const char *const always[] = { "/usr/bin/swtpm", "socket", "--ctrl", "type=unixio,clientfd=0", "--terminate" };
        const Tpm *t = (const Tpm *) d;
        int r = 0;

        if (t->backend == TPM_PASSTHROUGH)
                return companion_hostdev(ret, "file", t->host, false);
        *ret = (Companion) { .name = "swtpm", .package = "swtpm", .title = "Trusted Platform Module", .lost = "does not answer any more", .confined = true };
        if (has_banks(t))
                r = add_setup(t, state, ret);
        for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
                r = strv_push(&ret->argv, always[i]);
        if (r >= 0)
                r = strv_push(&ret->argv, "--tpmstate");
        if (r >= 0)
                r = strv_pushf(&ret->argv, "dir=%s,mode=0600", state);
        if (r >= 0 && t->version != TPM_1_2)
                r = strv_push(&ret->argv, "--tpm2");
        if (r >= 0 && !sd_id128_is_null(t->secret.uuid))
                r = strv_push(&ret->argv, "--key");
        if (r >= 0 && !sd_id128_is_null(t->secret.uuid))
                r = strv_push(&ret->argv, "pwdfd=1,mode=aes-256-cbc");
        return r;
}

static int socket_args(const Tpm *t, Args *a) {
        const Device *d = &t->device;
        PlanFdKind kind = t->backend == TPM_EXTERNAL ? PLAN_FD_CONNECT : PLAN_FD_COMPANION;
        _cleanup_free_ char *number = args_fd_name(a, args_fd(a, kind, t->backend == TPM_EXTERNAL ? t->source : d->id, false, false, false, NULL));
        _cleanup_free_ char *chardev = strf("char%s", d->id), *backend = strf("backend%s", d->id);
        int r;

        if (!number || !chardev || !backend)
                return -ENOMEM;
        r = args_socket(a, chardev, number, false);
        if (r >= 0)
                r = args_option(a, "-tpmdev", "emulator,id=%s,chardev=%s", backend, chardev);
        if (r >= 0)
                r = args_json(a, ARG_DEVICE, json_pack("{s:s, s:s, s:s}", "driver", model_words[t->model], "id", d->id, "tpmdev", backend));
        return r;
}

/* QEMU opens it by itself: the program beside it sees to it that it may. Nothing under way is given up: that takes a file of the kernel that
 * is root's. */
static int passthrough_args(const Tpm *t, Args *a) {
        const char *id = t->device.id;
        _cleanup_free_ char *backend = strf("backend%s", id);
        _cleanup_text_ Text text = TEXT_INIT;
        _cleanup_free_ char *option = NULL;
        unsigned fdset;
        int r = backend ? args_fd(a, PLAN_FD_COMPANION, id, true, false, true, &fdset) : -ENOMEM;

        if (r < 0)
                return r;
        text_addf(&text, "passthrough,id=%s", backend);
        args_add_value(&text, "path", t->host);
        text_add(&text, ",cancel-path=/dev/null");
        option = text_finish(&text);
        r = option ? args_option(a, "-tpmdev", "%s", option) : -ENOMEM;
        return r < 0 ? r : args_json(a, ARG_DEVICE, json_pack("{s:s, s:s, s:s}", "driver", model_words[t->model], "id", id, "tpmdev", backend));
}

static int tpm_args(const Device *d, Args *a, Fault *f) {
        const Tpm *t = (const Tpm *) d;

        return t->backend == TPM_PASSTHROUGH ? passthrough_args(t, a) : socket_args(t, a);
}

const DeviceOps device_tpm = {
        .kind = DEVICE_TPM, .element = "tpm", .type = &tpm_record,
        .fill = tpm_fill, .check = tpm_check, .args = tpm_args, .companion_secret = tpm_secret, .companion = tpm_companion,
};

bool domain_keeps_tpm(const DomainDef *def) {
        size_t i = 0;
        const Tpm *t = def ? (const Tpm *) device_next(def, DEVICE_TPM, &i) : NULL;

        return t && t->persistent == YES;
}
