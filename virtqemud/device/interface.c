/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interface.h"

#include "device.h"
#include "interface-socket.h"
#include "mem.h"
#include "str.h"
#include "user-address.h"
#include "virtio.h"
#include "xml-read.h"

DEFINE_ENUM(InterfaceType, interface_type, NULL, "user", "network", "bridge", "direct", "ethernet", "vhostuser", "vdpa", "client", "server", "udp")
DEFINE_ENUM(InterfaceModel, interface_model, NULL, "virtio", "e1000", "e1000e", "rtl8139", "virtio-transitional", "virtio-non-transitional", "e1000-82544gc",
            "e1000-82545em", "pcnet", "ne2k_pci", "vmxnet3", "i82550", "i82557b", "i82559er", "usb-net")
DEFINE_ENUM(InterfaceBackend, interface_backend, NULL, "default", "passt")
DEFINE_ENUM(InterfaceDriver, interface_driver_name, NULL, "qemu", "vhost")
DEFINE_ENUM(DirectMode, direct_mode, NULL, "vepa", "bridge", "private", "passthrough", "server", "client")
DEFINE_ENUM(LinkState, link_state, NULL, "up", "down")

typedef enum InterfaceTx { TX_UNSET, TX_IOTHREAD, TX_TIMER } InterfaceTx;
static const char *const tx_mode_words[] = { NULL, "iothread", "timer" };
static const EnumTable tx_mode_table = { tx_mode_words, ARRAY_SIZE(tx_mode_words) };
static const char *const socket_words[] = { NULL, "unix" };
static const EnumTable socket_table = { socket_words, ARRAY_SIZE(socket_words) };
static const char *const teaming_words[] = { NULL, "persistent", "transient" };
const EnumTable teaming_table = { teaming_words, ARRAY_SIZE(teaming_words) };

#define AT(member) offsetof(Interface, member)
#define OFFLOADS(side, member)                                                                          \
        { "driver/" side "/@csum", &field_on_off, AT(member.csum) },                                    \
        { "driver/" side "/@tso4", &field_on_off, AT(member.tso4) },                                    \
        { "driver/" side "/@tso6", &field_on_off, AT(member.tso6) },                                    \
        { "driver/" side "/@ecn", &field_on_off, AT(member.ecn) },                                      \
        { "driver/" side "/@ufo", &field_on_off, AT(member.ufo) }
static const Field interface_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &interface_type_table },
        { "mac/@address", &field_mac, AT(mac) },
        { "source/@network", &field_string, AT(network), .max_length = 200 },
        { "source/@portid", &field_uuid, AT(port_id) },
        { "source/@portgroup", &field_string, AT(port_group), .max_length = 255 },
        { "source/@bridge", &field_string, AT(bridge), .max_length = 15 },
        { "source/@dev", &field_string, AT(direct), .max_length = 255 },
        { "source/@mode", &field_enum, AT(direct_mode), .words = &direct_mode_table },
        { "source/@type", &field_enum, AT(socket.type), .words = &socket_table },
        { "source/@path", &field_string, AT(socket.path), .max_length = 107 },
        { "source/reconnect/@enabled", &field_yes_no, AT(socket.reconnect) },
        { "source/@address", &field_string, AT(socket.address), .max_length = IP_TEXT_MAX },
        { "source/@port", &field_number, AT(socket.port), .min = 1, .max = 65535 },
        { "source/local/@address", &field_string, AT(socket.local_address), .max_length = IP_TEXT_MAX },
        { "source/local/@port", &field_number, AT(socket.local_port), .min = 1, .max = 65535 },
        { "teaming/@type", &field_enum, AT(teaming), .words = &teaming_table },
        { "driver/@name", &field_enum, AT(driver), .words = &interface_driver_name_table },
        { "driver/@queues", &field_number, AT(queues), .min = 1, .max = 16 },
        { "driver/@rx_queue_size", &field_number, AT(rx_queue_size), .min = 256, .max = 1024 },
        { "driver/@tx_queue_size", &field_number, AT(tx_queue_size), .min = 256, .max = 1024 },
        { "driver/@txmode", &field_enum, AT(tx_mode), .words = &tx_mode_table },
        VIRTIO_FIELDS(AT(virtio)),
        { "driver/@rss", &field_on_off, AT(rss) },
        { "driver/@rss_hash_report", &field_on_off, AT(hash_report) },
        OFFLOADS("host", host_offloads),
        { "driver/host/@gso", &field_on_off, AT(host_offloads.gso) },
        { "driver/host/@mrg_rxbuf", &field_on_off, AT(host_offloads.mrg_rxbuf) },
        OFFLOADS("guest", guest_offloads),
        ROM_FIELDS(AT(rom)),
        { "target/@dev", &field_string, AT(host), FIELD_LIVE, .max_length = 15 },
        { "target/@managed", &field_yes_no, AT(managed) },
        { "model/@type", &field_enum, AT(model), .words = &interface_model_table },
        { "mtu/@size", &field_number, AT(mtu), .min = 68, .max = 65535 },
        { "backend/@type", &field_enum, AT(backend), .words = &interface_backend_table },
        { "backend/@logFile", &field_string, AT(backend_log) },
        { "link/@state", &field_enum, AT(link), .words = &link_state_table },
        PORT_SETTINGS_FIELDS(AT(port)),
        { "port/@isolated", &field_yes_no, AT(isolated) },
        { "coalesce/rx/frames/@max", &field_number, AT(coalesce), .max = 65535 },
        { "portForward", &field_list, AT(forwards), .record = &user_forward_record },
        { "ip", &field_list, AT(addresses), .record = &user_address_record, .max = 2 },
        DEVICE_FIELDS(Interface),
};
#undef AT

