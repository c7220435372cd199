/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtnetworkd/bus/service.h"
#include "daemon-calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NET "<network><name>net</name><uuid>6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b11</uuid><forward mode='nat'/><bridge name='vbfuzz0'/>"     \
            "<ip address='10.9.8.1' netmask='255.255.255.0'><dhcp><range start='10.9.8.2' end='10.9.8.99'/>"                                 \
            "<host mac='52:54:00:00:00:01' ip='10.9.8.5' name='web'/></dhcp></ip></network>"
#define ISOLATED "<network><name>lonely</name><bridge name='vbfuzz1'/></network>"

static const CallsTarget target = {
        .spec = &service_spec,
        .files = { { "config/virtbus/networks/net.xml", NET }, { "config/virtbus/networks/lonely.xml", ISOLATED } },
        .words = { "net", "lonely", NET, ISOLATED, "<network><name>third</name><forward mode='bridge'/><bridge name='br0'/></network>", "vbfuzz0",
                   "10.9.8.7", "10.9.8.0/24", "fd00:9::1", "52:54:00:00:00:01", "tcp", "udp", "dhcp-host", "dns-host", "ip-dhcp-host", "add-last",
                   "modify", "delete", "<host mac='52:54:00:00:00:02' ip='10.9.8.6'/>", "<range start='10.9.8.100' end='10.9.8.120'/>", "mac", "domain",
                   "portgroup", "trunk", "vlan", "inbound", "outbound", "average", "virtualport", "openvswitch", "interfaceid", "profileid", "uuid",
                   "<network><name>sw</name><forward mode='bridge'/><bridge name='lo'/><virtualport type='openvswitch'/></network>" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        calls_run(&target, data, size);
        return 0;
}
