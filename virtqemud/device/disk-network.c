/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-network.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

typedef enum Protocol {
        PROTOCOL_NONE, PROTOCOL_NBD, PROTOCOL_ISCSI, PROTOCOL_RBD, PROTOCOL_GLUSTER, PROTOCOL_NFS, PROTOCOL_HTTP, PROTOCOL_HTTPS, PROTOCOL_FTP,
        PROTOCOL_FTPS, PROTOCOL_TFTP, PROTOCOL_SSH, PROTOCOL_SHEEPDOG, PROTOCOL_VXHS,
} Protocol;
static const char *const protocol_words[] = {
        NULL, "nbd", "iscsi", "rbd", "gluster", "nfs", "http", "https", "ftp", "ftps", "tftp", "ssh", "sheepdog", "vxhs",
};
const EnumTable disk_protocol_table = { protocol_words, ARRAY_SIZE(protocol_words) };

typedef enum Transport { TRANSPORT_UNSET, TRANSPORT_TCP, TRANSPORT_UNIX, TRANSPORT_RDMA } Transport;
static const char *const transport_words[] = { NULL, "tcp", "unix", "rdma" };
static const EnumTable transport_table = { transport_words, ARRAY_SIZE(transport_words) };

typedef struct DiskHost {
        Record head;
        char *name, *socket;
        uint64_t port;
        int transport;
} DiskHost;

#define AT(member) offsetof(DiskHost, member)
static const Field host_fields[] = {
        { "@name", &field_string, AT(name), .max_length = 255 },
        { "@port", &field_number, AT(port), .min = 1, .max = 65535 },
        { "@transport", &field_enum, AT(transport), .words = &transport_table },
        { "@socket", &field_string, AT(socket), .max_length = 107 },
};
#undef AT

static int check_host(Record *r, Fault *f) {
        const DiskHost *h = (const DiskHost *) r;

        if (h->transport == TRANSPORT_RDMA)
                return xml_fault_below(r, "@transport", f, FAULT_NOT_SUPPORTED, "'rdma' is not supported, only 'tcp' and 'unix'");
        if (h->transport == TRANSPORT_UNIX && (!h->socket || h->socket[0] != '/' || h->name || h->port != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "transport 'unix' takes a socket, by its absolute path, and nothing else");
        if (h->transport != TRANSPORT_UNIX && (h->socket || !h->name))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "transport 'tcp' takes a name, and no socket");
        return 0;
}

const RecordType disk_host_record = { "host", sizeof(DiskHost), RECORD_FIELDS(host_fields), .check = check_host };

#define AT(member) offsetof(DiskAuth, member)
static const Field auth_fields[] = {
        { "@username", &field_string, AT(user), FIELD_REQUIRED, .max_length = 255 },
        { "secret", &field_record, AT(secret), .record = &secret_ref_record },
};
#undef AT

static int check_auth(Record *r, Fault *f) {
        const DiskAuth *a = (const DiskAuth *) r;

        if (!a->secret)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "it needs a <secret type='…' …/>");
        if (sd_id128_is_null(a->secret->uuid) == is_empty(a->secret->usage))
                return xml_fault(&a->secret->head, f, FAULT_INVALID_DEFINITION, "it is named by its uuid or by its usage");
        return 0;
}

const RecordType disk_auth_record = { "auth", sizeof(DiskAuth), RECORD_FIELDS(auth_fields), .check = check_auth };

static const DiskAuth *auth_of(const DiskNetwork *n) {
        return n->auth ?: n->source_auth;
}

static const DiskHost *host_of(const DiskNetwork *n, size_t i) {
        assert(i < n->hosts.n);

        return ASSERT_PTR((const DiskHost *) n->hosts.items[i]);
}

/* --- the nodes of qemu-nbd, one function for each kind of protocol --- */

#define SECRET_ID "auth"
#define TLS_ID "tls"
#define TLS_FOLDER "/etc/pki/qemu"

static uint64_t port_of(const DiskHost *h, uint64_t usual) {
        return h->port == NUMBER_UNSET ? usual : h->port;
}

