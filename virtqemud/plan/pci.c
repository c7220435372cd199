/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pci.h"

#include "../def/controller-def.h"
#include "../device/device.h"
#include "mem.h"
#include "xml-read.h"

#define BUSES_MAX 256u
#define SLOTS 32u
#define FUNCTIONS 8u

typedef struct PciBus {
        const Controller *controller;
        Device *at[SLOTS][FUNCTIONS];
} PciBus;

typedef struct Pci {
        DomainDef *def;
        PciBus *buses[BUSES_MAX];
} Pci;

/* Stands in the table where the board itself sits: host bridge, ISA bridge, power management. */
static Device board;

static void pci_clear(Pci *p) {
        for (size_t i = 0; i < BUSES_MAX; i++)
                free(p->buses[i]);
}

static bool is_root(const Controller *c) {
        return c->model == MODEL_PCI_ROOT || c->model == MODEL_PCIE_ROOT;
}

static bool is_pci_bus(const Device *d) {
        return device_kind(d) == DEVICE_CONTROLLER && ((const Controller *) d)->type == CONTROLLER_PCI;
}

static bool is_root_port(const Device *d) {
        return d != &board && is_pci_bus(d) && ((const Controller *) d)->model == MODEL_PCIE_ROOT_PORT;
}

/* A bus with one slot, whose device is a PCI Express one. */
static bool is_port(const Controller *bus) {
        return bus->model == MODEL_PCIE_ROOT_PORT || bus->model == MODEL_PCIE_SWITCH_DOWNSTREAM;
}

/* A bus for whatever is not particular about it. */
static bool is_conventional(const Controller *bus) {
        return !is_port(bus) && bus->model != MODEL_PCIE_SWITCH_UPSTREAM && bus->model != MODEL_PCIE_EXPANDER;
}

/* The first slot of roots and bridges is their own. */
static bool has_slot_0(const Controller *bus) {
        return is_port(bus) || bus->model == MODEL_PCIE_SWITCH_UPSTREAM || bus->model == MODEL_PCIE_EXPANDER || bus->model == MODEL_PCI_EXPANDER;
}

static bool is_downstream(const Device *d) {
        return d != &board && is_pci_bus(d) && ((const Controller *) d)->model == MODEL_PCIE_SWITCH_DOWNSTREAM;
}

static bool wants_pci(const Pci *p, const Device *d) {
        switch (device_slot(d, p->def)) {
        case SLOT_PCI:
        case SLOT_PCIE:
        case SLOT_PCI_INTEGRATED:
                return true;
        case SLOT_NONE:
        case SLOT_DRIVE_IDE:
        case SLOT_DRIVE_SATA:
        case SLOT_DRIVE_SCSI:
        case SLOT_DRIVE_FDC:
        case SLOT_USB:
        case SLOT_VIRTIO_SERIAL:
        case SLOT_CCID:
                break;
        }
        return false;
}

static bool has_place(const Device *d) {
        return d->address && d->address->type == ADDRESS_PCI;
}

static bool slot_is_empty(const PciBus *bus, unsigned slot) {
        for (unsigned i = 0; i < FUNCTIONS; i++)
                if (bus->at[slot][i])
                        return false;
        return true;
}

static int add_bus(Pci *p, const Controller *c, Fault *f) {
        if (c->index >= BUSES_MAX)
                return xml_fault(&c->device.head, f, FAULT_INVALID_DEFINITION, "index %" PRIu64 " is too high, a pci controller's is at most 255", c->index);
        if (p->buses[c->index])
                return xml_fault(&c->device.head, f, FAULT_INVALID_DEFINITION, "its index %" PRIu64 " is already that of the pci controller in line %u",
                                 c->index, p->buses[c->index]->controller->device.head.line);

        p->buses[c->index] = new0(PciBus, 1);
        if (!p->buses[c->index])
                return fault_oom(f);
        p->buses[c->index]->controller = c;
        return 0;
}

static int put(Device *d, unsigned bus, unsigned slot, unsigned function, Pci *p, Fault *f) {
        Address *a = device_add_address(d, ADDRESS_PCI);

        if (!a)
                return fault_oom(f);
        a->domain = 0;
        a->bus = bus;
        a->slot = slot;
        a->function = function;
        p->buses[bus]->at[slot][function] = d;
        return 0;
}

