/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "isolate.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Parts of the host that root could change by mistake. */
static const char *const guarded[] = { "/sys", "/proc/sys", "/etc", "/usr", "/var", "/boot" };

bool isolate_host(const char *folder) {
        if (geteuid() != 0)
                return true;
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return false;
        for (size_t i = 0; i < sizeof(guarded) / sizeof(*guarded); i++)
                if (mount(guarded[i], guarded[i], NULL, MS_BIND | MS_REC, NULL) < 0 ||
                    mount(NULL, guarded[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
                        return false;
        return mount("tmpfs", folder, "tmpfs", 0, "mode=0755,size=256m") == 0;
}

bool isolate_programs(void) {
        static const unsigned refused[] = { SYS_execve, SYS_execveat, SYS_kill, SYS_reboot, SYS_kexec_load, SYS_init_module, SYS_finit_module,
                                            SYS_mount, SYS_umount2, SYS_settimeofday, SYS_clock_settime };
        enum { N = sizeof(refused) / sizeof(*refused) };
        struct sock_filter code[2 * N + 2] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
        struct sock_fprog program = { .len = 2 * N + 2, .filter = code };
        size_t n = 1;

        for (size_t i = 0; i < N; i++) {
                code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
                code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
        }
        code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
