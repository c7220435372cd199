/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "remote.h"

#include <stdio.h>

#include "str.h"

enum { NO_FILE = -1 };

/* What can be done there instead, where the descriptors are. Files are this host's, so that they pass as ssh's input or output. */
typedef struct Need {
        const char *verb, *option;       /* needs it only with that one */
        int file;                        /* index of the word that is a file */
        bool is_input, on_terminal;
} Need;

static const Need needs[] = {
        { "console", NULL, NO_FILE, .on_terminal = true }, { "log", "follow", NO_FILE }, { "screenshot", NULL, 1 }, { "dump", NULL, 1 },
        { "copy-to", NULL, 1, .is_input = true }, { "copy-from", NULL, 2 }, { "upload-volume", NULL, 2, .is_input = true }, { "download-volume", NULL, 2 },
};

static int refuse(const Client *c, const char *verb) {
        return client_fail("%s needs a descriptor, and those can't travel by ssh from %s\n  This works:", verb, c->host);
}

static int tell(const Client *c, const Need *n, char **words) {
        _cleanup_free_ char *ssh = client_ssh(c);
        const char *file = n->file >= 0 ? words[n->file] : "-";
        int r = refuse(c, n->verb);

        fprintf(stderr, "    %s%s virtctl %s", ssh ?: "ssh", n->on_terminal ? " -t" : "", n->verb);
        if (c->force)
                fprintf(stderr, " --force");
        if (n->option)
                fprintf(stderr, " --%s", n->option);
        for (int i = 0; words[i]; i++)
                fprintf(stderr, " %s", i == n->file ? "-" : words[i]);
        if (!streq(file, "-"))
                fprintf(stderr, " %c%s", n->is_input ? '<' : '>', file);
        fputc('\n', stderr);
        return r;
}

/* A viewer of this host, at a socket that ssh has brought here. */
static int tell_display(const Client *c, char **words) {
        _cleanup_free_ char *ssh = client_ssh(c);
        int r = refuse(c, "display");

        fprintf(stderr, "    %s -t -L /tmp/%s.sock:/tmp/%s.sock virtctl display %s%s%s --socket=/tmp/%s.sock\n", ssh ?: "ssh", words[0], words[0], words[0],
                words[1] ? " " : "", words[1] ?: "", words[0]);
        fprintf(stderr, "  and beside it: remote-viewer vnc+unix:///tmp/%s.sock (or spice+unix)\n", words[0]);
        return r;
}

int remote_check(const Client *c, const Verb *verb, char **words) {
        if (c->host && streq(verb->name, "display"))
                return tell_display(c, words);
        for (size_t i = 0; c->host && i < ARRAY_SIZE(needs); i++)
                if (streq(needs[i].verb, verb->name) && (!needs[i].option || option_given(c, needs[i].option, 0)))
                        return tell(c, &needs[i], words);
        return 0;
}
