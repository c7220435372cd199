/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include <linux/capability.h>

#include "mem.h"
#include "memory-backend.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <filesystem>: a folder of the host, shared by virtiofsd; or over 9p, by QEMU's proxy helper, which opens for QEMU what that does not. Where
 * owners are not the host's, QEMU serves 9p by itself, in a folder that it is lent. */
typedef enum FsAccess { FS_ACCESS_NONE, FS_PASSTHROUGH, FS_MAPPED, FS_SQUASH } FsAccess;
typedef enum FsDriver { FS_DRIVER_NONE, FS_PATH, FS_HANDLE, FS_VIRTIOFS } FsDriver;
static const char *const driver_words[] = { NULL, "path", "handle", "virtiofs" };
static const EnumTable driver_table = { driver_words, ARRAY_SIZE(driver_words) };
typedef enum FilesystemType { FS_TYPE_UNSET, FS_MOUNT } FilesystemType; /* the others are for containers */
static const char *const type_words[] = { NULL, "mount", "template", "file", "block", "ram", "bind", "volume" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };
static const char *const access_words[] = { NULL, "passthrough", "mapped", "squash" };
static const EnumTable access_table = { access_words, ARRAY_SIZE(access_words) };
typedef enum FilesystemModel { FS_MODEL_UNSET, FS_MODEL_VIRTIO, FS_MODEL_TRANSITIONAL, FS_MODEL_NON_TRANSITIONAL } FilesystemModel;
static const char *const model_words[] = { NULL, "virtio", "virtio-transitional", "virtio-non-transitional" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };
static const char *const write_words[] = { NULL, "immediate" };
static const EnumTable write_table = { write_words, ARRAY_SIZE(write_words) };
typedef enum FilesystemMultidevs { MULTIDEVS_UNSET, MULTIDEVS_DEFAULT } FilesystemMultidevs; /* and the others */
static const char *const multidevs_words[] = { NULL, "default", "remap", "forbid", "warn" };
static const EnumTable multidevs_table = { multidevs_words, ARRAY_SIZE(multidevs_words) };
static const char *const cache_words[] = { NULL, "none", "auto", "always" };
static const EnumTable cache_table = { cache_words, ARRAY_SIZE(cache_words) };
static const char *const sandbox_words[] = { NULL, "namespace", "chroot" };
static const EnumTable sandbox_table = { sandbox_words, ARRAY_SIZE(sandbox_words) };

typedef struct Filesystem {
        Device device;
        int type, driver, access;    /* FsDriver, FsAccess */
        uint64_t queue;
        char *binary;
        Tristate xattr, posix_lock, flock;
        int cache, sandbox;
        uint64_t threads;
        char *folder, *socket;       /* <source>: ours to share, or somebody else's virtiofsd */
        char *tag;                   /* what the guest mounts */
        int model, write_policy, multidevs;
        char *file_mode, *folder_mode;
        bool readonly;
        VirtioOptions virtio;
} Filesystem;

/* What it takes to be any user for files, in a root of its own. */
#define RIGHT(name) (UINT64_C(1) << CAP_##name)
#define SHARING_RIGHTS \
        (RIGHT(CHOWN) | RIGHT(DAC_OVERRIDE) | RIGHT(DAC_READ_SEARCH) | RIGHT(FOWNER) | \
         RIGHT(FSETID) | RIGHT(SETGID) | RIGHT(SETUID) | RIGHT(MKNOD) | \
         RIGHT(SETFCAP) | RIGHT(SETPCAP) | RIGHT(SYS_CHROOT) | RIGHT(SYS_ADMIN) | \
         RIGHT(SYS_RESOURCE))

#define AT(member) offsetof(Filesystem, member)
static const Field filesystem_fields[] = {
        { "@type", &field_enum, AT(type), .words = &type_table },
        { "@fmode", &field_string, AT(file_mode), .max_length = 4 },
        { "@dmode", &field_string, AT(folder_mode), .max_length = 4 },
        { "@model", &field_enum, AT(model), .words = &model_table },
        { "@accessmode", &field_enum, AT(access), .words = &access_table },
        { "driver/@type", &field_enum, AT(driver), .words = &driver_table },
        { "driver/@wrpolicy", &field_enum, AT(write_policy), .words = &write_table },
        { "@multidevs", &field_enum, AT(multidevs), .words = &multidevs_table },
        { "driver/@queue", &field_number, AT(queue), .min = 2, .max = 1024 },
        { "binary/@path", &field_string, AT(binary) },
        { "binary/@xattr", &field_on_off, AT(xattr) },
        { "binary/cache/@mode", &field_enum, AT(cache), .words = &cache_table },
        { "binary/sandbox/@mode", &field_enum, AT(sandbox), .words = &sandbox_table },
        { "binary/lock/@posix", &field_on_off, AT(posix_lock) },
        { "binary/lock/@flock", &field_on_off, AT(flock) },
        { "binary/thread_pool/@size", &field_number, AT(threads), .max = 1024 },
        { "source/@dir", &field_string, AT(folder) },
        { "source/@socket", &field_string, AT(socket) },
        { "target/@dir", &field_string, AT(tag), FIELD_REQUIRED, .max_length = 36 },
        { "readonly", &field_flag, AT(readonly) },
        VIRTIO_FIELDS(AT(virtio)),
        DEVICE_FIELDS(Filesystem),
};
#undef AT

