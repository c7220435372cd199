/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seal.h"

#include <string.h>

#include "run-program.h"
#include "str.h"

#define INPUT_MAX ((size_t) 256 * 1024)

static int transform(WorkerRequest *q, const char *verb, Fault *f) {
        const char *name = json_string_value(json_object_get(q->json, "name"));
        _cleanup_free_ char *name_option = name ? strf("--name=virtbus-%s", name) : NULL;
        char *argv[] = { (char *) "systemd-creds", (char *) verb, name_option, (char *) "/dev/fd/7", (char *) "-", NULL };
        char *input = NULL, *output = NULL;
        size_t length = 0, output_length = 0;
        _cleanup_fd_ int fd = -1;
        int r;

        if (!name_option || q->n_fds != 1)
                return -EBADMSG;
        r = fd_read_all(q->fds[0], INPUT_MAX, &input, &length);
        if (r >= 0) {
                const ProgramSpec spec = { .argv = argv, .secrets = { { input, length } }, .output_length = &output_length };

                r = program_run(&spec, &output, f);
        }
        if (r >= 0)
                fd = r = memfd_new_sealed("secret", output, output_length);
        if (input)
                explicit_bzero(input, length);
        if (output)
                explicit_bzero(output, output_length);
        free(input);
        free(output);
        return r < 0 ? r : worker_end(NULL, &fd, 1);
}

int serve_seal(WorkerRequest *q, Fault *f) {
        return transform(q, "encrypt", f);
}

int serve_unseal(WorkerRequest *q, Fault *f) {
        return transform(q, "decrypt", f);
}
