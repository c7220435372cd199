/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netaddr.h"
#include "port-def.h"
#include "xml-definition.h"

/* <network>, as libvirt has it: plain structs, described by the tables in network-def.c. */

typedef enum ForwardMode {
        FORWARD_NONE,            /* no <forward>: isolated */
        FORWARD_NAT,
        FORWARD_ROUTE,
        FORWARD_OPEN,
        FORWARD_BRIDGE,
        FORWARD_PRIVATE,
        FORWARD_VEPA,
        FORWARD_PASSTHROUGH,
        FORWARD_HOSTDEV,
        _FORWARD_MODE_MAX,
        _FORWARD_MODE_INVALID = -EINVAL,
} ForwardMode;
DECLARE_ENUM(ForwardMode, forward_mode);

typedef enum MacTableManager { MAC_TABLE_NONE, MAC_TABLE_KERNEL, MAC_TABLE_LIBVIRT, _MAC_TABLE_MAX, _MAC_TABLE_INVALID = -EINVAL } MacTableManager;
DECLARE_ENUM(MacTableManager, mac_table_manager);

typedef enum IpFamily { FAMILY_NONE, FAMILY_IPV4, FAMILY_IPV6, _IP_FAMILY_MAX, _IP_FAMILY_INVALID = -EINVAL } IpFamily;
DECLARE_ENUM(IpFamily, ip_family);

typedef enum LeaseUnit { LEASE_UNIT_NONE, LEASE_SECONDS, LEASE_MINUTES, LEASE_HOURS, _LEASE_UNIT_MAX, _LEASE_UNIT_INVALID = -EINVAL } LeaseUnit;
DECLARE_ENUM(LeaseUnit, lease_unit);

typedef struct ForwardInterface {
        Record head;
        char *dev;
} ForwardInterface;

/* --- <dns> --- */

typedef struct DnsForwarder {
        Record head;
        char *domain;            /* of these names only */
        IpAddress address;
} DnsForwarder;

typedef struct DnsHostname {
        Record head;
        char *name;
} DnsHostname;

typedef struct DnsHost {
        Record head;
        IpAddress ip;
        RecordList names;        /* DnsHostname */
} DnsHost;

typedef struct DnsTxt {
        Record head;
        char *name, *value;
} DnsTxt;

typedef struct DnsSrv {
        Record head;
        char *service, *protocol, *domain, *target;
        uint64_t port, priority, weight;
} DnsSrv;

/* --- <ip> --- */

typedef struct DhcpLease {
        uint64_t expiry;         /* 0: for ever; NUMBER_UNSET: not given */
        int unit;                /* LeaseUnit */
} DhcpLease;

typedef struct DhcpRange {
        Record head;
        IpAddress start, end;
        DhcpLease lease;
} DhcpRange;

typedef struct DhcpHost {
        Record head;
        MacAddress mac;
        char *id;                /* DUID of a DHCPv6 client */
        char *name;
        IpAddress ip;
        DhcpLease lease;
} DhcpHost;

typedef struct NetworkIp {
        Record head;
        int family;              /* IpFamily; FAMILY_NONE is IPv4 */
        IpAddress address;       /* unset: one is chosen */
        IpAddress netmask;
        uint64_t prefix;
        Tristate local_ptr;
        char *tftp_root;
        bool dhcp;               /* there is a <dhcp> */
        RecordList ranges;       /* DhcpRange */
        RecordList hosts;        /* DhcpHost */
        char *bootp_file, *bootp_server;
} NetworkIp;

typedef struct NetworkRoute {
        Record head;
        int family;
        IpAddress address, netmask, gateway;
        uint64_t prefix, metric;
} NetworkRoute;

/* --- ours --- */

typedef enum PortProtocol { PROTOCOL_NONE, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, _PORT_PROTOCOL_MAX, _PORT_PROTOCOL_INVALID = -EINVAL } PortProtocol;
DECLARE_ENUM(PortProtocol, port_protocol);

/* Ports of the host that lead to a guest: <virtbus:portForward proto='tcp' start='8080' guest='web' to='80'/>. */
typedef struct PortForward {
        Record head;
        int protocol;            /* PortProtocol */
        uint64_t start, end;     /* end NUMBER_UNSET: one port */
        char *guest;             /* address, MAC address, or name of a host entry or lease */
        uint64_t to;             /* the guest's first port; NUMBER_UNSET: the same ones */
        IpAddress address;       /* of the host; unset: any that it has */
        char *dev;               /* of the host, where connections come in; NULL: any, and the host itself */
} PortForward;

/* A line for its configuration, from who knows better: <dnsmasq:option value='…'/>. */
typedef struct DnsmasqOption {
        Record head;
        char *value;
} DnsmasqOption;

/* --- what ports get --- */

typedef struct PortGroup {
        Record head;
        char *name;
        Tristate is_default, trust_filters;
        PortSettings settings;
} PortGroup;

typedef struct NetworkDef {
        DEFINITION_MEMBERS;

        uint64_t connections;    /* live */
        Tristate ipv6;           /* guests talk IPv6 to each other though there is no IPv6 address */
        Tristate trust_filters;
        char *title, *description;
        xmlNode *metadata;

        bool forward;            /* there is a <forward> */
        int mode;                /* ForwardMode */
        char *forward_dev;
        Tristate forward_managed;
        Tristate nat_ipv6;
        IpAddress nat_start, nat_end;
        uint64_t nat_port_start, nat_port_end;
        RecordList forward_interfaces; /* ForwardInterface */

        char *bridge;
        char *zone;
        Tristate stp;
        uint64_t delay;          /* seconds */
        int mac_table;           /* MacTableManager */
        uint64_t mtu;
        MacAddress mac;

        char *domain;
        Tristate domain_local, domain_register;
        Tristate dns, dns_plain;
        RecordList forwarders;   /* DnsForwarder */
        RecordList dns_hosts;    /* DnsHost */
        RecordList dns_txts;     /* DnsTxt */
        RecordList dns_srvs;     /* DnsSrv */

        RecordList ips;          /* NetworkIp */
        RecordList routes;       /* NetworkRoute */
        RecordList port_groups;  /* PortGroup */
        PortSettings port;
        Tristate isolated;
        RecordList port_forwards; /* PortForward */
        RecordList dnsmasq_options; /* DnsmasqOption */
} NetworkDef;

extern const RecordType network_record, dhcp_range_record, dhcp_host_record, port_forward_record;

static inline NetworkDef *network_def_free(NetworkDef *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(NetworkDef *, network_def_free)

static inline int ip_family_of(int family) {
        return family == FAMILY_IPV6 ? AF_INET6 : AF_INET;
}

/* From the prefix or the netmask of a definition that was checked. */
unsigned network_prefix(const NetworkIp *ip);

/* What the network does, with the three meanings of 'bridge' told apart. */
typedef enum NetworkKind {
        NETWORK_ISOLATED, NETWORK_NAT, NETWORK_ROUTE, NETWORK_OPEN, NETWORK_BRIDGE, NETWORK_OPENVSWITCH, NETWORK_MACVTAP,
        NETWORK_HOSTDEV,
        _NETWORK_KIND_MAX, _NETWORK_KIND_INVALID = -EINVAL,
} NetworkKind;
DECLARE_ENUM(NetworkKind, network_kind);
NetworkKind network_kind(const NetworkDef *def);

/* Letters, digits, '-' and '_' between dots; "*" is no name. */
bool network_is_dns_name(const char *name);