static bool is_lent(const Filesystem *fs) {
        return fs->driver != FS_VIRTIOFS && fs->access > FS_PASSTHROUGH;
}

static int check_mode(const Filesystem *fs, const char *attribute, const char *mode, Fault *f) {
        const Record *r = &fs->device.head;
        uint64_t bits;

        if (!mode)
                return 0;
        if (parse_u64(mode, 8, &bits) < 0 || bits > 0777)
                return xml_fault_below(r, attribute, f, FAULT_INVALID_DEFINITION, "'%s' is no mode such as 0644", mode);
        if (fs->access == FS_MAPPED)
                return 0;
        xml_fault_below(r, attribute, f, FAULT_NOT_SUPPORTED, "new files have the modes that the guest gives them");
        fault_hint(f, "leave it out, or say accessmode='mapped'");
        return -EOPNOTSUPP;
}

/* What virtiofsd alone can, or QEMU itself. */
static int check_9p(const Filesystem *fs, Fault *f) {
        const Record *r = &fs->device.head;
        const struct {
                const char *where;
                bool said;
        } rows[] = {
                { "source/@socket", fs->socket }, { "driver/@queue", fs->queue != NUMBER_UNSET },
                { "binary", fs->binary || fs->xattr || fs->posix_lock || fs->flock || fs->cache || fs->sandbox || fs->threads != NUMBER_UNSET },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].said)
                        return xml_fault_below(r, rows[i].where, f, FAULT_INVALID_DEFINITION, "it belongs to <driver type='virtiofs'/>");
        if (!fs->folder || fs->folder[0] != '/')
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs the absolute path of a folder: <source dir='/…'/>");
        if (check_mode(fs, "@fmode", fs->file_mode, f) < 0 || check_mode(fs, "@dmode", fs->folder_mode, f) < 0)
                return -EINVAL;
        if (fs->multidevs > MULTIDEVS_DEFAULT && !is_lent(fs)) {
                xml_fault_below(r, "@multidevs", f, FAULT_NOT_SUPPORTED, "'%s' is not supported: the helper that opens the files does not know of it",
                                multidevs_words[fs->multidevs]);
                fault_hint(f, "leave it out, or use <driver type='virtiofs'/>");
                return -EOPNOTSUPP;
        }
        return 0;
}

static int check_record(Record *r, Fault *f) {
        const Filesystem *fs = (const Filesystem *) r;
        const char *path = fs->folder ?: fs->socket;

        if (fs->type > FS_MOUNT)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "type '%s' is for containers; machines take type 'mount'", type_words[fs->type]);
        if (fs->driver == FS_HANDLE)
                return xml_fault_below(r, "driver/@type", f, FAULT_NOT_SUPPORTED, "QEMU has no 'handle' any more, use 'path' or 'virtiofs'");
        if (fs->driver != FS_VIRTIOFS)
                return check_9p(fs, f);
        if (fs->write_policy || fs->multidevs || fs->file_mode || fs->folder_mode)
                return xml_fault_below(r, fs->write_policy ? "driver/@wrpolicy" : fs->multidevs ? "@multidevs" : "@fmode", f, FAULT_INVALID_DEFINITION,
                                       "it belongs to 9p");
        if (!path || (fs->folder && fs->socket))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it has a dir, or the socket of a virtiofsd that runs already");
        if (path[0] != '/')
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", path);
        if (fs->folder && strchr(fs->folder, ','))
                return xml_fault_below(r, "source/@dir", f, FAULT_NOT_SUPPORTED, "virtiofsd can't share a folder with a comma in its name");
        if (fs->model > FS_MODEL_VIRTIO)
                return xml_fault_below(r, "@model", f, FAULT_NOT_SUPPORTED, "'%s' is not supported: virtiofs came after virtio 1.0",
                                       model_words[fs->model]);
        if (fs->access > FS_PASSTHROUGH)
                return xml_fault_below(r, "@accessmode", f, FAULT_NOT_SUPPORTED, "virtiofs knows 'passthrough' only");
        if (fs->readonly)
                return xml_fault_below(r, "readonly", f, FAULT_NOT_SUPPORTED, "this virtiofsd can't share read-only: mount the folder so on the host");
        return 0;
}

