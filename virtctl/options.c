/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "usage.h"
#include "verbs.h"

#define FIELD(effect, name) effect, offsetof(Client, name)

#define MUTATORS "attach detach change insert eject set set-memory set-vcpus set-link"
/* What they print is in docs/virtctl-json.schema.json. */
#define PRINTS_JSON "list status stats disks pending guest-info addresses wait log ssh-keys dirty-rate events qmp trim networks network-leases " \
                    "port-forwards pools volumes secrets leases lockspaces host host-devices capabilities check import-libvirt jobs find-sources"
#define LIVE_OR_CONFIG MUTATORS " cat cat-network cat-pool"

const Option options[] = {
        { "user", 0, NULL, NULL, "VMs of your own session", FIELD(SETS_TRUE, user) },
        { "system", 0, NULL, NULL, "VMs of the host (what is meant without a word)", FIELD(SETS_FALSE, user) },
        { "host", 'H', "[USER@]HOST", NULL, "VMs of another host, by ssh", FIELD(SETS_TEXT, host) },
        { "address", 0, "ADDRESS", NULL, "The D-Bus at that address", FIELD(SETS_TEXT, address) },
        { "json", 0, "short|pretty|off", PRINTS_JSON, "Print for programs", FIELD(SETS_JSON, json), .common = true },
        { "quiet", 'q', NULL, NULL, "Say only what was asked for, and what went wrong", FIELD(SETS_TRUE, quiet) },
        { "no-pager", 0, NULL, NULL, "Don't show what is long in a pager", FIELD(SETS_TRUE, no_pager) },
        { "no-ask-password", 0, NULL, NULL, "Don't ask for the password of an authorization", FIELD(SETS_TRUE, no_ask) },
        { "help", 'h', NULL, NULL, "Help on all, or on the verb", FIELD(SETS_TRUE, help) },
        { "version", 0, NULL, NULL, "Which version this is", FIELD(SETS_TRUE, version) },
        { "no-wait", 0, NULL, "start run stop reboot detach dump create-volume resize-volume wipe-volume delete-volume upload-volume download-volume "
                              "start-pool stop-pool build-pool delete-pool refresh-pool",
          "Don't wait until it is done", FIELD(SETS_TRUE, no_wait) },
        { "timeout", 0, "SECONDS", "stop", "How long the guest may take to power off (120)", FIELD(SETS_TEXT, timeout) },
        { "timeout", 0, "SECONDS", "wait", "How long it may take; without it, any time", FIELD(SETS_TEXT, timeout) },
        { "timeout", 0, "SECONDS", "set-display-password", "How long it is good for; without it, for good", FIELD(SETS_TEXT, timeout) },
        { "force", 0, NULL, "console", "Take it over from who types there", FIELD(SETS_TRUE, force) },
        { "force", 0, NULL, "stop-network", "Although VMs are on it", FIELD(SETS_TRUE, force) },
        { "force", 0, NULL, "build-pool", "Over what is there", FIELD(SETS_TRUE, force) },
        { "force", 0, NULL, "insert eject", "Although the guest has locked the drive", FIELD(SETS_TRUE, force) },
        { "force", 0, NULL, "resize", "Make it smaller, too; what is beyond the end is lost", FIELD(SETS_TRUE, force) },
        { "force", 0, NULL, "import-libvirt", "Replace what is there already and differs", FIELD(SETS_TRUE, force) },
        { "live", 0, NULL, LIVE_OR_CONFIG, "Only what runs", FIELD(SETS_TRUE, live) },
        { "config", 0, NULL, LIVE_OR_CONFIG, "Only what is defined", FIELD(SETS_TRUE, config) },
        { "dry-run", 0, NULL, MUTATORS " create clone define define-network define-pool define-secret", "Only show what would be done",
          FIELD(SETS_TRUE, dry_run) },
        { "secrets", 0, NULL, "cat", "Passwords, too", FIELD(SETS_TRUE, secrets) },
        { "kind", 0, "pci|usb|mdev|scsi|net|block", "host-devices", "Only devices of that kind", FIELD(SETS_TEXT, kind) },
        { "domain", 0, NULL, "capabilities", "What definitions can have, not the host", FIELD(SETS_TRUE, domain) },
        { "follow", 'f', NULL, "log", "Go on with what is printed from now on", IS_GIVEN, 0 },
        { "lines", 'n', "NUMBER|all", "log status", "Only the last lines of each log", IS_GIVEN, 0 },
        { "socket", 0, "PATH", "display", "Let viewers come to that socket, and start none", IS_GIVEN, 0 },
        { "memory", 0, "SIZE", "create", "How much memory it gets (2G)", IS_GIVEN, 0 },
        { "cpus", 0, "NUMBER", "create", "How many processors it gets (2)", IS_GIVEN, 0 },
        { "disk", 0, "DISK", "create", "POOL/size=SIZE, POOL/VOLUME, or a path; and ,KEY=VALUE", IS_GIVEN, 0 },
        { "cdrom", 0, "MEDIUM", "create", "A path, or POOL/VOLUME", IS_GIVEN, 0 },
        { "network", 0, "NETWORK", "create", "A network's name, bridge=BRIDGE, user or none; and ,KEY=VALUE", IS_GIVEN, 0 },
        { "image", 0, "IMAGE", "create", "What the first new disk is made from: a path, or POOL/VOLUME", IS_GIVEN, 0 },
        { "overlay", 0, NULL, "create clone", "New disks hold only what differs from those they are made from", IS_GIVEN, 0 },
        { "pool", 0, "POOL", "create clone", "Where volumes are made if nothing else is said", IS_GIVEN, 0 },
        { "login", 0, "USER", "create", "A user that cloud-init makes", IS_GIVEN, 0 },
        { "ssh-key", 0, "FILE", "create", "A public key that opens the guest", IS_GIVEN, 0 },
        { "password-file", 0, "FILE", "create", "The password of that user", IS_GIVEN, 0 },
        { "hostname", 0, "NAME", "create", "What the guest is called inside", IS_GIVEN, 0 },
        { "user-data", 0, "FILE", "create", "What cloud-init gets, as it is", IS_GIVEN, 0 },
        { "network-config", 0, "FILE", "create", "The network configuration cloud-init gets, as it is", IS_GIVEN, 0 },
        { "seed-pool", 0, "POOL", "create", "Where the image for cloud-init is kept", IS_GIVEN, 0 },
        { "boot", 0, "bios|uefi", "create", "Which firmware it has (bios)", IS_GIVEN, 0 },
        { "kernel", 0, "FILE", "create", "A Linux kernel that is booted instead of the disk", IS_GIVEN, 0 },
        { "initrd", 0, "FILE", "create", "Its initial RAM disk", IS_GIVEN, 0 },
        { "cmdline", 0, "TEXT", "create", "Its command line", IS_GIVEN, 0 },
        { "graphics", 0, "vnc|spice|none", "create", "Which display it has (vnc)", IS_GIVEN, 0 },
        { "type", 0, "kvm|qemu", "create", "Whether the processor is the host's or emulated", IS_GIVEN, 0 },
        { "edit", 0, NULL, "create", "Let its XML be edited first", IS_GIVEN, 0 },
        { "autostart", 0, NULL, "create", "Start it with the host, too", IS_GIVEN, 0 },
        { "no-start", 0, NULL, "create", "Only define it", IS_GIVEN, 0 },
        { "console", 0, NULL, "create", "Connect the terminal to its console then", IS_GIVEN, 0 },
        { "state", 0, "running|paused|shutoff|starting|shutdown|crashed|pmsuspended|broken", "list", "Only VMs in that state; several have commas between them",
          IS_GIVEN, 0 },
        { "delay", 'd', "SECONDS", "top", "How long between two tables", IS_GIVEN, 0 },
        { "iterations", 0, "NUMBER", "top", "How many tables until it ends", IS_GIVEN, 0 },
        { "groups", 0, "LIST", "stats", "Which statistics: cpu,block or all", FIELD(SETS_TEXT, groups) },
        { "write", 0, NULL, "import-libvirt", "Do it, not only show it", .effect = IS_GIVEN },
        { "from", 0, "FOLDER", "import-libvirt", "A copy of that host's files, not this host's", .effect = IS_GIVEN },
};
const size_t n_options = ARRAY_SIZE(options);

