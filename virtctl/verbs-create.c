/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "create.h"
#include "definition.h"
#include "editor.h"
#include "mem.h"
#include "network.h"
#include "spec.h"
#include "str.h"
#include "verbs.h"

/* VMs from a few words. Nothing is changed before all that can be known is right; what goes wrong later takes back what was made. */

static void create_clear(Create *x) {
        machine_clear(&x->machine);
        image_clear(&x->image);
        cloud_seed_clear(&x->seed);
}

/* --- what nobody has said --- */

static bool has_kvm(Client *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int kvm = false;

        if (ask(c, QEMU1_ROOT, "org.freedesktop.DBus.Properties", "Get", NULL, &reply, "ss", MANAGER_INTERFACE, "KVMAvailable") >= 0)
                (void) sd_bus_message_read(reply, "v", "b", &kvm);
        return kvm;
}

static int choose_type(Client *c, NewMachine *m) {
        const char *type = option_given(c, "type", 0);

        if (type && !spec_is_choice(type, "kvm|qemu")) {
                (void) client_fail("--type=%s: expected kvm or qemu", type);
                return USAGE;
        }
        m->kvm = type ? streq(type, "kvm") : has_kvm(c);
        if (!type && !m->kvm)
                fprintf(stderr, "virtctl: this host has no KVM, or virtqemud may not use it: the guest is emulated, which is slow\n");
        return 0;
}

/* The network that every host has once it was set up, else one that needs nothing of the host. */
static int choose_network(Client *c, NewMachine *m) {
        NewNic *n;
        int r;

        if (m->n_nics > 0)
                return 0;
        n = machine_add_nic(m);
        if (!n)
                return client_fail("out of memory");
        r = c->user ? -ENOENT : ask(c, NETWORK1_ROOT, NETWORK1_MANAGER, "GetNetwork", NULL, NULL, "s", "default");
        n->kind = r >= 0 ? NIC_NETWORK : NIC_USER;
        if (r >= 0)
                n->source = strdup("default");
        if (r >= 0 && !n->source)
                return client_fail("out of memory");
        if (r < 0 && !c->user) {
                fprintf(stderr, "virtctl: there is no network \"default\": the guest reaches others through passt, and nobody reaches it\n");
                fprintf(stderr, "  Define one (virtctl define-network), or name one: --network=NAME, bridge=BRIDGE; --network=user says that this is meant.\n");
        }
        return 0;
}

/* --- reading and checking --- */

static int read_all(Create *x, const char *name) {
        const char *image = option_given(x->client, "image", 0);
        Client *c = x->client;
        int r;

        x->machine.name = name;
        x->overlay = option_given(c, "overlay", 0);
        if (x->overlay && !image) {
                (void) client_fail("--overlay is for --image: what differs from it is kept");
                return USAGE;
        }
        r = words_read_hardware(c, &x->machine) ?: words_read_disks(c, &x->machine) ?: words_read_nics(c, &x->machine);
        r = r ?: image ? words_read_image(c, image, &x->image) : 0;
        r = r ?: image || cloud_seed_is_wanted(c) ? cloud_seed_read(c, name, &x->seed) : 0;
        return r ?: choose_type(c, &x->machine) ?: choose_network(c, &x->machine) ?: create_plan_storage(x);
}

static int define(Client *c, const char *xml, uint64_t flags, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "DefineDomain", &reply, "ssta{sv}", FORMAT_XML, xml, flags, 1, "create-only", "b", 1);

        return r ?: client_take_path(reply, ret);
}

/* --- making --- */

static int start(Made *made) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *job;
        int r = made_stopped(made) ?: client_call(made->client, made->domain, DOMAIN_INTERFACE, "Start", &reply, "ta{sv}", FLAG_NO_WAIT, 0);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "o", &job);
        return r < 0 ? client_garbled(r) : client_wait_job(made->client, job);
}

static int make_domain(Made *made, const char *xml, bool starts) {
        Client *c = made->client;
        _cleanup_free_ char *domain = NULL;
        int r = made_stopped(made) ?: define(c, xml, 0, &domain) ?: made_set_domain(made, domain);

        if (r == 0 && option_given(c, "autostart", 0))
                r = client_call(c, domain, DOMAIN_INTERFACE, "SetAutostart", NULL, "bta{sv}", 1, UINT64_C(0), 0);
        return r ?: starts ? start(made) : 0;
}

static int make(Create *x, const char *xml, bool starts) {
        Made made;
        int r;

        made_begin(&made, x->client);
        r = create_make_storage(x, &made) ?: make_domain(&made, xml, starts);
        if (r != 0)
                made_undo(&made);
        made_end(&made);
        return r;
}

/* A text that is left as it is is as good as any other here. */
static int edit(Client *c, const char *name, char **xml) {
        _cleanup_free_ char *edited = NULL;
        bool quiet = c->quiet;
        int r;

        c->quiet = true;
        r = editor_run(c, name, *xml, &edited);
        c->quiet = quiet;
        if (r == 0 && edited)
                free_and_replace(xml, TAKE_PTR(edited));
        return r;
}

/* What somebody has written does not get lost when it is wrong. */
static int check(Client *c, const char *name, const char *xml, bool edited) {
        _cleanup_free_ char *none = NULL;
        int r = define(c, xml, FLAG_VALIDATE_ONLY, &none);

        if (r != 0 && edited)
                (void) editor_keep(name, xml, NULL);
        return r;
}

static int print(const char *xml) {
        return fputs(xml, stdout) < 0 ? client_fail("standard output can't be written to") : 0;
}

int verb_create(Client *c, int argc, char **argv) {
        _cleanup_(create_clear) Create x = { .client = c, .image_disk = NO_DISK, .seed_disk = NO_DISK };
        bool starts = !option_given(c, "no-start", 0), edits = option_given(c, "edit", 0);
        _cleanup_free_ char *xml = NULL;
        int r;

        if (!starts && option_given(c, "console", 0)) {
                (void) client_fail("--console: with --no-start there is none");
                return USAGE;
        }
        r = read_all(&x, argv[0]);
        if (r == 0 && machine_to_xml(&x.machine, &xml) < 0)
                r = client_fail("the definition can't be written: is libxml2 installed?");
        r = r ?: edits ? edit(c, argv[0], &xml) : 0;
        r = r ?: check(c, argv[0], xml, edits);
        if (r != 0)
                return r;
        if (c->dry_run)
                return print(xml);
        r = make(&x, xml, starts);
        if (r == 0 && !c->quiet)
                fprintf(stderr, "%s: created%s\n", argv[0], starts ? " and started" : "");
        return r ?: option_given(c, "console", 0) ? verb_console(c, 1, argv) : 0;
}
