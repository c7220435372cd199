/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "options.h"
#include "pager.h"
#include "str.h"
#include "terminal.h"

static const char *const groups[_VERB_GROUP_MAX] = {
        [DOMAINS] = "Virtual machines", [DEVICES] = "Their devices and resources", [INSIDE] = "Inside the guest", [NETWORKS] = "Networks",
        [POOLS] = "Storage pools", [VOLUMES] = "Volumes", [SECRETS] = "Secrets", [LEASES] = "Leases", [HOST] = "Host and jobs",
};

static void fill_up(int printed, int column) {
        printf("%*s", MAX(column - printed, 1), "");
}

static void print_option(const Option *o) {
        int n = o->letter ? printf("  -%c ", o->letter) : printf("     ");

        n += printf("--%s", o->name);
        if (o->argument)
                n += printf("=%s", o->argument);
        fill_up(n, 32);
        printf("%s\n", o->help);
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
                        if ((int) verbs[i].group == g) {
                                fill_up(printf("  %s %s", verbs[i].name, verbs[i].arguments), 42);
                                printf("%s\n", verbs[i].help);
                        }
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
