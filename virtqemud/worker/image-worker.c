/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-image: opens files of users for virtqemud, which must not hang when a file server does. Standard input is a JSON list of
 * requests; on the SOCK_SEQPACKET socket 3 go
 *   {"open": PATH}                                     before each path it touches, so that a timeout can name it
 *   {"i", "path", "format", "block", "dev", "inode", "size", "allocation", "physical", "shared-key"} + descriptor    for each level, top first
 *   {"error": {"kind", "errno", "message", "hint"}}    the first failure, then it ends
 *   {"end": true}                                      all is well */

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "image-file.h"
#include "image-key.h"
#include "image-scratch.h"
#include "old-image.h"
#include "qcow2.h"
#include "str.h"

#define SOCKET_FD 3
#define REQUEST_MAX ((size_t) 4 * 1024 * 1024)
#define CHAIN_MAX 64u
#define MEMFD_MAX (UINT64_C(1) << 30)

typedef struct Level {
        size_t request;
        const char *path, *format;
        uint64_t guest_size;
} Level;

/* The files of one chain, to notice a loop. */
typedef struct Chain {
        size_t n;
        struct { uint64_t dev, inode; } seen[CHAIN_MAX];
} Chain;

static int send_json(json_t *json, int fd) {
        json_auto_t *taken = json;
        _cleanup_free_ char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        n = fd_send(SOCKET_FD, text, strlen(text), &fd, fd >= 0 ? 1 : 0);
        return n < 0 ? (int) n : 0;
}

static int send_level(const Level *l, const ImageFile *file) {
        _cleanup_free_ char *shared_key = image_shared_key(file);

        return send_json(json_pack("{s:I,s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:s*}", "i", (json_int_t) l->request, "path", l->path, "format", l->format,
                                   "block", file->block_device, "dev", (json_int_t) file->dev, "inode", (json_int_t) file->inode,
                                   "size", (json_int_t) l->guest_size, "allocation", (json_int_t) file->allocation, "physical", (json_int_t) file->size,
                                   "shared-key", shared_key), file->fd);
}

static int send_fault(const Fault *f, size_t request) {
        return send_json(json_pack("{s:{s:s,s:i,s:s,s:s*},s:I}", "error", "kind", fault_kind_to_string(f->kind), "errno", f->error,
                                   "message", fault_text(f), "hint", f->hint, "i", (json_int_t) request), -1);
}

static int check_format(const char *path, const char *format, Fault *f) {
        static const char *const known[] = { "raw", "qcow2", "luks", "vdi", "vhdx", "vpc", "vmdk", "qed", "qcow", "bochs", "cloop", "dmg", "parallels" };
        const char *near;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (streq(known[i], format))
                        return 0;
        near = str_nearest(format, known, ARRAY_SIZE(known));
        fault_set(f, FAULT_IMAGE, EINVAL, "%s: \"%s\" is no image format", path, format);
        if (near)
                fault_hint(f, "did you mean %s?", near);
        return -EINVAL;
}

/* The path of the next level; `name` is what the image says. */
static int backing_path(const char *path, const char *name, char **ret, Fault *f) {
        const char *colon = strchr(name, ':'), *slash = strchr(name, '/'), *plain = str_after(name, "file:");
        const char *folder_end = strrchr(path, '/');

        if (!is_utf8(name))
                return fault_set(f, FAULT_IMAGE, EINVAL, "%s: the name of its backing image is no UTF-8", path);
        if (!plain && colon && (!slash || colon < slash)) {
                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s: its backing image \"%s\" is no file; only files and block devices can be used",
                          path, name);
                fault_hint(f, "name it in the <backingStore type='network'> of the disk, which is where servers are named, or copy it into a file");
                return -EOPNOTSUPP;
        }
        name = plain ?: name;
        *ret = name[0] == '/' ? strdup(name) : strf("%.*s/%s", (int) (folder_end - path), path, name);
        return *ret ? 0 : fault_oom(f);
}

static int read_header(const char *path, const ImageFile *file, Qcow2Header *ret, Fault *f) {
        _cleanup_free_ char *data = malloc(QCOW2_READ);
        const char *problem = NULL;
        ssize_t n;
        int r;

        if (!data)
                return fault_oom(f);
        n = pread(file->fd, data, QCOW2_READ, 0);
        if (n < 0)
                return fault_set(f, FAULT_IMAGE, errno, "%s: can't be read: %s", path, strerror(errno));
        r = qcow2_parse(data, (size_t) n, ret, &problem);
        if (r == -ENOMEM)
                return fault_oom(f);
        if (r < 0) {
                fault_set(f, FAULT_IMAGE, EBADMSG, "%s: %s", path, problem);
                fault_hint(f, "name the true format of the image (raw, qcow2, …) where it is defined");
                return r;
        }
        if (ret->data_file) {
                qcow2_clear(ret);
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s: keeps its data in another file, which can't be used", path);
        }
        return 0;
}

