/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "show.h"
#include "str.h"

/* Checks of what is installed: programs where the daemons look for them, QEMU and its firmware, parts of the kernel. */

/* Several places have a | between them. */
static bool is_installed(const char *paths) {
        _cleanup_free_ char *copy = strdup(paths);
        char *rest = copy, *path;

        while ((path = strsep(&rest, "|")))
                if (access(path, X_OK) >= 0)
                        return true;
        return false;
}

void check_program(const Look *l, Answer *a) {
        const Check *c = a->check;

        if (is_installed(c->path)) {
                answer(a, VERDICT_OK, "%.*s", (int) strcspn(c->path, "|"), c->path);
                return;
        }
        answer(a, c->otherwise, "%s%s", c->otherwise == VERDICT_UNNEEDED ? "only for " : "is not installed: needed for ", c->what);
        answer_fix(a, "apt install %s", c->package);
}

/* --- the kernel --- */

/* "/vhost_net.ko" in the kernel's lists, where words may have a dash for each underscore. */
static bool is_listed(const char *list, const char *module) {
        struct utsname u;
        _cleanup_free_ char *path = uname(&u) >= 0 ? strf("/lib/modules/%s/%s", u.release, list) : NULL, *text = path ? look_at_file(path) : NULL;
        _cleanup_free_ char *name = strf("/%s.ko", module), *dashed = strf("/%s.ko", module);

        for (char *p = dashed; p && *p; p++)
                *p = *p == '_' ? '-' : *p;
        return text && name && dashed && (strstr(text, name) || strstr(text, dashed));
}

/* A kernel that brings no modules has no lists of them either. */
static bool has_lists(void) {
        struct utsname u;
        _cleanup_free_ char *path = uname(&u) >= 0 ? strf("/lib/modules/%s/modules.builtin", u.release) : NULL;

        return path && access(path, R_OK) >= 0;
}

/* A part of the kernel by its device file, or by its module. */
void check_module(const Look *l, Answer *a) {
        const Check *c = a->check;
        _cleanup_free_ char *loaded = strf("/sys/module/%s", c->package);

        if ((c->path && access(c->path, F_OK) >= 0) || (!c->path && loaded && access(loaded, F_OK) >= 0) || is_listed("modules.builtin", c->package)) {
                answer(a, VERDICT_OK, "the kernel has it");
                return;
        }
        if (!c->path && is_listed("modules.dep", c->package)) {
                answer(a, VERDICT_OK, "the kernel loads it when it is needed");
                return;
        }
        if (!c->path && !has_lists()) {
                answer(a, VERDICT_OK, "can't be told: the kernel has no list of its modules here");
                return;
        }
        answer(a, c->otherwise, "%s%s", c->otherwise == VERDICT_UNNEEDED ? "only for " : "the kernel has not loaded it: needed for ", c->what);
        answer_fix(a, "modprobe %s && echo %s > /etc/modules-load.d/%s.conf", c->package, c->package, c->package);
}

/* --- QEMU --- */

static const char *qemu_package(const char *arch) {
        static const struct {
                const char *arch, *package;
        } packages[] = {
                { "x86_64", "qemu-system-x86" }, { "aarch64", "qemu-system-arm" }, { "ppc64le", "qemu-system-ppc" }, { "s390x", "qemu-system-s390x" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(packages); i++)
                if (streq(packages[i].arch, arch))
                        return packages[i].package;
        return "qemu-system";
}

static const char *architecture(const Look *l, struct utsname *u) {
        if (l->host)
                return show_text(l->host, "HostArchitecture");
        return uname(u) >= 0 ? u->machine : "";
}

void check_qemu(const Look *l, Answer *a) {
        const char *emulator = show_text(l->capabilities, "emulator");
        struct utsname u;
        _cleanup_free_ char *path = strf("/usr/bin/qemu-system-%s", architecture(l, &u));

        if (*emulator)
                answer(a, VERDICT_OK, "%s, version %s", emulator, show_text(l->capabilities, "version"));
        else if (!l->remote && path && access(path, X_OK) >= 0)
                answer(a, VERDICT_OK, "%s", path);
        else {
                answer(a, VERDICT_MISSING, "there is none");
                answer_fix(a, "apt install %s", qemu_package(architecture(l, &u)));
        }
}

static size_t count_descriptors(void) {
        DIR *d = opendir("/usr/share/qemu/firmware");
        struct dirent *e;
        size_t n = 0;

        while (d && (e = readdir(d)))
                n += str_ends(e->d_name, ".json");
        if (d)
                closedir(d);
        return n;
}

void check_firmware(const Look *l, Answer *a) {
        size_t n = l->capabilities ? json_array_size(json_object_get(l->capabilities, "firmware")) : l->remote ? 0 : count_descriptors();
        struct utsname u;

        if (n > 0) {
                answer(a, VERDICT_OK, "%zu to choose from", n);
                return;
        }
        answer(a, VERDICT_WARNING, "no UEFI firmware is described in /usr/share/qemu/firmware: VMs with <os firmware='efi'> don't start");
        answer_fix(a, "apt install %s", streq(architecture(l, &u), "aarch64") ? "qemu-efi-aarch64" : "ovmf");
}

void check_seabios(const Look *l, Answer *a) {
        struct utsname u;

        if (!streq(architecture(l, &u), "x86_64"))
                answer(a, VERDICT_UNNEEDED, "only on x86");
        else if (access("/usr/share/seabios/bios-256k.bin", R_OK) >= 0 || access("/usr/share/qemu/bios-256k.bin", R_OK) >= 0)
                answer(a, VERDICT_OK, "SeaBIOS");
        else {
                answer(a, VERDICT_MISSING, "SeaBIOS is not installed: VMs without UEFI don't start");
                answer_fix(a, "apt install seabios");
        }
}

/* --- others that do the same --- */

/* libvirt's own, and as it is in parts. */
void check_libvirt(const Look *l, Answer *a) {
        static const char *const sockets[] = { "/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock" };
        /* Units of the one in parts are called as ours are. */
        static const char *const fixes[] = {
                "systemctl disable --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket",
                "apt remove libvirt-daemon-driver-qemu",
        };

        for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
                if (access(sockets[i], F_OK) >= 0) {
                        answer(a, VERDICT_WARNING, "it listens at %s: a VM must not run there and here, and networks of both may meet (see import-libvirt)",
                               sockets[i]);
                        answer_fix(a, "%s", fixes[i]);
                        return;
                }
        answer(a, VERDICT_OK, "none runs beside us");
}