static int add_root(Pci *p, Fault *f) {
        const Controller *root = domain_find_controller(p->def, CONTROLLER_PCI, 0);
        int wanted = domain_has_pcie(p->def) ? MODEL_PCIE_ROOT : MODEL_PCI_ROOT;

        if (!root && !domain_add_controller(p->def, CONTROLLER_PCI, (ControllerModel) wanted, 0))
                return fault_oom(f);
        if (root && root->model != wanted)
                return xml_fault(&root->device.head, f, FAULT_INVALID_DEFINITION, "the pci controller with index 0 must be a '%s' on machine '%s'",
                                 controller_model_to_string((ControllerModel) wanted), p->def->machine);
        return 0;
}

/* Buses that addresses speak of but no controller makes: filled up with the board's usual kind. */
static int add_spoken_of(Pci *p, Fault *f) {
        ControllerModel model = domain_has_pcie(p->def) ? MODEL_PCIE_ROOT_PORT : MODEL_PCI_BRIDGE;
        uint64_t highest = 0;

        for (size_t i = 0; i < p->def->devices.n; i++) {
                const Device *d = (const Device *) p->def->devices.items[i];

                if (!has_place(d) || d->address->bus == NUMBER_UNSET)
                        continue;
                if (d->address->bus >= BUSES_MAX)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "PCI bus %" PRIu64 " is too high, 255 is the last", d->address->bus);
                highest = MAX(highest, d->address->bus);
        }
        for (uint64_t i = 1; i <= highest; i++)
                if (!domain_find_controller(p->def, CONTROLLER_PCI, i) && !domain_add_controller(p->def, CONTROLLER_PCI, model, i))
                        return fault_oom(f);
        return 0;
}

static void reserve_board(Pci *p) {
        PciBus *root = ASSERT_PTR(p->buses[0]); /* add_root() has seen to it */

        root->at[0][0] = &board;
        if (domain_is_q35(p->def)) {
                root->at[0x1f][0] = &board;
                root->at[0x1f][2] = &board;
                root->at[0x1f][3] = &board;
        } else if (domain_is_i440fx(p->def))
                for (unsigned i = 0; i < 4; i++)
                        if (i != 2) /* a USB controller's, which may be missing */
                                root->at[1][i] = &board;
}

/* Built-in controllers are where the board has them, whatever the definition says. */
static int place_built_in(Pci *p, Fault *f) {
        for (size_t i = 0; i < p->def->devices.n; i++) {
                Controller *c = (Controller *) p->def->devices.items[i];
                unsigned slot, function;
                Address *a;

                if (device_kind(&c->device) != DEVICE_CONTROLLER || c->index != 0)
                        continue;
                if (c->type == CONTROLLER_SATA && domain_is_q35(p->def))
                        slot = 0x1f, function = 2;
                else if (c->type == CONTROLLER_IDE && domain_is_i440fx(p->def))
                        slot = 1, function = 1;
                else if (c->type == CONTROLLER_USB && c->model == MODEL_PIIX3_UHCI && domain_is_i440fx(p->def) && !has_place(&c->device))
                        slot = 1, function = 2;
                else
                        continue;

                a = c->device.address;
                if (has_place(&c->device) && ((a->bus != NUMBER_UNSET && a->bus != 0) || a->slot != slot || a->function != function))
                        return xml_fault(&c->device.head, f, FAULT_INVALID_DEFINITION, "this controller is part of the board, its address is 0000:00:%02x.%x",
                                         slot, function);
                int r = put(&c->device, 0, slot, function, p, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int taken(const Device *d, const Device *other, Fault *f) {
        const Address *a = d->address;

        if (other == &board)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION,
                                 "the PCI address 0000:%02" PRIx64 ":%02" PRIx64 ".%" PRIx64 " is taken by the board itself",
                                 a->bus, a->slot, a->function);
        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION,
                         "the PCI address 0000:%02" PRIx64 ":%02" PRIx64 ".%" PRIx64 " is already taken by the <%s> in line %u",
                         a->bus, a->slot, a->function, other->ops->element, other->head.line);
}

static int check_given(const Pci *p, const Device *d, Fault *f) {
        const Address *a = d->address;
        const Controller *bus;

        if (a->domain != 0)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "PCI domain %" PRIu64 ": QEMU's machines have only domain 0", a->domain);
        if (a->slot >= SLOTS)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "PCI slot 0x%02" PRIx64 " does not exist, 0x1f is the last", a->slot);
        if (a->function >= FUNCTIONS)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "PCI function %" PRIu64 " does not exist, 7 is the last", a->function);

        bus = p->buses[a->bus]->controller;
        if (is_pci_bus(d) && ((const Controller *) d)->index == a->bus)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a controller can't be plugged into its own bus");
        if (is_port(bus) && a->slot != 0)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the %s with index %" PRIu64 " has only slot 0x00",
                                 controller_model_to_string((ControllerModel) bus->model), bus->index);
        /* The first one of a dmi-to-pci-bridge, too, is free for who asks for it. */
        if (!has_slot_0(bus) && bus->model != MODEL_DMI_TO_PCI_BRIDGE && a->slot == 0)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "slot 0x00 of PCI bus %" PRIu64 " is reserved, 0x01 is the first", bus->index);
        if (is_root_port(d) && bus->model != MODEL_PCIE_ROOT && bus->model != MODEL_PCIE_EXPANDER)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a pcie-root-port must be on bus 0, which is the pcie-root, or on a pcie-expander-bus");
        if (bus->model == MODEL_PCIE_EXPANDER && !is_root_port(d))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a pcie-expander-bus takes a pcie-root-port, and nothing else");
        if ((bus->model == MODEL_PCIE_SWITCH_UPSTREAM) != is_downstream(d))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a switch's downstream ports are on its upstream port, and nothing else is");
        return 0;
}