/* --- which are for which --- */

bool option_is_for(const Option *o, const char *verb) {
        size_t n = strlen(verb);

        for (const char *v = o->verbs; v; v = strchr(v, ' ') ? strchr(v, ' ') + 1 : NULL)
                if (strncmp(v, verb, n) == 0 && (v[n] == ' ' || v[n] == '\0'))
                        return true;
        return !o->verbs;
}

/* An option may have several rows, one after the other, with a help for each of its verbs. */
static bool any_is_for(const char *name, const char *verb) {
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (streq(options[i].name, name) && option_is_for(&options[i], verb))
                        return true;
        return false;
}

static int check_for(const bool *used, const char *verb) {
        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                if (!used[i] || any_is_for(options[i].name, verb))
                        continue;
                fprintf(stderr, "virtctl: --%s is not for %s, but for:", options[i].name, verb);
                for (size_t k = 0; k < ARRAY_SIZE(options); k++)
                        if (streq(options[k].name, options[i].name))
                                fprintf(stderr, " %s", options[k].verbs);
                fputc('\n', stderr);
                return USAGE;
        }
        return 0;
}

/* --- what they do --- */

static int set_json(Client *c, const char *mode) {
        static const char *const words[] = { [JSON_OFF] = "off", [JSON_SHORT] = "short", [JSON_PRETTY] = "pretty" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(words[i], mode)) {
                        c->json = (JsonMode) i;
                        return 0;
                }
        (void) client_fail("--json=%s: expected short, pretty or off", mode);
        return USAGE;
}

