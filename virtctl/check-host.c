/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "fd.h"
#include "show.h"
#include "str.h"

/* Checks of the host itself: processors, KVM, IOMMU, control groups. virtqemud is asked where it answers, otherwise the kernel's files. */

#define FILE_MAX ((size_t) 4 * 1024 * 1024)

char *look_at_file(const char *path) {
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        char *text = NULL;
        size_t length;

        if (fd < 0 || fd_read_all(fd, FILE_MAX, &text, &length) < 0)
                return NULL;
        if (length > 0 && text[length - 1] == '\n')
                text[length - 1] = '\0';
        return text;
}

static bool has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        for (const char *p = text; p && (p = strstr(p, word)); p += n)
                if ((p == text || strchr(" \t\n", p[-1])) && strchr(" \t\n", p[n]))
                        return true;
        return false;
}

static bool list_has(const json_t *list, const char *word) {
        const json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                if (streq_null(json_string_value(item), word))
                        return true;
        return false;
}

/* --- processors --- */

static bool cpu_has(const Look *l, const char *flag) {
        _cleanup_free_ char *text = NULL;

        if (l->host)
                return list_has(json_object_get(json_object_get(l->host, "HostCPU"), "flags"), flag);
        text = l->remote ? NULL : look_at_file("/proc/cpuinfo");
        return has_word(text, flag);
}

static bool is_x86(const Look *l) {
        struct utsname u;

        if (l->host)
                return streq(show_text(l->host, "HostArchitecture"), "x86_64");
        return uname(&u) >= 0 && streq(u.machine, "x86_64");
}

void check_cpu(const Look *l, Answer *a) {
        if (!is_x86(l))
                answer(a, VERDICT_UNNEEDED, "told by KVM alone on this architecture");
        else if (cpu_has(l, "vmx"))
                answer(a, VERDICT_OK, "Intel VT-x");
        else if (cpu_has(l, "svm"))
                answer(a, VERDICT_OK, "AMD-V");
        else if (!l->remote && access("/dev/kvm", F_OK) >= 0)
                answer(a, VERDICT_OK, "not told by the processors, but KVM is there");
        else {
                answer(a, VERDICT_WARNING, "the processors have no virtualization, or it is switched off: VMs are emulated, which is slow");
                answer_fix(a, "switch on VT-x or SVM in the setup of the firmware; if this is a VM, nested virtualization on its host");
        }
}

static const char *my_name(void) {
        const struct passwd *me = getpwuid(geteuid());

        return me ? me->pw_name : "USER";
}

/* Units of VMs have the group kvm; VMs of a session are the user's. */
static bool kvm_is_open(const Look *l, const struct stat *st, Answer *a) {
        const struct group *g = getgrnam("kvm");

        if (l->c->user) {
                if (access("/dev/kvm", R_OK | W_OK) >= 0)
                        return true;
                answer(a, VERDICT_WARNING, "/dev/kvm can't be opened by %s: VMs are emulated, which is slow", my_name());
                answer_fix(a, "sudo usermod -aG kvm %s (and log in again)", my_name());
                return false;
        }
        if ((st->st_mode & 0006) == 0006 || (g && st->st_gid == g->gr_gid && (st->st_mode & 0060) == 0060))
                return true;
        answer(a, VERDICT_WARNING, "/dev/kvm is not open to the group kvm: VMs are emulated, which is slow");
        answer_fix(a, "%sudevadm trigger --action=add /dev/kvm", g ? "" : "groupadd --system kvm && ");
        return false;
}

void check_kvm(const Look *l, Answer *a) {
        struct stat st;

        if (l->remote) {
                answer(a, !l->host ? VERDICT_WARNING : json_is_true(json_object_get(l->host, "KVMAvailable")) ? VERDICT_OK : VERDICT_WARNING,
                       "%s", !l->host ? "virtqemud does not say" : json_is_true(json_object_get(l->host, "KVMAvailable")) ? "can be used" : "can't be used");
                return;
        }
        if (stat("/dev/kvm", &st) < 0) {
                answer(a, VERDICT_WARNING, "/dev/kvm is not there: VMs are emulated, which is slow");
                if (is_x86(l) && (cpu_has(l, "vmx") || cpu_has(l, "svm")))
                        answer_fix(a, "modprobe %s", cpu_has(l, "vmx") ? "kvm_intel" : "kvm_amd");
                return;
        }
        if (!kvm_is_open(l, &st, a))
                return;
        if (!l->host || json_is_true(json_object_get(l->host, "KVMAvailable")))
                answer(a, VERDICT_OK, "/dev/kvm can be used");
        else {
                answer(a, VERDICT_WARNING, "virtqemud began before /dev/kvm could be used");
                answer_fix(a, "systemctl %srestart virtqemud.service", l->c->user ? "--user " : "");
        }
}

void check_nested(const Look *l, Answer *a) {
        static const char *const files[] = { "/sys/module/kvm_intel/parameters/nested", "/sys/module/kvm_amd/parameters/nested" };
        bool on = l->host && list_has(json_object_get(l->host, "KVMFeatures"), "nested");

        for (size_t i = 0; !l->host && !l->remote && i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *text = look_at_file(files[i]);

                on = on || streq_null(text, "Y") || streq_null(text, "1");
        }
        if (on) {
                answer(a, VERDICT_OK, "VMs can run VMs");
                return;
        }
        answer(a, VERDICT_UNNEEDED, "only for VMs in VMs");
        if (cpu_has(l, "vmx") || cpu_has(l, "svm"))
                answer_fix(a, "echo options %s nested=1 > /etc/modprobe.d/kvm.conf (and boot again)", cpu_has(l, "vmx") ? "kvm_intel" : "kvm_amd");
}

