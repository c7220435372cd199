/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes lines into standard output in pieces of a given size, and nothing else: usage: log-writer PIECE TOTAL (bytes). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
        size_t piece = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, total = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
        char *data = piece > 0 && piece <= 1 << 20 ? malloc(piece) : NULL;

        if (!data) {
                fprintf(stderr, "usage: log-writer PIECE TOTAL\n");
                return 64;
        }
        for (size_t i = 0; i < piece; i++)
                data[i] = i % 64 == 63 ? '\n' : 'x';
        for (size_t done = 0; done < total;) {
                ssize_t n = write(STDOUT_FILENO, data, piece);

                if (n < 0)
                        return EXIT_FAILURE;
                done += (size_t) n;
        }
        return EXIT_SUCCESS;
}
