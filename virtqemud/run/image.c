/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "helper.h"
#include "mem.h"
#include "str.h"

#define MESSAGE_MAX ((size_t) 64 * 1024)

DEFINE_ENUM(ImageWant, image_want,
        [IMAGE_FD] = "fd",
        [IMAGE_CHAIN] = "chain",
        [IMAGE_MEMFD] = "memfd",
        [IMAGE_NVRAM] = "nvram",
        [IMAGE_OUTPUT] = "output",
        [IMAGE_LAYER] = "layer",
        [IMAGE_SCRATCH] = "scratch")

struct ImageOpen {
        int fd;
        sd_event_source *io, *timer;
        Helper *helper;
        uint64_t deadline_usec;
        char *busy_with;                /* the path the worker is at */
        size_t failed;                  /* the request it could not do; SIZE_MAX: none */
        ImageFunc done;
        void *userdata;
        size_t n;
        ImageResult *results;
};

/* ---- lifetime ---- */

void image_result_clear(ImageResult *r) {
        for (size_t i = 0; i < r->n_levels; i++) {
                fd_close(r->levels[i].fd);
                free(r->levels[i].path);
                free(r->levels[i].format);
                free(r->levels[i].shared_key);
        }
        free(r->levels);
        *r = (ImageResult) {};
}

static void results_free(ImageResult *results, size_t n) {
        for (size_t i = 0; results && i < n; i++)
                image_result_clear(&results[i]);
        free(results);
}

static void image_stop(ImageOpen *o) {
        o->io = sd_event_source_disable_unref(o->io);
        o->timer = sd_event_source_disable_unref(o->timer);
        o->helper = helper_free(o->helper);
        o->fd = fd_close(o->fd);
}

ImageOpen *image_open_free(ImageOpen *o) {
        if (!o)
                return NULL;
        image_stop(o);
        results_free(o->results, o->n);
        free(o->busy_with);
        free(o);
        return NULL;
}

size_t image_open_failed(const ImageOpen *o) {
        assert(o);

        return o->failed;
}

/* `o` may be gone afterwards. */
static void image_finish(ImageOpen *o, const Fault *fault) {
        ImageResult *results = TAKE_PTR(o->results);
        size_t n = o->n;

        image_stop(o);
        o->done(o, fault ? NULL : results, fault ? 0 : n, fault, o->userdata);
        results_free(results, n);
}

/* ---- what the worker says ---- */

static int worker_nonsense(Fault *f) {
        return fault_set(f, FAULT_IMAGE, EBADMSG, "the program that opens images answered in a way that can't be read");
}

static int take_error(ImageOpen *o, const json_t *error, json_int_t request, Fault *f) {
        FaultKind kind = fault_kind_from_string(json_string_value(json_object_get(error, "kind")));
        json_int_t e = json_integer_value(json_object_get(error, "errno"));
        const char *message = json_string_value(json_object_get(error, "message"));
        const char *hint = json_string_value(json_object_get(error, "hint"));

        if (kind <= FAULT_NONE || e <= 0 || e > 4095 || !message)
                return worker_nonsense(f);
        if (request >= 0 && (size_t) request < o->n)
                o->failed = (size_t) request;
        fault_set(f, kind, (int) e, "%s", message);
        if (hint)
                fault_hint(f, "%s", hint);
        return -(int) e;
}

static int take_level(ImageOpen *o, const json_t *json, int *fd, Fault *f) {
        json_int_t i = json_is_integer(json_object_get(json, "i")) ? json_integer_value(json_object_get(json, "i")) : -1;
        const char *path = json_string_value(json_object_get(json, "path"));
        const char *format = json_string_value(json_object_get(json, "format"));
        const char *shared_key = json_string_value(json_object_get(json, "shared-key"));
        ImageResult *result;
        ImageLevel *level;

        if (i < 0 || (size_t) i >= o->n || !path || !format || *fd < 0 || o->results[i].n_levels >= IMAGE_CHAIN_MAX)
                return worker_nonsense(f);
        result = &o->results[i];
        level = reallocarray(result->levels, result->n_levels + 1, sizeof(ImageLevel));
        if (!level)
                return fault_oom(f);
        result->levels = level;
        level += result->n_levels++;
        *level = (ImageLevel) {
                .fd = TAKE_FD(*fd),
                .path = strdup(path),
                .format = strdup(format),
                .block_device = json_is_true(json_object_get(json, "block")),
                .dev = (uint64_t) json_integer_value(json_object_get(json, "dev")),
                .inode = (uint64_t) json_integer_value(json_object_get(json, "inode")),
                .allocation = (uint64_t) json_integer_value(json_object_get(json, "allocation")),
                .physical = (uint64_t) json_integer_value(json_object_get(json, "physical")),
                .size = (uint64_t) json_integer_value(json_object_get(json, "size")),
                .shared_key = shared_key ? strdup(shared_key) : NULL,
        };
        return (level->shared_key || !shared_key) && level->path && level->format ? 0 : fault_oom(f);
}

/* 1: that was the last message. */
static int take_end(const ImageOpen *o, Fault *f) {
        for (size_t i = 0; i < o->n; i++)
                if (o->results[i].n_levels == 0 && !o->results[i].optional)
                        return worker_nonsense(f);
        return 1;
}

