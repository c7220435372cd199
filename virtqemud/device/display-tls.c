/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "display-tls.h"

#include "mem.h"

/* A client checks the server's by the authority's. */
static const char *const file_names[] = {
        [TLS_CA_CERTIFICATE] = "ca-cert.pem", [TLS_CERTIFICATE] = "server-cert.pem", [TLS_KEY] = "server-key.pem",
};

char *display_tls_path(const Graphics *g, TlsFile which) {
        assert(g && g->certificates);

        return strf("%s/%s", g->certificates, file_names[which]);
}

int display_tls_files(const Graphics *g, bool optional, const char *purpose, WantedFiles *requests) {
        int r = 0;

        assert(g && purpose && requests);

        for (size_t i = 0; g->certificates && i < _TLS_FILE_MAX && r >= 0; i++) {
                _cleanup_free_ char *path = display_tls_path(g, (TlsFile) i);
                const WantedFile file = {
                        .want = WANTED_MEMFD, .path = path, .format = (char *) "raw", .lease = LEASE_NONE,
                        .optional = optional, .silent = true, .purpose = purpose, .line = g->device.head.line,
                };

                r = path ? wanted_files_add(requests, &file) : -ENOMEM;
        }
        return r;
}

bool display_tls_is_file(const Graphics *g, const char *path) {
        assert(g && path);

        for (size_t i = 0; g->certificates && i < _TLS_FILE_MAX; i++) {
                _cleanup_free_ char *its = display_tls_path(g, (TlsFile) i);

                if (streq_null(its, path))
                        return true;
        }
        return false;
}

int display_tls_fd(const Graphics *g, TlsFile which, Args *a) {
        _cleanup_free_ char *path = display_tls_path(g, which);

        assert(a);

        return path ? args_fd(a, PLAN_FD_MEMFD, path, false, false, false, NULL) : -ENOMEM;
}