static const RecordType filesystem_record = {
        "filesystem", sizeof(Filesystem), RECORD_FIELDS(filesystem_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static const char *filesystem_prefix(const Device *d) {
        return "fs";
}

static const char *filesystem_target(const Device *d) {
        return ((const Filesystem *) d)->tag;
}

static int filesystem_fill(Device *d, DomainDef *def, Fault *f) {
        Filesystem *fs = (Filesystem *) d;

        if (fs->type == 0)
                fs->type = 1;
        return 0;
}

static SlotKind filesystem_slot(const Device *d, const DomainDef *def) {
        return SLOT_PCIE;
}

static const char *filesystem_driver(const Filesystem *fs) {
        if (fs->driver == FS_VIRTIOFS)
                return "vhost-user-fs-pci";
        return virtio_driver("virtio-9p", fs->model == FS_MODEL_TRANSITIONAL, fs->model == FS_MODEL_NON_TRANSITIONAL);
}

static int filesystem_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Filesystem *fs = (const Filesystem *) d;

        if (fs->driver == FS_VIRTIOFS && memory_check_shared(def, &d->head, "virtiofsd", f) < 0)
                return -EINVAL;
        DEVICE_FOREACH(Filesystem, other, def, DEVICE_FILESYSTEM) {
                if (other == fs)
                        break;
                if (streq(other->tag, fs->tag))
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "its target '%s' is already that of the filesystem in line %u", fs->tag,
                                         other->device.head.line);
        }
        if (caps && !caps_has_device(caps, filesystem_driver(fs)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", filesystem_driver(fs));
        return 0;
}

static int add_switch(char ***argv, Tristate value, const char *on, const char *off) {
        int r = value == UNSET ? 0 : strv_push(argv, "-o");

        return r < 0 || value == UNSET ? r : strv_push(argv, value == YES ? on : off);
}

static int add_options(const Filesystem *fs, char ***argv) {
        int r = strv_push(argv, "-o");

        if (r >= 0)
                r = strv_pushf(argv, "source=%s,sandbox=%s,cache=%s", fs->folder, fs->sandbox ? sandbox_words[fs->sandbox] : "namespace",
                               fs->cache ? cache_words[fs->cache] : "auto");
        if (r >= 0)
                r = add_switch(argv, fs->xattr, "xattr", "no_xattr");
        if (r >= 0)
                r = add_switch(argv, fs->posix_lock, "posix_lock", "no_posix_lock");
        if (r >= 0)
                r = add_switch(argv, fs->flock, "flock", "no_flock");
        return r < 0 || fs->threads == NUMBER_UNSET ? r : strv_pushf(argv, "--thread-pool-size=%" PRIu64, fs->threads);
}

static int proxy_companion(const Filesystem *fs, Companion *ret) {
        const char *words[] = { "/usr/lib/qemu/virtfs-proxy-helper", "--nodaemon", "--fd", "0", "--path", fs->folder };
        int r = 0;

        *ret = (Companion) {
                .name = "virtfs-proxy-helper", .package = "qemu-system-common", .title = "Shared Folder", .lost = "is not shared any more",
                .privileges = SHARING_RIGHTS,
        };
        for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
                r = strv_push(&ret->argv, words[i]);
        return r;
}

static int share_companion(const Filesystem *fs, Companion *ret) {
        const char *words[] = { "virtqemu-share", fs->folder, fs->readonly ? "read" : "write", access_words[fs->access] };
        int r = 0;

        *ret = (Companion) {
                .name = "share", .package = "virtbus", .title = "Shared Folder", .lost = "is not shared any more", .greets = true, .lends = true,
                .explains = FAULT_HOST, .needs_user = true,
                /* Folders of anybody, a mount, and who is whom in it, root among them. */
                .privileges = RIGHT(DAC_READ_SEARCH) | RIGHT(SYS_ADMIN) | RIGHT(SETUID) | RIGHT(SETGID) | RIGHT(SETFCAP),
        };
        for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++)
                r = strv_push(&ret->argv, words[i]);
        return r;
}

static int filesystem_companion(const Device *d, const char *state, Companion *ret) {
        const Filesystem *fs = (const Filesystem *) d;
        int r;

        if (fs->driver != FS_VIRTIOFS)
                return is_lent(fs) ? share_companion(fs, ret) : proxy_companion(fs, ret);

        *ret = (Companion) {
                .name = "virtiofsd", .package = "qemu-system-common", .title = "Shared Folder", .lost = "is not shared any more", .listens = true,
                .privileges = SHARING_RIGHTS,
        };
        r = strv_push(&ret->argv, fs->binary ?: "/usr/lib/qemu/virtiofsd");
        if (r >= 0)
                r = strv_push(&ret->argv, "--fd=0");
        return r < 0 ? r : add_options(fs, &ret->argv);
}

static int virtiofs_args(const Filesystem *fs, Args *a, Fault *f) {
        const Device *d = &fs->device;
        int fd = fs->folder ? args_fd(a, PLAN_FD_COMPANION, d->id, false, false, false, NULL)
                            : args_fd(a, PLAN_FD_CONNECT, fs->socket, false, false, false, NULL);
        _cleanup_free_ char *number = args_fd_name(a, fd), *chardev = strf("char%s", d->id);
        json_auto_t *json = NULL;
        int r = args_socket(a, chardev, number, false);

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s, s:s}", "driver", "vhost-user-fs-pci", "id", d->id, "chardev", chardev, "tag", fs->tag);
        if (!json || json_set_number(json, "queue-size", fs->queue) < 0 || virtio_options_add(&fs->virtio, json) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static void add_mode(Text *t, const char *name, const char *mode) {
        uint64_t bits;

        if (mode && parse_u64(mode, 8, &bits) >= 0)
                text_addf(t, ",%s=%04o", name, (unsigned) bits);
}

/* Without an owner of their own files are whoever's who makes them, which is what QEMU calls none. */
static void add_lent(const Filesystem *fs, int fd, Text *t) {
        text_addf(t, ",path=/proc/self/fd/%d,security_model=%s", fd, fs->access == FS_MAPPED ? "mapped-xattr" : "none");
        add_mode(t, "fmode", fs->file_mode);
        add_mode(t, "dmode", fs->folder_mode);
        if (fs->multidevs > MULTIDEVS_DEFAULT)
                text_addf(t, ",multidevs=%s", multidevs_words[fs->multidevs]);
}

static int add_fsdev(const Filesystem *fs, const char *id, int fd, Args *a) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        text_addf(&t, "%s,id=%s", is_lent(fs) ? "local" : "proxy", id);
        if (is_lent(fs))
                add_lent(fs, fd, &t);
        else
                text_addf(&t, ",sock_fd=%d", fd);
        text_addf(&t, "%s%s", fs->readonly ? ",readonly=on" : "", fs->write_policy ? ",writeout=immediate" : "");
        text = text_finish(&t);
        return text ? args_option(a, "-fsdev", "%s", text) : -ENOMEM;
}

static int args_of_9p(const Filesystem *fs, Args *a, Fault *f) {
        const Device *d = &fs->device;
        int fd = args_fd(a, PLAN_FD_COMPANION, d->id, false, false, false, NULL), r;
        _cleanup_free_ char *id = strf("fsdev-%s", d->id);
        json_auto_t *json = NULL;

        if (fd < 0 || !id)
                return -ENOMEM;
        r = add_fsdev(fs, id, fd, a);
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s, s:s}", "driver", filesystem_driver(fs), "id", d->id, "fsdev", id, "mount_tag", fs->tag);
        if (!json || virtio_options_add(&fs->virtio, json) < 0)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *filesystem_fixed(const Device *d, const DomainDef *def) {
        return ((const Filesystem *) d)->driver == FS_VIRTIOFS ? NULL : "a folder shared over 9p is there from the start";
}

static int filesystem_args(const Device *d, Args *a, Fault *f) {
        const Filesystem *fs = (const Filesystem *) d;

        return fs->driver == FS_VIRTIOFS ? virtiofs_args(fs, a, f) : args_of_9p(fs, a, f);
}

const DeviceOps device_filesystem = {
        .kind = DEVICE_FILESYSTEM, .element = "filesystem", .type = &filesystem_record, .id_prefix = filesystem_prefix, .target = filesystem_target,
        .fill = filesystem_fill, .slot = filesystem_slot, .check = filesystem_check, .fixed = filesystem_fixed, .args = filesystem_args,
        .companion = filesystem_companion,
};
