/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graphics.h"

#include <string.h>
#include <time.h>

#include "audio.h"
#include "gl.h"
#include "mem.h"
#include "spice-tls.h"
#include "video.h"
#include "vnc-tls.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(GraphicsType, graphics_type, NULL, "vnc", "spice", "dbus", "sdl", "rdp", "desktop", "egl-headless")
DEFINE_ENUM(ListenType, listen_type, NULL, "address", "network", "socket", "none")

static const char *const connected_words[] = { NULL, "keep", "disconnect", "fail" };
static const EnumTable connected_table = { connected_words, ARRAY_SIZE(connected_words) };
static const char *const share_words[] = { NULL, "allow-exclusive", "force-shared", "ignore" };
static const EnumTable share_table = { share_words, ARRAY_SIZE(share_words) };
static const char *const image_words[] = { NULL, "auto_glz", "auto_lz", "quic", "glz", "lz", "off" };
static const EnumTable image_table = { image_words, ARRAY_SIZE(image_words) };
static const char *const wan_words[] = { NULL, "auto", "never", "always" };
static const EnumTable wan_table = { wan_words, ARRAY_SIZE(wan_words) };
static const char *const streaming_words[] = { NULL, "filter", "all", "off" };
static const EnumTable streaming_table = { streaming_words, ARRAY_SIZE(streaming_words) };
static const char *const mouse_words[] = { NULL, "client", "server" };
static const EnumTable mouse_table = { mouse_words, ARRAY_SIZE(mouse_words) };

enum { MOUSE_SERVER = 2 };

#define AT(member) offsetof(GraphicsListen, member)
static const Field listen_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &listen_type_table },
        { "@address", &field_string, AT(address), .max_length = 255 },
        { "@network", &field_string, AT(network), .max_length = 200 },
        { "@socket", &field_string, AT(socket), .max_length = 107 },
        { "virtbus:found", &field_string, AT(found), FIELD_LIVE },
};
#undef AT
static const RecordType listen_record = { "listen", sizeof(GraphicsListen), RECORD_FIELDS(listen_fields) };

#define AT(member) offsetof(GraphicsChannel, member)
static const Field channel_fields[] = {
        { "@name", &field_enum, AT(name), FIELD_REQUIRED, .words = &spice_channel_table },
        { "@mode", &field_enum, AT(mode), FIELD_REQUIRED, .words = &spice_mode_table },
};
#undef AT
static const RecordType channel_record = { "channel", sizeof(GraphicsChannel), RECORD_FIELDS(channel_fields) };

#define AT(member) offsetof(Graphics, member)
static const Field graphics_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &graphics_type_table },
        { "@port", &field_integer, AT(port) },
        { "@tlsPort", &field_integer, AT(tls_port) },
        { "@autoport", &field_yes_no, AT(autoport) },
        { "@websocket", &field_integer, AT(websocket) },
        { "@listen", &field_string, AT(listen), .max_length = 255 },
        { "@socket", &field_string, AT(socket), .max_length = 107 },
        { "@keymap", &field_string, AT(keymap), .max_length = 32 },
        { "@passwd", &field_string, AT(password), FIELD_SECRET, .max_length = 256 },
        { "@passwdValidTo", &field_string, AT(valid_to), .max_length = 32 },
        { "@connected", &field_enum, AT(connected), .words = &connected_table },
        { "@sharePolicy", &field_enum, AT(share), .words = &share_table },
        { "@powerControl", &field_yes_no, AT(power_control) },
        { "@defaultMode", &field_enum, AT(default_mode), .words = &spice_mode_table },
        { "@p2p", &field_yes_no, AT(p2p) },
        { "@address", &field_string, AT(address), .max_length = 255 },
        { "listen", &field_list, AT(listens), .record = &listen_record, .max = 8 },
        { "channel", &field_list, AT(channels), .record = &channel_record, .max = 16 },
        { "image/@compression", &field_enum, AT(image), .words = &image_table },
        { "jpeg/@compression", &field_enum, AT(jpeg), .words = &wan_table },
        { "zlib/@compression", &field_enum, AT(zlib), .words = &wan_table },
        { "playback/@compression", &field_on_off, AT(playback) },
        { "streaming/@mode", &field_enum, AT(streaming), .words = &streaming_table },
        { "mouse/@mode", &field_enum, AT(mouse), .words = &mouse_table },
        { "clipboard/@copypaste", &field_yes_no, AT(copypaste) },
        { "filetransfer/@enable", &field_yes_no, AT(filetransfer) },
        { "gl/@enable", &field_yes_no, AT(gl) },
        { "gl/@rendernode", &field_string, AT(render_node) },
        { "audio/@id", &field_number, AT(audio), .min = 1, .max = 64 },
        { "virtbus:websocketChosen", &field_yes_no, AT(websocket_chosen), FIELD_LIVE },
        { "virtbus:certificates", &field_string, AT(certificates), FIELD_LIVE },
        { "virtbus:verifyClients", &field_yes_no, AT(verify_clients), FIELD_LIVE },
        DEVICE_FIELDS(Graphics),
};
#undef AT

