/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "str.h"
#include "verbs.h"
#include "version.h"

static const Verb verbs[] = {
        { "list", "", "List all VMs", 0, 0, verb_list },
        { "status", "NAME...", "Show everything about VMs", 1, -1, verb_status },
        { "define", "FILE...", "Define VMs from libvirt XML; - is standard input", 1, -1, verb_define },
        { "undefine", "NAME...", "Remove definitions; what runs goes on until it ends", 1, -1, verb_undefine },
        { "export", "NAME", "Print a definition (--live, --secrets)", 1, 1, verb_export },
        { "rename", "OLD NEW", "Give a VM that is off another name", 2, 2, verb_rename },
        { "enable", "NAME...", "Start VMs when the host starts", 1, -1, verb_enable },
        { "disable", "NAME...", "Don't", 1, -1, verb_disable },
        { "start", "NAME...", "Start VMs", 1, -1, verb_start },
        { "stop", "NAME...", "Ask guests to power off, and wait (--timeout=SECONDS)", 1, -1, verb_stop },
        { "reboot", "NAME...", "Ask guests to reboot, and wait", 1, -1, verb_reboot },
        { "reset", "NAME...", "Press the reset button", 1, -1, verb_reset },
        { "kill", "NAME...", "End VMs at once, as a power cut does", 1, -1, verb_kill },
        { "suspend", "NAME...", "Stop the guests' processors", 1, -1, verb_suspend },
        { "resume", "NAME...", "Let them go on", 1, -1, verb_resume },
        { "console", "NAME [DEVICE]", "Connect the terminal to a guest's console (--force)", 1, 2, verb_console },
        { "send-break", "NAME [DEVICE]", "Send a break to a guest's serial port", 1, 2, verb_send_break },
        { "guest-info", "NAME", "Show what the agent in the guest says of it", 1, 1, verb_guest_info },
        { "wait-address", "NAME [ipv4|ipv6]", "Wait until the guest has an address, and print it", 1, 2, verb_wait_address },
        { "exec", "NAME PROGRAM [ARGUMENT...]", "Run a program in the guest; -- before what has options", 2, -1, verb_exec },
        { "copy-to", "NAME FILE PATH", "Copy a file into the guest; - is standard input", 3, 3, verb_copy_to },
        { "copy-from", "NAME PATH FILE", "Copy a file out of it; - is standard output", 3, 3, verb_copy_from },
        { "freeze", "NAME [FOLDER...]", "Let nothing be written to the guest's file systems", 1, -1, verb_freeze },
        { "thaw", "NAME", "Let it go on", 1, 1, verb_thaw },
        { "trim", "NAME", "Let the guest give back what its file systems don't use", 1, 1, verb_trim },
        { "set-password", "NAME USER [FILE]", "Set a user's password in the guest; it is asked for", 2, 3, verb_set_password },
        { "sync-time", "NAME", "Set the guest's clock by the host's", 1, 1, verb_sync_time },
        { "agent", "NAME COMMAND", "Say something to the guest's agent in its own words", 2, 2, verb_agent },
        { "screenshot", "NAME FILE [SCREEN]", "Write what the guest shows to a file, as PNG; - is standard output", 2, 3, verb_screenshot },
        { "send-keys", "NAME KEY...", "Press keys together, and let go of them: ctrl alt delete", 2, -1, verb_send_keys },
        { "dump", "NAME FILE [FORMAT]", "Write the guest's memory to a file, for crash(8); - is standard output", 2, 3, verb_dump },
        { "attach", "NAME FILE...", "Plug devices in, from their XML; - is standard input", 2, -1, verb_attach },
        { "detach", "NAME DEVICE", "Take a device away (--no-wait for the guest)", 2, 2, verb_detach },
        { "update", "NAME DEVICE FILE", "Change a device into what its XML says", 3, 3, verb_update },
        { "change-media", "NAME DRIVE [PATH]", "Put another medium into a drive, or none (--force: the guest has locked it)", 2, 3, verb_change_media },
        { "set-memory", "NAME SIZE", "Let the guest have more or less of its memory", 2, 2, verb_set_memory },
        { "set-vcpus", "NAME NUMBER", "Let it have more or fewer processors", 2, 2, verb_set_vcpus },
        { "set", "NAME PROPERTY=VALUE...", "Change what it gets of its host", 2, -1, verb_set },
        { "set-link", "NAME DEVICE up|down", "Plug a network cable in, or pull it", 3, 3, verb_set_link },
        { "pending", "NAME", "Show how a machine differs from its definition, and when that changes", 1, 1, verb_pending },
        { "statistics", "[NAME...]", "Show what VMs use and do (--groups=LIST)", 0, -1, verb_statistics },
        { "domstats", "[NAME...]", "The same", 0, -1, verb_statistics },
        { "plan", "NAME", "Show what a start would execute", 1, 1, verb_plan },
        { "host", "", "Show what the host is made of", 0, 0, verb_host },
        { "host-devices", "", "List devices of the host, and which VM has them (--kind=pci|usb|mdev|scsi|net|block)", 0, 0, verb_host_devices },
        { "capabilities", "[KEY=VALUE...]", "Print what the host, or (--domain) a definition, can have, as libvirt's XML", 0, -1, verb_capabilities },
        { "leases", "[LOCKSPACE]", "Show which VM has which image", 0, 1, verb_leases },
        { "lockspaces", "", "Show the folders where leases are kept", 0, 0, verb_lockspaces },
        { "add-lockspace", "NAME FOLDER", "Keep leases in a folder, shared with other hosts perhaps", 2, 2, verb_add_lockspace },
        { "remove-lockspace", "NAME", "Don't; the folder stays", 1, 1, verb_remove_lockspace },
        { "networks", "", "List all virtual networks of the host", 0, 0, verb_networks },
        { "define-network", "FILE...", "Define networks from libvirt XML; - is standard input", 1, -1, verb_define_network },
        { "undefine-network", "NAME...", "Remove definitions; what is up stays until it is stopped", 1, -1, verb_undefine_network },
        { "export-network", "NAME", "Print a network's definition (--live)", 1, 1, verb_export_network },
        { "start-network", "NAME...", "Bring networks up", 1, -1, verb_start_network },
        { "stop-network", "NAME...", "Take them down (--force: under VMs that are on them)", 1, -1, verb_stop_network },
        { "enable-network", "NAME...", "Bring networks up when the host starts", 1, -1, verb_enable_network },
        { "disable-network", "NAME...", "Only when a VM needs them", 1, -1, verb_disable_network },
        { "network-leases", "NAME", "Show the addresses DHCP has given", 1, 1, verb_network_leases },
        { "add-host", "NETWORK MAC ADDRESS [NAME]", "Give a guest an address of its own", 3, 4, verb_add_host },
        { "remove-host", "NETWORK MAC|ADDRESS|NAME", "Take it back", 2, 2, verb_remove_host },
        { "port-forwards", "NETWORK", "Show ports of the host that lead to guests", 1, 1, verb_port_forwards },
        { "add-port-forward", "NETWORK [PROTO:]PORT[-PORT] GUEST[:PORT]", "Lead ports of the host to a guest", 3, 3, verb_add_port_forward },
        { "remove-port-forward", "NETWORK [PROTO:]PORT", "No longer lead them there", 2, 2, verb_remove_port_forward },
        { "pools", "", "List all storage pools", 0, 0, verb_pools },
        { "define-pool", "FILE...", "Define pools from libvirt XML; - is standard input", 1, -1, verb_define_pool },
        { "undefine-pool", "NAME...", "Remove definitions; what is active stays until it is stopped", 1, -1, verb_undefine_pool },
        { "export-pool", "NAME", "Print a pool's definition (--live)", 1, 1, verb_export_pool },
        { "build-pool", "NAME...", "Make what pools are made of: folders, file systems (--force: over what is there)", 1, -1, verb_build_pool },
        { "delete-pool", "NAME...", "Remove what pools are made of", 1, -1, verb_delete_pool },
        { "start-pool", "NAME...", "Mount pools, and look at what is in them", 1, -1, verb_start_pool },
        { "stop-pool", "NAME...", "Unmount what the start has mounted", 1, -1, verb_stop_pool },
        { "refresh-pool", "NAME...", "Look at everything again", 1, -1, verb_refresh_pool },
        { "enable-pool", "NAME...", "Start pools when the host starts", 1, -1, verb_enable_pool },
        { "disable-pool", "NAME...", "Don't", 1, -1, verb_disable_pool },
        { "volumes", "POOL", "List the volumes of a pool", 1, 1, verb_volumes },
        { "create-volume", "POOL NAME [SIZE] [KEY=VALUE...]", "Make a volume (format=, backing=, clone-from=, …)", 2, -1, verb_create_volume },
        { "resize-volume", "POOL NAME SIZE [KEY=VALUE...]", "Give a volume another size (shrink=, allocate=, secret=)", 3, -1, verb_resize_volume },
        { "wipe-volume", "POOL NAME [algorithm=NAME]", "Overwrite what is in a volume", 2, 3, verb_wipe_volume },
        { "delete-volume", "POOL NAME...", "Remove volumes", 2, -1, verb_delete_volume },
        { "export-volume", "POOL NAME", "Print what a volume is, as libvirt XML", 2, 2, verb_export_volume },
        { "upload-volume", "POOL NAME FILE [sparse=yes]", "Write a file into a volume; - is standard input", 3, 4, verb_upload_volume },
        { "download-volume", "POOL NAME FILE [sparse=yes]", "Write a volume into a file; - is standard output", 3, 4, verb_download_volume },
        { "set-format", "POOL NAME FORMAT", "Say what a volume's file is", 3, 3, verb_set_format },
        { "probe-format", "POOL NAME", "Guess it from what is in the file", 2, 2, verb_probe_format },
        { "secrets", "", "List all secrets", 0, 0, verb_secrets },
        { "define-secret", "FILE...", "Define secrets from libvirt XML; - is standard input", 1, -1, verb_define_secret },
        { "undefine-secret", "SECRET...", "Remove secrets with their values", 1, -1, verb_undefine_secret },
        { "export-secret", "SECRET", "Print a secret's definition, without its value", 1, 1, verb_export_secret },
        { "set-secret", "SECRET [FILE]", "Set a secret's value: a file's content, or a line that is asked for", 1, 2, verb_set_secret },
        { "get-secret", "SECRET", "Write a secret's value to standard output", 1, 1, verb_get_secret },
};

