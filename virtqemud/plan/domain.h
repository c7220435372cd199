/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/caps.h"
#include "../def/domain-def.h"
#include "memory-encryption.h"
#include "xml-read.h"

/* Pure functions: text -> DomainDef -> completed and checked DomainDef -> text. */

/* What the daemon knows about the host and its own settings when it completes a definition. */
typedef struct DomainDefaults {
        const char *emulator;        /* where <emulator> is missing */
        const char *arch;            /* "x86_64" */
        const char *nvram_folder;    /* where <nvram> of a new UEFI domain goes: FOLDER/NAME_VARS.fd */
        bool kvm;                    /* /dev/kvm usable */
        HostEncryption encryption;
        uint64_t host_memory;        /* bytes; 0: not known, no limit */
        unsigned spare_root_ports;   /* free root ports for hotplug, for a definition that has none */
        const char *certificates;    /* the folder of those for TLS of SPICE */
        const char *vnc_certificates; /* likewise of VNC; NULL: it has no TLS */
        bool vnc_verify_clients;
} DomainDefaults;

/* Reads a text; syntax, known names and rules within one element only. */
int domain_parse(const char *text, size_t length, DomainDef **ret, Fault *f);

/* Reads the text of one device. */
int device_parse(const char *text, size_t length, Device **ret, Fault *f);

/* Takes away what only a running domain has (id, aliases that are not the user's "ua-…"): for a text that may be an exported live
 * one and is about to become a persistent definition. Before domain_fill(). */
void domain_drop_live(DomainDef *def);

/* Replaces an alias of the machine type ("q35") by the name that stays the same with every QEMU ("pc-q35-7.2"), so that the guest
 * finds the same board after an upgrade. At define and start; an unknown type is left to domain_check(). */
int domain_expand_machine(DomainDef *def, const QemuCaps *caps, Fault *f);

/* Makes a live definition of a filled one: a copy whose devices carry their ids as aliases, and what the settings say about all runs. */
int domain_make_live(const DomainDef *def, uint64_t id, const DomainDefaults *defaults, DomainDef **ret);

/* Completes: uuid, defaults, implied controllers, addresses, ids. Filling twice changes nothing. What it adds stays in the
 * definition, so that addresses are stable for the guest. */
int domain_fill(DomainDef *def, const DomainDefaults *defaults, Fault *f);

/* Assigns free PCI, drive, USB and virtio-serial addresses and adds the root ports and bridges needed; part of domain_fill(). */
int domain_assign_addresses(DomainDef *def, Fault *f);

/* Rules across devices, and against what this QEMU can. `caps` NULL: only the former. */
int domain_check(const DomainDef *def, const QemuCaps *caps, const DomainDefaults *defaults, Fault *f);

/* The persistent text: the document as written, brought up to date (comments and order stay), or a new one where there is none. */
static inline int domain_format(DomainDef *def, unsigned xml_write_flags, char **ret, Fault *f) {
        return xml_definition_to_text(def, xml_write_flags, ret, f);
}

/* A deep copy without the document. */
static inline int domain_copy(const DomainDef *def, DomainDef **ret) {
        return record_copy(&def->head, (void **) ret);
}
/* Drops the document, which takes several times the memory of what it says. The text is kept in its file. */
int domain_drop_document(DomainDef **def);

/* The file where the firmware keeps its variables; NULL: nowhere. */
static inline const char *domain_nvram(const DomainDef *def) {
        return def->nvram ?: def->nvram_source;
}

/* Sets an error about a part of <domain> itself, named by its path ("os/nvram", "vcpu/@current") and line. Returns -EINVAL. */
#define domain_fault(def, f, kind, path, ...) xml_fault_below(&(def)->head, (path), (f), (kind), __VA_ARGS__)

/* A valid name: 1…200 bytes of UTF-8, no '/', no control characters, not "." or "..", no leading '.' or '-'. */
int domain_name_check(const char *name, Fault *f);