static bool is_spice_only(const Graphics *g) {
        return g->default_mode || g->channels.n > 0 || g->image || g->jpeg || g->zlib || g->streaming || g->mouse || g->playback != UNSET ||
               g->copypaste != UNSET || g->filetransfer != UNSET || g->tls_port != INTEGER_UNSET;
}

static bool has_entrance(const Graphics *g) {
        return g->port != INTEGER_UNSET || g->autoport != UNSET || g->listen || g->socket || g->listens.n > 0 || g->password || g->valid_to || g->connected ||
               g->keymap || g->audio != NUMBER_UNSET;
}

static bool is_port(int64_t n) {
        return n == INTEGER_UNSET || n == -1 || (n > 0 && n <= 65535);
}

static int check_listens(const Graphics *g, Fault *f) {
        RECORD_FOREACH(GraphicsListen, l, g->listens) {
                if (l->type == LISTEN_NETWORK)
                        return xml_fault(&l->head, f, FAULT_NOT_SUPPORTED, "type 'network' is not supported: name the host's address in it");
                if (l->type == LISTEN_SOCKET && l->socket && *l->socket != '/')
                        return xml_fault(&l->head, f, FAULT_INVALID_DEFINITION, "socket '%s' is not an absolute path", l->socket);
        }
        return g->listens.n <= 1 ? 0 : xml_fault(&g->device.head, f, FAULT_NOT_SUPPORTED, "one <listen> is supported, not %zu", g->listens.n);
}

static int check_record(Record *r, Fault *f) {
        const Graphics *g = (const Graphics *) r;
        const char *type = graphics_type_to_string((GraphicsType) g->type);

        if (g->type != GRAPHICS_SPICE && is_spice_only(g))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION,
                                 "type '%s' has no tlsPort, channels, compression, mouse, clipboard and the like: 'spice' has",
                                 type);
        if (g->type != GRAPHICS_VNC && (g->websocket != INTEGER_UNSET || g->share || g->power_control != UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type '%s' has no websocket, sharePolicy and powerControl: 'vnc' has", type);
        if (g->type != GRAPHICS_DBUS && (g->p2p != UNSET || g->address))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "p2p and address are for type 'dbus'");
        if (g->type == GRAPHICS_EGL_HEADLESS && has_entrance(g))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION,
                                 "type 'egl-headless' draws, nobody connects to it: port, listen, passwd and keymap are for 'vnc' or 'spice' beside it");
        if (!is_port(g->port) || !is_port(g->tls_port) || !is_port(g->websocket))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "a port is a number from 1 to 65535, or -1 to have one chosen");
        if (g->socket && *g->socket != '/')
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "socket '%s' is not an absolute path", g->socket);
        return check_listens(g, f);
}