static int help(void) {
        printf("virtctl [OPTION...] VERB [ARGUMENT...]\n\nManage virtual machines.\n\nVerbs:\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                printf("  %-16s %-14s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
        printf("\nOptions:\n"
               "     --user            VMs of your own session\n"
               "     --system          VMs of the host (default)\n"
               "     --json=MODE       short or pretty (what lists and shows)\n"
               "     --no-wait         Don't wait until it is done\n"
               "     --timeout=SECONDS How long a guest may take to power off\n"
               "     --force           Take a console over; stop a network that is in use; build over what is there; open a locked drive\n"
               "     --live --config   Only the machine that runs, or only its definition\n"
               "     --secrets         Export passwords, too\n"
               "     --kind=KIND       Only devices of that kind\n"
               "     --domain          Capabilities of definitions, not of the host\n"
               "     --groups=LIST     Of statistics: cpu,block or all\n"
               "     --validate        Check definitions only; show what a change would do\n"
               "  -q --quiet           Say only what went wrong\n"
               "     --no-pager        Accepted; nothing is paged\n"
               "  -h --help, --version\n\nSee virtctl(1).\n");
        return 0;
}

static int unknown_verb(const char *word) {
        const char *names[ARRAY_SIZE(verbs)], *near;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                names[i] = verbs[i].name;
        near = str_nearest(word, names, ARRAY_SIZE(verbs));
        if (near)
                (void) client_fail("there is no verb \"%s\"; did you mean %s?", word, near);
        else
                (void) client_fail("there is no verb \"%s\"; see virtctl --help", word);
        return USAGE;
}

static const Verb *find_verb(const char *word) {
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(verbs[i].name, word))
                        return &verbs[i];
        return NULL;
}

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

