/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "file.h"
#include "libvirt-xml.h"
#include "mem.h"
#include "output.h"
#include "str.h"

#define FILE_MAX ((size_t) 8 * 1024 * 1024)
#define VALUE_MAX ((size_t) 128 * 1024)
#define ASK_SECONDS 10

static const struct {
        const char *name, *folder;
        bool has_autostart;
        /* A file of each one that is up, of the host or of a user; and virsh's verb that prints what it is. */
        const char *running, *users_running, *running_suffix, *dump;
} kinds[] = {
        [LIBVIRT_SECRET] = { "secret", "secrets" },
        [LIBVIRT_POOL] = { "pool", "storage", true, "storage", NULL, ".xml", "pool-dumpxml" },
        [LIBVIRT_NETWORK] = { "network", "qemu/networks", true, "network", NULL, ".xml", "net-dumpxml" },
        [LIBVIRT_DOMAIN] = { "domain", "qemu", true, "qemu", "qemu/run", ".pid", "dumpxml" },
};

const char *libvirt_kind_name(LibvirtKind kind) {
        return kinds[kind].name;
}

static void item_clear(LibvirtItem *item) {
        free(item->name);
        free(item->uuid);
        free(item->file);
        free(item->text);
        free(item->reason);
        free(item->hint);
        strv_free(item->warnings);
}

void libvirt_files_clear(LibvirtFiles *l) {
        for (size_t i = 0; i < l->n; i++)
                item_clear(&l->items[i]);
        free(l->items);
        free(l->config);
        free(l->state);
        free(l->state_qemu);
        free(l->run);
}

/* --- files --- */

static LibvirtItem *add(LibvirtFiles *l, LibvirtKind kind, const char *name, char *file) {
        LibvirtItem *item;

        if (!file || !GROW(l->items, l->allocated, l->n + 1)) {
                free(file);
                return NULL;
        }
        item = &l->items[l->n];
        *item = (LibvirtItem) { .kind = kind, .name = strdup(name), .file = file };
        if (!item->name) {
                free(file);
                return NULL;
        }
        l->n++;
        return item;
}

/* A file that can't be read, or that says something else than expected, is told of with the others. */
static int refuse(LibvirtItem *item, const char *reason) {
        item->result = IMPORT_REFUSED;
        return free_and_strdup(&item->reason, reason);
}

static int identify(LibvirtItem *item) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = libvirt_xml_identify(kinds[item->kind].name, item->text, &item->name, &item->uuid, &f);

        if (r == -ENOMEM)
                return r;
        return r < 0 ? refuse(item, fault_text(&f)) : 0;
}

