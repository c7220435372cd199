/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "check.h"
#include "mem.h"
#include "pager.h"
#include "show.h"
#include "str.h"
#include "terminal.h"
#include "verbs.h"

/* check: what is missing on a host, and the command that mends it. */

#define PROGRAM(name, path, package, otherwise, what) { name, check_program, CHECK_ALWAYS, true, path, package, what, otherwise }
#define HOST_PROGRAM(name, path, package, otherwise, what) { name, check_program, CHECK_OF_HOST, true, path, package, what, otherwise }
#define MODULE(name, device, module, otherwise, what) { name, check_module, CHECK_OF_HOST, true, device, module, what, otherwise }

static const Check checks[] = {
        { "bus", check_bus },
        { "systemd", check_systemd },
        { "machined", check_machined, CHECK_OF_HOST },
        { "polkit", check_polkit, CHECK_OF_HOST },
        { "virtqemud", check_daemon },
        { "virtnetworkd", check_daemon },
        { "virtstoraged", check_daemon },
        { "virtlockd", check_daemon },
        { "virtlogd", check_daemon },
        { "units", check_units },
        { "libvirt", check_libvirt, CHECK_OF_HOST, true },
        { "cpu", check_cpu },
        { "kvm", check_kvm },
        { "nested", check_nested },
        { "iommu", check_iommu, CHECK_OF_HOST },
        { "cgroup", check_cgroup, CHECK_ALWAYS, true },
        { "hugepages", check_hugepages, CHECK_OF_HOST },
        { "namespaces", check_namespaces, CHECK_OF_SESSION, true },
        { "subuid", check_subuid, CHECK_OF_SESSION, true },
        { "linger", check_linger, CHECK_OF_SESSION, true },
        { "qemu", check_qemu },
        { "bios", check_seabios, CHECK_ALWAYS, true },
        { "uefi", check_firmware },
        PROGRAM("qemu-img", "/usr/bin/qemu-img", "qemu-utils", VERDICT_MISSING, "making images"),
        PROGRAM("qemu-nbd", "/usr/bin/qemu-nbd", "qemu-utils", VERDICT_UNNEEDED, "disks of servers, and folders as disks"),
        PROGRAM("passt", "/usr/bin/passt", "passt", VERDICT_WARNING, "interfaces of type user"),
        PROGRAM("swtpm", "/usr/bin/swtpm", "swtpm", VERDICT_UNNEEDED, "VMs with a TPM"),
        HOST_PROGRAM("virtiofsd", "/usr/lib/qemu/virtiofsd", "qemu-system-common", VERDICT_UNNEEDED, "folders that VMs share with the host"),
        HOST_PROGRAM("dnsmasq", "/usr/sbin/dnsmasq", "dnsmasq-base", VERDICT_MISSING, "DHCP and names in networks"),
        HOST_PROGRAM("lvm", "/usr/sbin/lvm|/sbin/lvm", "lvm2", VERDICT_UNNEEDED, "pools of type logical"),
        HOST_PROGRAM("iscsi", "/usr/sbin/iscsiadm|/sbin/iscsiadm", "open-iscsi", VERDICT_UNNEEDED, "pools of type iscsi"),
        HOST_PROGRAM("nfs", "/usr/sbin/mount.nfs|/sbin/mount.nfs", "nfs-common", VERDICT_UNNEEDED, "pools on NFS servers"),
        MODULE("tun", "/dev/net/tun", "tun", VERDICT_MISSING, "interfaces of VMs on networks"),
        MODULE("bridge", NULL, "bridge", VERDICT_MISSING, "networks"),
        MODULE("nftables", NULL, "nf_tables", VERDICT_MISSING, "networks of modes nat and route"),
        MODULE("vhost-net", "/dev/vhost-net", "vhost_net", VERDICT_WARNING, "fast network interfaces"),
        MODULE("vhost-vsock", "/dev/vhost-vsock", "vhost_vsock", VERDICT_UNNEEDED, "VMs with <vsock>"),
        { "forwarding", check_forwarding, CHECK_OF_HOST },
        { "default-network", check_default_network, CHECK_OF_HOST },
        { "default-pool", check_default_pool },
        { "space", check_space },
};

static const char *const verdicts[] = {
        [VERDICT_OK] = "ok", [VERDICT_WARNING] = "warning", [VERDICT_MISSING] = "missing", [VERDICT_UNNEEDED] = "not-needed",
};

static _printf_(2, 0) void set_text(char **text, const char *fmt, va_list ap) {
        char *s = NULL;

        if (vasprintf(&s, fmt, ap) >= 0)
                free_and_replace(text, s);
}

void answer(Answer *a, Verdict verdict, const char *fmt, ...) {
        va_list ap;

        a->verdict = verdict;
        va_start(ap, fmt);
        set_text(&a->text, fmt, ap);
        va_end(ap);
}

void answer_fix(Answer *a, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        set_text(&a->fix, fmt, ap);
        va_end(ap);
}

/* --- telling --- */

static void tell(const Client *c, const Answer *a) {
        const char *word = verdicts[a->verdict], *color = terminal_state(word);

        if (c->quiet && (a->verdict == VERDICT_OK || a->verdict == VERDICT_UNNEEDED))
                return;
        printf("%-15s %s%-10s%s %s\n", a->check->name, color, word, *color ? terminal_plain() : "", a->text ?: "");
        if (a->fix)
                printf("%26s → %s\n", "", a->fix);
}

static json_t *answer_to_json(const Answer *a) {
        return json_pack("{s:s, s:s, s:s, s:s*}", "name", a->check->name, "result", verdicts[a->verdict], "text", a->text ?: "", "fix", a->fix);
}

static int tell_all(const Client *c, const Answer *answers, size_t n) {
        size_t count[_VERDICT_MAX] = {};
        json_t *list = json_array();

        for (size_t i = 0; i < n; i++) {
                count[answers[i].verdict]++;
                (void) json_array_append_new(list, answer_to_json(&answers[i]));
        }
        if (c->json != JSON_OFF)
                return print_json(c, list);
        json_decref(list);
        pager_open(c);
        for (size_t i = 0; i < n; i++)
                tell(c, &answers[i]);
        if (!c->quiet)
                printf("\n%zu checks: %zu missing, %zu warning%s.\n", n, count[VERDICT_MISSING], count[VERDICT_WARNING],
                       count[VERDICT_WARNING] == 1 ? "" : "s");
        return 0;
}

/* --- the verb --- */

static bool is_wanted(const Look *l, const Check *check) {
        if (l->remote && check->reads_files)
                return false;
        return check->when == CHECK_ALWAYS || (check->when == CHECK_OF_SESSION) == l->c->user;
}

int verb_check(Client *c, int argc, char **argv) {
        Answer answers[ARRAY_SIZE(checks)] = {};
        Look l = { .c = c, .remote = c->host };
        bool missing = false;
        size_t n = 0;
        int r = client_connect(c);

        /* Without a bus that is what is missing; another host can't be looked at then. */
        if (r == USAGE || (r != 0 && l.remote))
                return r;
        l.connected = r == 0;
        look_around(&l);
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
                if (is_wanted(&l, &checks[i])) {
                        answers[n].check = &checks[i];
                        checks[i].look(&l, &answers[n]);
                        missing = missing || answers[n].verdict == VERDICT_MISSING;
                        n++;
                }
        r = tell_all(c, answers, n);
        for (size_t i = 0; i < n; i++) {
                free(answers[i].text);
                free(answers[i].fix);
        }
        look_clear(&l);
        return r != 0 ? r : missing ? FAILED : DONE;
}
