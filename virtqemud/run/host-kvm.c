/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-kvm.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "fd.h"

bool host_has_kvm(void) {
        _cleanup_fd_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        return fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
}