enum { OPT_VERSION = 0x100, OPT_USER, OPT_SYSTEM, OPT_JSON, OPT_NO_WAIT, OPT_TIMEOUT, OPT_FORCE, OPT_LIVE, OPT_CONFIG, OPT_SECRETS, OPT_VALIDATE,
       OPT_NO_PAGER, OPT_ADDRESS, OPT_KIND, OPT_DOMAIN, OPT_GROUPS };

/* -1: go on; else the exit status. */
static int take_option(Client *c, int option) {
        switch (option) {
        case 'h': return help();
        case 'q': c->quiet = true; break;
        case OPT_VERSION: printf("virtctl %s\n", VIRTBUS_VERSION); return 0;
        case OPT_USER: c->user = true; break;
        case OPT_SYSTEM: c->user = false; break;
        case OPT_JSON: return set_json(c, optarg) ?: -1;
        case OPT_NO_WAIT: c->no_wait = true; break;
        case OPT_TIMEOUT: c->timeout = optarg; break;
        case OPT_FORCE: c->force = true; break;
        case OPT_LIVE: c->live = true; break;
        case OPT_CONFIG: c->config = true; break;
        case OPT_SECRETS: c->secrets = true; break;
        case OPT_VALIDATE: c->validate = true; break;
        case OPT_NO_PAGER: break;
        case OPT_ADDRESS: c->address = optarg; break;
        case OPT_KIND: c->kind = optarg; break;
        case OPT_DOMAIN: c->domain = true; break;
        case OPT_GROUPS: c->groups = optarg; break;
        default: return USAGE;
        }
        return -1;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' }, { "quiet", no_argument, NULL, 'q' }, { "version", no_argument, NULL, OPT_VERSION },
                { "user", no_argument, NULL, OPT_USER }, { "system", no_argument, NULL, OPT_SYSTEM },
                { "json", required_argument, NULL, OPT_JSON }, { "no-wait", no_argument, NULL, OPT_NO_WAIT },
                { "timeout", required_argument, NULL, OPT_TIMEOUT }, { "force", no_argument, NULL, OPT_FORCE },
                { "live", no_argument, NULL, OPT_LIVE }, { "config", no_argument, NULL, OPT_CONFIG }, { "secrets", no_argument, NULL, OPT_SECRETS },
                { "validate", no_argument, NULL, OPT_VALIDATE }, { "no-pager", no_argument, NULL, OPT_NO_PAGER },
                { "address", required_argument, NULL, OPT_ADDRESS },
                { "kind", required_argument, NULL, OPT_KIND }, { "domain", no_argument, NULL, OPT_DOMAIN },
                { "groups", required_argument, NULL, OPT_GROUPS }, {}
        };
        const Verb *verb;
        Client c = {};
        int option, r;

        (void) setlocale(LC_ALL, "");
        while ((option = getopt_long(argc, argv, "hq", options, NULL)) >= 0) {
                r = take_option(&c, option);
                if (r >= 0)
                        return r;
        }
        argc -= optind;
        argv += optind;
        verb = argc > 0 ? find_verb(argv[0]) : find_verb("list");
        if (!verb)
                return unknown_verb(argv[0]);
        argc = MAX(argc - 1, 0);
        if (argc < verb->min || (verb->max >= 0 && argc > verb->max)) {
                fprintf(stderr, "usage: virtctl %s %s\n", verb->name, verb->arguments);
                return USAGE;
        }
        r = client_connect(&c);
        if (r == 0)
                r = verb->handler(&c, argc, argv + 1);
        sd_bus_flush_close_unref(c.bus);
        json_decref(c.ended);
        return r;
}
