/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs a fuzz target over files and folders of inputs, one TAP line per file: the corpus as a test, with any compiler. */

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run;

static int on_file(const char *path, const struct stat *st, int type, struct FTW *where) {
        size_t size = (size_t) st->st_size;
        uint8_t *data;
        FILE *f;

        (void) where;
        if (type != FTW_F)
                return 0;
        data = malloc(size ?: 1); /* exactly as large: a sanitizer then sees a byte too far */
        f = fopen(path, "re");
        if (!data || !f || fread(data, 1, size, f) != size) {
                printf("Bail out! can't read %s\n", path);
                exit(EXIT_FAILURE);
        }
        (void) fclose(f);
        printf("# %s\n", path);
        (void) fflush(stdout);
        (void) LLVMFuzzerTestOneInput(data, size);
        free(data);
        printf("ok %u - %s\n", ++n_run, path + where->base);
        return 0;
}

int main(int argc, char *argv[]) {
        for (int i = 1; i < argc; i++)
                if (nftw(argv[i], on_file, 16, FTW_PHYS) != 0) {
                        printf("Bail out! can't read %s\n", argv[i]);
                        return EXIT_FAILURE;
                }
        printf("1..%u\n", n_run);
        return n_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