static int read_old_header(const char *path, const char *format, const ImageFile *file, uint64_t *ret_size, Fault *f) {
        _cleanup_free_ char *data = calloc(1, OLD_IMAGE_READ); /* those that only name others are short */
        const char *problem;
        ssize_t n;

        if (!data)
                return fault_oom(f);
        n = pread(file->fd, data, OLD_IMAGE_READ, 0);
        if (n < 0)
                return fault_set(f, FAULT_IMAGE, errno, "%s: can't be read: %s", path, strerror(errno));
        if (old_image_parse(format, data, MAX((size_t) n, OLD_IMAGE_MIN), ret_size, &problem) >= 0)
                return 0;
        fault_set(f, FAULT_IMAGE, EBADMSG, "%s: %s", path, problem);
        fault_hint(f, "convert it: qemu-img convert -f %s -O qcow2 %s NEW.qcow2", format, path);
        return -EBADMSG;
}

static int chain_note(Chain *c, const char *path, const ImageFile *file, Fault *f) {
        for (size_t i = 0; i < c->n; i++)
                if (c->seen[i].dev == file->dev && c->seen[i].inode == file->inode)
                        return fault_set(f, FAULT_IMAGE, ELOOP, "%s: the chain of backing images comes back to it", path);
        if (c->n >= CHAIN_MAX)
                return fault_set(f, FAULT_LIMIT, E2BIG, "%s: the chain of backing images has more than %u levels", path, CHAIN_MAX);
        c->seen[c->n].dev = file->dev;
        c->seen[c->n++].inode = file->inode;
        return 0;
}

static int next_level(const char *path, const Qcow2Header *h, char **ret_path, Fault *f) {
        int r;

        r = backing_path(path, h->backing, ret_path, f);
        if (r < 0)
                return r;
        if (!h->backing_format) {
                fault_set(f, FAULT_IMAGE, EINVAL, "%s: does not record the format of its backing image %s", path, h->backing);
                fault_hint(f, "record it: qemu-img rebase -u -b %s -F raw %s (or the format it really has)", h->backing, path);
                return -EINVAL;
        }
        return 0;
}

static int open_level(const Level *l, Chain *chain, bool writable, bool follow, Qcow2Header *ret, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        _cleanup_(qcow2_clear) Qcow2Header header = {};
        Level told = *l;
        int r;

        (void) send_json(json_pack("{s:s}", "open", l->path), -1);
        r = check_format(l->path, l->format, f);
        if (r < 0)
                return r;
        r = image_file_open(l->path, writable, &file, f);
        if (r < 0)
                return r;
        r = chain_note(chain, l->path, &file, f);
        if (r < 0)
                return r;
        told.guest_size = file.size;
        if (streq(l->format, "qcow2")) {
                r = read_header(l->path, &file, &header, f);
                if (r < 0)
                        return r;
                told.guest_size = header.size;
        } else if (old_image_format(l->format)) {
                r = read_old_header(l->path, l->format, &file, &told.guest_size, f);
                if (r < 0)
                        return r;
        }
        r = send_level(&told, &file);
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: can't be handed over: %s", l->path, strerror(-r));
        if (follow)
                *ret = TAKE(header, (Qcow2Header) {});
        return 0;
}

static int open_chain(size_t request, const char *top, const char *format, bool writable, bool follow, Fault *f) {
        _cleanup_free_ char *path = strdup(top), *level_format = strdup(format);
        Chain chain = {};
        int r;

        if (!path || !level_format)
                return fault_oom(f);
        for (;;) {
                _cleanup_(qcow2_clear) Qcow2Header header = {};
                Level level = { .request = request, .path = path, .format = level_format };
                char *next;

                r = open_level(&level, &chain, writable, follow, &header, f);
                if (r >= 0 && header.backing)
                        r = next_level(path, &header, &next, f);
                if (r < 0 && chain.n > 0 && !streq(path, top))
                        fault_prefix(f, "%s: a backing image can't be used", top);
                if (r < 0 || !header.backing)
                        return r;
                free(path);
                path = next;
                free(level_format);
                level_format = TAKE_PTR(header.backing_format);
                writable = false;
        }
}

static int hand_over(size_t request, const char *path, const char *format, const ImageFile *file, Fault *f) {
        const Level level = { .request = request, .path = path, .format = format, .guest_size = file->size };
        int r = send_level(&level, file);

        return r < 0 ? fault_set(f, FAULT_IMAGE, -r, "%s: can't be handed over: %s", path, strerror(-r)) : 0;
}