/* The bus that a bus hangs on. NULL: it is a root, or was not placed yet. */
static const Controller *bus_above(const Pci *p, const Controller *bus) {
        const Address *a = bus->device.address;

        return !is_root(bus) && has_place(&bus->device) && a->slot != NUMBER_UNSET ? p->buses[a->bus]->controller : NULL;
}

/* Where a bus leads to in the end: a root, one that was not placed yet, or, where they hang on each other, none. */
static const Controller *bus_top(const Pci *p, const Controller *bus) {
        for (unsigned i = 0; i < BUSES_MAX; i++) {
                const Controller *above = bus_above(p, bus);

                if (!above)
                        return bus;
                bus = above;
        }
        return NULL;
}

/* What is put only where the way to the root is known can't close a circle. */
static bool reaches_root(const Pci *p, unsigned bus) {
        const Controller *top = bus_top(p, p->buses[bus]->controller);

        return top && is_root(top);
}

static int check_circles(const Pci *p, Fault *f) {
        for (unsigned i = 0; i < BUSES_MAX; i++) {
                const Controller *c = p->buses[i] ? p->buses[i]->controller : NULL;

                if (c && !bus_top(p, c))
                        return xml_fault(&c->device.head, f, FAULT_INVALID_DEFINITION, "the pci controllers hang on each other, and none of them on bus 0");
        }
        return 0;
}

/* <address type='pci'/> without numbers asks for an automatic one; with some, the others are zero. */
static int take_given(Pci *p, Device *d, Fault *f) {
        Address *a = d->address;
        Device **at;
        int r;

        if (a->slot == NUMBER_UNSET && a->bus == NUMBER_UNSET && a->function == NUMBER_UNSET)
                return 0;

        uint64_t *numbers[] = { &a->domain, &a->bus, &a->slot, &a->function };
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (*numbers[i] == NUMBER_UNSET)
                        *numbers[i] = 0;
        r = check_given(p, d, f);
        if (r < 0)
                return r;

        at = &p->buses[a->bus]->at[a->slot][a->function];
        if (*at == d)
                return 0;
        if (*at)
                return taken(d, *at, f);
        *at = d;
        return 0;
}

static int find_empty_slot(const Pci *p, unsigned bus, unsigned first, unsigned end) {
        for (unsigned slot = first; slot < end; slot++)
                if (slot_is_empty(p->buses[bus], slot))
                        return (int) slot;
        return -ENOENT;
}

static int no_room(const Device *d, Fault *f) {
        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no free PCI slot left for this device");
}

/* Root ports share slots, eight to one; slot 1 stays free for a video adapter. */
static int place_root_port(Pci *p, Device *d, Fault *f) {
        for (unsigned slot = 2; slot < SLOTS; slot++) {
                Device **at = p->buses[0]->at[slot];

                if (slot_is_empty(p->buses[0], slot))
                        return put(d, 0, slot, 0, p, f);
                if (!at[0] || at[0] == &board || !is_root_port(at[0]) || at[0]->address->multifunction == NO)
                        continue;
                for (unsigned i = 1; i < FUNCTIONS; i++)
                        if (!at[i])
                                return put(d, 0, slot, i, p, f);
        }
        return no_room(d, f);
}

