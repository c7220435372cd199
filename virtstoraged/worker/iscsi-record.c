/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsi-record.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "iscsi-password.h"
#include "mem.h"
#include "str.h"

#define RECORD_MAX ((size_t) 64 * 1024)
#define END "# END RECORD"

static DIR *dir_free(DIR *d) {
        if (d)
                (void) closedir(d);
        return NULL;
}
DEFINE_CLEANUP(DIR *, dir_free)

/* --- one record --- */

static bool is_login(const char *line) {
        return str_after(line, "node.session.auth.authmethod ") || str_after(line, "node.session.auth.username ") ||
               str_after(line, "node.session.auth.password ");
}

static char *with_login(const char *record, const char *username, const char *password) {
        Text t = TEXT_INIT;

        for (const char *line = record; *line;) {
                size_t n = strcspn(line, "\n");

                n += line[n] == '\n';
                if (str_after(line, END))
                        text_addf(&t, "node.session.auth.authmethod = CHAP\nnode.session.auth.username = %s\nnode.session.auth.password = %s\n", username,
                                  password);
                if (!is_login(line))
                        text_addn(&t, line, n);
                line += n;
        }
        return text_finish(&t);
}

static int change(const char *path, const char *username, const char *password) {
        _cleanup_(password_freep) char *record = NULL, *changed = NULL;
        size_t n;
        int r = file_read(path, RECORD_MAX, &record, &n);

        if (r < 0)
                return r;
        if (!strstr(record, END))
                return -EBADMSG;
        changed = with_login(record, username, password);
        return changed ? file_write_atomic(path, changed, strlen(changed), 0600) : -ENOMEM;
}

/* --- those of a target --- */

/* A record, or a folder with one for each interface. */
static int change_entry(const char *path, const char *username, const char *password) {
        _cleanup_(dir_freep) DIR *d = NULL;
        struct stat st;
        int r = 0;

        if (lstat(path, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode))
                return change(path, username, password);
        d = opendir(path);
        if (!d)
                return -errno;
        for (struct dirent *e = readdir(d); e && r >= 0; e = readdir(d)) {
                _cleanup_free_ char *record = *e->d_name == '.' ? NULL : strf("%s/%s", path, e->d_name);

                if (record)
                        r = change(record, username, password);
        }
        return r;
}

/* "10.0.0.1,3260" or "10.0.0.1,3260,1" */
static bool is_portal(const char *name, const char *portal) {
        const char *rest = str_after(name, portal);

        return rest && (!*rest || *rest == ',');
}

static int change_all(const char *folder, const char *portal, const char *username, const char *password) {
        _cleanup_(dir_freep) DIR *d = opendir(folder);
        int changed = 0, r = 0;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        for (struct dirent *e = readdir(d); e && r >= 0; e = readdir(d)) {
                _cleanup_free_ char *path = is_portal(e->d_name, portal) ? strf("%s/%s", folder, e->d_name) : NULL;

                if (path) {
                        r = change_entry(path, username, password);
                        changed++;
                }
        }
        return r < 0 ? r : changed;
}

int iscsi_record_set_login(const PoolDef *def, const void *password, size_t length, Fault *f) {
        static const char *const folders[] = { "/etc/iscsi/nodes", "/var/lib/iscsi/nodes" };
        _cleanup_free_ char *portal = strf("%s,%" PRIu64, pool_host(def)->name, pool_host(def)->port == NUMBER_UNSET ? 3260 : pool_host(def)->port);
        _cleanup_(password_freep) char *text = NULL;
        int changed = 0, r;

        r = portal ? iscsi_password(password, length, &text, f) : fault_oom(f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(folders) && r >= 0; i++) {
                _cleanup_free_ char *folder = strf("%s/%s", folders[i], pool_device(def)->path);

                r = folder ? change_all(folder, portal, def->auth_username, text) : -ENOMEM;
                changed += r > 0;
        }
        if (r >= 0 && changed > 0)
                return 0;
        return fault_set(f, FAULT_POOL, r < 0 ? -r : ENOENT, "open-iscsi's record of %s can't be changed: %s", pool_device(def)->path,
                         strerror(r < 0 ? -r : ENOENT));
}
