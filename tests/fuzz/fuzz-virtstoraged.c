/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtstoraged/bus/service.h"
#include "daemon-calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIR "<pool type='dir'><name>pool</name><uuid>6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b12</uuid><target><path>/nonexistent/pool</path></target></pool>"
#define SECRET "<secret><uuid>6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b13</uuid><usage type='volume'><volume>/srv/disk</volume></usage></secret>"
#define VOLUME "<volume><name>disk.qcow2</name><capacity unit='MiB'>10</capacity><target><format type='qcow2'/></target></volume>"

static const CallsTarget target = {
        .spec = &service_spec,
        .files = { { "config/virtbus/pools/pool.xml", DIR }, { "config/virtbus/secrets/6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b13.xml", SECRET } },
        .words = { "pool", "disk.qcow2", DIR, SECRET, VOLUME,
                   "<pool type='fs'><name>b</name><source><device path='/dev/null'/></source><target><path>/p</path></target></pool>",
                   "/nonexistent/pool", "/nonexistent/pool/disk.qcow2", "qcow2", "raw", "zero", "random", "volume", "/srv/disk", "iscsi", "ceph", "dir",
                   "logical", "netfs", "preallocation", "full", "shrink", "allocate", "delta", "format", "new-name", "force", "source" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        calls_run(&target, data, size);
        return 0;
}