static int new_port(Pci *p, const Device *d, unsigned *ret_bus, Fault *f) {
        Controller *c = domain_add_controller(p->def, CONTROLLER_PCI, MODEL_PCIE_ROOT_PORT, NUMBER_UNSET);
        int r;

        if (!c)
                return fault_oom(f);
        if (c->index >= BUSES_MAX)
                return no_room(d, f);
        r = add_bus(p, c, f);
        if (r < 0)
                return r;
        *ret_bus = (unsigned) c->index;
        return place_root_port(p, &c->device, f);
}

static int place_in_port(Pci *p, Device *d, Fault *f) {
        unsigned bus;
        int r;

        for (bus = 1; bus < BUSES_MAX; bus++)
                if (p->buses[bus] && is_port(p->buses[bus]->controller) && slot_is_empty(p->buses[bus], 0) && reaches_root(p, bus))
                        return put(d, bus, 0, 0, p, f);

        r = new_port(p, d, &bus, f);
        return r < 0 ? r : put(d, bus, 0, 0, p, f);
}

/* The parts of an ICH9's USB 2 controller are functions of one slot. -1: not one of them. */
static int ich9_function(const Device *d) {
        if (device_kind(d) != DEVICE_CONTROLLER)
                return -1;
        switch (((const Controller *) d)->model) {
        case MODEL_ICH9_UHCI1:
                return 0;
        case MODEL_ICH9_UHCI2:
                return 1;
        case MODEL_ICH9_UHCI3:
                return 2;
        case MODEL_ICH9_EHCI1:
                return 7;
        }
        return -1;
}

static const Device *ich9_sibling(const Pci *p, const Device *d) {
        DEVICE_FOREACH(Controller, c, p->def, DEVICE_CONTROLLER)
                if (&c->device != d && c->index == ((const Controller *) d)->index && ich9_function(&c->device) >= 0 && has_place(&c->device) &&
                    c->device.address->slot != NUMBER_UNSET)
                        return &c->device;
        return NULL;
}

/* How many slots of the conventional buses are free, and the first of them. Slot 2 comes last: video adapters like it. */
static unsigned count_free(const Pci *p, unsigned *ret_bus, unsigned *ret_slot) {
        unsigned n = 0;

        for (unsigned bus = 0; bus < BUSES_MAX; bus++) {
                if (!p->buses[bus] || !is_conventional(p->buses[bus]->controller) || !reaches_root(p, bus))
                        continue;
                for (unsigned i = 1; i < SLOTS; i++) {
                        unsigned slot = i < SLOTS - 2 ? i + 2 : i - (SLOTS - 3);

                        if (slot_is_empty(p->buses[bus], slot) && n++ == 0) {
                                *ret_bus = bus;
                                *ret_slot = slot;
                        }
                }
        }
        return n;
}

static int add_bridge(Pci *p, unsigned bus, unsigned slot, Fault *f) {
        Controller *c = domain_add_controller(p->def, CONTROLLER_PCI, MODEL_PCI_BRIDGE, NUMBER_UNSET);
        int r;

        if (!c)
                return fault_oom(f);
        r = add_bus(p, c, f);
        return r < 0 ? r : put(&c->device, bus, slot, 0, p, f);
}

static int place_conventional(Pci *p, Device *d, Fault *f) {
        unsigned bus = 0, slot = 0;
        unsigned n = count_free(p, &bus, &slot);

        if (n == 0)
                return no_room(d, f);
        if (n == 1 && !is_pci_bus(d)) {
                int r = add_bridge(p, bus, slot, f);
                if (r < 0)
                        return r;
                return place_conventional(p, d, f);
        }
        return put(d, bus, slot, 0, p, f);
}