static const RecordType graphics_record = {
        "graphics", sizeof(Graphics), RECORD_FIELDS(graphics_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

const Graphics *domain_find_graphics(const DomainDef *def, GraphicsType type) {
        DEVICE_FOREACH(Graphics, g, def, DEVICE_GRAPHICS)
                if (g->type == (int) type)
                        return g;
        return NULL;
}

const GraphicsListen *graphics_listen(const Graphics *g) {
        const GraphicsListen *l = g->listens.n > 0 ? (const GraphicsListen *) g->listens.items[0] : NULL;

        return l && l->type != LISTEN_NONE ? l : NULL;
}

bool graphics_listens_by_port(const Graphics *g) {
        const GraphicsListen *l;

        assert(g);

        l = graphics_listen(g);
        return l && l->type == LISTEN_ADDRESS;
}

/* One that nobody has asked for is not opened if no channel would answer there. */
bool graphics_has_port(const Graphics *g, bool tls) {
        assert(g);

        if (tls)
                return g->type == GRAPHICS_SPICE && g->certificates != NULL;
        return graphics_listens_by_port(g) && g->port != INTEGER_UNSET && !(g->autoport == YES && spice_tls_only(g));
}

const char *graphics_protocol(const Graphics *g) {
        return g->type == GRAPHICS_DBUS ? "@dbus-display" : graphics_type_to_string((GraphicsType) g->type);
}

/* --- filling --- */

static int add_listen(Graphics *g) {
        GraphicsListen *l = record_new(&listen_record);
        int r;

        if (!l)
                return -ENOMEM;
        l->type = g->socket ? LISTEN_SOCKET : LISTEN_ADDRESS;
        r = free_and_strdup(g->socket ? &l->socket : &l->address, g->socket ?: g->listen ?: "127.0.0.1");
        if (r >= 0)
                return record_list_add(&g->listens, l);
        record_free(l);
        return r;
}

static int add_video(DomainDef *def) {
        size_t i = 0;
        Device *d;

        if (device_next(def, DEVICE_VIDEO, &i))
                return 0;
        d = device_new(DEVICE_VIDEO);
        if (!d)
                return -ENOMEM;
        video_set_default(d);
        return record_list_add(&def->devices, d);
}

/* The address is said in the element as well, where older tools look for it. */
static int fill_address(Graphics *g) {
        GraphicsListen *l = g->listens.n > 0 ? (GraphicsListen *) g->listens.items[0] : NULL;

        if (!l || l->type != LISTEN_ADDRESS)
                return 0;
        if (!l->address && free_and_strdup(&l->address, g->listen ?: "127.0.0.1") < 0)
                return -ENOMEM;
        return g->listen ? 0 : free_and_strdup(&g->listen, l->address);
}

/* A display with a TLS port alone has no other one. */
static void fill_ports(Graphics *g) {
        bool ports = graphics_listens_by_port(g);

        if (ports && g->port == INTEGER_UNSET && (g->autoport == YES || g->tls_port <= 0))
                g->port = -1;
        if (ports && g->autoport == UNSET)
                g->autoport = g->port == -1 && g->tls_port <= 0 ? YES : NO;
        if (g->autoport == YES && g->tls_port == -1)
                g->tls_port = INTEGER_UNSET;
}

static int graphics_fill(Device *d, DomainDef *def, Fault *f) {
        Graphics *g = (Graphics *) d;
        int r = add_video(def);

        if (r < 0)
                return fault_oom(f);
        if (g->type == GRAPHICS_DBUS) {
                g->p2p = g->address ? g->p2p : YES;
                return 0;
        }
        if (g->type != GRAPHICS_VNC && g->type != GRAPHICS_SPICE)
                return 0;
        if (g->listens.n == 0)
                r = add_listen(g);
        if (r >= 0)
                r = fill_address(g);
        if (r < 0)
                return fault_oom(f);
        fill_ports(g);
        return 0;
}

/* A port that was found for a running domain is not the next one's. */
static void graphics_drop_live(Device *d) {
        Graphics *g = (Graphics *) d;

        free_and_replace(&g->certificates, NULL);
        g->verify_clients = UNSET;
        if (g->websocket_chosen == YES)
                g->websocket = -1;
        g->websocket_chosen = UNSET;
        if (g->autoport != YES)
                return;
        if (g->port != INTEGER_UNSET)
                g->port = -1;
        g->tls_port = INTEGER_UNSET;
}

/* --- rules --- */

static int cannot(const Graphics *g, Fault *f, const char *what, const char *hint) {
        xml_fault(&g->device.head, f, FAULT_NOT_SUPPORTED, "%s", what);
        fault_hint(f, "%s", hint);
        return -EOPNOTSUPP;
}

static int check_type(const Graphics *g, Fault *f) {
        switch ((GraphicsType) g->type) {
        case GRAPHICS_SDL:
        case GRAPHICS_DESKTOP:
        case GRAPHICS_RDP:
                return cannot(g, f, "QEMU has no access to a desktop: only the types 'vnc', 'spice' and 'dbus' are supported",
                              "use a viewer with 'spice' or 'vnc'");
        case GRAPHICS_DBUS:
                return g->p2p == YES ? 0 : cannot(g, f, "type 'dbus' is handed out by this daemon, not found on a bus of its own", "say p2p='yes'");
        case GRAPHICS_UNSET:
        case GRAPHICS_VNC:
        case GRAPHICS_SPICE:
        case GRAPHICS_EGL_HEADLESS:
        case _GRAPHICS_TYPE_MAX:
        case _GRAPHICS_TYPE_INVALID:
                break;
        }
        return 0;
}

static int check_settings(const Graphics *g, Fault *f) {
        if (g->websocket != INTEGER_UNSET && !graphics_listens_by_port(g))
                return cannot(g, f, "a websocket is a port, and this display has none", "say <listen type='address'/>, or leave websocket out");
        if (g->websocket == g->port && g->port > 0)
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION, "port and websocket are both %" PRIi64, g->port);
        if (g->power_control == YES)
                return cannot(g, f, "powerControl lets whoever sees the screen switch the VM off", "let them use D-Bus, where polkit decides");
        if (g->type == GRAPHICS_VNC && g->password && strlen(g->password) > 8)
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION, "a password of VNC has at most 8 characters: the rest would be ignored");
        if (g->connected && g->type == GRAPHICS_VNC)
                return cannot(g, f, "connected: clients of VNC stay when the password changes", "leave it out");
        if (g->keymap && strspn(g->keymap, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != strlen(g->keymap))
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION, "keymap '%s' is not a name such as 'en-us'", g->keymap);
        return 0;
}