static json_t *server_json(const DiskHost *h, uint64_t usual_port) {
        _cleanup_free_ char *port = strf("%" PRIu64, port_of(h, usual_port));

        if (h->transport == TRANSPORT_UNIX)
                return json_pack("{s:s, s:s}", "type", "unix", "path", h->socket);
        return port ? json_pack("{s:s, s:s, s:s}", "type", "inet", "host", h->name, "port", port) : NULL;
}

static json_t *nbd_json(const DiskNetwork *n, uint64_t port) {
        json_auto_t *json = json_pack("{s:s, s:o}", "driver", "nbd", "server", server_json(host_of(n, 0), port));

        if (!json || json_set_text(json, "export", n->name) < 0 || json_set_number(json, "reconnect-delay", n->reconnect_delay) < 0)
                return NULL;
        if (n->tls == YES && (json_set_text(json, "tls-creds", TLS_ID) < 0 || json_set_text(json, "tls-hostname", n->tls_hostname) < 0))
                return NULL;
        return TAKE_PTR(json);
}

/* "iqn.2026-01.org.example:disks/1": the target, and the number of its unit. */
static json_t *iscsi_json(const DiskNetwork *n, uint64_t port) {
        const DiskHost *h = host_of(n, 0);
        const char *slash = strrchr(n->name, '/');
        _cleanup_free_ char *portal = strf(strchr(h->name, ':') ? "[%s]:%" PRIu64 : "%s:%" PRIu64, h->name, port_of(h, port));
        _cleanup_free_ char *target = slash ? strndup(n->name, (size_t) (slash - n->name)) : strdup(n->name);
        json_auto_t *json = NULL;
        uint64_t lun = 0;

        if (!portal || !target || (slash && parse_u64(slash + 1, 10, &lun) < 0))
                return NULL;
        json = json_pack("{s:s, s:s, s:s, s:s, s:I}", "driver", "iscsi", "transport", "tcp", "portal", portal, "target", target, "lun", (json_int_t) lun);
        if (!json || json_set_text(json, "initiator-name", n->initiator) < 0 || json_set_number(json, "timeout", n->timeout) < 0)
                return NULL;
        if (auth_of(n) && (json_set_text(json, "user", auth_of(n)->user) < 0 || json_set_text(json, "password-secret", SECRET_ID) < 0))
                return NULL;
        return TAKE_PTR(json);
}

/* Its monitors, as an array of {"host", "port"}. */
static int add_monitors(const DiskNetwork *n, uint64_t port, json_t *json) {
        json_auto_t *servers = json_array();

        for (size_t i = 0; i < n->hosts.n; i++) {
                const DiskHost *h = host_of(n, i);
                _cleanup_free_ char *text = strf("%" PRIu64, port_of(h, port));

                if (!text || json_array_append_new(servers, json_pack("{s:s, s:s}", "host", h->name, "port", text)) < 0)
                        return -ENOMEM;
        }
        return n->hosts.n > 0 && json_object_set(json, "server", servers) < 0 ? -ENOMEM : 0;
}

/* "POOL/IMAGE" or "POOL/NAMESPACE/IMAGE". */
static json_t *rbd_json(const DiskNetwork *n, uint64_t port) {
        const char *first = strchr(n->name, '/'), *last = strrchr(n->name, '/');
        _cleanup_free_ char *pool = strndup(n->name, (size_t) (first - n->name)), *space = NULL;
        json_auto_t *json = pool ? json_pack("{s:s, s:s, s:s}", "driver", "rbd", "pool", pool, "image", last + 1) : NULL;

        if (first != last)
                space = strndup(first + 1, (size_t) (last - first - 1));
        if (!json || (first != last && !space) || json_set_text(json, "namespace", space) < 0 || json_set_text(json, "snapshot", n->snapshot) < 0 ||
            json_set_text(json, "conf", n->config) < 0 || add_monitors(n, port, json) < 0)
                return NULL;
        if (auth_of(n) && (json_set_text(json, "user", auth_of(n)->user) < 0 || json_set_text(json, "key-secret", SECRET_ID) < 0))
                return NULL;
        return TAKE_PTR(json);
}