static int read_item(LibvirtFiles *l, LibvirtKind kind, const char *folder, const char *file) {
        _cleanup_free_ char *name = strndup(file, strlen(file) - strlen(".xml"));
        LibvirtItem *item = name ? add(l, kind, name, strf("%s/%s", folder, file)) : NULL;
        _cleanup_free_ char *autostart = NULL, *text = NULL;
        size_t length;
        int r;

        if (!item)
                return -ENOMEM;
        autostart = strf("%s/autostart/%s", folder, file);
        item->autostart = autostart && kinds[kind].has_autostart && faccessat(AT_FDCWD, autostart, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
        r = file_read(item->file, FILE_MAX, &text, &length);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(item, strerror(-r));
        if (strlen(text) != length || !is_utf8(text))
                return refuse(item, "is no text in UTF-8");
        item->text = TAKE_PTR(text);
        return identify(item);
}

typedef int (*Found)(LibvirtFiles *l, LibvirtKind kind, const char *folder, const char *file);

static int is_shown(const struct dirent *e) {
        return e->d_name[0] != '.';
}

/* Every file with that suffix, by name. A folder that is not there is empty; one that can't be read is told of. */
static int each_file(LibvirtFiles *l, LibvirtKind kind, const char *folder, const char *suffix, Found found) {
        struct dirent **names;
        int n = scandir(folder, &names, is_shown, alphasort), r = 0;

        if (n < 0 && errno != ENOENT && errno != ENOTDIR)
                return client_fail("%s: %s", folder, strerror(errno));
        for (int i = 0; i < n; i++) {
                if (r >= 0 && str_ends(names[i]->d_name, suffix) && strlen(names[i]->d_name) > strlen(suffix))
                        r = found(l, kind, folder, names[i]->d_name);
                free(names[i]);
        }
        if (n >= 0)
                free(names);
        return r < 0 ? client_fail("out of memory") : r;
}

/* --- what is up --- */

static LibvirtItem *find(LibvirtFiles *l, LibvirtKind kind, const char *name) {
        for (size_t i = 0; i < l->n; i++)
                if (l->items[i].kind == kind && streq(l->items[i].name, name))
                        return &l->items[i];
        return NULL;
}

/* It has no definition in a file: only libvirt itself knows what it is. */
static int ask_libvirt(LibvirtFiles *l, LibvirtItem *item) {
        char *argv[] = { (char *) "virsh", (char *) "-r", (char *) "-c", (char *) l->uri, (char *) kinds[item->kind].dump, item->name, NULL };
        int r = l->uri ? program_output(argv, ASK_SECONDS, &item->text) : -ENOENT;

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return refuse(item, !l->uri ? "it ran without a definition, and only its libvirt knew what it was" :
                                    r == -ENOENT ? "it runs without a definition, and virsh, which would show it, is not installed" :
                                                   "it runs without a definition, and virsh can't show it");
        r = strv_push(&item->warnings, "it has no definition that lasts there: the one it gets here stays");
        return r < 0 ? r : identify(item);
}

/* A file of a process that has ended was left behind. */
static bool still_runs(const char *path) {
        _cleanup_free_ char *text = NULL, *process = NULL;
        size_t length;

        if (!str_ends(path, ".pid") || file_read(path, 64, &text, &length) < 0)
                return true;
        text[strcspn(text, "\n")] = '\0';
        process = strf("/proc/%s", text);
        return !process || access(process, F_OK) >= 0;
}

static int note_running(LibvirtFiles *l, LibvirtKind kind, const char *folder, const char *file) {
        _cleanup_free_ char *name = strndup(file, strlen(file) - strlen(kinds[kind].running_suffix)), *path = strf("%s/%s", folder, file);
        LibvirtItem *item = name ? find(l, kind, name) : NULL;
        bool known = item;
        int r = 0;

        if (!name || !path)
                return -ENOMEM;
        if (streq(name, "driver") || !still_runs(path)) /* its own file is in there, too */
                return 0;
        if (!known)
                item = add(l, kind, name, strf("virsh %s %s", kinds[kind].dump, name));
        if (!item)
                return -ENOMEM;
        item->running = true;
        if (!known)
                r = ask_libvirt(l, item);
        return r;
}

static int read_kind(LibvirtFiles *l, LibvirtKind kind) {
        _cleanup_free_ char *folder = strf("%s/%s", l->config, kinds[kind].folder), *running = NULL;
        const char *below = l->user ? kinds[kind].users_running : kinds[kind].running;
        int r = folder ? each_file(l, kind, folder, ".xml", read_item) : client_fail("out of memory");

        if (r != 0 || !below)
                return r;
        running = strf("%s/%s", l->run, below);
        return running ? each_file(l, kind, running, kinds[kind].running_suffix, note_running) : client_fail("out of memory");
}

static int set_folders(LibvirtFiles *l, const char *from, bool user) {
        const char *home = from ?: getenv("HOME") ?: "", *config = from ? NULL : getenv("XDG_CONFIG_HOME");

        l->user = user;
        if (user) {
                l->config = config ? strf("%s/libvirt", config) : strf("%s/.config/libvirt", home);
                l->state = l->config ? strf("%s/qemu", l->config) : NULL;
                l->state_qemu = l->state ? strdup(l->state) : NULL;
                l->run = from ? strf("%s/run/libvirt", from) : strf("%s/libvirt", getenv("XDG_RUNTIME_DIR") ?: "/nonexistent");
        } else {
                l->config = strf("%s/etc/libvirt", from ?: "");
                l->state = strf("%s/var/lib/libvirt", from ?: "");
                l->state_qemu = strf("%s/var/lib/libvirt/qemu", from ?: "");
                l->run = strf("%s/run/libvirt", from ?: "");
        }
        l->uri = from ? NULL : user ? "qemu:///session" : "qemu:///system";
        return l->config && l->state && l->state_qemu && l->run ? 0 : client_fail("out of memory");
}

int libvirt_files_read(const char *from, bool user, LibvirtFiles *ret) {
        int r = set_folders(ret, from, user);

        if (r == 0 && access(ret->config, F_OK) < 0)
                return client_fail("%s: %s", ret->config, strerror(errno));
        for (LibvirtKind k = 0; r == 0 && k < _LIBVIRT_KIND_MAX; k++)
                r = read_kind(ret, k);
        return r;
}

/* --- some of them --- */

static bool is_called(const LibvirtItem *item, const char *name) {
        return streq(item->name, name) || streq_null(item->uuid, name);
}

bool libvirt_files_has(const LibvirtFiles *l, const char *name) {
        for (size_t i = 0; i < l->n; i++)
                if (is_called(&l->items[i], name))
                        return true;
        return false;
}

void libvirt_files_keep(LibvirtFiles *l, char *const *names, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < l->n; i++) {
                bool named = false;

                for (size_t k = 0; k < n; k++)
                        named = named || is_called(&l->items[i], names[k]);
                if (named)
                        l->items[kept++] = l->items[i];
                else
                        item_clear(&l->items[i]);
        }
        l->n = kept;
}

