/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "video.h"

#include <string.h>

#include "gl.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <video>: a graphics adapter. The first is the primary one, which the firmware shows its messages on; who says otherwise has it put there. */
typedef struct Video {
        Device device;
        int model;
        uint64_t ram, vram, vram64, vgamem; /* KiB */
        uint64_t heads;
        Tristate primary, blob, edid;
        Tristate accel2d, accel3d;
        uint64_t x, y;
        char *driver;
        VirtioOptions virtio;
} Video;

typedef enum VideoModel {
        VIDEO_UNSET, VIDEO_VGA, VIDEO_CIRRUS, VIDEO_VMVGA, VIDEO_QXL, VIDEO_VIRTIO, VIDEO_BOCHS, VIDEO_RAMFB, VIDEO_NONE,
        VIDEO_XEN, VIDEO_VBOX, VIDEO_GOP,
} VideoModel;
static const char *const model_words[] = { NULL, "vga", "cirrus", "vmvga", "qxl", "virtio", "bochs", "ramfb", "none", "xen", "vbox", "gop" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

/* QEMU's name of it as the first adapter and as a further one, NULL: it can't be that; the memory it has where nothing is said, in KiB. */
static const struct {
        const char *first, *further;
        uint64_t vram;
        SlotKind slot;
} models[] = {
        [VIDEO_VGA]    = { "VGA",           "secondary-vga",  16384, SLOT_PCI },
        [VIDEO_CIRRUS] = { "cirrus-vga",    NULL,             16384, SLOT_PCI },
        [VIDEO_VMVGA]  = { "vmware-svga",   NULL,             16384, SLOT_PCI },
        [VIDEO_QXL]    = { "qxl-vga",       "qxl",            65536, SLOT_PCI },
        [VIDEO_VIRTIO] = { "virtio-vga",    "virtio-gpu-pci", 0,     SLOT_PCI },
        [VIDEO_BOCHS]  = { "bochs-display", "bochs-display",  16384, SLOT_PCI },
        [VIDEO_RAMFB]  = { "ramfb",         NULL,             0,     SLOT_NONE },
        [VIDEO_NONE]   = { NULL,            NULL,             0,     SLOT_NONE },
};

/* The same of one that has the host's graphics draw. */
static const char *const gl_names[] = { "virtio-vga-gl", "virtio-gpu-gl-pci" };

#define AT(member) offsetof(Video, member)
static const Field video_fields[] = {
        { "driver/@name", &field_string, AT(driver), .max_length = 16 },
        VIRTIO_FIELDS(AT(virtio)),
        { "model/@type", &field_enum, AT(model), .words = &model_table },
        { "model/@ram", &field_number, AT(ram), .max = 1 << 22 },
        { "model/@vram", &field_number, AT(vram), .max = 1 << 22 },
        { "model/@vram64", &field_number, AT(vram64), .max = 1 << 24 },
        { "model/@vgamem", &field_number, AT(vgamem), .min = 1024, .max = 1 << 20 },
        { "model/@heads", &field_number, AT(heads), .min = 1, .max = 16 },
        { "model/@primary", &field_yes_no, AT(primary) },
        { "model/@blob", &field_on_off, AT(blob) },
        { "model/@edid", &field_on_off, AT(edid) },
        { "model/acceleration/@accel2d", &field_yes_no, AT(accel2d) },
        { "model/acceleration/@accel3d", &field_yes_no, AT(accel3d) },
        { "model/resolution/@x", &field_number, AT(x), .min = 1, .max = 16384 },
        { "model/resolution/@y", &field_number, AT(y), .min = 1, .max = 16384 },
        DEVICE_FIELDS(Video),
};
#undef AT

static int check_record(Record *r, Fault *f) {
        const Video *v = (const Video *) r;

        if (v->model >= VIDEO_XEN)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model '%s' is none of QEMU's", enum_to_word(&model_table, v->model));
        if (v->model != VIDEO_QXL && (v->ram != NUMBER_UNSET || v->vram64 != NUMBER_UNSET || v->vgamem != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "ram, vram64 and vgamem are those of model 'qxl'");
        if (v->blob != UNSET && v->model != VIDEO_VIRTIO)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "blob is a setting of model 'virtio'");
        if ((v->x == NUMBER_UNSET) != (v->y == NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "a resolution has x and y");
        return 0;
}

static const RecordType video_record = {
        "video", sizeof(Video), RECORD_FIELDS(video_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

void video_set_default(Device *video) {
        ((Video *) video)->model = VIDEO_VGA;
}

static bool is_first(const Device *d, const DomainDef *def) {
        size_t i = 0;

        return device_next(def, DEVICE_VIDEO, &i) == d;
}

static const Video *find_primary(const DomainDef *def) {
        DEVICE_FOREACH(Video, v, def, DEVICE_VIDEO)
                if (v->primary == YES)
                        return v;
        return NULL;
}

void video_put_primary_first(DomainDef *def) {
        Record **items = def->devices.items;
        const Video *primary = find_primary(def);
        size_t first = 0, at = 0;

        while (primary && items[at] != &primary->device.head)
                at++;
        while (primary && ((const Device *) items[first])->ops->kind != DEVICE_VIDEO)
                first++;
        if (!primary || first == at)
                return;
        memmove(&items[first + 1], &items[first], (at - first) * sizeof(*items));
        items[first] = (Record *) &primary->device.head;
}

static void set_number(uint64_t *n, uint64_t value) {
        if (*n == NUMBER_UNSET && value > 0)
                *n = value;
}

static int video_fill(Device *d, DomainDef *def, Fault *f) {
        Video *v = (Video *) d;

        if (v->model == VIDEO_UNSET)
                v->model = VIDEO_VGA;
        if (v->model == VIDEO_NONE)
                return 0;
        set_number(&v->vram, models[v->model].vram);
        if (v->model == VIDEO_QXL) {
                set_number(&v->ram, 65536);
                set_number(&v->vgamem, 16384);
        }
        if (v->model != VIDEO_RAMFB)
                set_number(&v->heads, 1);
        if (v->primary == UNSET && is_first(d, def))
                v->primary = YES;
        return 0;
}

static SlotKind video_slot(const Device *d, const DomainDef *def) {
        return models[((const Video *) d)->model].slot;
}

static const char *video_driver(const Video *v, const DomainDef *def) {
        if (v->accel3d == YES)
                return gl_names[!is_first(&v->device, def)];
        return is_first(&v->device, def) ? models[v->model].first : models[v->model].further;
}

static int check_driver(const Video *v, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Record *r = &v->device.head;
        const char *driver = video_driver(v, def);

        if (v->model == VIDEO_NONE)
                return 0;
        if (!driver)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "an adapter of model '%s' can only be the first", enum_to_word(&model_table, v->model));
        if (caps && !caps_has_device(caps, driver))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", driver);
        return 0;
}

static int no_gl(const Record *r, Fault *f) {
        xml_fault_below(r, "model/acceleration", f, FAULT_INVALID_DEFINITION, "accel3d draws with the host's graphics, and no display of the domain does");
        fault_hint(f, "add <graphics type='egl-headless'/>, or say <gl enable='yes'/> in that of type 'spice' or 'dbus'");
        return -EINVAL;
}

static int video_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Video *v = (const Video *) d;
        const Record *r = &d->head;

        if (v->model == VIDEO_NONE && !is_first(d, def))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "model 'none' means that there is no adapter, but there is one before it");
        if (v->primary == YES && !is_first(d, def))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "only one adapter is the primary one");
        if (v->driver && !streq(v->driver, "qemu"))
                return xml_fault_below(r, "driver/@name", f, FAULT_NOT_SUPPORTED, "'%.16s' is not supported, only 'qemu'", v->driver);
        if (virtio_options_any(&v->virtio) && v->model != VIDEO_VIRTIO)
                return xml_fault_below(r, "driver", f, FAULT_NOT_SUPPORTED, "these are settings of model 'virtio'");
        if (v->accel3d == YES && v->model != VIDEO_VIRTIO)
                return xml_fault_below(r, "model/acceleration", f, FAULT_NOT_SUPPORTED, "accel3d is a setting of model 'virtio'");
        if (v->accel3d == YES && !domain_find_gl(def))
                return no_gl(r, f);
        if (v->heads != NUMBER_UNSET && v->heads > 1 && v->model != VIDEO_QXL && v->model != VIDEO_VIRTIO)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "an adapter of model '%s' has one head", enum_to_word(&model_table, v->model));
        return check_driver(v, def, caps, f);
}

