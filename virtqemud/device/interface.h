/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/device-def.h"
#include "port-def.h"
#include "rom.h"
#include "user-forward.h"
#include "virtio.h"

typedef enum InterfaceType {
        INTERFACE_NONE, INTERFACE_USER, INTERFACE_NETWORK, INTERFACE_BRIDGE, INTERFACE_DIRECT, INTERFACE_ETHERNET,
        INTERFACE_VHOSTUSER, INTERFACE_VDPA, INTERFACE_CLIENT, INTERFACE_SERVER, INTERFACE_UDP,
        _INTERFACE_TYPE_MAX, _INTERFACE_TYPE_INVALID = -EINVAL,
} InterfaceType;
DECLARE_ENUM(InterfaceType, interface_type);

typedef enum InterfaceModel {
        INTERFACE_MODEL_NONE, INTERFACE_VIRTIO, INTERFACE_E1000, INTERFACE_E1000E, INTERFACE_RTL8139,
        INTERFACE_VIRTIO_TRANSITIONAL, INTERFACE_VIRTIO_NON_TRANSITIONAL, INTERFACE_E1000_82544GC, INTERFACE_E1000_82545EM, INTERFACE_PCNET,
        INTERFACE_NE2K_PCI, INTERFACE_VMXNET3, INTERFACE_I82550, INTERFACE_I82557B, INTERFACE_I82559ER, INTERFACE_USB_NET,
        _INTERFACE_MODEL_MAX, _INTERFACE_MODEL_INVALID = -EINVAL,
} InterfaceModel;
DECLARE_ENUM(InterfaceModel, interface_model);

/* <backend type>: who carries the frames of type 'user'. */
typedef enum InterfaceBackend {
        BACKEND_NONE, BACKEND_DEFAULT, BACKEND_PASST, _INTERFACE_BACKEND_MAX, _INTERFACE_BACKEND_INVALID = -EINVAL,
} InterfaceBackend;
DECLARE_ENUM(InterfaceBackend, interface_backend);

/* <source mode>: what a macvtap lets through; of a vhostuser interface who makes the socket. */
typedef enum DirectMode {
        DIRECT_NONE, DIRECT_VEPA, DIRECT_BRIDGE, DIRECT_PRIVATE, DIRECT_PASSTHROUGH, SOCKET_MODE_SERVER, SOCKET_MODE_CLIENT,
        _DIRECT_MODE_MAX, _DIRECT_MODE_INVALID = -EINVAL,
} DirectMode;
DECLARE_ENUM(DirectMode, direct_mode);

/* <driver name>: who carries frames between a tap and virtio. Left out: the kernel, where it can. */
typedef enum InterfaceDriver { DRIVER_NONE, DRIVER_QEMU, DRIVER_VHOST, _INTERFACE_DRIVER_MAX, _INTERFACE_DRIVER_INVALID = -EINVAL } InterfaceDriver;
DECLARE_ENUM(InterfaceDriver, interface_driver_name);

typedef enum LinkState { LINK_NONE, LINK_UP, LINK_DOWN, _LINK_STATE_MAX, _LINK_STATE_INVALID = -EINVAL } LinkState;
DECLARE_ENUM(LinkState, link_state);

/* <driver><host> and <guest>: what the other side may leave undone. */
typedef struct Offloads {
        Tristate csum, gso, tso4, tso6, ecn, ufo, mrg_rxbuf;
} Offloads;

/* <source> of the types in interface-socket.h. */
typedef struct InterfaceSocket {
        int type;              /* "unix" */
        char *path;
        Tristate reconnect;
        char *address, *local_address;
        uint64_t port, local_port;
} InterfaceSocket;

typedef enum Teaming { TEAMING_NONE, TEAMING_PERSISTENT, TEAMING_TRANSIENT } Teaming;
extern const EnumTable teaming_table;

typedef struct Interface {
        Device device;
        int type;              /* InterfaceType */
        int model;             /* InterfaceModel */
        MacAddress mac;
        int link;              /* LinkState */
        int backend;           /* InterfaceBackend */
        char *backend_log;     /* refused */
        uint64_t mtu;
        sd_id128_t port_id;           /* what others write of one that runs, as its bridge: dropped */
        char *network, *port_group;   /* <source> of type 'network' */
        char *bridge;                 /* … of type 'bridge' */
        char *direct;                 /* … of type 'direct': a link of the host; of type 'vdpa' a device file */
        int direct_mode;              /* DirectMode; DIRECT_NONE is vepa, as in libvirt */
        uint64_t queues;              /* NUMBER_UNSET: one */
        int driver;                   /* InterfaceDriver */
        VirtioOptions virtio;
        uint64_t rx_queue_size, tx_queue_size;
        int tx_mode;
        Offloads host_offloads, guest_offloads;
        Tristate rss, hash_report;   /* queues by what a packet is of, and the guest told of that */
        Rom rom;
        InterfaceSocket socket;
        int teaming;                  /* Teaming: it stands in while a device of the host is away */
        PortSettings port;            /* <bandwidth>, <vlan> and <virtualport> */
        Tristate isolated;
        uint64_t coalesce;            /* frames that the host takes together */
        RecordList forwards;          /* UserForward, of type 'user' */
        RecordList addresses;         /* UserAddress, likewise */
        Tristate managed;             /* <target managed> of type 'ethernet': NO, the tap is there */
        char *host;            /* live: name of the host's end; of type 'ethernet' also what it is to be */
} Interface;

/* Whether its frames go through a tap or macvtap that virtnetworkd gives. */
static inline bool interface_has_tap(const Interface *i) {
        return i->type == INTERFACE_NETWORK || i->type == INTERFACE_BRIDGE || i->type == INTERFACE_DIRECT || i->type == INTERFACE_ETHERNET;
}
/* Whether it is one of those in interface-socket.h. */
static inline bool interface_has_socket(const Interface *i) {
        return i->type >= INTERFACE_VHOSTUSER;
}

static inline unsigned interface_queues(const Interface *i) {
        return i->queues == NUMBER_UNSET ? 1 : (unsigned) i->queues;
}

/* The interface a device is; NULL: it is none. */
Interface *device_as_interface(const Device *d);
static inline bool interface_same_bandwidth(const Interface *a, const Interface *b) {
        return memcmp(&a->port.inbound, &b->port.inbound, sizeof(Bandwidth)) == 0 && memcmp(&a->port.outbound, &b->port.outbound, sizeof(Bandwidth)) == 0;
}
/* Of the live definition: the name of the host's end. */
int interface_set_host(Interface *i, const char *name);
/* Likewise: its network is a bridge of Open vSwitch. `with_id`: it gets an id there if it has none. */
int interface_set_switch(Interface *i, bool with_id);
/* The tap of type 'ethernet' that is asked for; empty: any. */
const char *interface_wanted_tap(const Interface *i);
