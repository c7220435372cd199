/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cloud-seed.h"
#include "fd.h"
#include "file.h"
#include "str.h"

/* The image is written by a program made for it, in a folder of its own that nobody else can look into. */

extern char **environ;

#define IMAGE "seed.iso"
#define FILES "files"
/* Joliet and Rock Ridge for the long names; the files belong to the guest's root. */
#define SAME_OPTIONS                                                                                                                  \
        (char *) "-quiet", (char *) "-J", (char *) "-R", (char *) "-uid", (char *) "0", (char *) "-gid", (char *) "0", (char *) "-V", \
        (char *) "cidata"

static int write_file(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = strf("%s/" FILES "/%s", folder, name);
        _cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
        int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));

        return r < 0 ? client_fail("%s: %s", path ?: name, strerror(-r)) : 0;
}

static int write_files(const char *folder, const CloudSeed *s) {
        const struct { const char *name, *text; } rows[] = {
                { "user-data", s->user_data }, { "meta-data", s->meta_data }, { "network-config", s->network_config },
        };
        _cleanup_free_ char *files = strf("%s/" FILES, folder);
        int r = !files || mkdir(files, 0700) < 0 ? client_fail("%s: %s", files ?: folder, strerror(errno)) : 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
                if (rows[i].text)
                        r = write_file(folder, rows[i].name, rows[i].text);
        return r;
}

/* --- the program --- */

/* It says nothing unless it fails; Ctrl-C ends it whatever we do with signals. */
static int start(char *const *argv, int output, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int r;

        (void) sigemptyset(&none);
        (void) posix_spawnattr_init(&attributes);
        (void) posix_spawnattr_setsigmask(&attributes, &none);
        (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        (void) posix_spawn_file_actions_init(&actions);
        (void) posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        (void) posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        (void) posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
        r = posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        (void) posix_spawnattr_destroy(&attributes);
        return -r;
}

static int run(char *const *argv, int *ret_status) {
        _cleanup_fd_ int output = memfd_create("output", MFD_CLOEXEC);
        char words[1024] = "";
        pid_t pid;
        int status, r = output < 0 ? -errno : start(argv, output, &pid);

        if (r < 0)
                return r;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        *ret_status = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return -ENOENT;
        if (pread(output, words, sizeof(words) - 1, 0) < 0)
                words[0] = '\0';
        *ret_status = client_fail("%s could not write the image for cloud-init: %s", argv[0], WIFSIGNALED(status) ? "it was ended by a signal" : words);
        return 0;
}

static int write_image(const char *folder) {
        _cleanup_free_ char *image = strf("%s/" IMAGE, folder), *files = strf("%s/" FILES, folder);
        char *xorriso[] = { (char *) "xorriso", (char *) "-as", (char *) "mkisofs", SAME_OPTIONS, (char *) "-o", image, files, NULL };
        char *genisoimage[] = { (char *) "genisoimage", SAME_OPTIONS, (char *) "-o", image, files, NULL };
        char *const *programs[] = { xorriso, genisoimage };
        int status, r = image && files ? -ENOENT : -ENOMEM;

        for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(programs); i++)
                r = run(programs[i], &status);
        if (r >= 0)
                return status;
        if (r != -ENOENT)
                return client_fail("the image for cloud-init can't be written: %s", strerror(-r));
        (void) client_fail("the image for cloud-init can't be written: there is neither xorriso nor genisoimage");
        fprintf(stderr, "  Install one of them; the packages are called as they are: xorriso, genisoimage.\n");
        return FAILED;
}

static int open_image(const char *folder, int *ret, uint64_t *ret_size) {
        _cleanup_free_ char *image = strf("%s/" IMAGE, folder);
        _cleanup_fd_ int fd = image ? open(image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return client_fail("the image for cloud-init can't be read: %s", strerror(errno));
        *ret_size = (uint64_t) st.st_size;
        *ret = TAKE_FD(fd);
        return 0;
}

int cloud_seed_to_image(const CloudSeed *s, int *ret, uint64_t *ret_size) {
        const char *base = getenv("TMPDIR") ?: "/tmp";
        _cleanup_free_ char *folder = strf("%s/virtctl-XXXXXX", base);
        int r;

        if (!folder || !mkdtemp(folder))
                return client_fail("no folder can be made in %s: %s", base, strerror(errno));
        r = write_files(folder, s) ?: write_image(folder) ?: open_image(folder, ret, ret_size);
        (void) tree_remove(folder);
        return r;
}