static uint64_t kib(uint64_t n) {
        return n == NUMBER_UNSET ? n : n * 1024;
}

static uint64_t mib(uint64_t n) {
        return n == NUMBER_UNSET ? n : (n + 1023) / 1024;
}

/* Cirrus has 4, 8 or 16 MiB; older tools write 9. */
static uint64_t cirrus_memory(uint64_t n) {
        return n == NUMBER_UNSET ? n : n <= 4096 ? 4 : n <= 8192 ? 8 : 16;
}

static int add_qxl(json_t *json, const Video *v) {
        int r = json_set_number(json, "ram_size", kib(v->ram));

        if (r >= 0)
                r = json_set_number(json, "vram_size", kib(v->vram));
        if (r >= 0)
                r = json_set_number(json, "vram64_size_mb", mib(v->vram64));
        if (r >= 0)
                r = json_set_number(json, "vgamem_mb", mib(v->vgamem));
        return r < 0 ? r : json_set_number(json, "max_outputs", v->heads);
}

static int add_memory(json_t *json, const Video *v) {
        switch ((VideoModel) v->model) {
        case VIDEO_QXL:
                return add_qxl(json, v);
        case VIDEO_VIRTIO:
                return json_set_number(json, "max_outputs", v->heads);
        case VIDEO_BOCHS:
                return json_set_number(json, "vgamem", kib(v->vram));
        case VIDEO_CIRRUS:
                return json_set_number(json, "vgamem_mb", cirrus_memory(v->vram));
        case VIDEO_VGA:
        case VIDEO_VMVGA:
                return json_set_number(json, "vgamem_mb", mib(v->vram));
        case VIDEO_UNSET:
        case VIDEO_RAMFB:
        case VIDEO_NONE:
        case VIDEO_XEN:
        case VIDEO_VBOX:
        case VIDEO_GOP:
                break;
        }
        return 0;
}

