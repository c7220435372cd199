/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "smbios.h"

#include <string.h>

#include "domain.h"
#include "str.h"
#include "xml-read.h"

/* The entries of each table, by libvirt's names, which are QEMU's. */
static const struct {
        size_t list;
        unsigned type;
        const char *const *names;
} tables[] = {
        { offsetof(Sysinfo, bios), 0, (const char *const[]) { "vendor", "version", "date", "release", NULL } },
        { offsetof(Sysinfo, product), 1,
          (const char *const[]) { "manufacturer", "product", "version", "serial", "uuid", "sku", "family", NULL } },
        { offsetof(Sysinfo, base_board), 2, (const char *const[]) { "manufacturer", "product", "version", "serial", "asset", "location", NULL } },
        { offsetof(Sysinfo, chassis), 3, (const char *const[]) { "manufacturer", "version", "serial", "asset", "sku", NULL } },
};

static const RecordList *list_of(const Sysinfo *s, size_t table) {
        return (const RecordList *) ((const char *) s + tables[table].list);
}

static const Sysinfo *find_sysinfo(const DomainDef *def, SysinfoType type) {
        RECORD_FOREACH(Sysinfo, s, def->sysinfo)
                if (s->type == (int) type)
                        return s;
        return NULL;
}

static int check_entry(const DomainDef *def, size_t table, const SysinfoEntry *e, Fault *f) {
        bool known = false;
        sd_id128_t uuid;

        for (const char *const *name = tables[table].names; *name && !known; name++)
                known = streq_null(e->name, *name);
        if (!known)
                return xml_fault(&e->head, f, FAULT_INVALID_DEFINITION, "\"%.32s\" is no entry of that table", e->name ?: "");
        if (streq(e->name, "uuid") && (sd_id128_from_string(e->text ?: "", &uuid) < 0 || !sd_id128_equal(uuid, def->uuid)))
                return xml_fault(&e->head, f, FAULT_INVALID_DEFINITION, "the system's uuid is that of the domain: \"%.64s\" is another one", e->text ?: "");
        return 0;
}

/* Names below opt/ are the users' own; the others are QEMU's, and the firmware's. */
static int check_configuration(const SysinfoEntry *e, Fault *f) {
        if (!e->name || !str_after(e->name, "opt/") || strpbrk(e->name, ",\n") || strlen(e->name) > 55)
                return xml_fault(&e->head, f, FAULT_INVALID_DEFINITION, "an entry has a name below opt/, of at most 55 characters without commas");
        if ((e->file != NULL) == !is_empty(e->text))
                return xml_fault(&e->head, f, FAULT_INVALID_DEFINITION, "an entry has either a text or a file");
        if (e->file && *e->file != '/')
                return xml_fault(&e->head, f, FAULT_INVALID_DEFINITION, "file '%s' is not an absolute path", e->file);
        return 0;
}

static int check_mode(const DomainDef *def, Fault *f) {
        int r;

        if (def->smbios_mode == SMBIOS_HOST) {
                r = domain_fault(def, f, FAULT_NOT_SUPPORTED, "os/smbios", "mode 'host' is not supported: the guest would have the host's serial numbers");
                fault_hint(f, "mode 'sysinfo' has what <sysinfo> says");
                return r;
        }
        if (def->smbios_mode == SMBIOS_SYSINFO && !find_sysinfo(def, SYSINFO_SMBIOS))
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "os/smbios", "mode 'sysinfo' needs a <sysinfo type='smbios'>");
        return 0;
}

static int check_sysinfo(const DomainDef *def, const Sysinfo *s, Fault *f) {
        int r = 0;

        if (find_sysinfo(def, (SysinfoType) s->type) != s)
                return xml_fault(&s->head, f, FAULT_INVALID_DEFINITION, "there is one of that type already");
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                RECORD_FOREACH(SysinfoEntry, e, *list_of(s, i))
                        if (r >= 0)
                                r = check_entry(def, i, e, f);
        RECORD_FOREACH(SysinfoEntry, e, s->configuration)
                if (r >= 0)
                        r = check_configuration(e, f);
        if (r >= 0 && s->configuration.n > 0 && s->type != SYSINFO_FWCFG)
                r = domain_fault(def, f, FAULT_INVALID_DEFINITION, "sysinfo", "entries without a table are for type 'fwcfg'");
        return r;
}