static int open_memfd(size_t request, const char *path, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        int r;

        (void) send_json(json_pack("{s:s}", "open", path), -1);
        r = image_file_open(path, false, &file, f);
        if (r < 0)
                return r;
        r = image_file_to_memfd(path, &file, MEMFD_MAX, f);
        return r < 0 ? r : hand_over(request, path, "raw", &file, f);
}

static int open_output(size_t request, const char *path, bool append, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        int r;

        (void) send_json(json_pack("{s:s}", "open", path), -1);
        r = image_file_open_output(path, append, &file, f);
        return r < 0 ? r : hand_over(request, path, "raw", &file, f);
}

static int open_scratch(size_t request, const char *folder, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        int r;

        (void) send_json(json_pack("{s:s}", "open", folder), -1);
        r = image_scratch_open(folder, &file, f);
        return r < 0 ? r : hand_over(request, folder, "raw", &file, f);
}

/* How large is what it is to be a layer on? */
static int guest_size(const char *path, const char *format, uint64_t *ret, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        _cleanup_(qcow2_clear) Qcow2Header header = {};
        bool qcow2 = streq(format, "qcow2");
        int r;

        if (!qcow2 && !streq(format, "raw"))
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s: its format %s takes no layer", path, format);
        r = image_file_open(path, false, &file, f);
        if (r >= 0 && qcow2)
                r = read_header(path, &file, &header, f);
        if (r >= 0)
                *ret = qcow2 ? header.size : file.size;
        return r;
}

static int open_layer(size_t request, const char *path, const char *format, Fault *f) {
        _cleanup_(image_file_clear) ImageFile file = IMAGE_FILE_INIT;
        uint64_t size = 0;
        int r;

        (void) send_json(json_pack("{s:s}", "open", path), -1);
        r = guest_size(path, format, &size, f);
        if (r >= 0)
                r = image_layer_open(path, size, &file, f);
        return r < 0 ? r : hand_over(request, path, "qcow2", &file, f);
}

static bool is_missing(const char *path) {
        (void) send_json(json_pack("{s:s}", "open", path), -1);
        return access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENOMEDIUM);
}

static int serve(size_t i, const json_t *request, Fault *f) {
        const char *path = json_string_value(json_object_get(request, "path"));
        const char *want = json_string_value(json_object_get(request, "want"));
        const char *format = json_string_value(json_object_get(request, "format"));
        const char *from = json_string_value(json_object_get(request, "template"));
        bool writable = json_is_true(json_object_get(request, "writable"));
        int r;

        if (!path || path[0] != '/')
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: is no absolute path", path ?: "(nothing)");
        if (json_is_true(json_object_get(request, "optional")) && is_missing(path))
                return 0;
        if (streq_null(want, "memfd"))
                return open_memfd(i, path, f);
        if (streq_null(want, "scratch"))
                return open_scratch(i, path, f);
        if (streq_null(want, "layer"))
                return open_layer(i, path, format ?: "raw", f);
        if (streq_null(want, "output"))
                return open_output(i, path, json_is_true(json_object_get(request, "append")), f);
        if (streq_null(want, "nvram") && from) {
                (void) send_json(json_pack("{s:s}", "open", path), -1);
                r = image_file_create(path, from, f);
                if (r < 0)
                        return r;
        }
        if (!streq_null(want, "fd") && !streq_null(want, "chain") && !streq_null(want, "nvram"))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s: unknown wish \"%s\"", path, want ?: "");
        return open_chain(i, path, format ?: "raw", writable, streq_null(want, "chain"), f);
}

/* On failure *ret_failed is the request that could not be done, or the first where none could even be read. */
static int serve_all(size_t *ret_failed, Fault *f) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *requests = NULL;
        const json_t *request;
        size_t length, i;
        int r;

        *ret_failed = 0;
        r = fd_read_all(STDIN_FILENO, REQUEST_MAX, &text, &length);
        if (r >= 0)
                requests = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_array(requests))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "no list of requests on standard input");
        json_array_foreach(requests, i, request) {
                *ret_failed = i;
                r = serve(i, request, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char *argv[]) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        struct stat st;
        size_t failed;
        int r;

        if (argc > 1 || fstat(SOCKET_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
                fprintf(stderr, "%s is started by virtqemud: requests on standard input, a socket as descriptor 3\n", argv[0]);
                return argc > 1 && streq(argv[1], "--help") ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        umask(077);
        r = serve_all(&failed, &f);
        r = r < 0 ? send_fault(&f, failed) : send_json(json_pack("{s:b}", "end", 1), -1);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#ifdef __SANITIZE_ADDRESS__
/* We are killed at any moment; the leak checker's tracer would then keep our parent from being told. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
        return "detect_leaks=0";
}
#endif
