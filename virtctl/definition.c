/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define DEFINITION_MAX ((size_t) 8 * 1024 * 1024)

int definition_read(const char *name, char **ret) {
        bool standard_input = streq(name, "-");
        _cleanup_fd_ int fd = standard_input ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r = fd < 0 ? -errno : fd_read_all(fd, DEFINITION_MAX, &text, &length);

        if (r == -EFBIG)
                return client_fail("%s: larger than %zu MiB, so it is no definition", name, DEFINITION_MAX >> 20);
        if (r < 0)
                return client_fail("%s: %s", name, strerror(-r));
        if (strlen(ASSERT_PTR(text)) != length || !is_utf8(text))
                return client_fail("%s: is no text in UTF-8", name);
        *ret = TAKE_PTR(text);
        return 0;
}

int definition_send(Client *c, const char *root, const char *interface, const char *method, int argc, char **files) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                _cleanup_free_ char *text = NULL;
                int r = definition_read(files[i], &text);

                if (r == 0)
                        r = client_call(c, root, interface, method, NULL, "ssta{sv}", FORMAT_XML, text,
                                        c->dry_run ? FLAG_VALIDATE_ONLY : UINT64_C(0), 0);
                if (r != 0)
                        fprintf(stderr, "  %s was not %s.\n", files[i], c->dry_run ? "accepted" : "defined");
                else if (!c->quiet)
                        fprintf(stderr, "%s: %s\n", files[i], c->dry_run ? "valid" : "defined");
                status = status ?: r;
        }
        return status;
}

int definition_print(Client *c, const char *path, const char *interface, uint64_t flags) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int r;

        r = client_call(c, path, interface, "ExportDefinition", &reply, "st", FORMAT_XML, flags);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        return fputs(text, stdout) < 0 ? client_fail("standard output can't be written to") : 0;
}