/* What virtnetworkd does with a port, and nobody with what is no port. */
static int check_port(const Interface *i, Fault *f) {
        const struct {
                const char *element;
                bool there, fits;
        } rows[] = {
                { "bandwidth", i->port.inbound.average != NUMBER_UNSET || i->port.outbound.average != NUMBER_UNSET, interface_has_tap(i) },
                { "vlan", i->port.tags.n > 0, i->type == INTERFACE_NETWORK || i->type == INTERFACE_BRIDGE },
                { "virtualport", virtual_port_is_set(&i->port.virtual_port), i->type == INTERFACE_NETWORK || i->type == INTERFACE_BRIDGE },
                { "port/@isolated", i->isolated != UNSET, i->type == INTERFACE_NETWORK || i->type == INTERFACE_BRIDGE },
                { "coalesce", i->coalesce != NUMBER_UNSET, interface_has_tap(i) && i->type != INTERFACE_DIRECT },
                { "target/@managed", i->managed != UNSET, i->type == INTERFACE_ETHERNET },
                { "portForward", i->forwards.n > 0, i->type == INTERFACE_USER },
        };

        for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
                if (rows[k].there && !rows[k].fits)
                        return xml_fault_below(&i->device.head, rows[k].element, f, FAULT_NOT_SUPPORTED, "an interface of type '%s' can't have it",
                                               interface_type_to_string((InterfaceType) i->type));
        if (i->type == INTERFACE_BRIDGE && virtual_port_is_set(&i->port.virtual_port) && i->port.virtual_port.type == VIRTUAL_PORT_NONE)
                return xml_fault_below(&i->device.head, "virtualport", f, FAULT_INVALID_DEFINITION,
                                       "in whose switch? a bridge of Open vSwitch has type='openvswitch'");
        if (i->addresses.n > 0 && i->type != INTERFACE_USER) {
                xml_fault(i->addresses.items[0], f, FAULT_NOT_SUPPORTED, "addresses of guests are given by DHCP");
                fault_hint(f, "a <host> of the network's <dhcp> fixes it");
                return -EOPNOTSUPP;
        }
        if (user_addresses_check(&i->addresses, f) < 0)
                return -EINVAL;
        if (i->forwards.n > 0 && i->backend == BACKEND_DEFAULT)
                return xml_fault_below(&i->device.head, "portForward", f, FAULT_NOT_SUPPORTED,
                                       "it is passt that forwards ports: let <backend> be that, or away");
        return port_settings_check(&i->device.head, &i->port, f);
}

