/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-encryption.h"

#include <string.h>

#include "domain.h"
#include "str.h"
#include "xml-lib.h"

#define S390_ARCH "s390x"

static const struct {
        const char *type, *name;
        size_t cpu, kvm;             /* in HostEncryption */
        const char *setting;
} kinds[] = {
        { "sev", "AMD SEV", offsetof(HostEncryption, cpu_sev), offsetof(HostEncryption, kvm_sev), "/sys/module/kvm_amd/parameters/sev" },
        { "sev-snp", "AMD SEV-SNP", offsetof(HostEncryption, cpu_sev_snp), offsetof(HostEncryption, kvm_sev_snp),
          "/sys/module/kvm_amd/parameters/sev_snp" },
        { "tdx", "Intel TDX", offsetof(HostEncryption, cpu_intel), offsetof(HostEncryption, kvm_tdx), "/sys/module/kvm_intel/parameters/tdx" },
};

/* --- the host --- */

/* Behind the colon of the first line of that name; its end is that of the line. */
static const char *find_line(const char *text, const char *name, size_t *ret_length) {
        for (const char *line = text; line; line = strchr(line, '\n')) {
                const char *colon;

                line += *line == '\n';
                colon = strchr(line, ':');
                if (!colon || strncmp(line, name, strlen(name)) != 0 || !strchr(" \t:", line[strlen(name)]))
                        continue;
                *ret_length = strcspn(colon + 1, "\n");
                return colon + 1;
        }
        return NULL;
}

static bool has_word(const char *line, size_t length, const char *word) {
        for (const char *at = line; at < line + length; at += strcspn(at, " \n")) {
                size_t n;

                at += strspn(at, " \t");
                n = strcspn(at, " \n");
                if (n == strlen(word) && strncmp(at, word, n) == 0)
                        return true;
        }
        return false;
}

static bool cpu_says(const char *cpuinfo, const char *line, const char *word) {
        size_t length;
        const char *text = find_line(cpuinfo, line, &length);

        return text && has_word(text, length, word);
}

void memory_encryption_read_cpu(const char *cpuinfo, HostEncryption *ret) {
        assert(cpuinfo && ret);

        ret->cpu_sev = cpu_says(cpuinfo, "flags", "sev");
        ret->cpu_sev_snp = cpu_says(cpuinfo, "flags", "sev_snp");
        ret->cpu_intel = cpu_says(cpuinfo, "vendor_id", "GenuineIntel");
}

/* --- the definition --- */

#define refuse(def, f, ...) domain_fault((def), (f), FAULT_NOT_SUPPORTED, "launchSecurity/@type", __VA_ARGS__)

static int check_s390(const DomainDef *def, Fault *f) {
        if (!streq_null(def->arch, S390_ARCH))
                return refuse(def, f, "'s390-pv' is for machines of type " S390_ARCH);
        return refuse(def, f, "'s390-pv': encrypted memory is not done");
}

static int check_kind(const DomainDef *def, size_t i, const HostEncryption *host, Fault *f) {
        bool cpu = *(const bool *) ((const char *) host + kinds[i].cpu);
        char kvm = *((const char *) host + kinds[i].kvm);

        if (!cpu)
                return refuse(def, f, "'%s': this host's CPU has no %s, or its firmware has it switched off", kinds[i].type, kinds[i].name);
        if (kvm == '\0')
                return refuse(def, f, "'%s': KVM does not offer %s (there is no %s)", kinds[i].type, kinds[i].name, kinds[i].setting);
        if (kvm != 'Y' && kvm != '1')
                return refuse(def, f, "'%s': KVM does not offer %s (%s is %c)", kinds[i].type, kinds[i].name, kinds[i].setting, kvm);
        return refuse(def, f, "'%s': this host has %s, but encrypted memory is not done", kinds[i].type, kinds[i].name);
}

static int check_type(const DomainDef *def, const char *type, const HostEncryption *host, Fault *f) {
        if (streq(type, "s390-pv"))
                return check_s390(def, f);
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (streq(type, kinds[i].type))
                        return check_kind(def, i, host, f);
        return domain_fault(def, f, FAULT_INVALID_DEFINITION, "launchSecurity/@type", "'%.32s' is none of sev, sev-snp, tdx and s390-pv", type);
}

int memory_encryption_check(const DomainDef *def, const HostEncryption *host, Fault *f) {
        xmlChar *type;
        int r;

        assert(def && host);

        if (!def->launch_security)
                return 0;
        type = sym_xmlGetNoNsProp(def->launch_security, (const xmlChar *) "type");
        r = check_type(def, (const char *) type ?: "", host, f);
        if (type)
                (*sym_xmlFree)(type);
        if (f && f->kind == FAULT_NOT_SUPPORTED)
                fault_hint(f, "whatever a host has, memory of guests is not encrypted by Virtbus: without <launchSecurity> the VM runs as others do");
        return r;
}