static int check_time(const Graphics *g, Fault *f) {
        struct tm tm = {};

        if (!g->valid_to) /* which may be left of an export without secrets */
                return 0;
        if (!strptime(g->valid_to, "%Y-%m-%dT%H:%M:%S", &tm))
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION,
                                 "passwdValidTo '%s' is not a time such as 2026-11-21T18:00:00 (UTC)", g->valid_to);
        return 0;
}

static int graphics_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Graphics *g = (const Graphics *) d;
        int r = check_type(g, f);

        DEVICE_FOREACH(Graphics, other, def, DEVICE_GRAPHICS) {
                if (other == g || r < 0)
                        break;
                if (other->type == g->type)
                        r = xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one of type '%s' in line %u already",
                                      graphics_type_to_string((GraphicsType) g->type), other->device.head.line);
        }
        if (r >= 0)
                r = check_settings(g, f);
        if (r >= 0)
                r = gl_check(g, def, f);
        if (r >= 0)
                r = spice_tls_check(g, f);
        if (r >= 0)
                r = check_time(g, f);
        if (r >= 0 && caps && g->type == GRAPHICS_SPICE && !caps_has_chardev(caps, "spicevmc"))
                r = xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no SPICE");
        if (r >= 0 && caps && g->type == GRAPHICS_DBUS && !caps_has_object(caps, "dbus-display"))
                r = xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no display for D-Bus");
        return r;
}