/* The word means something else for each of the two. */
static bool mode_is_socket(const Interface *i) {
        return i->type == INTERFACE_VHOSTUSER && (i->direct_mode == SOCKET_MODE_SERVER || i->direct_mode == SOCKET_MODE_CLIENT);
}

/* What each type is connected to, and nothing else. */
static int check_source(const Interface *i, Fault *f) {
        const struct {
                const char *attribute, *value;
                InterfaceType type;
                bool needed;
        } rows[] = {
                { "network", i->network, INTERFACE_NETWORK, true }, { "portgroup", i->port_group, INTERFACE_NETWORK, false },
                { "bridge", i->bridge, INTERFACE_BRIDGE, true }, { "dev", i->type == INTERFACE_VDPA ? NULL : i->direct, INTERFACE_DIRECT, true },
                { "mode", mode_is_socket(i) ? NULL : direct_mode_to_string((DirectMode) i->direct_mode), INTERFACE_DIRECT, false },
        };
        const char *type = interface_type_to_string((InterfaceType) i->type);

        for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
                if (rows[k].value && i->type != (int) rows[k].type && !(i->type == INTERFACE_NETWORK && rows[k].value == i->bridge) &&
                    !(i->backend == BACKEND_PASST && rows[k].value == i->direct))
                        return xml_fault_below(&i->device.head, "source", f, FAULT_INVALID_DEFINITION, "type '%s' has no %s", type, rows[k].attribute);
                if (!rows[k].value && rows[k].needed && i->type == (int) rows[k].type)
                        return xml_fault(&i->device.head, f, FAULT_INVALID_DEFINITION, "type '%s' needs a <source %s='…'/>", type, rows[k].attribute);
        }
        if (i->backend != BACKEND_NONE && i->type != INTERFACE_USER)
                return xml_fault_below(&i->device.head, "backend", f, FAULT_INVALID_DEFINITION, "it belongs to type 'user'");
        if (i->type == INTERFACE_DIRECT && (i->direct_mode > DIRECT_PASSTHROUGH || strlen(i->direct) > 15))
                return xml_fault_below(&i->device.head, "source", f, FAULT_INVALID_DEFINITION, "that is no link of the host, or no mode of a macvtap");
        if (i->type == INTERFACE_USER && i->direct && (strlen(i->direct) > 15 || i->direct[0] == '-' || i->direct[strcspn(i->direct, "/ ")] != '\0'))
                return xml_fault_below(&i->device.head, "source/@dev", f, FAULT_INVALID_DEFINITION, "'%s' is no link of the host", i->direct);
        if (i->backend_log) {
                xml_fault_below(&i->device.head, "backend/@logFile", f, FAULT_NOT_SUPPORTED, "passt writes no file, what it says is in the journal");
                fault_hint(f, "leave it out: journalctl -u 'virtqemu-passt-*' shows it");
                return -EOPNOTSUPP;
        }
        if (i->managed == NO && !i->host)
                return xml_fault_below(&i->device.head, "target", f, FAULT_INVALID_DEFINITION, "which tap? managed='no' needs a dev");
        if (i->driver == DRIVER_VHOST && !interface_has_tap(i))
                return xml_fault_below(&i->device.head, "driver/@name", f, FAULT_INVALID_DEFINITION, "type '%s' is QEMU's: it has no vhost", type);
        if (i->queues != NUMBER_UNSET && !interface_has_tap(i) && i->type != INTERFACE_VHOSTUSER && i->type != INTERFACE_VDPA)
                return xml_fault_below(&i->device.head, "driver/@queues", f, FAULT_INVALID_DEFINITION, "type '%s' has one queue", type);
        return 0;
}

static int check_record(Record *r, Fault *f) {
        const Interface *i = (const Interface *) r;

        if (i->mac.set && (i->mac.octets[0] & 1))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "the MAC address is a multicast one; its first octet must be even");
        if (check_source(i, f) < 0 || interface_socket_check_record(i, f) < 0)
                return -EINVAL;
        return check_port(i, f);
}