static int give(Client *c, const Option *o, const char *value) {
        GivenOption *more = realloc(c->given, (c->n_given + 1) * sizeof(*more));

        if (!more)
                return client_fail("out of memory");
        c->given = more;
        c->given[c->n_given++] = (GivenOption) { .name = o->name, .value = value ?: "" };
        return 0;
}

const char *option_given(const Client *c, const char *name, size_t index) {
        for (size_t i = 0; i < c->n_given; i++)
                if (streq(c->given[i].name, name) && index-- == 0)
                        return c->given[i].value;
        return NULL;
}

static int apply(Client *c, const Option *o, const char *value) {
        void *field = (char *) c + o->field;

        switch (o->effect) {
        case SETS_TRUE: *(bool *) field = true; return 0;
        case SETS_FALSE: *(bool *) field = false; return 0;
        case SETS_TEXT: *(const char **) field = value; return 0;
        case SETS_JSON: return set_json(c, value);
        case IS_GIVEN: return give(c, o, value);
        }
        return USAGE;
}

/* --- the command line --- */

#define FIRST_LONG 0x100

static void for_getopt(struct option *longs, char *shorts) {
        *shorts++ = '-';        /* words that are none come in their order, as option 1 */
        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                if (i == 0 || !streq(options[i].name, options[i - 1].name))
                        *longs++ = (struct option) { options[i].name, options[i].argument ? required_argument : no_argument, NULL, (int) (FIRST_LONG + i) };
                if (!options[i].letter)
                        continue;
                *shorts++ = options[i].letter;
                if (options[i].argument)
                        *shorts++ = ':';
        }
}

static size_t option_index(int option) {
        if (option >= FIRST_LONG)
                return (size_t) option - FIRST_LONG;
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (options[i].letter && options[i].letter == option)
                        return i;
        return ARRAY_SIZE(options);
}

/* What a program in the guest is to get is left alone. */
static bool is_raw_now(char *const *words, int n) {
        const Verb *verb = n > 0 ? verb_find(words[0]) : NULL;
        int first;

        return verb && usage_ends_raw(verb->arguments, &first) && n == first + 1;
}

int options_parse(Client *c, int argc, char **argv, char ***ret_words, int *ret_n) {
        struct option longs[ARRAY_SIZE(options) + 1] = {};
        char shorts[2 * ARRAY_SIZE(options) + 2] = "", **words = new0(char *, (size_t) argc + 1);
        bool used[ARRAY_SIZE(options)] = {};
        int option, n = 0, r = words ? 0 : client_fail("out of memory");

        for_getopt(longs, shorts);
        while (r == 0 && !is_raw_now(words, n) && (option = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
                size_t i = option_index(option);

                if (option == 1)
                        words[n++] = optarg;
                else if (i >= ARRAY_SIZE(options))
                        r = USAGE;
                else {
                        used[i] = true;
                        r = apply(c, &options[i], optarg);
                }
        }
        while (r == 0 && optind < argc)
                words[n++] = argv[optind++];
        if (r == 0 && !c->help && !c->version)
                r = check_for(used, n > 0 ? words[0] : "list");
        if (r != 0) {
                free(words);
                return r;
        }
        *ret_words = words;
        *ret_n = n;
        return 0;
}