/* --- QEMU --- */

static int graphics_files(const Device *d, WantedFiles *requests) {
        const Graphics *g = (const Graphics *) d;

        return g->type == GRAPHICS_VNC ? vnc_tls_files(g, requests) : spice_tls_files(g, requests);
}

static int graphics_lose_file(Device *d, const char *path) {
        Graphics *g = (Graphics *) d;

        return g->type == GRAPHICS_SPICE ? spice_tls_lose_file(g, path) : 0;
}

static void add_word(Text *t, const char *key, const char *word) {
        if (word)
                text_addf(t, ",%s=%s", key, word);
}

static int spice_args(const Graphics *g, Args *a) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        int r;

        text_add(&t, "port=0");
        r = spice_tls_args(g, a, &t);
        if (r < 0)
                return r;
        if (!g->password)
                text_add(&t, ",disable-ticketing=on");
        text_add(&t, ",seamless-migration=on");
        add_word(&t, "image-compression", enum_to_word(&image_table, g->image));
        add_word(&t, "jpeg-wan-compression", enum_to_word(&wan_table, g->jpeg));
        add_word(&t, "zlib-glz-wan-compression", enum_to_word(&wan_table, g->zlib));
        add_word(&t, "playback-compression", g->playback == UNSET ? NULL : g->playback == YES ? "on" : "off");
        add_word(&t, "streaming-video", enum_to_word(&streaming_table, g->streaming));
        if (g->mouse == MOUSE_SERVER)
                text_add(&t, ",agent-mouse=off");
        if (g->copypaste == NO)
                text_add(&t, ",disable-copy-paste=on");
        if (g->filetransfer == NO)
                text_add(&t, ",disable-agent-file-xfer=on");
        gl_add_options(g, &t);
        text = text_finish(&t);
        return text ? args_option(a, "-spice", "%s", text) : -ENOMEM;
}

static int vnc_args(const Graphics *g, Args *a) {
        const Audio *audio = g->audio == NUMBER_UNSET ? NULL : domain_find_audio(a->def, g->audio);
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        int r;

        text_add(&t, "none");
        if (g->password)
                text_add(&t, ",password=on");
        add_word(&t, "share", enum_to_word(&share_table, g->share));
        if (audio)
                text_addf(&t, ",audiodev=audio%" PRIu64, audio->number);
        r = vnc_tls_args(g, a, &t);
        if (r < 0)
                return r;
        text = text_finish(&t);
        return text ? args_option(a, "-vnc", "%s", text) : -ENOMEM;
}

static int dbus_args(const Graphics *g, Args *a) {
        const Audio *audio = g->audio == NUMBER_UNSET ? NULL : domain_find_audio(a->def, g->audio);
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        text_add(&t, "dbus,p2p=on");
        if (audio)
                text_addf(&t, ",audiodev=audio%" PRIu64, audio->number);
        gl_add_options(g, &t);
        text = text_finish(&t);
        return text ? args_option(a, "-display", "%s", text) : -ENOMEM;
}

static int egl_args(const Graphics *g, Args *a) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        text_add(&t, "egl-headless");
        gl_add_options(g, &t);
        text = text_finish(&t);
        return text ? args_option(a, "-display", "%s", text) : -ENOMEM;
}