/* "VOLUME/IMAGE". */
static json_t *gluster_json(const DiskNetwork *n, uint64_t port) {
        const char *slash = strchr(n->name, '/');
        _cleanup_free_ char *volume = strndup(n->name, (size_t) (slash - n->name));
        json_auto_t *servers = json_array();

        for (size_t i = 0; i < n->hosts.n; i++)
                if (json_array_append_new(servers, server_json(host_of(n, i), port)) < 0)
                        return NULL;
        return volume ? json_pack("{s:s, s:s, s:s, s:O}", "driver", "gluster", "volume", volume, "path", slash + 1, "server", servers) : NULL;
}

/* "+1000", as libvirt writes numbers, or "1000". */
static int parse_id(const char *text, uint64_t *ret) {
        return parse_u64(text + (*text == '+'), 10, ret);
}

static json_t *nfs_json(const DiskNetwork *n, uint64_t port) {
        _cleanup_free_ char *path = strf("%s%s", n->name[0] == '/' ? "" : "/", n->name);
        json_auto_t *json = path ? json_pack("{s:s, s:{s:s, s:s}, s:s}", "driver", "nfs", "server", "type", "inet", "host", host_of(n, 0)->name, "path", path)
                                 : NULL;
        uint64_t user = NUMBER_UNSET, group = NUMBER_UNSET;

        if (n->user)
                (void) parse_id(n->user, &user);
        if (n->group)
                (void) parse_id(n->group, &group);
        if (!json || json_set_number(json, "user", user) < 0 || json_set_number(json, "group", group) < 0 ||
            json_set_number(json, "readahead-size", n->readahead) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *url_json(const DiskNetwork *n, uint64_t port) {
        _cleanup_free_ char *url = disk_network_text(n);
        json_auto_t *json = url ? json_pack("{s:s, s:s}", "driver", protocol_words[n->protocol], "url", url) : NULL;

        if (!json || json_set_number(json, "readahead", n->readahead) < 0 || json_set_number(json, "timeout", n->timeout) < 0)
                return NULL;
        if (n->verify == NO && json_object_set_new(json, "sslverify", json_false()) < 0)
                return NULL;
        if (auth_of(n) && (json_set_text(json, "username", auth_of(n)->user) < 0 || json_set_text(json, "password-secret", SECRET_ID) < 0))
                return NULL;
        return TAKE_PTR(json);
}

/* Who answers has to be known: by the file that is named, or the host's own. */
static json_t *ssh_json(const DiskNetwork *n, uint64_t port) {
        const DiskHost *h = host_of(n, 0);
        _cleanup_free_ char *number = strf("%" PRIu64, port_of(h, port)), *path = strf("%s%s", n->name[0] == '/' ? "" : "/", n->name);
        json_auto_t *json = number && path ? json_pack("{s:s, s:{s:s, s:s}, s:s, s:{s:s}}", "driver", "ssh", "server", "host", h->name, "port", number, "path",
                                                       path, "host-key-check", "mode", "known_hosts") : NULL;

        return json && json_set_text(json, "user", n->login) >= 0 ? TAKE_PTR(json) : NULL;
}

typedef enum ProtocolTakes {
        TAKES_AUTH = 1 << 0, TAKES_MANY = 1 << 1, TAKES_NONE = 1 << 2, TAKES_UNIX = 1 << 3, TAKES_WRITES = 1 << 4, NEEDS_SLASH = 1 << 5,
        NEEDS_NAME = 1 << 6, TAKES_SSL = 1 << 7,
} ProtocolTakes;

static const struct {
        json_t *(*make)(const DiskNetwork *n, uint64_t port);
        uint64_t port;
        unsigned takes;              /* ProtocolTakes */
        const char *purpose;         /* of a secret's usage */
        const char *refused, *hint;
} protocols[] = {
        [PROTOCOL_NBD] = { nbd_json, 10809, TAKES_UNIX | TAKES_WRITES },
        [PROTOCOL_ISCSI] = { iscsi_json, 3260, TAKES_AUTH | TAKES_WRITES | NEEDS_NAME, "iscsi" },
        [PROTOCOL_RBD] = { rbd_json, 6789, TAKES_AUTH | TAKES_MANY | TAKES_NONE | TAKES_WRITES | NEEDS_SLASH, "ceph" },
        [PROTOCOL_GLUSTER] = { gluster_json, 24007, TAKES_MANY | TAKES_UNIX | TAKES_WRITES | NEEDS_SLASH },
        [PROTOCOL_NFS] = { nfs_json, 2049, TAKES_WRITES | NEEDS_NAME },
        [PROTOCOL_HTTP] = { url_json, 80, TAKES_AUTH | NEEDS_NAME, "volume" },
        [PROTOCOL_HTTPS] = { url_json, 443, TAKES_AUTH | NEEDS_NAME | TAKES_SSL, "volume" },
        [PROTOCOL_FTP] = { url_json, 21, TAKES_AUTH | NEEDS_NAME, "volume" },
        [PROTOCOL_FTPS] = { url_json, 990, TAKES_AUTH | NEEDS_NAME | TAKES_SSL, "volume" },
        [PROTOCOL_TFTP] = { .refused = "QEMU has no driver for it any more" },
        [PROTOCOL_SSH] = { ssh_json, 22, TAKES_WRITES | NEEDS_NAME },
        [PROTOCOL_SHEEPDOG] = { .refused = "QEMU has no driver for it any more" },
        [PROTOCOL_VXHS] = { .refused = "QEMU has no driver for it any more" },
};

/* --- rules --- */

static int check_name(const DiskNetwork *n, const Record *head, unsigned takes, Fault *f) {
        const char *word = protocol_words[n->protocol], *slash = n->name ? strchr(n->name, '/') : NULL, *lun = n->name ? strrchr(n->name, '/') : NULL;
        uint64_t number;

        if ((takes & (NEEDS_NAME | NEEDS_SLASH)) && is_empty(n->name))
                return xml_fault_below(head, "source", f, FAULT_INVALID_DEFINITION, "protocol '%s' needs a name", word);
        if ((takes & NEEDS_SLASH) && (!slash || slash == n->name || !lun[1]))
                return xml_fault_below(head, "source/@name", f, FAULT_INVALID_DEFINITION, "protocol '%s' takes %s/IMAGE", word,
                                       n->protocol == PROTOCOL_RBD ? "POOL" : "VOLUME");
        if (n->protocol == PROTOCOL_ISCSI && lun && (parse_u64(lun + 1, 10, &number) < 0 || number > 16383))
                return xml_fault_below(head, "source/@name", f, FAULT_INVALID_DEFINITION, "'%.64s' is no number of a unit, 0 to 16383", lun + 1);
        return 0;
}

static int check_hosts(const DiskNetwork *n, const Record *head, unsigned takes, Fault *f) {
        const char *word = protocol_words[n->protocol];

        if (n->hosts.n == 0 && (takes & TAKES_NONE) == 0)
                return xml_fault_below(head, "source", f, FAULT_INVALID_DEFINITION, "protocol '%s' needs a <host name='…'/>", word);
        if (n->hosts.n > 1 && (takes & TAKES_MANY) == 0)
                return xml_fault_below(head, "source", f, FAULT_INVALID_DEFINITION, "protocol '%s' takes one <host>", word);
        for (size_t i = 0; i < n->hosts.n; i++)
                if (host_of(n, i)->transport == TRANSPORT_UNIX && (takes & TAKES_UNIX) == 0)
                        return xml_fault(n->hosts.items[i], f, FAULT_INVALID_DEFINITION, "protocol '%s' takes no socket", word);
        return 0;
}

/* The program has a user of its own, to which the files are shown. */
static int check_ssh(const DiskNetwork *n, const Record *head, Fault *f) {
        if (n->agent)
                return xml_fault_below(head, "source/identity/@agentsock", f, FAULT_NOT_SUPPORTED, "an agent answers its own user alone: name a keyfile");
        if (!n->login || !n->key_file)
                return xml_fault_below(head, "source", f, FAULT_INVALID_DEFINITION,
                                       "protocol 'ssh' needs <identity username='…' keyfile='/…'/>: a key that has no passphrase");
        if (n->key_file[0] != '/')
                return xml_fault_below(head, "source/identity/@keyfile", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", n->key_file);
        if (n->known_hosts && n->known_hosts[0] != '/')
                return xml_fault_below(head, "source/knownHosts/@path", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", n->known_hosts);
        return 0;
}

static int check_options(const DiskNetwork *n, const Record *head, unsigned takes, Fault *f) {
        const bool is_rbd = n->protocol == PROTOCOL_RBD, is_nbd = n->protocol == PROTOCOL_NBD, is_url = protocols[n->protocol].make == url_json,
                   is_ssh = n->protocol == PROTOCOL_SSH;
        const struct {
                const char *where;
                bool said, fits;
        } rows[] = {
                { "source/@query", n->query, is_url },
                { "source/@tls", n->tls == YES, is_nbd },
                { "source/@tlsHostname", n->tls_hostname, is_nbd && n->tls == YES },
                { "auth", auth_of(n), takes & TAKES_AUTH },
                { "source/initiator", n->initiator, n->protocol == PROTOCOL_ISCSI },
                { "source/snapshot", n->snapshot, is_rbd },
                { "source/config", n->config, is_rbd },
                { "source/ssl", n->verify != UNSET, takes & TAKES_SSL },
                { "source/identity", n->user || n->group, n->protocol == PROTOCOL_NFS },
                { "source/identity", n->login || n->key_file || n->agent, is_ssh },
                { "source/knownHosts", n->known_hosts, is_ssh },
                { "source/readahead", n->readahead != NUMBER_UNSET, is_url || n->protocol == PROTOCOL_NFS },
                { "source/timeout", n->timeout != NUMBER_UNSET, is_url || n->protocol == PROTOCOL_ISCSI },
                { "source/reconnect", n->reconnect_delay != NUMBER_UNSET, is_nbd },
        };
        uint64_t id;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].said && !rows[i].fits)
                        return xml_fault_below(head, rows[i].where, f, FAULT_INVALID_DEFINITION, "protocol '%s' has none", protocol_words[n->protocol]);
        if ((n->user && parse_id(n->user, &id) < 0) || (n->group && parse_id(n->group, &id) < 0))
                return xml_fault_below(head, "source/identity", f, FAULT_NOT_SUPPORTED, "names of users are not supported: give their numbers");
        if (n->config && n->config[0] != '/')
                return xml_fault_below(head, "source/config", f, FAULT_INVALID_DEFINITION, "'%.128s' is not an absolute path", n->config);
        return 0;
}

int disk_network_check(const DiskNetwork *n, const Record *head, bool writable, Fault *f) {
        const char *word = protocol_words[n->protocol];
        unsigned takes = protocols[n->protocol].takes;
        int r;

        if (n->protocol == PROTOCOL_NONE)
                return xml_fault_below(head, "source", f, FAULT_INVALID_DEFINITION, "type 'network' needs a protocol");
        if (protocols[n->protocol].refused) {
                xml_fault_below(head, "source/@protocol", f, FAULT_NOT_SUPPORTED, "'%s' is not supported: %s", word, protocols[n->protocol].refused);
                if (protocols[n->protocol].hint)
                        fault_hint(f, "%s", protocols[n->protocol].hint);
                return -EOPNOTSUPP;
        }
        if (n->auth && n->source_auth)
                return xml_fault_below(head, "auth", f, FAULT_INVALID_DEFINITION, "it is said twice: at the disk and at its <source>");
        if (writable && (takes & TAKES_WRITES) == 0)
                return xml_fault_below(head, "source/@protocol", f, FAULT_INVALID_DEFINITION, "nothing is written by '%s': add <readonly/>", word);
        if (writable && n->snapshot)
                return xml_fault_below(head, "source/snapshot", f, FAULT_INVALID_DEFINITION, "nothing is written into snapshots: add <readonly/>");
        r = check_name(n, head, takes, f);
        if (r >= 0 && n->protocol == PROTOCOL_SSH)
                r = check_ssh(n, head, f);
        if (r >= 0)
                r = check_hosts(n, head, takes, f);
        return r < 0 ? r : check_options(n, head, takes, f);
}

bool disk_network_any(const DiskNetwork *n) {
        return n->protocol != PROTOCOL_NONE || n->name || n->hosts.n > 0 || auth_of(n);
}

const SecretRef *disk_network_secret(const DiskNetwork *n, const char **ret_purpose) {
        *ret_purpose = protocols[n->protocol].purpose;
        return auth_of(n) ? auth_of(n)->secret : NULL;
}

/* --- the program --- */

char *disk_network_text(const DiskNetwork *n) {
        const DiskHost *h = n->hosts.n > 0 ? host_of(n, 0) : NULL;
        Text t = TEXT_INIT;

        text_addf(&t, "%s://", protocol_words[n->protocol]);
        if (h && h->transport == TRANSPORT_UNIX)
                text_add(&t, h->socket);
        else if (h)
                text_addf(&t, strchr(h->name, ':') ? "[%s]" : "%s", h->name);
        if (h && h->port != NUMBER_UNSET)
                text_addf(&t, ":%" PRIu64, h->port);
        if (n->name)
                text_addf(&t, "%s%s", n->name[0] == '/' ? "" : "/", n->name);
        if (n->query)
                text_addf(&t, "?%s", n->query);
        return text_finish(&t);
}

static int push_object(char ***argv, json_t *taken) {
        json_auto_t *json = taken;
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        int r = text ? strv_push(argv, "--object") : -ENOMEM;

        return r < 0 ? r : strv_push(argv, text);
}

static int push_objects(const DiskNetwork *n, char ***argv) {
        int r = 0;

        if (auth_of(n))
                r = push_object(argv, json_pack("{s:s, s:s, s:s}", "qom-type", "secret", "id", SECRET_ID, "file", "/proc/self/fd/1"));
        if (r >= 0 && n->tls == YES)
                r = push_object(argv, json_pack("{s:s, s:s, s:s, s:s}", "qom-type", "tls-creds-x509", "id", TLS_ID, "dir", TLS_FOLDER, "endpoint", "client"));
        return r;
}

/* It ends when QEMU, its one client, has gone. The node comes last. */
static int nbd_companion(json_t *node, const DiskNetwork *n, bool writable, Companion *ret) {
        static const char *const always[] = { "/usr/bin/qemu-nbd", ("--export-name=" NETWORK_EXPORT), "--discard=unmap", "--cache=none" };
        json_auto_t *json = json_pack("{s:s, s:o}", "driver", "raw", "file", node);
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        int r = text ? 0 : -ENOMEM;

        *ret = (Companion) {
                .name = "qemu-nbd", .package = "qemu-utils", .title = "Network Disk", .lost = "can't be read or written any more", .listens = true,
                .by_activation = true, .greets = true, .has_network = true, .confined = true,
        };
        for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
                r = strv_push(&ret->argv, always[i]);
        if (r >= 0 && !writable)
                r = strv_push(&ret->argv, "--read-only");
        if (r >= 0 && n)
                r = push_objects(n, &ret->argv);
        return r < 0 ? r : strv_pushf(&ret->argv, "json:%s", text);
}

int disk_nbd_companion(json_t *node, bool writable, Companion *ret) {
        return nbd_companion(node, NULL, writable, ret);
}

/* Where ssh looks for what a user without a home has. */
static int show_ssh(const DiskNetwork *n, Companion *c) {
        const char *known = n->known_hosts ?: "/etc/ssh/ssh_known_hosts";
        int r = companion_show(c, n->key_file, "/.ssh/id_rsa");

        return r < 0 ? r : companion_show(c, known, "/.ssh/known_hosts");
}

int disk_network_companion(const DiskNetwork *n, bool writable, Companion *ret) {
        int r = nbd_companion(protocols[n->protocol].make(n, protocols[n->protocol].port), n, writable, ret);

        return r < 0 || n->protocol != PROTOCOL_SSH ? r : show_ssh(n, ret);
}
