/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

#include "mem.h"
#include "str.h"

const Verb verbs[] = {
#define VERB(group, name, function, arguments, help) { group, name, arguments, help, verb_##function },
#include "verb-list.h"
#undef VERB
};
const size_t n_verbs = ARRAY_SIZE(verbs);

const Verb *verb_find(const char *word) {
        for (size_t i = 0; i < n_verbs; i++)
                if (streq(verbs[i].name, word))
                        return &verbs[i];
        return NULL;
}

/* What hands that know virsh and machinectl type. docs/from-libvirt.md has all. */
static const struct {
        const char *word, *ours;
} others[] = {
        { "attach-device", "attach" }, { "attach-disk", "attach" }, { "attach-interface", "attach" }, { "autostart", "enable" },
        { "change-media", "insert, or eject" }, { "cpu-stats", "stats" }, { "destroy", "kill" }, { "detach-device", "detach" },
        { "detach-disk", "detach" }, { "domblkinfo", "disks" }, { "domblklist", "disks" },
        { "domblkstat", "stats" }, { "domfsfreeze", "freeze" }, { "domfsthaw", "thaw" }, { "domfstrim", "trim" },
        { "domid", "status" }, { "domif-setlink", "set-link" }, { "domifaddr", "addresses" }, { "dominfo", "status" }, { "dommemstat", "stats" },
        { "domstate", "status" }, { "domstats", "stats" }, { "domtime", "sync-time" }, { "dumpxml", "cat" }, { "export", "cat" },
        { "net-list", "networks" }, { "net-start", "start-network" }, { "nodedev-list", "host-devices" }, { "nodeinfo", "host" }, { "pause", "suspend" },
        { "pool-list", "pools" }, { "poweroff", "stop" }, { "ps", "list" }, { "qemu-agent-command", "agent" }, { "setmem", "set-memory" },
        { "setvcpus", "set-vcpus" }, { "show", "status" }, { "shutdown", "stop" }, { "terminate", "kill" }, { "update-device", "change" },
        { "vol-list", "volumes" },
        { "blockresize", "resize" }, { "domdisplay", "display" }, { "domjobabort", "cancel" }, { "domjobinfo", "jobs" }, { "logs", "log" },
        { "net-edit", "edit-network" }, { "pool-edit", "edit-pool" }, { "vncdisplay", "display" }, { "wait-address", "wait" },
};

int verb_unknown(const char *word) {
        const char *names[ARRAY_SIZE(verbs)], *near;

        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                if (streq(others[i].word, word)) {
                        (void) client_fail("there is no verb \"%s\"; here it is called: %s", word, others[i].ours);
                        return USAGE;
                }
        for (size_t i = 0; i < n_verbs; i++)
                names[i] = verbs[i].name;
        near = str_nearest(word, names, n_verbs);
        if (near)
                (void) client_fail("there is no verb \"%s\"; did you mean %s?", word, near);
        else
                (void) client_fail("there is no verb \"%s\"; see virtctl --help", word);
        return USAGE;
}
