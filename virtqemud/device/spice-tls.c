/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spice-tls.h"

#include "display-tls.h"
#include "mem.h"
#include "xml-read.h"

static const char *const mode_words[] = { NULL, "any", "secure", "insecure" };
const EnumTable spice_mode_table = { mode_words, ARRAY_SIZE(mode_words) };
static const char *const channel_words[] = { NULL, "main", "display", "inputs", "cursor", "playback", "record", "smartcard", "usbredir" };
const EnumTable spice_channel_table = { channel_words, ARRAY_SIZE(channel_words) };

static const char *const file_options[] = {
        [TLS_CA_CERTIFICATE] = "x509-cacert-file", [TLS_CERTIFICATE] = "x509-cert-file", [TLS_KEY] = "x509-key-file",
};

static bool has_channel(const Graphics *g, SpiceMode mode) {
        RECORD_FOREACH(GraphicsChannel, c, g->channels)
                if (c->mode == (int) mode)
                        return true;
        return false;
}

static bool is_secure(const Graphics *g) {
        return g->default_mode == SPICE_MODE_SECURE || has_channel(g, SPICE_MODE_SECURE);
}

/* The definition asks for it. With autoport a number is only what was found the last time. */
static bool must_have_tls(const Graphics *g) {
        return is_secure(g) || (g->tls_port > 0 && g->autoport != YES);
}

static bool may_have_tls(const Graphics *g) {
        if (g->type != GRAPHICS_SPICE || !graphics_listens_by_port(g))
                return false;
        return must_have_tls(g) || (g->autoport == YES && g->default_mode != SPICE_MODE_INSECURE);
}

bool spice_tls_only(const Graphics *g) {
        assert(g);

        return g->default_mode == SPICE_MODE_SECURE && !has_channel(g, SPICE_MODE_INSECURE);
}

/* --- rules --- */

static int check_channels(const Graphics *g, Fault *f) {
        const char *mode = enum_to_word(&spice_mode_table, g->default_mode);

        if (g->default_mode != SPICE_MODE_SECURE && g->default_mode != SPICE_MODE_INSECURE)
                return 0;
        RECORD_FOREACH(GraphicsChannel, c, g->channels)
                if (c->mode == SPICE_MODE_ANY) {
                        xml_fault(&c->head, f, FAULT_NOT_SUPPORTED, "QEMU makes no exception of mode 'any' from defaultMode '%s'", mode);
                        fault_hint(f, "say 'any' of all with defaultMode, and what differs of each channel");
                        return -EOPNOTSUPP;
                }
        return 0;
}

int spice_tls_check(const Graphics *g, Fault *f) {
        int r;

        assert(g);

        r = check_channels(g, f);
        if (r < 0 || g->type != GRAPHICS_SPICE || !must_have_tls(g))
                return r;
        if (!graphics_listens_by_port(g)) {
                xml_fault(&g->device.head, f, FAULT_NOT_SUPPORTED, "TLS is for ports, and this display has none");
                fault_hint(f, "who comes by a socket of this host or by D-Bus needs none: leave tlsPort and the mode 'secure' out");
                return -EOPNOTSUPP;
        }
        if (g->autoport != YES && g->tls_port <= 0)
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION, "the mode 'secure' needs a tlsPort, or autoport='yes'");
        if (g->tls_port == g->port && g->port > 0)
                return xml_fault(&g->device.head, f, FAULT_INVALID_DEFINITION, "port and tlsPort are both %" PRIi64, g->port);
        return 0;
}

/* --- certificates --- */

int spice_tls_name_certificates(Graphics *g, const char *folder) {
        assert(g);

        return free_and_strdup(&g->certificates, may_have_tls(g) ? folder : NULL);
}

int spice_tls_files(const Graphics *g, WantedFiles *requests) {
        assert(g && requests);

        return display_tls_files(g, !must_have_tls(g), "domain/devices/graphics: TLS takes the files that SpiceCertificates= of qemu.conf names",
                                 requests);
}

int spice_tls_lose_file(Graphics *g, const char *path) {
        assert(g && path);

        if (must_have_tls(g) || !display_tls_is_file(g, path))
                return 0;
        free_and_replace(&g->certificates, NULL);
        return 1;
}

/* --- QEMU --- */

static void add_mode(Text *t, int mode, const char *channel) {
        if (mode == SPICE_MODE_SECURE || mode == SPICE_MODE_INSECURE)
                text_addf(t, ",%s-channel=%s", mode == SPICE_MODE_SECURE ? "tls" : "plaintext", channel);
}

/* QEMU has TLS only if it listens for it. With `unix` and no address it does so at nameless sockets, which the kernel gives a number in QEMU's
 * network namespace: an empty one, but in a session, where they are as open as the display's ports. The number of the port says nothing then. */
int spice_tls_args(const Graphics *g, Args *a, Text *t) {
        assert(g && a && t);

        if (!g->certificates)
                return 0;
        text_add(t, ",unix=on,tls-port=1");
        for (size_t i = 0; i < _TLS_FILE_MAX; i++) {
                int fd = display_tls_fd(g, (TlsFile) i, a);

                if (fd < 0)
                        return fd;
                text_addf(t, ",%s=/proc/self/fd/%d", file_options[i], fd);
        }
        add_mode(t, g->default_mode, "default");
        RECORD_FOREACH(GraphicsChannel, c, g->channels)
                add_mode(t, c->mode, enum_to_word(&spice_channel_table, c->name));
        return 0;
}
