/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-share FOLDER HOW KIND UID:GID: lends a folder of the host to a QEMU that serves it over 9p by itself.
 *   HOW       "write" or "read"
 *   KIND      "mapped": owners and modes as the guest sees them are kept in attributes of the files; "squash": nowhere
 *   UID:GID   who runs the VM
 * Over standard input, a socket, goes an empty line with a descriptor of the folder, or the reason why there is none; then this ends.
 *
 * The descriptor is that of a mount of its own, at no place in the file tree. So nothing leads from it to what is above or beside the folder,
 * whatever becomes of QEMU, and in it the user of the VM is the owner of the folder: files have no traces of users who are gone tomorrow. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fd.h"
#include "greeting.h"
#include "mem.h"
#include "str.h"

typedef struct Share {
        const char *folder;
        bool writable, mapped;
        uid_t user;
        gid_t group;
        struct stat st;
} Share;

static void write_map(pid_t pid, const char *which, unsigned inside, unsigned outside) {
        _cleanup_free_ char *path = strf("/proc/%d/%s", (int) pid, which), *text = strf("%u %u 1\n", inside, outside);
        _cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

        if (fd < 0 || !text || write(fd, text, strlen(text)) < 0)
                give_up("can't tell the kernel whose its files are: %s", strerror(errno));
}

/* Ends with its parent's end of the pipe. */
static _noreturn_ void be_namespace(int ready, int done) {
        char byte = 0;

        if (unshare(CLONE_NEWUSER) < 0)
                byte = (char) errno;
        (void) !write(ready, &byte, 1);
        (void) !read(done, &byte, 1);
        _exit(0);
}

/* The kernel takes the translation of owners as a namespace of users, which takes a process to be made. */
static int map_owners(const Share *s) {
        _cleanup_free_ char *path = NULL;
        int ready[2], done[2], fd;
        char problem = 0;
        pid_t pid;

        if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
                give_up("no pipe: %s", strerror(errno));
        pid = fork();
        if (pid == 0) {
                (void) close(done[1]);
                be_namespace(ready[1], done[0]);
        }
        (void) close(ready[1]); /* if it dies without a word, that is the end of it */
        if (pid < 0 || read(ready[0], &problem, 1) != 1 || problem)
                give_up("no namespace for users: %s", strerror(problem ? problem : errno));
        write_map(pid, "uid_map", s->st.st_uid, s->user);
        write_map(pid, "gid_map", s->st.st_gid, s->group);
        path = strf("/proc/%d/ns/user", (int) pid);
        fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
                give_up("the namespace for users can't be opened: %s", strerror(errno));
        (void) close(done[1]);
        (void) waitpid(pid, NULL, 0);
        return fd;
}

static int mount_apart(const Share *s, int folder) {
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (s->writable ? 0 : MOUNT_ATTR_RDONLY) };
        _cleanup_fd_ int users = map_owners(s);
        int tree = open_tree(folder, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

        if (tree < 0)
                give_up("%s can't be mounted apart: %s", s->folder, strerror(errno));
        attr.userns_fd = (uint64_t) users;
        if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) >= 0)
                return tree;
        if (errno == EINVAL)
                give_up("the file system of %s can't show its files as another user's: share it by virtiofs", s->folder);
        give_up("%s can't be shown as another user's: %s", s->folder, strerror(errno));
}

static int open_folder(Share *s) {
        int fd = open(s->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *link = strf("/proc/self/fd/%d", fd);

        if (fd < 0 || !link || fstat(fd, &s->st) < 0)
                give_up("%s: %s", s->folder, strerror(errno));
        if (s->mapped && getxattr(link, "user.virtfs.uid", NULL, 0) < 0 && errno == EOPNOTSUPP)
                give_up("the file system of %s keeps no attributes, in which the guest's owners and modes would be: use accessmode='passthrough'", s->folder);
        return fd;
}

/* Files of root's making may be more than files. */
static int lend(Share *s, int folder) {
        if (s->user == geteuid())
                return folder;
        if (s->st.st_uid == 0 && s->writable)
                give_up("%s belongs to root, and so would all that the guest makes in it: give it to another user (chown), or add <readonly/>", s->folder);
        return mount_apart(s, folder);
}

static void parse_arguments(int argc, char **argv, Share *s) {
        unsigned user, group;

        if (argc != 5 || argv[1][0] != '/' || (!streq(argv[2], "write") && !streq(argv[2], "read")) ||
            (!streq(argv[3], "mapped") && !streq(argv[3], "squash")) || sscanf(argv[4], "%u:%u", &user, &group) != 2) {
                fprintf(stderr, "Usage: virtqemu-share FOLDER write|read mapped|squash UID:GID\n");
                exit(EXIT_FAILURE);
        }
        *s = (Share) { .folder = argv[1], .writable = streq(argv[2], "write"), .mapped = streq(argv[3], "mapped"), .user = user, .group = group };
}

int main(int argc, char **argv) {
        int folder, lent;
        ssize_t n;
        Share s;

        parse_arguments(argc, argv, &s);
        folder = open_folder(&s);
        lent = lend(&s, folder);
        n = fd_send(STDIN_FILENO, "\n", 1, &lent, 1);
        return n < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
