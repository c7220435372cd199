/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vnc-tls.h"

#include "display-tls.h"
#include "mem.h"

int vnc_tls_name_certificates(Graphics *g, const char *folder, bool verify_clients) {
        bool has = folder && g->type == GRAPHICS_VNC && graphics_listens_by_port(g);

        g->verify_clients = has && verify_clients ? YES : UNSET;
        return free_and_strdup(&g->certificates, has ? folder : NULL);
}

int vnc_tls_files(const Graphics *g, WantedFiles *requests) {
        return display_tls_files(g, false, "domain/devices/graphics: VncTLS= of qemu.conf takes the files that VncCertificates= names", requests);
}

/* QEMU looks for files of fixed names in a folder. It sees none of the host's: this one leads to descriptors it has. */
int vnc_tls_args(const Graphics *g, Args *a, Text *t) {
        _cleanup_free_ char *id = strf("%s-tls", g->device.id), *folder = NULL;
        int fd = 0, r;

        assert(a && t);

        if (!g->certificates)
                return 0;
        for (size_t i = 0; i < _TLS_FILE_MAX && fd >= 0; i++)
                fd = display_tls_fd(g, (TlsFile) i, a);
        if (fd >= 0)
                fd = args_fd(a, PLAN_FD_FOLDER, g->certificates, false, false, false, NULL);
        if (fd < 0)
                return fd;
        folder = strf("/proc/self/fd/%d", fd);
        if (!id || !folder)
                return -ENOMEM;
        r = args_json(a, ARG_OBJECT, json_pack("{s:s, s:s, s:s, s:s, s:b}", "qom-type", "tls-creds-x509", "id", id, "dir", folder,
                                               "endpoint", "server", "verify-peer", g->verify_clients == YES));
        text_addf(t, ",tls-creds=%s", id);
        return r;
}
