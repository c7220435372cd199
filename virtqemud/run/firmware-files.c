/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firmware-files.h"

#include <dirent.h>

#include "file.h"
#include "mem.h"
#include "str.h"

#define DESCRIPTOR_MAX (256u * 1024)
#define DESCRIPTORS_MAX 256u

typedef struct Texts {
        FirmwareText *items;
        size_t n, allocated;
} Texts;

static void texts_clear(Texts *t) {
        for (size_t i = 0; i < t->n; i++) {
                free((char *) t->items[i].name);
                free((char *) t->items[i].text);
        }
        free(t->items);
}

/* A file that can't be read offers nothing, like one that can't be understood. */
static int read_one(Texts *t, const char *folder, unsigned rank, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name), *text = NULL, *copy = strdup(name);
        size_t length = 0;
        int r;

        if (!path || !copy)
                return -ENOMEM;
        r = file_read(path, DESCRIPTOR_MAX, &text, &length);
        if (r < 0) {
                (void) log_warning_errno(r, "%s: %m", path);
                return r == -ENOMEM ? r : 0;
        }
        if (!GROW(t->items, t->allocated, t->n + 1))
                return -ENOMEM;
        t->items[t->n++] = (FirmwareText) {
                .name = TAKE_PTR(copy), .folder = folder, .rank = rank, .text = TAKE_PTR(text), .length = length,
        };
        return 0;
}

static int read_folder(Texts *t, const char *folder, unsigned rank) {
        DIR *d = opendir(folder);
        struct dirent *e;
        int r = 0;

        if (!d)
                return 0;
        while (r >= 0 && t->n < DESCRIPTORS_MAX && (e = readdir(d)))
                if (e->d_name[0] != '.' && str_ends(e->d_name, ".json"))
                        r = read_one(t, folder, rank, e->d_name);
        closedir(d);
        return r;
}

/* The texts point to the name of the user's own folder. */
static int read_all(const Manager *m, Texts *t, char **ret_own) {
        const char *home = getenv("XDG_CONFIG_HOME");
        int r = 0;

        if (m->user) {
                *ret_own = home ? strf("%s/qemu/firmware", home) : strf("%s/.config/qemu/firmware", getenv("HOME") ?: "");
                r = *ret_own ? read_folder(t, *ret_own, 0) : -ENOMEM;
        }
        if (r >= 0)
                r = read_folder(t, "/etc/qemu/firmware", 1);
        return r < 0 ? r : read_folder(t, "/usr/share/qemu/firmware", 2);
}

int firmware_files_offers(const Manager *m, const char *arch, const char *machine, FirmwareOffer **ret, size_t *ret_n) {
        _cleanup_(texts_clear) Texts t = {};
        _cleanup_free_ char *own = NULL;
        int r;

        assert(m && arch && machine);

        r = read_all(m, &t, &own);
        return r < 0 ? r : firmware_offers(t.items, t.n, arch, machine, ret, ret_n);
}

int firmware_files_choose(Manager *m, DomainDef *def, Fault *f) {
        _cleanup_(texts_clear) Texts t = {};
        _cleanup_free_ char *own = NULL;
        int r;

        assert(m && def);

        if (def->os_firmware != OS_FIRMWARE_EFI || def->loader)
                return 0;
        r = read_all(m, &t, &own);
        return r < 0 ? fault_oom(f) : firmware_select(t.items, t.n, def, m->nvram_folder, f);
}
