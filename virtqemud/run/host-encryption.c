/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-encryption.h"

#include <fcntl.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"

#define CPU_MAX 8192u   /* of the first CPU: the others are the same, and there may be hundreds */

static ssize_t read_start(const char *path, char *buffer, size_t size) {
        _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

        buffer[MAX(n, 0)] = '\0';
        return n;
}

static char read_setting(const char *path) {
        char value[2];

        (void) read_start(path, value, sizeof(value));
        return value[0];
}

void host_encryption_read(HostEncryption *ret) {
        char cpu[CPU_MAX];

        assert(ret);

        *ret = (HostEncryption) {
                .kvm_sev = read_setting("/sys/module/kvm_amd/parameters/sev"),
                .kvm_sev_snp = read_setting("/sys/module/kvm_amd/parameters/sev_snp"),
                .kvm_tdx = read_setting("/sys/module/kvm_intel/parameters/tdx"),
        };
        if (read_start("/proc/cpuinfo", cpu, sizeof(cpu)) > 0)
                memory_encryption_read_cpu(cpu, ret);
}