static const RecordType interface_record = {
        "interface", sizeof(Interface), RECORD_FIELDS(interface_fields), .check = check_record, .clear = device_clear,
        .copied = device_copied,
};

static const char *interface_prefix(const Device *d) {
        return "net";
}

static BootDev interface_boot_class(const Device *d) {
        return BOOT_NETWORK;
}

/* Whatever controls the switch may know it by that from now on. */
static int fill_virtual_port(VirtualPort *v) {
        return v->type == VIRTUAL_PORT_OPENVSWITCH && sd_id128_is_null(v->interface_id) ? sd_id128_randomize(&v->interface_id) : 0;
}

/* QEMU's own prefix, the rest by chance. */
static int interface_fill(Device *d, DomainDef *def, Fault *f) {
        Interface *i = (Interface *) d;
        sd_id128_t chance;
        int r;

        r = fill_virtual_port(&i->port.virtual_port);
        if (r < 0)
                return r;
        if (i->model == INTERFACE_MODEL_NONE)
                i->model = INTERFACE_VIRTIO;
        if (i->type == INTERFACE_NETWORK) {
                free_and_replace(&i->bridge, NULL);
                i->port_id = SD_ID128_NULL;
        }
        if (i->mac.set)
                return 0;
        r = sd_id128_randomize(&chance);
        if (r < 0)
                return r;
        i->mac = (MacAddress) { { 0x52, 0x54, 0x00, chance.bytes[0], chance.bytes[1], chance.bytes[2] }, true };
        return 0;
}

static bool is_virtio(const Interface *i) {
        return i->model == INTERFACE_VIRTIO || i->model == INTERFACE_VIRTIO_TRANSITIONAL || i->model == INTERFACE_VIRTIO_NON_TRANSITIONAL;
}

static SlotKind interface_slot(const Device *d, const DomainDef *def) {
        const Interface *i = (const Interface *) d;

        if (i->model == INTERFACE_USB_NET)
                return SLOT_USB;
        return is_virtio(i) || i->model == INTERFACE_E1000E || i->model == INTERFACE_VMXNET3 ? SLOT_PCIE : SLOT_PCI;
}

static const char *interface_driver(const Interface *i) {
        static const char *const drivers[] = {
                [INTERFACE_VIRTIO] = "virtio-net-pci", [INTERFACE_E1000] = "e1000", [INTERFACE_E1000E] = "e1000e",
                [INTERFACE_RTL8139] = "rtl8139", [INTERFACE_VIRTIO_TRANSITIONAL] = "virtio-net-pci-transitional",
                [INTERFACE_VIRTIO_NON_TRANSITIONAL] = "virtio-net-pci-non-transitional", [INTERFACE_E1000_82544GC] = "e1000-82544gc",
                [INTERFACE_E1000_82545EM] = "e1000-82545em", [INTERFACE_PCNET] = "pcnet", [INTERFACE_NE2K_PCI] = "ne2k_pci",
                [INTERFACE_VMXNET3] = "vmxnet3", [INTERFACE_I82550] = "i82550", [INTERFACE_I82557B] = "i82557b", [INTERFACE_I82559ER] = "i82559er",
                [INTERFACE_USB_NET] = "usb-net",
        };

        return drivers[i->model];
}

static bool offloads_any(const Offloads *o) {
        return o->csum || o->gso || o->tso4 || o->tso6 || o->ecn || o->ufo || o->mrg_rxbuf;
}

static int check_driver(const Interface *i, Fault *f) {
        bool any = virtio_options_any(&i->virtio) || offloads_any(&i->host_offloads) || offloads_any(&i->guest_offloads) || i->tx_mode || i->rss ||
                   i->hash_report || i->rx_queue_size != NUMBER_UNSET || i->tx_queue_size != NUMBER_UNSET;

        if (any && !is_virtio(i))
                return xml_fault_below(&i->device.head, "driver", f, FAULT_NOT_SUPPORTED, "these are settings of model 'virtio'");
        if (!number_is_power_of_two(i->rx_queue_size) || !number_is_power_of_two(i->tx_queue_size))
                return xml_fault_below(&i->device.head, "driver", f, FAULT_INVALID_DEFINITION, "a queue has 256, 512 or 1024 places");
        if (i->tx_queue_size != NUMBER_UNSET && i->tx_queue_size > 256 && i->type != INTERFACE_VHOSTUSER)
                return xml_fault_below(&i->device.head, "driver/@tx_queue_size", f, FAULT_NOT_SUPPORTED, "only a vhost-user interface has more than 256");
        return 0;
}

