/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "editor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "definition.h"
#include "fd.h"
#include "str.h"

#define SUFFIX ".xml"

static const char *chosen(void) {
        static const char *const variables[] = { "VIRTCTL_EDITOR", "VISUAL", "EDITOR" };

        for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
                if (!is_empty(getenv(variables[i])))
                        return getenv(variables[i]);
        return "editor";
}

/* Nobody else reads it: there may be passwords in it. */
static int make_file(const char *name, const char *text, char **ret) {
        const char *folder = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *plain = strdup(name), *path = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        for (char *p = plain; p && (p = strchr(p, '/'));)
                *p = '-';
        path = strf("%s/virtctl-%s-XXXXXX" SUFFIX, !is_empty(folder) && access(folder, W_OK) >= 0 ? folder : "/tmp", plain ?: "");
        if (!path)
                return client_fail("out of memory");
        fd = mkostemps(path, (int) strlen(SUFFIX), O_CLOEXEC);
        r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
        if (r < 0) {
                if (fd >= 0)
                        (void) unlink(path);
                return client_fail("%s: %s", path, strerror(-r));
        }
        *ret = TAKE_PTR(path);
        return 0;
}

int editor_keep(const char *name, const char *text, char **ret) {
        _cleanup_free_ char *path = NULL;
        int r = make_file(name, text, &path);

        if (r != 0)
                return r;
        fprintf(stderr, "  What was written is kept in %s\n", path);
        if (ret)
                *ret = TAKE_PTR(path);
        return 0;
}

_noreturn_ static void run(const char *program, const char *path) {
        _cleanup_free_ char *command = strf("%s \"$1\"", program);

        if (command)
                execlp("sh", "sh", "-c", command, program, path, NULL);
        _exit(127);
}

/* What the keyboard says meanwhile is for the editor. */
static int edit_file(const char *path) {
        void (*interrupt)(int) = signal(SIGINT, SIG_IGN), (*quit)(int) = signal(SIGQUIT, SIG_IGN);
        pid_t editor = fork();
        int status = 0, r;

        if (editor == 0) {
                (void) signal(SIGINT, SIG_DFL);
                (void) signal(SIGQUIT, SIG_DFL);
                run(chosen(), path);
        }
        r = editor < 0 ? -errno : 0;
        while (editor > 0 && waitpid(editor, &status, 0) < 0 && errno == EINTR)
                ;
        (void) signal(SIGINT, interrupt);
        (void) signal(SIGQUIT, quit);
        if (r < 0)
                return client_fail("%s can't be started: %s", chosen(), strerror(-r));
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return client_fail("the editor \"%s\" is not there; EDITOR says which one is taken", chosen());
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : client_fail("the editor \"%s\" has failed: nothing is changed", chosen());
}

int editor_run(Client *c, const char *name, const char *text, char **ret) {
        _cleanup_free_ char *path = NULL, *now = NULL;
        int r = make_file(name, text, &path);

        if (r != 0)
                return r;
        r = edit_file(path) ?: definition_read(path, &now);
        if (r != 0 && !now && (definition_read(path, &now) != 0 || !streq(now, text)))
                fprintf(stderr, "  What was written is kept in %s\n", path);
        else
                (void) unlink(path);
        if (r == 0 && streq(now, text)) {
                if (!c->quiet)
                        fprintf(stderr, "%s is as it was: there is nothing to do.\n", name);
                *ret = NULL;
        } else if (r == 0)
                *ret = TAKE_PTR(now);
        return r;
}
