/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

/* Where the locks lie. No file is ever as long as that, so it is never read or written. */
#define CHANGING_AT ((off_t) 1 << 30)          /* held while slots and locks are looked at or changed */
#define RESOURCE_AT (CHANGING_AT + 1)
#define SLOTS_MAX ((size_t) (CHANGING_AT / LEASE_RECORD_SIZE))
#define TRIES 100                              /* a file may be removed between opening and locking it, but not time and again */

/* Not in every version of linux/magic.h. */
#define MAGIC_CIFS 0xFF534D42u
#define MAGIC_SMB2 0xFE534D42u
#define MAGIC_CEPH 0x00C36400u
#define MAGIC_GFS2 0x01161970u
#define MAGIC_OCFS2 0x7461636Fu
#define MAGIC_FUSE 0x65735546u

void owners_clear(Owners *o) {
        leases_free(o->leases, o->n);
        *o = (Owners) {};
}

/* --- the folder --- */

int lock_folder_open(const char *path, bool make, LockFolder *ret) {
        char host[256] = "";
        int r = 0;

        assert(path && ret);

        (void) gethostname(host, sizeof(host) - 1);
        *ret = (LockFolder) { .fd = -1, .path = strdup(path), .host = strdup(host) };
        if (!ret->path || !ret->host) {
                lock_folder_close(ret);
                return -ENOMEM;
        }
        if (make)
                r = mkdir_parents(path, 0700);
        ret->fd = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r >= 0 && ret->fd < 0)
                ret->fd = -errno;
        return 0;
}

void lock_folder_close(LockFolder *l) {
        fd_close(l->fd);
        free(l->path);
        free(l->host);
        *l = (LockFolder) { .fd = -1 };
}

int lock_folder_check(const LockFolder *l, Fault *f) {
        struct stat st;

        if (l->fd >= 0)
                return fstat(l->fd, &st) == 0 && st.st_nlink > 0 ? 0 : fault_set(f, FAULT_LOCKSPACE, ENOENT, "the folder %s was removed", l->path);
        fault_set(f, FAULT_LOCKSPACE, -l->fd, "the folder %s can't be used: %s", l->path, strerror(-l->fd));
        fault_hint(f, "make the folder, or mount the file system it is on");
        return l->fd;
}

bool lock_folder_is_remote(const LockFolder *l) {
        struct statfs s;

        if (l->fd < 0 || fstatfs(l->fd, &s) < 0)
                return false;
        switch ((uint32_t) s.f_type) {
        case NFS_SUPER_MAGIC: case SMB_SUPER_MAGIC: case AFS_SUPER_MAGIC: case V9FS_MAGIC: case MAGIC_CIFS: case MAGIC_SMB2:
        case MAGIC_CEPH: case MAGIC_GFS2: case MAGIC_OCFS2: case MAGIC_FUSE:
                return true;
        default:
                return false;
        }
}

/* --- locks --- */

static int set_lock(int fd, bool wait, short type, off_t start, off_t length) {
        struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

        while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l) < 0)
                if (errno != EINTR)
                        return errno == EACCES ? -EAGAIN : -errno;
        return 0;
}

/* Whether another description has it. */
static int is_locked(int fd, off_t start, off_t length) {
        struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

        if (fcntl(fd, F_OFD_GETLK, &l) < 0)
                return -errno;
        return l.l_type != F_UNLCK;
}

static off_t slot_at(size_t slot) {
        return (off_t) slot * LEASE_RECORD_SIZE;
}

static int slot_is_locked(int fd, size_t slot) {
        return is_locked(fd, slot_at(slot), LEASE_RECORD_SIZE);
}

static int file_fault(const LockFolder *l, const char *file, const char *what, int error, Fault *f) {
        fault_set(f, FAULT_LOCKSPACE, error, "%s/%s: %s: %s", l->path, file, what, strerror(error));
        if (error == ENOLCK || error == EOPNOTSUPP || error == EINVAL)
                fault_hint(f, "its file system has no locks: put the lockspace elsewhere, or mount it with locks");
        return -error;
}

/* --- files --- */