int smbios_check(const DomainDef *def, Fault *f) {
        int r = check_mode(def, f);

        RECORD_FOREACH(Sysinfo, s, def->sysinfo)
                if (r >= 0)
                        r = check_sysinfo(def, s, f);
        return r;
}

static const RecordList *configuration(const DomainDef *def) {
        static const RecordList none;
        const Sysinfo *s = find_sysinfo(def, SYSINFO_FWCFG);

        return s ? &s->configuration : &none;
}

int smbios_files(const DomainDef *def, WantedFiles *requests) {
        int r = 0;

        RECORD_FOREACH(AcpiTable, t, def->acpi_tables) {
                const WantedFile file = { .want = WANTED_MEMFD, .path = t->path, .format = (char *) "raw", .lease = LEASE_NONE, .line = t->head.line };

                r = r < 0 ? r : wanted_files_add(requests, &file);
        }
        RECORD_FOREACH(SysinfoEntry, e, *configuration(def)) {
                const WantedFile file = { .want = WANTED_MEMFD, .path = e->file, .format = (char *) "raw", .lease = LEASE_NONE, .line = e->head.line };

                if (r >= 0 && e->file)
                        r = wanted_files_add(requests, &file);
        }
        return r;
}

static int add_table(const Sysinfo *s, Args *a, size_t table) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        if (list_of(s, table)->n == 0)
                return 0;
        text_addf(&t, "type=%u", tables[table].type);
        RECORD_FOREACH(SysinfoEntry, e, *list_of(s, table))
                args_add_value(&t, e->name, e->text ?: "");
        text = text_finish(&t);
        return text ? args_option(a, "-smbios", "%s", text) : -ENOMEM;
}

static int add_strings(const Sysinfo *s, Args *a) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        if (s->oem_strings.n == 0)
                return 0;
        text_add(&t, "type=11");
        RECORD_FOREACH(SysinfoEntry, e, s->oem_strings)
                args_add_value(&t, "value", e->text ?: "");
        text = text_finish(&t);
        return text ? args_option(a, "-smbios", "%s", text) : -ENOMEM;
}

static int add_configuration(const SysinfoEntry *e, Args *a) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;
        int fd;

        text_addf(&t, "name=%s", e->name);
        if (e->file) {
                fd = args_fd(a, PLAN_FD_MEMFD, e->file, false, false, false, NULL);
                if (fd < 0)
                        return fd;
                text_addf(&t, ",file=/proc/self/fd/%d", fd);
        } else
                args_add_value(&t, "string", e->text);
        text = text_finish(&t);
        return text ? args_option(a, "-fw_cfg", "%s", text) : -ENOMEM;
}

static int add_genid(const DomainDef *def, Args *a) {
        _cleanup_free_ char *text = NULL;

        if (sd_id128_is_null(def->genid))
                return 0;
        text = strf(SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(def->genid));
        return text ? args_json(a, ARG_DEVICE, json_pack("{s:s, s:s, s:s}", "driver", "vmgenid", "id", "vmgenid0", "guid", text)) : -ENOMEM;
}

/* QEMU reads a copy of the file, which has the table's head; SLIC also gives the other tables its maker's name. */
static int add_acpi_table(const AcpiTable *t, Args *a) {
        static const char *const signatures[_ACPI_TABLE_TYPE_MAX] = { "", "sig=SLIC,", "", "sig=MSDM," };
        int fd = args_fd(a, PLAN_FD_MEMFD, t->path, false, false, false, NULL);

        return fd < 0 ? fd : args_option(a, "-acpitable", "%sfile=/proc/self/fd/%d", signatures[t->type], fd);
}

int smbios_args(const DomainDef *def, Args *a) {
        const Sysinfo *s = def->smbios_mode == SMBIOS_SYSINFO ? find_sysinfo(def, SYSINFO_SMBIOS) : NULL;
        int r = add_genid(def, a);

        RECORD_FOREACH(AcpiTable, t, def->acpi_tables)
                r = r < 0 ? r : add_acpi_table(t, a);
        if (r < 0)
                return r;

        for (size_t i = 0; s && i < ARRAY_SIZE(tables) && r >= 0; i++)
                r = add_table(s, a, i);
        if (s && r >= 0)
                r = add_strings(s, a);
        RECORD_FOREACH(SysinfoEntry, e, *configuration(def))
                if (r >= 0)
                        r = add_configuration(e, a);
        return r;
}
