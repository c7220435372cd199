/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "options.h"
#include "pager.h"
#include "show.h"
#include "str.h"
#include "terminal.h"

static const char *const groups[_VERB_GROUP_MAX] = {
        [DOMAINS] = "Virtual machines", [DEVICES] = "Their devices and resources", [INSIDE] = "Inside the guest", [NETWORKS] = "Networks",
        [POOLS] = "Storage pools", [VOLUMES] = "Volumes", [SECRETS] = "Secrets", [LEASES] = "Leases", [HOST] = "Host and jobs",
};

/* Help stands in a column, below what is too long for it. */
static void print_help(int printed, int column, const char *help) {
        if (printed >= column) {
                putchar('\n');
                printed = 0;
        }
        printf("%*s", column - printed, "");
        print_from((size_t) column, help);
}

static void print_option(const Option *o) {
        int n = o->letter ? printf("  -%c ", o->letter) : printf("     ");

        n += printf("--%s", o->name);
        if (o->argument)
                n += printf("=%s", o->argument);
        print_help(n, 32, o->help);
}

static void print_options(const char *verb) {
        for (size_t i = 0; i < n_options; i++)
                if (verb ? options[i].verbs && option_is_for(&options[i], verb) : !options[i].verbs || options[i].common)
                        print_option(&options[i]);
}

int help_all(const Client *c) {
        pager_open(c);
        printf("virtctl [OPTION...] VERB [ARGUMENT...]\n\nManage virtual machines.\n");
        for (int g = 0; g < _VERB_GROUP_MAX; g++) {
                printf("\n%s%s:%s\n", terminal_bold(), groups[g], terminal_plain());
                for (size_t i = 0; i < n_verbs; i++)
                        if ((int) verbs[i].group == g)
                                print_help(printf("  %s %s", verbs[i].name, verbs[i].arguments), 42, verbs[i].help);
        }
        printf("\n%sOptions:%s\n", terminal_bold(), terminal_plain());
        print_options(NULL);
        printf("\nvirtctl VERB --help shows the options of a verb; see also virtctl(1).\n");
        return DONE;
}

int help_verb(const Verb *verb) {
        printf("virtctl [OPTION...] %s%s%s\n\n%s.\n", verb->name, *verb->arguments ? " " : "", verb->arguments, verb->help);
        for (size_t i = 0; i < n_options; i++)
                if (options[i].verbs && option_is_for(&options[i], verb->name)) {
                        printf("\n%sOptions:%s\n", terminal_bold(), terminal_plain());
                        print_options(verb->name);
                        break;
                }
        return DONE;
}