static int interface_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Interface *i = (const Interface *) d;

        DEVICE_FOREACH(Interface, other, def, DEVICE_INTERFACE) {
                if (other == i)
                        break;
                if (field_mac.equal(&other->mac, &i->mac))
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "its MAC address is already that of the interface in line %u",
                                         other->device.head.line);
        }
        if (check_driver(i, f) < 0 || interface_socket_check(i, def, f) < 0 || rom_check(&i->rom, &d->head, f) < 0)
                return -EINVAL;
        if (i->teaming == TEAMING_TRANSIENT)
                return xml_fault_below(&d->head, "teaming", f, FAULT_NOT_SUPPORTED,
                                       "the one that goes and comes is a <hostdev> with a <teaming type='transient'>");
        if (i->teaming && !is_virtio(i))
                return xml_fault_below(&d->head, "teaming", f, FAULT_INVALID_DEFINITION, "only model 'virtio' stands in for another one");
        if (interface_queues(i) > 1 && !is_virtio(i))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "only model 'virtio' has more than one queue");
        if (i->driver == DRIVER_VHOST && !is_virtio(i))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "only model 'virtio' has a driver 'vhost'");
        if (i->mtu != NUMBER_UNSET && !is_virtio(i))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "only model 'virtio' can tell the guest an mtu");
        if (caps && !caps_has_device(caps, interface_driver(i)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", interface_driver(i));
        return 0;
}

/* QEMU's own user networking needs a network to send into. Where QEMU has none, passt does it, which stands outside; and it forwards ports. */
static bool needs_passt(const Interface *i, const Args *a) {
        return i->backend == BACKEND_PASST || i->forwards.n > 0 || (a->flags & LAUNCH_NO_NETWORK);
}

static json_t *user_netdev(const Interface *i, Args *a, const char *id) {
        _cleanup_free_ char *number = NULL;

        if (!needs_passt(i, a)) {
                json_auto_t *json = json_pack("{s:s, s:s}", "type", "user", "id", id);

                return json && user_addresses_to_json(&i->addresses, json) >= 0 ? json_incref(json) : NULL;
        }
        /* Not type "stream": its thread does not find a descriptor that came by the monitor. */
        number = args_fd_name(a, args_fd(a, PLAN_FD_COMPANION, i->device.id, false, false, false, NULL));
        return number ? json_pack("{s:s, s:s, s:s}", "type", "socket", "id", id, "fd", number) : NULL;
}

/* What a queue's descriptor is called in the plan; new string. */
static char *interface_queue_name(const Interface *i, unsigned queue) {
        return strf("%s/%u", i->device.id, queue);
}

/* Names that taps get from us mean nothing in a definition: they are what somebody's guest once had. */
const char *interface_wanted_tap(const Interface *i) {
        return i->host && (i->managed == NO || !str_after(i->host, "vnet")) ? i->host : "";
}

int interface_set_host(Interface *i, const char *name) {
        return free_and_strdup(&i->host, name);
}

int interface_set_switch(Interface *i, bool with_id) {
        VirtualPort *v = &i->port.virtual_port;

        v->type = VIRTUAL_PORT_OPENVSWITCH;
        return with_id ? fill_virtual_port(v) : 0;
}

static bool uses_vhost(const Interface *i, const Args *a) {
        return is_virtio(i) && i->driver != DRIVER_QEMU && (i->driver == DRIVER_VHOST || (a->flags & LAUNCH_VHOST));
}

/* A descriptor for each queue, with colons in between. */
static char *queue_fds(const Interface *i, Args *a, PlanFdKind kind) {
        _cleanup_text_ Text t = TEXT_INIT;

        for (unsigned q = 0; q < interface_queues(i); q++) {
                _cleanup_free_ char *name = interface_queue_name(i, q);
                _cleanup_free_ char *fd = name ? args_fd_name(a, args_fd(a, kind, name, false, false, false, NULL)) : NULL;

                if (!fd)
                        return NULL;
                text_addf(&t, "%s%s", q > 0 ? ":" : "", fd);
        }
        return text_finish(&t);
}

static json_t *tap_netdev(const Interface *i, Args *a, const char *id) {
        bool many = interface_queues(i) > 1, vhost = uses_vhost(i, a);
        _cleanup_free_ char *fds = queue_fds(i, a, PLAN_FD_TAP), *vhost_fds = vhost ? queue_fds(i, a, PLAN_FD_VHOST) : NULL;
        json_t *json;

        if (!fds || (vhost && !vhost_fds))
                return NULL;
        json = json_pack("{s:s, s:s, s:s}", "type", "tap", "id", id, many ? "fds" : "fd", fds);
        if (json && vhost && (json_object_set_new(json, "vhost", json_true()) < 0 ||
                              json_object_set_new(json, many ? "vhostfds" : "vhostfd", json_string(vhost_fds)) < 0)) {
                json_decref(json);
                return NULL;
        }
        return json;
}

/* A vector for each queue and direction, and two more. */
static int add_queues(const Interface *i, json_t *json) {
        if (interface_queues(i) < 2)
                return 0;
        if (json_object_set_new(json, "mq", json_true()) < 0)
                return -ENOMEM;
        return json_object_set_new(json, "vectors", json_integer(2 * (json_int_t) interface_queues(i) + 2)) < 0 ? -ENOMEM : 0;
}

static int add_offloads(const Offloads *o, const char *side, json_t *json) {
        const struct {
                const char *name;
                Tristate value;
        } rows[] = { { "csum", o->csum }, { "tso4", o->tso4 }, { "tso6", o->tso6 }, { "ecn", o->ecn }, { "ufo", o->ufo } };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *key = strf("%s%s", side, rows[i].name);

                if (!key || json_set_switch(json, key, rows[i].value) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int add_driver(const Interface *i, json_t *json) {
        int r = virtio_options_add(&i->virtio, json);

        if (r >= 0)
                r = json_set_number(json, "rx_queue_size", i->rx_queue_size);
        if (r >= 0)
                r = json_set_number(json, "tx_queue_size", i->tx_queue_size);
        if (r >= 0 && i->tx_mode)
                r = json_set_text(json, "tx", i->tx_mode == TX_IOTHREAD ? "bh" : "timer");
        /* QEMU calls the guest's view of "csum" that, and what the host can do "csum" without a prefix. */
        if (r >= 0)
                r = add_offloads(&i->guest_offloads, "guest_", json);
        if (r >= 0)
                r = json_set_switch(json, "csum", i->host_offloads.csum);
        if (r >= 0)
                r = json_set_switch(json, "gso", i->host_offloads.gso);
        if (r >= 0)
                r = json_set_switch(json, "host_tso4", i->host_offloads.tso4);
        if (r >= 0)
                r = json_set_switch(json, "host_tso6", i->host_offloads.tso6);
        if (r >= 0)
                r = json_set_switch(json, "host_ecn", i->host_offloads.ecn);
        if (r >= 0)
                r = json_set_switch(json, "host_ufo", i->host_offloads.ufo);
        if (r >= 0)
                r = json_set_switch(json, "rss", i->rss);
        if (r >= 0)
                r = json_set_switch(json, "hash", i->hash_report);
        return r < 0 ? r : json_set_switch(json, "mrg_rxbuf", i->host_offloads.mrg_rxbuf);
}

static int interface_args(const Device *d, Args *a, Fault *f) {
        const Interface *i = (const Interface *) d;
        _cleanup_free_ char *netdev = strf("host%s", d->id), *mac = field_mac.to_text(NULL, &i->mac);
        json_auto_t *json = NULL;
        int r;

        if (!netdev || !mac)
                return -ENOMEM;
        r = args_json(a, ARG_NETDEV, (interface_has_tap(i) ? tap_netdev : interface_has_socket(i) ? interface_socket_netdev : user_netdev)(i, a, netdev));
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s, s:s}", "driver", interface_driver(i), "id", d->id, "netdev", netdev, "mac", mac);
        if (!json || (i->mtu != NUMBER_UNSET && json_object_set_new(json, "host_mtu", json_integer((json_int_t) i->mtu)) < 0))
                return -ENOMEM;
        if (i->teaming && json_object_set_new(json, "failover", json_true()) < 0)
                return -ENOMEM;
        if (add_queues(i, json) < 0 || add_driver(i, json) < 0 || rom_args(&i->rom, a, json) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static int interface_files(const Device *d, WantedFiles *requests) {
        return rom_files(&((const Interface *) d)->rom, &d->head, requests);
}

/* What its network has told, and what it has got there. */
static void interface_inherit(Device *after, const Device *before) {
        VirtualPort *to = &((Interface *) after)->port.virtual_port;
        const VirtualPort *from = &((const Interface *) before)->port.virtual_port;

        if (((const Interface *) after)->type == INTERFACE_NETWORK && to->type == VIRTUAL_PORT_NONE)
                to->type = from->type;
        if (sd_id128_is_null(to->interface_id))
                to->interface_id = from->interface_id;
}

static ChangeVerdict interface_verdict(const Device *before, const Device *after, const char *path) {
        if (str_after(path, "bandwidth/") && interface_has_tap((const Interface *) after))
                return CHANGE_NOW;
        return streq(path, "link/@state") ? CHANGE_NOW : streq(path, "boot/@order") ? CHANGE_AT_REBOOT : CHANGE_AT_POWER_OFF;
}

static json_t *link_state(const char *id, bool up) {
        return json_pack("{s:s, s:b}", "name", id, "up", (int) up);
}

static int interface_update(const Device *before, const Device *after, const DomainDef *def, json_t *commands) {
        bool was = ((const Interface *) before)->link != LINK_DOWN, up = ((const Interface *) after)->link != LINK_DOWN;
        int r = was == up ? 0 : args_command_undo(commands, "set_link", link_state(after->id, up), "set_link", link_state(after->id, was));

        return r < 0 || before->boot_order == after->boot_order ? r : args_boot_change(commands, before, after, def);
}

static int interface_companion(const Device *d, const char *state, Companion *ret) {
        const Interface *i = (const Interface *) d;
        static const char *const always[] = { "/usr/bin/passt", "--foreground", "--quiet", "--fd", "0" };
        int r = 0;

        if (i->type == INTERFACE_VDPA)
                return companion_hostdev(ret, "file", i->direct, false);
        *ret = (Companion) { .name = "passt", .package = "passt", .title = "User Network", .lost = "has no network any more", .has_network = true };
        for (size_t k = 0; k < ARRAY_SIZE(always) && r >= 0; k++)
                r = strv_push(&ret->argv, always[k]);
        if (r >= 0 && i->direct)
                r = strv_push(&ret->argv, "--interface");
        if (r >= 0 && i->direct)
                r = strv_push(&ret->argv, i->direct);
        if (r >= 0)
                r = user_addresses_to_args(&i->addresses, &ret->argv);
        return r < 0 ? r : user_forwards_to_args(&i->forwards, &ret->argv);
}

static int interface_settle(const Device *d, const DomainDef *def, json_t *commands) {
        if (((const Interface *) d)->link != LINK_DOWN)
                return 0;
        return args_command(commands, "set_link", json_pack("{s:s, s:b}", "name", d->id, "up", 0));
}

const DeviceOps device_interface = {
        .kind = DEVICE_INTERFACE, .element = "interface", .type = &interface_record,
        .id_prefix = interface_prefix, .boot_class = interface_boot_class,
        .fill = interface_fill, .slot = interface_slot, .check = interface_check, .fixed = device_never_fixed, .files = interface_files, .args = interface_args,
        .inherit = interface_inherit, .verdict = interface_verdict, .update = interface_update, .companion = interface_companion, .settle = interface_settle,
};

Interface *device_as_interface(const Device *d) {
        return d->ops == &device_interface ? (Interface *) d : NULL;
}
