/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi-scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "str.h"

DEFINE_CLEANUP_VOID(DIR *, closedir)

#define SECTOR 512u
#define ATTRIBUTE_MAX 4096u

/* One line of sysfs; NULL: it is not there. */
static char *attribute(const char *path) {
        char *text = NULL;
        size_t n;

        if (file_read(path, ATTRIBUTE_MAX, &text, &n) < 0)
                return NULL;
        text[strcspn(text, "\n")] = '\0';
        return text;
}

static char *attribute_of(const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        return path ? attribute(path) : NULL;
}

static int number_of(const char *folder, const char *name, uint64_t *ret) {
        _cleanup_free_ char *text = attribute_of(folder, name);

        return text ? parse_u64(text, 10, ret) : -ENOENT;
}

/* The name in the target folder that leads to the device, which stays the same when the kernel counts otherwise; else the kernel's own. */
static int stable_path(const char *folder, const char *kernel, char **ret) {
        _cleanup_(closedirp) DIR *dir = folder && !streq(folder, "/dev") ? opendir(folder) : NULL;
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                _cleanup_free_ char *path = strf("%s/%s", folder, e->d_name), *real = path ? realpath(path, NULL) : NULL;
                const char *name = real ? str_after(real, "/dev/") : NULL;

                if (name && streq(name, kernel)) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        *ret = strf("/dev/%s", kernel);
        return *ret ? 0 : -ENOMEM;
}

/* Takes over `name`. */
static int add_disk(const PoolDef *def, const char *kernel, char *name, const char *key, PoolInfo *ret) {
        VolumeInfo v = { .name = name, .kind = VOLUME_BLOCK, .format = FORMAT_RAW };
        _cleanup_free_ char *folder = strf("/sys/class/block/%s", kernel);
        uint64_t sectors = 0;
        int r;

        if (!name || !folder)
                r = -ENOMEM;
        else {
                (void) number_of(folder, "size", &sectors);
                v.capacity = v.allocation = v.physical = sectors * SECTOR;
                r = stable_path(def->path, kernel, &v.path);
        }
        if (r >= 0)
                r = free_and_strdup(&v.key, is_empty(key) ? v.path : key);
        if (r < 0) {
                volume_info_clear(&v);
                return r;
        }
        ret->capacity += v.capacity;
        ret->allocation += v.capacity;
        return pool_info_add(ret, &v);
}

/* --- SCSI --- */

/* The block device of a unit "H:C:T:L", if it is a disk. */
static int add_unit(const PoolDef *def, const char *unit, PoolInfo *ret) {
        _cleanup_free_ char *folder = strf("/sys/bus/scsi/devices/%s/block", unit), *serial = NULL;
        _cleanup_(closedirp) DIR *dir = folder ? opendir(folder) : NULL;
        struct dirent *e;

        if (!dir)
                return 0;
        while ((e = readdir(dir)))
                if (e->d_name[0] != '.') {
                        _cleanup_free_ char *device = strf("/sys/bus/scsi/devices/%s", unit);

                        serial = device ? attribute_of(device, "wwid") : NULL;
                        /* As libvirt calls them; the host's number is not part of it, since it is another one after each start. */
                        return add_disk(def, e->d_name, strf("unit:%s", strchr(unit, ':') ? strchr(unit, ':') + 1 : unit), serial, ret);
                }
        return 0;
}

static int scan_host(const PoolDef *def, unsigned host, PoolInfo *ret) {
        _cleanup_(closedirp) DIR *dir = opendir("/sys/bus/scsi/devices");
        _cleanup_free_ char *pattern = strf("%u:*:*:*", host);
        struct dirent *e;
        int r = 0;

        if (!dir || !pattern)
                return dir ? -ENOMEM : 0;
        while (r >= 0 && (e = readdir(dir)))
                if (fnmatch(pattern, e->d_name, 0) == 0)
                        r = add_unit(def, e->d_name, ret);
        return r;
}

/* The host behind the session to a target: .../hostN/sessionM/iscsi_session/sessionM. */
static int session_host(const char *session, unsigned *ret) {
        _cleanup_free_ char *link = strf("/sys/class/iscsi_session/%s", session), *real = link ? realpath(link, NULL) : NULL;
        const char *at = real ? strstr(real, "/host") : NULL;

        return at && sscanf(at, "/host%u/", ret) == 1 ? 0 : -ENOENT;
}

static int scan_sessions(const PoolDef *def, const char *target, PoolInfo *ret, bool *ret_found) {
        _cleanup_(closedirp) DIR *dir = opendir("/sys/class/iscsi_session");
        struct dirent *e;
        unsigned host;
        int r = 0;

        while (dir && r >= 0 && (e = readdir(dir))) {
                _cleanup_free_ char *folder = strf("/sys/class/iscsi_session/%s", e->d_name), *name = folder ? attribute_of(folder, "targetname") : NULL;

                if (!name || !streq(name, target) || session_host(e->d_name, &host) < 0)
                        continue;
                *ret_found = true;
                r = scan_host(def, host, ret);
        }
        return r;
}

static int adapter_host(const PoolDef *def, unsigned *ret, Fault *f) {
        const char *name = def->adapter_name, *digits;
        _cleanup_free_ char *folder = NULL;
        uint32_t number;

        digits = name ? str_after(name, "scsi_host") ?: str_after(name, "host") : NULL;
        if (!digits || parse_u32(digits, &number) < 0)
                return fault_set(f, FAULT_POOL, EINVAL, "\"%s\" is no SCSI host, like scsi_host2", name ?: "");
        folder = strf("/sys/class/scsi_host/host%u", number);
        if (!folder || access(folder, F_OK) < 0)
                return fault_set(f, FAULT_POOL, ENODEV, "there is no SCSI host %u", number);
        *ret = number;
        return 0;
}

int scsi_scan(const PoolDef *def, PoolInfo *ret, Fault *f) {
        bool found = false;
        unsigned host = 0;
        int r;

        if (def->type == POOL_ISCSI) {
                const char *target = pool_device(def)->path;

                r = scan_sessions(def, target, ret, &found);
                if (r >= 0 && !found)
                        r = fault_set(f, FAULT_POOL, ENOTCONN, "there is no session with the target %s", target);
        } else {
                r = adapter_host(def, &host, f);
                if (r >= 0)
                        r = scan_host(def, host, ret);
        }
        return r == -ENOMEM ? fault_oom(f) : r;
}

/* --- multipath --- */

static int add_map(const PoolDef *def, const char *kernel, PoolInfo *ret) {
        _cleanup_free_ char *folder = strf("/sys/block/%s/dm", kernel), *uuid = folder ? attribute_of(folder, "uuid") : NULL;
        const char *wwid = uuid ? str_after(uuid, "mpath-") : NULL;

        return wwid ? add_disk(def, kernel, attribute_of(folder, "name"), wwid, ret) : 0;
}

int mpath_scan(const PoolDef *def, PoolInfo *ret, Fault *f) {
        _cleanup_(closedirp) DIR *dir = opendir("/sys/block");
        struct dirent *e;
        int r = 0;

        while (dir && r >= 0 && (e = readdir(dir)))
                if (str_after(e->d_name, "dm-"))
                        r = add_map(def, e->d_name, ret);
        return r == -ENOMEM ? fault_oom(f) : r;
}