static int video_args(const Device *d, Args *a, Fault *f) {
        const Video *v = (const Video *) d;
        json_auto_t *json = NULL;
        int r;

        if (v->model == VIDEO_NONE)
                return 0;
        json = json_pack("{s:s, s:s}", "driver", video_driver(v, a->def), "id", d->id);
        if (!json)
                return -ENOMEM;
        r = add_memory(json, v);
        if (r >= 0)
                r = virtio_options_add(&v->virtio, json);
        if (r >= 0)
                r = json_set_switch(json, "blob", v->blob);
        if (r >= 0)
                r = json_set_switch(json, "edid", v->edid);
        if (r >= 0)
                r = json_set_number(json, "xres", v->x);
        if (r >= 0)
                r = json_set_number(json, "yres", v->y);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

/* QEMU draws the heads of qxl as one. */
static uint64_t screens_of(const Video *v) {
        if (v->model == VIDEO_NONE)
                return 0;
        return v->model == VIDEO_VIRTIO && v->heads != NUMBER_UNSET ? v->heads : 1;
}

const Device *video_find_screen(const DomainDef *def, uint64_t screen, uint64_t *ret_head, uint64_t *ret_n) {
        uint64_t n = 0;

        DEVICE_FOREACH(Video, v, def, DEVICE_VIDEO) {
                if (screen - n < screens_of(v)) {
                        *ret_head = screen - n;
                        return &v->device;
                }
                n += screens_of(v);
        }
        *ret_n = n;
        return NULL;
}

const DeviceOps device_video = {
        .kind = DEVICE_VIDEO, .element = "video", .type = &video_record,
        .fill = video_fill, .slot = video_slot, .check = video_check, .args = video_args,
};
