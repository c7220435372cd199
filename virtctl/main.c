/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "completion.h"
#include "help.h"
#include "options.h"
#include "remote.h"
#include "str.h"
#include "usage.h"
#include "verbs.h"
#include "version.h"

static int check_count(const Verb *verb, int n) {
        int min, max;

        usage_count(verb->arguments, &min, &max);
        if (n >= min && (max < 0 || n <= max))
                return 0;
        fprintf(stderr, "usage: virtctl %s%s%s\n", verb->name, *verb->arguments ? " " : "", verb->arguments);
        return USAGE;
}

static int run_verb(Client *c, const Verb *verb, int n, char **words) {
        int r = check_count(verb, n) ?: remote_check(c, verb, words);

        /* It looks for what is missing, and that may be the bus. */
        if (r == 0 && verb->handler != verb_check)
                r = client_connect(c);
        return r ?: verb->handler(c, n, words);
}

/* "help VERB" is what people type who know git, "VERB --help" what those do who know systemctl. */
static int help(Client *c, int n, char **words) {
        const char *word = n > 0 && streq(words[0], "help") ? (n > 1 ? words[1] : NULL) : n > 0 ? words[0] : NULL;
        const Verb *verb = word ? verb_find(word) : NULL;

        if (word && !verb)
                return verb_unknown(word);
        return verb ? help_verb(verb) : help_all(c);
}

static int run(Client *c, int n, char **words) {
        const char *word = n > 0 ? words[0] : "list";
        const Verb *verb = verb_find(word);

        if (c->version) {
                printf("virtctl %s\n", VIRTBUS_VERSION);
                return DONE;
        }
        if (c->help || streq(word, "help"))
                return help(c, n, words);
        return verb ? run_verb(c, verb, MAX(n - 1, 0), words + 1) : verb_unknown(word);
}

int main(int argc, char *argv[]) {
        Client c = {};
        char **words = NULL;
        int n = 0, r;

        (void) setlocale(LC_ALL, "");
        if (argc > 1 && streq(argv[1], COMPLETE_WORD))
                return completion_print(argc - 2, argv + 2);
        r = options_parse(&c, argc, argv, &words, &n);
        if (r == 0)
                r = run(&c, n, words);
        client_close(&c);
        free(words);
        return r;
}
