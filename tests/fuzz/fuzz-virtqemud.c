/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtqemud/bus/service.h"
#include "daemon-calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD(name) "<domain type='qemu'><name>" name "</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>"                                    \
                   "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>"
#define WEB HEAD("web") "<maxMemory slots='2' unit='GiB'>1</maxMemory><uuid>6f1d8b3e-9a0f-4c7e-8f8e-2f8a6c1d0b11</uuid><devices>"              \
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/nonexistent/a.img'/><target dev='vda' bus='virtio'/></disk>"   \
        "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk><interface type='user'><mac address='52:54:00:00:00:01'/></interface>"  \
        "<controller type='scsi' model='virtio-scsi'/><serial type='pty'/>"                                                              \
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"                                                         \
        "<graphics type='vnc'/><graphics type='spice'/><video><model type='virtio'/></video><input type='tablet' bus='usb'/><rng model='virtio'>"       \
        "<backend model='random'>/dev/urandom</backend></rng><memballoon model='virtio'/><watchdog model='itco' action='reset'/></devices></domain>"
#define TINY HEAD("tiny") "</domain>"
#define DISK "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/nonexistent/b.qcow2'/><target dev='vdb' bus='virtio'/></disk>"

/* A QEMU is asked what it can, and the answer kept. */
static void ask_qemu(sd_bus *client) {
        (void) sd_bus_call_method_async(client, NULL, NULL, QEMU1_ROOT, QEMU1_MANAGER, "DefineDomain", NULL, NULL, "ssta{sv}", "libvirt-xml", TINY,
                                        UINT64_C(0), 0);
}

static const CallsTarget target = {
        .spec = &service_spec,
        .files = { { "config/virtbus/domains/web.xml", WEB } },
        .words = { "web", "tiny", WEB, TINY, HEAD("more") "<devices>" DISK "</devices></domain>", DISK, "<interface type='user'/>", "vda", "vdb", "sda",
                   "serial0", "channel0", "disk0", "net0", "/nonexistent/b.qcow2", "any", "acpi", "agent", "paused", "emulator", "arch", "machine", "virttype",
                   "/usr/bin/qemu-system-x86_64", "x86_64", "pc-q35-7.2", "qemu", "vcpus", "memory", "cpu-shares", "total-bytes-sec", "network",
                   "{\"execute\":\"query-status\"}", "query-status", "guest-ping", "domain", "0-1", "autostart", "running" },
        .first = ask_qemu,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        calls_run(&target, data, size);
        return 0;
}