/* --- devices and memory --- */

static size_t count_groups(void) {
        DIR *d = opendir("/sys/kernel/iommu_groups");
        struct dirent *e;
        size_t n = 0;

        while (d && (e = readdir(d)))
                n += e->d_name[0] != '.';
        if (d)
                closedir(d);
        return n;
}

void check_iommu(const Look *l, Answer *a) {
        uint64_t n = l->host ? show_number(l->host, "IOMMUGroups") : l->remote ? 0 : count_groups();

        if (n > 0) {
                answer(a, VERDICT_OK, "%" PRIu64 " groups of devices", n);
                return;
        }
        answer(a, VERDICT_UNNEEDED, "only for PCI devices that VMs get");
        if (is_x86(l))
                answer_fix(a, "switch on %s in the setup of the firmware, and boot with %siommu=pt (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)",
                           cpu_has(l, "vmx") ? "VT-d" : "the IOMMU", cpu_has(l, "vmx") ? "intel_iommu=on " : "");
}

/* What limits of VMs are kept with. */
void check_cgroup(const Look *l, Answer *a) {
        static const char *const host[] = { "cpu", "cpuset", "io", "memory", "pids", NULL }, *const session[] = { "cpu", "memory", "pids", NULL };
        _cleanup_free_ char *path = l->c->user ? strf("/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service/cgroup.controllers", geteuid(), geteuid()) :
                                                 strdup("/sys/fs/cgroup/cgroup.controllers");
        _cleanup_free_ char *controllers = path ? look_at_file(path) : NULL;
        _cleanup_text_ Text lacking = TEXT_INIT;

        if (!controllers) {
                answer(a, VERDICT_WARNING, l->c->user ? "there are no control groups of the user's: limits of VMs are not kept" :
                                                        "control groups are not those of version 2: limits of VMs are not kept");
                if (!l->c->user)
                        answer_fix(a, "boot with systemd.unified_cgroup_hierarchy=1");
                return;
        }
        for (const char *const *want = l->c->user ? session : host; *want; want++)
                if (!has_word(controllers, *want))
                        text_addf(&lacking, " %s", *want);
        if (lacking.length == 0) {
                answer(a, VERDICT_OK, "version 2 with %s", controllers);
                return;
        }
        answer(a, VERDICT_WARNING, "without%s: such limits of VMs are not kept", lacking.data);
        if (l->c->user)
                answer_fix(a, "sudo systemctl edit user@.service (and write: [Service] Delegate=cpu cpuset io memory pids)");
        else
                answer_fix(a, "leave out cgroup_disable= at boot, or take a kernel that has them");
}

void check_hugepages(const Look *l, Answer *a) {
        const json_t *pool;
        uint64_t n = 0;
        size_t i;

        json_array_foreach(json_object_get(l->host, "HostHugePages"), i, pool)
                n += (uint64_t) json_integer_value(json_array_get(pool, 1));
        if (n > 0)
                answer(a, VERDICT_OK, "%" PRIu64 " pages", n);
        else {
                answer(a, VERDICT_UNNEEDED, "only for VMs with <hugepages/>");
                answer_fix(a, "sysctl vm.nr_hugepages=NUMBER (2 MiB each, and in /etc/sysctl.d/ for good)");
        }
}

/* --- sessions --- */

static bool is_off(const char *path) {
        _cleanup_free_ char *text = look_at_file(path);

        return streq_null(text, "0");
}

/* Programs of a session are kept from the network by a name space of their own. */
void check_namespaces(const Look *l, Answer *a) {
        if (is_off("/proc/sys/kernel/unprivileged_userns_clone")) {
                answer(a, VERDICT_WARNING, "users may make no name spaces: programs beside VMs have the network");
                answer_fix(a, "sudo sysctl kernel.unprivileged_userns_clone=1 (and in /etc/sysctl.d/ for good)");
        } else if (is_off("/proc/sys/user/max_user_namespaces")) {
                answer(a, VERDICT_WARNING, "users may make no name spaces: programs beside VMs have the network");
                answer_fix(a, "sudo sysctl user.max_user_namespaces=15000 (and in /etc/sysctl.d/ for good)");
        } else
                answer(a, VERDICT_OK, "users may make them");
}

void check_subuid(const Look *l, Answer *a) {
        _cleanup_free_ char *text = look_at_file("/etc/subuid"), *mine = strf("%s:", my_name()), *later = strf("\n%s:", my_name());

        if (text && mine && later && (str_after(text, mine) || strstr(text, later))) {
                answer(a, VERDICT_OK, "%s has some", my_name());
                return;
        }
        answer(a, VERDICT_UNNEEDED, "only for folders that guests see with owners of their own");
        answer_fix(a, "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", my_name());
}

void check_linger(const Look *l, Answer *a) {
        _cleanup_free_ char *path = strf("/var/lib/systemd/linger/%s", my_name());

        if (path && access(path, F_OK) >= 0) {
                answer(a, VERDICT_OK, "VMs run on when %s has logged out", my_name());
                return;
        }
        answer(a, VERDICT_UNNEEDED, "only for VMs that run on when %s has logged out", my_name());
        answer_fix(a, "loginctl enable-linger %s", my_name());
}