/* --- what does not come along --- */

static size_t count_files(const char *folder) {
        DIR *d = opendir(folder);
        struct dirent *e;
        size_t n = 0;

        while (d && (e = readdir(d)))
                n += str_ends(e->d_name, ".xml");
        if (d)
                closedir(d);
        return n;
}

static int warn_nvram(const LibvirtFiles *l, LibvirtItem *item) {
        _cleanup_free_ char *path = libvirt_xml_nvram(item->text), *real = NULL;

        if (!path)
                return 0;
        if (l->uri && access(path, F_OK) < 0 && errno == ENOENT)
                return strv_pushf(&item->warnings, "the file of its firmware's variables is missing, and would be made anew: %s", path);
        real = strf("%s/", l->state);
        if (!l->uri || (real && str_after(path, real)))
                return strv_pushf(&item->warnings, "its firmware's variables stay where they are: when libvirt is removed keep %s", path);
        return 0;
}

static int warn_tpm(const LibvirtFiles *l, LibvirtItem *item) {
        _cleanup_free_ char *folder = strf("%s/swtpm/%s", l->state, item->uuid ?: "");

        if (!folder)
                return -ENOMEM;
        if (!libvirt_xml_has_tpm(item->text))
                return 0;
        return strv_pushf(&item->warnings, "what its TPM keeps (keys of encrypted disks perhaps) is not taken over from %s", folder);
}

static int warn_domain(const LibvirtFiles *l, LibvirtItem *item) {
        _cleanup_free_ char *saved = strf("%s/save/%s.save", l->state_qemu, item->name);
        _cleanup_free_ char *snapshots = strf("%s/snapshot/%s", l->state_qemu, item->name);
        size_t n;
        int r = 0;

        if (!saved || !snapshots)
                return -ENOMEM;
        if (item->running)
                r = strv_pushf(&item->warnings, "it runs under libvirt: end it there before it is started here: virsh shutdown %s", item->name);
        if (r >= 0 && access(saved, F_OK) >= 0)
                r = strv_pushf(&item->warnings, "its saved state is not taken over, and lost to it once its disks are written to: %s", saved);
        n = count_files(snapshots);
        if (r >= 0 && n > 0)
                r = strv_pushf(&item->warnings, "what libvirt knows of its %zu snapshot%s is not taken over: %s", n, n == 1 ? "" : "s", snapshots);
        if (r >= 0)
                r = warn_nvram(l, item);
        return r < 0 ? r : warn_tpm(l, item);
}

int libvirt_files_warn(const LibvirtFiles *l, LibvirtItem *item) {
        if (!item->text)
                return 0;
        if (item->kind == LIBVIRT_DOMAIN)
                return warn_domain(l, item);
        if (item->kind == LIBVIRT_NETWORK && item->running)
                return strv_pushf(&item->warnings, "it is up under libvirt: take it down there before it is started here: virsh net-destroy %s", item->name);
        return 0;
}

/* --- values of secrets --- */

int libvirt_secret_value(const LibvirtFiles *l, const LibvirtItem *item, void **ret, size_t *ret_length) {
        _cleanup_free_ char *path = strf("%s/secrets/%s.base64", l->config, item->uuid ?: "");
        char *text = NULL;
        size_t length;
        int r = path ? file_read(path, VALUE_MAX, &text, &length) : -ENOMEM;

        if (r < 0)
                return r;
        while (length > 0 && strchr(" \r\n\t", text[length - 1]))
                text[--length] = '\0';
        r = base64_decode(text, ret, ret_length);
        explicit_bzero(text, length);
        free(text);
        return r;
}