/* -ENOENT (without O_CREAT) and -ESTALE, a server's word for what has just been removed, are nobody's fault. */
static int open_file(const LockFolder *l, const char *file, int flags, int *ret, Fault *f) {
        _cleanup_fd_ int fd = openat(l->fd, file, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
        struct stat st;

        if (fd < 0 && ((errno == ENOENT && !(flags & O_CREAT)) || errno == ESTALE))
                return -errno;
        if (fd < 0)
                return file_fault(l, file, "can't be opened", errno, f);
        if (fstat(fd, &st) < 0)
                return errno == ESTALE ? -ESTALE : file_fault(l, file, "can't be looked at", errno, f);
        if (!S_ISREG(st.st_mode))
                return file_fault(l, file, "is no lock file", EINVAL, f);
        *ret = TAKE_FD(fd);
        return 0;
}

/* Another description of the same file, wherever its name has gone. */
static int reopen(int fd, int flags) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static bool is_in_place(const LockFolder *l, const char *file, int fd) {
        struct stat here, there;

        return l->fd >= 0 && fstat(fd, &here) == 0 && fstatat(l->fd, file, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
               here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static size_t count_slots(int fd) {
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : MIN((size_t) st.st_size / LEASE_RECORD_SIZE, SLOTS_MAX);
}

static int read_slot(int fd, size_t slot, Lease *ret) {
        char record[LEASE_RECORD_SIZE];
        ssize_t n = pread(fd, record, sizeof(record), slot_at(slot));

        if (n < 0)
                return -errno;
        if (lease_parse_record(record, (size_t) n, ret) >= 0)
                return 0;
        /* Somebody wrote into our file. The lease is real all the same. */
        *ret = (Lease) { .mode = LEASE_EXCLUSIVE, .name = strdup("somebody whose record is damaged") };
        return ret->name ? 0 : -ENOMEM;
}

static int find_owners(int fd, Owners *ret) {
        _cleanup_owners_ Owners o = {};
        size_t n = count_slots(fd), allocated = 0;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = slot_is_locked(fd, i);
                if (r > 0 && !GROW(o.leases, allocated, o.n + 1))
                        r = -ENOMEM;
                if (r > 0)
                        r = read_slot(fd, i, &o.leases[o.n++]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE(o, (Owners) {});
        return 0;
}

/* --- acquiring --- */

/* Opened and locked against other changes: nobody can remove or change it until the description is closed or unlocked. */
static int open_for_change(const LockFolder *l, const char *file, int *ret, Fault *f) {
        for (unsigned i = 0; i < TRIES; i++) {
                _cleanup_fd_ int fd = -1;
                int r;

                r = open_file(l, file, O_RDWR | O_CREAT, &fd, f);
                if (r == -ESTALE)
                        continue;
                if (r < 0)
                        return r;
                r = set_lock(fd, true, F_WRLCK, CHANGING_AT, 1);
                if (r == -ESTALE)
                        continue;
                if (r < 0)
                        return file_fault(l, file, "can't be locked", -r, f);
                if (is_in_place(l, file, fd)) {
                        *ret = TAKE_FD(fd);
                        return 0;
                }
        }
        return file_fault(l, file, "is replaced again and again", EAGAIN, f);
}

static int end_change(const LockFolder *l, const char *file, int fd, Fault *f) {
        int r = set_lock(fd, false, F_UNLCK, CHANGING_AT, 1);

        return r < 0 ? file_fault(l, file, "can't be unlocked", -r, f) : 0;
}

/* Slots of a file that many share are tried from a random one on, so that few tries are needed. */
static int claim_slot(int fd, size_t *ret) {
        size_t n = count_slots(fd), start = 0;

        if (n > 1 && getrandom(&start, sizeof(start), GRND_NONBLOCK) == sizeof(start))
                start %= n;
        else
                start = 0;
        for (size_t i = start; i < SLOTS_MAX; i++) {
                int r = set_lock(fd, false, F_WRLCK, slot_at(i), LEASE_RECORD_SIZE);

                if (r >= 0)
                        *ret = i;
                if (r != -EAGAIN)
                        return r;
        }
        return -ENOSPC;
}

static int write_record(int fd, size_t slot, const Lease *lease) {
        char record[LEASE_RECORD_SIZE];
        ssize_t n;
        int r;

        r = lease_format_record(lease, record);
        if (r < 0)
                return r;
        n = pwrite(fd, record, sizeof(record), slot_at(slot));
        return n < 0 ? -errno : n == sizeof(record) ? 0 : -ENOSPC;
}

static int write_owner(const LockFolder *l, const char *file, int fd, size_t slot, const Lease *lease, Fault *f) {
        _cleanup_lease_ Lease whole = {};
        int r = lease_copy(lease, &whole);

        if (r >= 0)
                r = free_and_strdup(&whole.host, l->host);
        if (r >= 0)
                r = write_record(fd, slot, &whole);
        return r < 0 ? file_fault(l, file, "can't be written", -r, f) : 0;
}

static int owners_or_fault(const LockFolder *l, const char *file, int fd, Owners *ret, Fault *f) {
        int r = find_owners(fd, ret);

        return r < 0 ? file_fault(l, file, "can't be read", -r, f) : 0;
}

/* Who has the file that was there before, if anybody. */
static int check_anchor(const LockFolder *l, const char *file, int anchor, Owners *ret_owners, Fault *f) {
        _cleanup_owners_ Owners o = {};
        _cleanup_fd_ int fd = -1;
        int r;

        if (anchor < 0 || is_in_place(l, file, anchor))
                return 0;
        fd = reopen(anchor, O_RDONLY | O_NONBLOCK);
        if (fd == -ESTALE || fd == -ENOENT) /* the server has forgotten it, and its locks */
                return 0;
        if (fd < 0)
                return file_fault(l, file, "what was there before can't be opened", -fd, f);
        r = owners_or_fault(l, file, fd, &o, f);
        if (r < 0 || o.n == 0)
                return r;
        *ret_owners = TAKE(o, (Owners) {});
        ret_owners->misplaced = true;
        return -EBUSY;
}

int lockfile_acquire(const LockFolder *l, const char *file, const Lease *lease, int anchor, int *ret_lease, int *ret_anchor,
                     Owners *ret_owners, Fault *f) {
        _cleanup_fd_ int fd = -1, new_anchor = -1;
        size_t slot;
        int r;

        assert(l && file && lease && ret_lease && ret_anchor && ret_owners);

        r = lock_folder_check(l, f);
        if (r >= 0)
                r = check_anchor(l, file, anchor, ret_owners, f);
        if (r >= 0)
                r = open_for_change(l, file, &fd, f);
        if (r < 0)
                return r;
        r = set_lock(fd, false, lease->mode == LEASE_SHARED ? F_RDLCK : F_WRLCK, RESOURCE_AT, 1);
        if (r == -EAGAIN) {
                r = owners_or_fault(l, file, fd, ret_owners, f);
                return r < 0 ? r : -EBUSY;
        }
        if (r >= 0)
                r = claim_slot(fd, &slot);
        if (r < 0)
                return file_fault(l, file, "can't be locked", -r, f);
        r = write_owner(l, file, fd, slot, lease, f);
        if (r >= 0)
                r = end_change(l, file, fd, f);
        if (r < 0)
                return r;
        new_anchor = reopen(fd, O_PATH);
        if (new_anchor < 0)
                return file_fault(l, file, "can't be held", -new_anchor, f);
        *ret_lease = TAKE_FD(fd);
        *ret_anchor = TAKE_FD(new_anchor);
        return 0;
}

/* --- handing over --- */

/* The slot that this description has locked and the other one sees locked. */
static int find_own_slot(int fd, int other, size_t *ret) {
        size_t n = count_slots(other);

        for (size_t i = 0; i < n; i++) {
                int r = slot_is_locked(other, i);

                if (r > 0) {
                        r = slot_is_locked(fd, i);
                        if (r == 0) {
                                *ret = i;
                                return 0;
                        }
                }
                if (r < 0)
                        return r;
        }
        return -ENOENT;
}

static int no_lease(const char *file, Fault *f) {
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the descriptor is no lease of %s", file);
}

/* Becoming exclusive comes before the record says so, becoming shared after. */
static int change_owner(const LockFolder *l, const char *file, const Lease *lease, int fd, int guard, size_t slot, Owners *ret_owners,
                        Fault *f) {
        int r;

        if (lease->mode == LEASE_EXCLUSIVE) {
                r = set_lock(fd, false, F_WRLCK, RESOURCE_AT, 1);
                if (r == -EAGAIN) {
                        r = owners_or_fault(l, file, fd, ret_owners, f); /* it does not see itself */
                        return r < 0 ? r : -EBUSY;
                }
                if (r < 0)
                        return file_fault(l, file, "can't be locked", -r, f);
        }
        r = write_owner(l, file, guard, slot, lease, f);
        if (r >= 0 && lease->mode == LEASE_SHARED) {
                r = set_lock(fd, false, F_RDLCK, RESOURCE_AT, 1);
                if (r < 0)
                        return file_fault(l, file, "can't be locked", -r, f);
        }
        return r;
}

int lockfile_transfer(const LockFolder *l, const char *file, const Lease *lease, int fd, Owners *ret_owners, Fault *f) {
        _cleanup_fd_ int guard = -1;
        size_t slot;
        int r;

        assert(l && file && lease && ret_owners);

        r = lock_folder_check(l, f);
        if (r < 0)
                return r;
        if (!is_in_place(l, file, fd) || (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) != O_RDWR)
                return no_lease(file, f);
        /* Not by the lease's own description: should this end half-way, nobody else may be held up. */
        r = open_for_change(l, file, &guard, f);
        if (r < 0)
                return r;
        r = find_own_slot(fd, guard, &slot);
        if (r == -ENOENT)
                return no_lease(file, f);
        if (r < 0)
                return file_fault(l, file, "can't be looked at", -r, f);
        return change_owner(l, file, lease, fd, guard, slot, ret_owners, f);
}

/* --- looking --- */

static void remove_unused(const LockFolder *l, const char *file, int fd) {
        _cleanup_fd_ int guard = reopen(fd, O_RDWR | O_NONBLOCK);

        if (guard >= 0 && set_lock(guard, false, F_WRLCK, CHANGING_AT, 1) >= 0 && is_in_place(l, file, guard) &&
            set_lock(guard, false, F_WRLCK, RESOURCE_AT, 1) >= 0)
                (void) unlinkat(l->fd, file, 0);
}

/* Read-only descriptions: closing them is not taken for the end of a lease. */
static int look(const LockFolder *l, const char *file, int fd, Owners *ret, Fault *f) {
        _cleanup_owners_ Owners o = {};
        int r;

        r = set_lock(fd, true, F_RDLCK, CHANGING_AT, 1);
        if (r < 0)
                return file_fault(l, file, "can't be locked", -r, f);
        r = owners_or_fault(l, file, fd, &o, f);
        (void) set_lock(fd, false, F_UNLCK, CHANGING_AT, 1);
        if (r < 0)
                return r;
        o.misplaced = !is_in_place(l, file, fd);
        if (o.n == 0 && !o.misplaced)
                remove_unused(l, file, fd);
        *ret = TAKE(o, (Owners) {});
        return 0;
}

int lockfile_look(const LockFolder *l, const char *file, int anchor, Owners *ret, Fault *f) {
        _cleanup_fd_ int fd = -1;

        assert(l && file && ret);

        fd = reopen(anchor, O_RDONLY | O_NONBLOCK);
        return fd < 0 ? file_fault(l, file, "can't be opened", -fd, f) : look(l, file, fd, ret, f);
}

static int list_one(const LockFolder *l, const char *file, LockfileFound found, void *userdata) {
        _cleanup_fd_ int fd = -1, anchor = -1;
        _cleanup_owners_ Owners o = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        r = open_file(l, file, O_RDONLY, &fd, &f);
        if (r == -ENOENT || r == -ESTALE)
                return 0;
        if (r >= 0)
                r = look(l, file, fd, &o, &f);
        if (r >= 0 && o.n == 0)
                return 0;
        if (r >= 0) {
                anchor = reopen(fd, O_PATH);
                r = anchor < 0 ? file_fault(l, file, "can't be held", -anchor, &f) : 0;
        }
        return found(file, anchor, &o, r < 0 ? &f : NULL, userdata);
}

int lockfile_list(const LockFolder *l, LockfileFound found, void *userdata, Fault *f) {
        struct dirent *e;
        DIR *folder;
        int fd, r;

        assert(l && found);

        r = lock_folder_check(l, f);
        if (r < 0)
                return r;
        fd = openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        folder = fd < 0 ? NULL : fdopendir(fd);
        if (!folder) {
                r = errno;
                fd_close(fd);
                return fault_set(f, FAULT_LOCKSPACE, r, "%s: can't be read: %s", l->path, strerror(r));
        }
        while ((e = readdir(folder)) && r >= 0)
                if (e->d_name[0] != '.')
                        r = list_one(l, e->d_name, found, userdata);
        closedir(folder);
        return r;
}