static int place_ich9(Pci *p, Device *d, Fault *f) {
        const Device *sibling = ich9_sibling(p, d);
        unsigned function = (unsigned) ich9_function(d);
        int slot;

        if (sibling) {
                Device *at;

                at = p->buses[sibling->address->bus]->at[sibling->address->slot][function];
                if (at && at != d) /* which has no address yet */
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION,
                                         "its place beside the other parts of the controller is taken by the <%s> in line %u",
                                         at == &board ? "board" : at->ops->element, at->head.line);
                return put(d, (unsigned) sibling->address->bus, (unsigned) sibling->address->slot, function, p, f);
        }

        slot = domain_is_q35(p->def) && slot_is_empty(p->buses[0], 0x1d) ? 0x1d : find_empty_slot(p, 0, 3, SLOTS);
        return slot < 0 ? no_room(d, f) : put(d, 0, (unsigned) slot, function, p, f);
}

/* Where boards have their graphics adapter, and guests made by libvirt too. */
static bool place_video(Pci *p, Device *d) {
        unsigned slot = domain_has_pcie(p->def) ? 1 : 2;

        if (device_kind(d) != DEVICE_VIDEO || !slot_is_empty(p->buses[0], slot))
                return false;
        return put(d, 0, slot, 0, p, NULL) >= 0;
}

static int place_downstream(Pci *p, Device *d, Fault *f) {
        for (unsigned bus = 1; bus < BUSES_MAX; bus++) {
                int slot = p->buses[bus] && p->buses[bus]->controller->model == MODEL_PCIE_SWITCH_UPSTREAM ? find_empty_slot(p, bus, 0, SLOTS) : -ENOENT;

                if (slot >= 0)
                        return put(d, bus, (unsigned) slot, 0, p, f);
        }
        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no pcie-switch-upstream-port with room for it");
}

static int place(Pci *p, Device *d, Fault *f) {
        if (place_video(p, d))
                return 0;
        if (ich9_function(d) >= 0)
                return place_ich9(p, d, f);
        if (!domain_has_pcie(p->def))
                return place_conventional(p, d, f);
        if (is_root_port(d))
                return place_root_port(p, d, f);
        if (is_downstream(d))
                return place_downstream(p, d, f);
        if (device_slot(d, p->def) == SLOT_PCIE)
                return place_in_port(p, d, f);
        return place_conventional(p, d, f);
}

/* A guest looks beyond function 0 only where that one says so. Root ports that share a slot must say it early: others join them. */
static void mark_multifunction(Pci *p) {
        for (size_t i = 0; i < p->def->devices.n; i++) {
                const Device *d = (const Device *) p->def->devices.items[i];
                Device *first;

                if (!has_place(d) || !wants_pci(p, d) || d->address->function == 0)
                        continue;
                first = p->buses[d->address->bus]->at[d->address->slot][0];
                if (first && first != &board && first->address->multifunction == UNSET)
                        first->address->multifunction = YES;
        }
}

/* Numbers by which the guest tells root ports and bridges apart. */
static void number_bridges(Pci *p) {
        DEVICE_FOREACH(Controller, c, p->def, DEVICE_CONTROLLER) {
                if (c->type != CONTROLLER_PCI || is_root(c) || !has_place(&c->device))
                        continue;
                if (is_port(c)) {
                        if (c->chassis == NUMBER_UNSET)
                                c->chassis = c->index;
                        if (c->port == NUMBER_UNSET)
                                c->port = c->device.address->slot * FUNCTIONS + c->device.address->function;
                } else if (c->model == MODEL_PCI_BRIDGE && c->chassis_nr == NUMBER_UNSET)
                        c->chassis_nr = c->index;
        }
}

static int no_pci(const Pci *p, Fault *f) {
        for (size_t i = 0; i < p->def->devices.n; i++) {
                const Device *d = (const Device *) p->def->devices.items[i];

                if (wants_pci(p, d))
                        return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this device needs a PCI bus and the machine '%s' has none", p->def->machine);
        }
        return 0;
}

/* Everything that stands at a place already; `p` is empty before. */
static int pci_load(Pci *p, Fault *f) {
        int r;

        r = add_root(p, f);
        if (r < 0)
                return r;
        r = add_spoken_of(p, f);
        if (r < 0)
                return r;
        DEVICE_FOREACH(Controller, c, p->def, DEVICE_CONTROLLER)
                if (c->type == CONTROLLER_PCI) {
                        r = add_bus(p, c, f);
                        if (r < 0)
                                return r;
                }

        reserve_board(p);
        r = place_built_in(p, f);
        for (size_t i = 0; i < p->def->devices.n && r >= 0; i++) {
                Device *d = (Device *) p->def->devices.items[i];

                if (has_place(d) && wants_pci(p, d))
                        r = take_given(p, d, f);
        }
        return r < 0 ? r : check_circles(p, f);
}