static int take_message(ImageOpen *o, const char *data, size_t length, int *fd, Fault *f) {
        json_auto_t *json = json_loadb(data, length, JSON_REJECT_DUPLICATES, NULL);
        const char *path = json_string_value(json_object_get(json, "open"));
        const json_t *error = json_object_get(json, "error");

        if (error)
                return take_error(o, error, json_integer_value(json_object_get(json, "i")), f);
        if (json_object_get(json, "end"))
                return take_end(o, f);
        if (path)
                return free_and_strdup(&o->busy_with, path) < 0 ? fault_oom(f) : 0;
        return take_level(o, json, fd, f);
}

static int on_message(_unused_ sd_event_source *s, int socket, _unused_ uint32_t events, void *userdata) {
        _cleanup_free_ char *data = malloc(MESSAGE_MAX);
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_fd_ int fd = -1;
        ImageOpen *o = userdata;
        size_t n_fds = 1;
        ssize_t n;
        int r;

        n = data ? fd_receive(socket, data, MESSAGE_MAX, &fd, &n_fds) : -ENOMEM;
        if (n == -EAGAIN)
                return 0;
        if (n <= 0) {
                /* It ended too early; on_worker_exit() knows why. */
                o->io = sd_event_source_disable_unref(o->io);
                return 0;
        }
        r = take_message(o, data, (size_t) n, &fd, &f);
        if (r != 0)
                image_finish(o, r < 0 ? &f : NULL);
        return 0;
}

static void on_worker_exit(Helper *h, int si_code, int status, void *userdata) {
        _cleanup_free_ char *how = helper_describe(h, si_code, status);
        _cleanup_fault_ Fault f = FAULT_INIT;
        ImageOpen *o = userdata;

        fault_set(&f, FAULT_IMAGE, EIO, "%s: the program that opens images %s", o->busy_with, how ?: "ended");
        image_finish(o, &f);
}

static int on_deadline(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        ImageOpen *o = userdata;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s: the file system did not answer within %" PRIu64 " s", o->busy_with,
                  (o->deadline_usec + 999999) / 1000000);
        fault_hint(&f, "check whether the file server or disk behind it is down");
        image_finish(o, &f);
        return 0;
}

/* ---- starting it ---- */

static json_t *requests_to_json(const ImageRequest *requests, size_t n) {
        json_auto_t *list = json_array();

        for (size_t i = 0; i < n; i++) {
                const ImageRequest *q = &requests[i];

                if (json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s*,s:b,s:b,s:b}", "path", q->path, "want", image_want_to_string(q->want),
                                                          "format", q->format ?: "raw", "template", q->template_path,
                                                          "writable", q->writable, "append", q->append, "optional", q->optional)) < 0)
                        return NULL;
        }
        return TAKE_PTR(list);
}

static int requests_to_fd(const ImageRequest *requests, size_t n) {
        json_auto_t *json = requests_to_json(requests, n);
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

        return text ? memfd_new_sealed("virtbus-requests", text, strlen(text)) : -ENOMEM;
}

static int check_requests(const ImageRequest *requests, size_t n, Fault *f) {
        if (n == 0 || n > IMAGE_REQUESTS_MAX)
                return fault_set(f, FAULT_LIMIT, E2BIG, "%zu files can't be opened at once; the limit is %u", n, IMAGE_REQUESTS_MAX);
        for (size_t i = 0; i < n; i++) {
                if (is_empty(requests[i].path) || requests[i].path[0] != '/')
                        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: is no absolute path", requests[i].path ?: "(nothing)");
                if (!is_utf8(requests[i].path) || strlen(requests[i].path) >= 4096)
                        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the path of file %zu is too long or no UTF-8", i + 1);
        }
        return 0;
}

static int worker_start(ImageOpen *o, sd_event *e, const char *worker, int input) {
        char *argv[] = { (char *) (worker ?: IMAGE_WORKER_PATH), NULL };
        _cleanup_fd_ int theirs = -1;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        o->fd = pair[0];
        theirs = pair[1];
        r = fd_set_nonblock(o->fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(e, &o->io, o->fd, EPOLLIN, on_message, o);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(e, &o->timer, CLOCK_MONOTONIC, o->deadline_usec, 0, on_deadline, o);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(o->timer, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r < 0)
                return r;
        return helper_start(e, argv, input, theirs, on_worker_exit, o, &o->helper);
}

int image_open(sd_event *e, const char *worker, const ImageRequest *requests, size_t n, uint64_t deadline_usec,
               ImageFunc done, void *userdata, ImageOpen **ret, Fault *f) {
        _cleanup_(image_open_freep) ImageOpen *o = NULL;
        _cleanup_fd_ int input = -1;
        int r;

        assert(e && (requests || n == 0) && done && ret);

        r = check_requests(requests, n, f);
        if (r < 0)
                return r;
        o = new0(ImageOpen, 1);
        if (!o)
                return fault_oom(f);
        o->fd = -1;
        o->done = done;
        o->userdata = userdata;
        o->deadline_usec = deadline_usec ?: IMAGE_DEADLINE_USEC;
        o->results = new0(ImageResult, n);
        o->n = n;
        o->failed = SIZE_MAX;
        o->busy_with = strdup(requests[0].path);
        input = requests_to_fd(requests, n);
        if (!o->results || !o->busy_with || input == -ENOMEM)
                return fault_oom(f);
        for (size_t i = 0; i < n; i++)
                o->results[i].optional = requests[i].optional;
        r = input < 0 ? input : worker_start(o, e, worker, input);
        if (r < 0)
                return fault_set(f, FAULT_IMAGE, -r, "%s: the program that opens images can't be started: %s", requests[0].path, strerror(-r));
        *ret = TAKE_PTR(o);
        return 0;
}
