/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-websocket: carries one viewer's bytes between a websocket and a stream of QEMU's. Standard input is a socket where one message
 * waits: how the viewer comes, in a word - "plain", "tls", or "verify", with a certificate of its own -, and its connection, the stream,
 * and for the latter two a file of certificates. It ends with either. */

#include <errno.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

#define CHUNK 16384
#define HANDSHAKE_SEC 20
#define FDS_MAX 16 /* the library would make room for as many as we may open */

typedef enum Given { GIVEN_VIEWER, GIVEN_STREAM, GIVEN_CERTIFICATES, _GIVEN_MAX } Given;

/* Bytes on their way in one direction: no more are read while some wait. */
typedef struct Waiting {
        unsigned char data[LWS_PRE + CHUNK];
        size_t n, sent;
} Waiting;

typedef struct Carrier {
        struct lws *viewer, *stream;
        int fds[_GIVEN_MAX];
        Waiting to_viewer, to_stream;
        bool stream_ended, over;
} Carrier;

static size_t waiting(const Waiting *w) {
        return w->n - w->sent;
}

static Carrier *carrier_of(struct lws *wsi) {
        return lws_context_user(lws_get_context(wsi));
}

/* --- QEMU's end --- */

static int read_stream(Carrier *c) {
        ssize_t n;

        if (waiting(&c->to_viewer) > 0)
                return 0;
        n = read(c->fds[GIVEN_STREAM], c->to_viewer.data + LWS_PRE, CHUNK);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                c->stream_ended = true;
        } else {
                c->to_viewer.sent = 0;
                c->to_viewer.n = (size_t) n;
        }
        (void) lws_rx_flow_control(c->stream, 0);
        (void) lws_callback_on_writable(c->viewer);
        return 0;
}

static int write_stream(Carrier *c) {
        Waiting *w = &c->to_stream;
        ssize_t n;

        if (waiting(w) == 0)
                return 0;
        n = write(c->fds[GIVEN_STREAM], w->data + w->sent, waiting(w));
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return -1;
        w->sent += (size_t) MAX(n, 0);
        if (waiting(w) > 0)
                (void) lws_callback_on_writable(c->stream);
        else
                (void) lws_rx_flow_control(c->viewer, 1);
        return 0;
}

static int on_stream(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
        Carrier *c = carrier_of(wsi);

        if (reason == LWS_CALLBACK_RAW_RX_FILE)
                return read_stream(c);
        if (reason == LWS_CALLBACK_RAW_WRITEABLE_FILE)
                return write_stream(c);
        if (reason == LWS_CALLBACK_RAW_CLOSE_FILE)
                c->over = true;
        return 0;
}

/* --- the viewer's end --- */

/* Only now somebody is there whom QEMU's words are for. */
static int take_up(Carrier *c, struct lws *wsi) {
        const lws_sock_file_fd_type fd = { .filefd = c->fds[GIVEN_STREAM] };

        c->viewer = wsi;
        c->stream = lws_adopt_descriptor_vhost(lws_get_vhost(wsi), LWS_ADOPT_RAW_FILE_DESC, fd, "stream", NULL);
        return c->stream ? 0 : -1;
}

/* Never more than the library was told to hold, and nothing comes while some of it waits. */
static int take_words(Carrier *c, const void *in, size_t length) {
        Waiting *w = &c->to_stream;

        if (waiting(w) + length > CHUNK)
                return -1;
        memmove(w->data, w->data + w->sent, waiting(w));
        w->n -= w->sent;
        w->sent = 0;
        memcpy(w->data + w->n, in, length);
        w->n += length;
        (void) lws_rx_flow_control(c->viewer, 0);
        return write_stream(c);
}

static int give_words(Carrier *c) {
        Waiting *w = &c->to_viewer;
        int n;

        if (waiting(w) > 0) {
                n = lws_write(c->viewer, w->data + LWS_PRE, w->n, LWS_WRITE_BINARY); /* what does not fit it keeps */
                if (n < 0)
                        return -1;
                w->sent = w->n;
        }
        if (c->stream_ended)
                return -1;
        return lws_rx_flow_control(c->stream, 1) < 0 ? -1 : 0;
}

static int on_viewer(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
        Carrier *c = carrier_of(wsi);

        switch ((int) reason) { /* of the many there are */
        case LWS_CALLBACK_HTTP:
                (void) lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, "This is a websocket.");
                return -1;
        case LWS_CALLBACK_ESTABLISHED:
                return take_up(c, wsi);
        case LWS_CALLBACK_RECEIVE:
                return take_words(c, in, length);
        case LWS_CALLBACK_SERVER_WRITEABLE:
                return give_words(c);
        case LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION:
                return length > 0 ? 0 : -1; /* OpenSSL's verdict, which would not count otherwise */
        case LWS_CALLBACK_WSI_DESTROY:
                c->over = c->over || wsi != c->stream;
                return 0;
        default:
                return 0;
        }
}

/* --- */

static const struct lws_protocols protocols[] = {
        { .name = "binary", .callback = on_viewer, .rx_buffer_size = CHUNK },
        { .name = "stream", .callback = on_stream },
        {}
};

static struct lws_context *make_context(Carrier *c, const char *how, const char *certificates) {
        struct lws_context_creation_info info = {
                .port = CONTEXT_PORT_NO_LISTEN_SERVER, .protocols = protocols, .user = c, .timeout_secs = HANDSHAKE_SEC,
                .fd_limit_per_thread = FDS_MAX, .gid = (gid_t) -1, .uid = (uid_t) -1,
        };

        if (!streq(how, "plain")) {
                info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
                info.ssl_cert_filepath = info.ssl_private_key_filepath = certificates;
        }
        if (streq(how, "verify")) {
                info.options |= LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
                info.ssl_ca_filepath = certificates;
        }
        return lws_create_context(&info);
}

static int carry(Carrier *c, const char *how) {
        _cleanup_free_ char *certificates = strf("/proc/self/fd/%d", c->fds[GIVEN_CERTIFICATES]);
        struct lws_context *context = certificates ? make_context(c, how, certificates) : NULL;

        if (!context)
                return -ENOMEM;
        c->over = !lws_adopt_socket_vhost(lws_get_vhost_by_name(context, "default"), c->fds[GIVEN_VIEWER]);
        while (!c->over && lws_service(context, 0) >= 0)
                ;
        lws_context_destroy(context);
        return 0;
}

/* Keys and pictures are short and shall come at once; and one who has gone without a word is missed some day. */
static void tune(int viewer) {
        const int on = 1;

        (void) setsockopt(viewer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void) setsockopt(viewer, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

int main(int argc, char *argv[]) {
        static Carrier c = { .fds = { -1, -1, -1 } };
        char how[16] = "";
        size_t n_fds = _GIVEN_MAX;
        ssize_t n;

        (void) signal(SIGPIPE, SIG_IGN);
        lws_set_log_level(LLL_ERR, NULL);
        n = fd_receive(STDIN_FILENO, how, sizeof(how) - 1, c.fds, &n_fds);
        if (argc != 1 || n <= 0 || n_fds < (streq(how, "plain") ? 2 : 3)) {
                fprintf(stderr, "virtqemu-websocket is started by virtqemud\n");
                return EXIT_FAILURE;
        }
        if (fd_set_nonblock(c.fds[GIVEN_STREAM], true) < 0 || fd_set_nonblock(c.fds[GIVEN_VIEWER], true) < 0)
                return EXIT_FAILURE;
        tune(c.fds[GIVEN_VIEWER]);
        return carry(&c, how) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