/* The order of placing: buses are there for the rest, and root ports for the other buses. */
static unsigned place_turn(const Device *d) {
        return is_root_port(d) ? 0 : is_pci_bus(d) ? 1 : 2;
}

int pci_assign(DomainDef *def, Fault *f) {
        _cleanup_(pci_clear) Pci p = { .def = def };
        int r;

        assert(def);

        if (!domain_has_pcie(def) && !domain_is_i440fx(def))
                return no_pci(&p, f);

        r = pci_load(&p, f);
        if (r < 0)
                return r;

        for (unsigned turn = 0; turn < 3; turn++)
                for (size_t i = 0; i < def->devices.n; i++) {
                        Device *d = (Device *) def->devices.items[i];

                        if (place_turn(d) != turn || !wants_pci(&p, d) || (has_place(d) && d->address->slot != NUMBER_UNSET))
                                continue;
                        r = place(&p, d, f);
                        if (r < 0)
                                return r;
                }

        mark_multifunction(&p);
        number_bridges(&p);
        return 0;
}

int pci_add_spare_ports(DomainDef *def, unsigned n, Fault *f) {
        _cleanup_(pci_clear) Pci p = { .def = def };
        unsigned bus;
        int r;

        assert(def);

        r = pci_load(&p, f);
        if (r < 0)
                return r;
        for (unsigned i = 1; i < BUSES_MAX; i++)
                if (n > 0 && p.buses[i] && is_root_port(&p.buses[i]->controller->device) && slot_is_empty(p.buses[i], 0))
                        n--;
        for (; n > 0; n--) {
                r = new_port(&p, &p.buses[0]->controller->device, &bus, f);
                if (r < 0)
                        return r;
        }
        mark_multifunction(&p);
        number_bridges(&p);
        return 0;
}

/* A bridge is looked at again by those who know how, a board's own slots only where they are conventional. */
static bool takes_hot(const Pci *p, const Controller *bus, bool express) {
        if (is_port(bus) || bus->model == MODEL_PCI_ROOT)
                return bus->hotplug != NO;
        return (bus->model == MODEL_PCI_BRIDGE || bus->model == MODEL_PCIE_TO_PCI_BRIDGE) && !(express && domain_has_pcie(p->def));
}

static int find_hot(const Pci *p, bool express, unsigned *ret_bus) {
        for (unsigned i = 0; i < BUSES_MAX; i++) {
                const Controller *bus = p->buses[i] ? p->buses[i]->controller : NULL;
                bool port = bus && is_port(bus);
                int slot;

                if (!bus || !takes_hot(p, bus, express))
                        continue;
                slot = find_empty_slot(p, i, port ? 0 : 1, port ? 1 : SLOTS);
                if (slot >= 0) {
                        *ret_bus = i;
                        return slot;
                }
        }
        return -ENOENT;
}

static int no_hot_room(const Pci *p, const Device *d, Fault *f) {
        if (!domain_has_pcie(p->def))
                return no_room(d, f);
        xml_fault(&d->head, f, FAULT_INVALID_STATE, "there is no free pcie-root-port to plug it into");
        fault_hint(f, "add <controller type='pci' model='pcie-root-port'/> to the definition, as many as are to be plugged in; they are there from "
                   "the next start on");
        return -EINVAL;
}

int pci_place_hot(DomainDef *def, Device *d, Fault *f) {
        _cleanup_(pci_clear) Pci p = { .def = def };
        unsigned bus;
        int r, slot;

        assert(def && d);

        if (!wants_pci(&p, d) || (!domain_has_pcie(def) && !domain_is_i440fx(def)))
                return 0;
        r = pci_load(&p, f);
        if (r < 0)
                return r;
        if (has_place(d) && d->address->slot != NUMBER_UNSET) {
                if (takes_hot(&p, p.buses[d->address->bus]->controller, device_slot(d, def) == SLOT_PCIE))
                        return 0;
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "nothing can be plugged into PCI bus %" PRIu64 " while the guest runs",
                                 d->address->bus);
        }
        slot = find_hot(&p, device_slot(d, def) == SLOT_PCIE, &bus);
        return slot < 0 ? no_hot_room(&p, d, f) : put(d, bus, (unsigned) slot, 0, &p, f);
}