static int graphics_args(const Device *d, Args *a, Fault *f) {
        const Graphics *g = (const Graphics *) d;
        int r;

        if (g->type == GRAPHICS_DBUS)
                return dbus_args(g, a);
        if (g->type == GRAPHICS_EGL_HEADLESS)
                return egl_args(g, a);
        if (g->type == GRAPHICS_VNC && g->websocket != INTEGER_UNSET && g->certificates && g->password)
                return cannot(g, f, "websocket: QEMU asks nobody for a password who has spoken TLS before, and VncTLS= of qemu.conf wants TLS",
                              "leave websocket out, or passwd; with VncVerifyClients= certificates decide who comes in");
        r = g->type == GRAPHICS_SPICE ? spice_args(g, a) : vnc_args(g, a);
        return r < 0 || !g->keymap ? r : args_option(a, "-k", "%s", g->keymap);
}

static json_t *password_of(const Graphics *g) {
        json_auto_t *json = json_pack("{s:s, s:s}", "protocol", graphics_protocol(g), "password", g->password);

        return !json || json_set_text(json, "connected", enum_to_word(&connected_table, g->connected)) < 0 ? NULL : json_incref(json);
}

static json_t *expiry_of(const Graphics *g) {
        _cleanup_free_ char *when = NULL;
        struct tm tm = {};

        if (g->valid_to && strptime(g->valid_to, "%Y-%m-%dT%H:%M:%S", &tm))
                when = strf("%lld", (long long) timegm(&tm));
        return json_pack("{s:s, s:s}", "protocol", graphics_protocol(g), "time", when ?: "never");
}

static int add_expiry(const Graphics *g, json_t *commands) {
        return g->valid_to ? args_command(commands, "expire_password", expiry_of(g)) : 0;
}

/* A password is in nobody's arguments. */
static int graphics_settle(const Device *d, const DomainDef *def, json_t *commands) {
        const Graphics *g = (const Graphics *) d;
        int r;

        if (!g->password)
                return 0;
        r = args_command(commands, "set_password", password_of(g));
        return r < 0 ? r : add_expiry(g, commands);
}

/* A port that is chosen stays the one that was. */
static void graphics_inherit(Device *after, const Device *before) {
        const Graphics *was = (const Graphics *) before;
        Graphics *g = (Graphics *) after;

        if (g->autoport == YES && (g->port == INTEGER_UNSET || g->port == -1))
                g->port = was->port;
        if (g->autoport == YES && (g->tls_port == INTEGER_UNSET || g->tls_port == -1))
                g->tls_port = was->tls_port;
        if (g->websocket == -1)
                g->websocket = was->websocket;
}

/* Only a display that was started with a password can have another one. */
static ChangeVerdict graphics_verdict(const Device *before, const Device *after, const char *path) {
        static const char *const paths[] = { "@passwd", "@passwdValidTo", "@connected" };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                if (streq(path, paths[i]) && ((const Graphics *) before)->password && ((const Graphics *) after)->password)
                        return CHANGE_NOW;
        return CHANGE_AT_POWER_OFF;
}

static int graphics_update(const Device *before, const Device *after, const DomainDef *def, json_t *commands) {
        const Graphics *was = (const Graphics *) before, *g = (const Graphics *) after;
        int r;

        if (!was->password || !g->password || (streq(was->password, g->password) && streq_null(was->valid_to, g->valid_to)))
                return 0;
        r = args_command_undo(commands, "set_password", password_of(g), "set_password", password_of(was));
        return r < 0 ? r : args_command_undo(commands, "expire_password", expiry_of(g), "expire_password", expiry_of(was));
}

const DeviceOps device_graphics = {
        .kind = DEVICE_GRAPHICS, .element = "graphics", .type = &graphics_record, .drop_live = graphics_drop_live,
        .fill = graphics_fill, .check = graphics_check, .files = graphics_files, .lose_file = graphics_lose_file, .args = graphics_args,
        .settle = graphics_settle,
        .inherit = graphics_inherit, .verdict = graphics_verdict, .update = graphics_update,
};

Graphics *device_as_graphics(const Device *d) {
        return d->ops == &device_graphics ? (Graphics *) d : NULL;
}
