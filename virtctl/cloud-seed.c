/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cloud-seed.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "fd.h"
#include "str.h"
#include "value-input.h"

#define DATA_MAX ((size_t) 16 * 1024 * 1024)
#define HASH "$6$"                       /* SHA-512, which every guest can check */
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* It is written as JSON, which is YAML: so no value can come to mean something else. */

void cloud_seed_clear(CloudSeed *s) {
        free(s->user_data);
        free(s->meta_data);
        free(s->network_config);
}

static const char *const words[] = { "login", "ssh-key", "password-file", "hostname", "user-data", "network-config" };

bool cloud_seed_is_wanted(const Client *c) {
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (option_given(c, words[i], 0))
                        return true;
        return false;
}

static int read_file(const char *option, const char *file, char **ret) {
        _cleanup_fd_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        size_t length;
        int r = fd < 0 ? -errno : fd_read_all(fd, DATA_MAX, ret, &length);

        if (r >= 0 && (strlen(ASSERT_PTR(*ret)) != length || !is_utf8(*ret)))
                return client_fail("--%s=%s: is no text in UTF-8", option, file);
        return r < 0 ? client_fail("--%s=%s: %s", option, file, r == -EFBIG ? "is too large" : strerror(-r)) : 0;
}

/* --- keys --- */

static bool is_key(const char *line) {
        static const char *const kinds[] = { "ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-" };

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (str_after(line, kinds[i]) && strchr(line, ' '))
                        return true;
        return false;
}

static int add_keys(const char *file, json_t *keys) {
        _cleanup_free_ char *text = NULL;
        size_t before = json_array_size(keys);
        int r = read_file("ssh-key", file, &text);

        if (r != 0)
                return r;
        for (char *rest = text, *line; (line = strsep(&rest, "\r\n"));) {
                line += strspn(line, " \t");
                if (*line == '\0' || *line == '#')
                        continue;
                if (!is_key(line)) {
                        (void) client_fail("--ssh-key=%s: that is no public key", file);
                        fprintf(stderr, "  Its lines are like \"ssh-ed25519 AAAA… me@home\"; such files are called ~/.ssh/id_….pub\n");
                        return USAGE;
                }
                (void) json_array_append_new(keys, json_string(line));
        }
        return json_array_size(keys) > before ? 0 : client_fail("--ssh-key=%s: there is no key in it", file);
}

/* ~/.ssh/id_*.pub */
static int add_own_keys(const Client *c, json_t *keys) {
        const char *home = getenv("HOME");
        _cleanup_free_ char *pattern = strf("%s/.ssh/*.pub", home ?: "");
        glob_t found = {};
        int r = 0;

        if (home && pattern && glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
                        r = add_keys(found.gl_pathv[i], keys);
                        if (r == 0 && !c->quiet)
                                fprintf(stderr, "The guest gets the key %s.\n", found.gl_pathv[i]);
                }
        globfree(&found);
        return r;
}

static int read_keys(Client *c, json_t *keys) {
        const char *file;
        int r = 0;

        for (size_t i = 0; r == 0 && (file = option_given(c, "ssh-key", i)); i++)
                r = add_keys(file, keys);
        return r ?: option_given(c, "login", 0) && !option_given(c, "ssh-key", 0) ? add_own_keys(c, keys) : 0;
}

/* --- the password --- */

static int read_password(const char *file, char **ret) {
        char salt[CRYPT_GENSALT_OUTPUT_SIZE];
        _cleanup_value_input_ ValueInput v = {};
        struct crypt_data data = {};
        const char *hash;
        int r = value_input_read("Password", file, &v);

        if (r != 0)
                return r;
        while (v.length > 0 && strchr("\r\n", v.data[v.length - 1]))
                v.length--;
        if (v.length == 0 || memchr(v.data, '\0', v.length) || memchr(v.data, '\n', v.length))
                return client_fail("--password-file=%s: expected one line, the password", file);
        v.data[v.length] = '\0';
        hash = crypt_gensalt_rn(HASH, 0, NULL, 0, salt, sizeof(salt)) ? crypt_rn(v.data, salt, &data, sizeof(data)) : NULL;
        *ret = hash ? strdup(hash) : NULL;
        explicit_bzero(&data, sizeof(data));
        return *ret ? 0 : client_fail("the password can't be hashed: %s", strerror(errno));
}

/* --- user-data --- */

static char *as_yaml(const char *head, const json_t *json) {
        _cleanup_free_ char *text = json_dumps(json, JSON_INDENT(2));

        return text ? strf("%s%s\n", head, text) : NULL;
}

static int check_word(const char *option, const char *word, const char *allowed) {
        if (*word && !word[strspn(word, allowed)] && !strchr("-.", *word))
                return 0;
        (void) client_fail("--%s=%s: may be made of %s only, and not begin with - or .", option, word, streq(option, "login") ? "a-z, 0-9, _ and -" :
                           "letters, digits, - and .");
        return USAGE;
}

/* Without a login, keys are for the user that the image has of itself. */
static int make_user_data(Client *c, char **ret) {
        const char *login = option_given(c, "login", 0), *password = option_given(c, "password-file", 0);
        json_auto_t *data = json_object(), *keys = json_array();
        _cleanup_free_ char *hash = NULL;
        json_t *user;
        int r = login ? check_word("login", login, LETTERS DIGITS "_-") : 0;

        if (r == 0 && password && !login) {
                (void) client_fail("--password-file is the password of a user: --login=NAME");
                return USAGE;
        }
        r = r ?: read_keys(c, keys) ?: password ? read_password(password, &hash) : 0;
        if (r != 0)
                return r;
        if (login && json_array_size(keys) == 0 && !hash)
                fprintf(stderr, "virtctl: nobody can log in as %s: there is no key in ~/.ssh, and neither --ssh-key nor --password-file was given\n", login);
        if (login) {
                user = json_pack("{s:s, s:s, s:s, s:b, s:O}", "name", login, "sudo", "ALL=(ALL) NOPASSWD:ALL", "shell", "/bin/bash", "lock_passwd", !hash,
                                 "ssh_authorized_keys", keys);
                if (hash)
                        (void) json_object_set_new(user, "passwd", json_string(hash));
                (void) json_object_set_new(data, "users", json_pack("[o]", user));
        } else if (json_array_size(keys) > 0)
                (void) json_object_set(data, "ssh_authorized_keys", keys);
        *ret = as_yaml("#cloud-config\n", data);
        return *ret ? 0 : client_fail("out of memory");
}

/* As cloud-init tells them apart. */
static int check_user_data(const char *file, const char *text) {
        static const char *const heads[] = {
                "#cloud-config", "#!", "#include", "#cloud-boothook", "#part-handler", "## template:", "Content-Type:", "MIME-Version:",
        };

        for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
                if (strncasecmp(text, heads[i], strlen(heads[i])) == 0)
                        return 0;
        (void) client_fail("--user-data=%s: cloud-init would ignore it: it begins with none of its marks", file);
        fprintf(stderr, "  YAML begins with a line \"#cloud-config\", a script with \"#!/bin/sh\".\n");
        return USAGE;
}

static int read_user_data(Client *c, char **ret) {
        static const char *const others[] = { "login", "ssh-key", "password-file" };
        const char *file = option_given(c, "user-data", 0);
        int r;

        if (!file)
                return make_user_data(c, ret);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                if (option_given(c, others[i], 0)) {
                        (void) client_fail("--%s: --user-data=%s is taken as it is, so say it there", others[i], file);
                        return USAGE;
                }
        r = read_file("user-data", file, ret);
        return r ?: check_user_data(file, *ret);
}

/* --- meta-data --- */

/* cloud-init takes an instance for a new one when its id is another. */
static int make_meta_data(Client *c, const char *name, char **ret) {
        const char *hostname = option_given(c, "hostname", 0);
        char id[SD_ID128_UUID_STRING_MAX];
        json_auto_t *data = json_object();
        sd_id128_t random;
        int r = hostname ? check_word("hostname", hostname, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-.") : 0;

        if (r != 0)
                return r;
        r = sd_id128_randomize(&random);
        if (r < 0)
                return client_fail("there are no random numbers: %s", strerror(-r));
        (void) json_object_set_new(data, "instance-id", json_string(sd_id128_to_uuid_string(random, id)));
        if (hostname || !name[strspn(name, LETTERS DIGITS "-")])
                (void) json_object_set_new(data, "local-hostname", json_string(hostname ?: name));
        *ret = as_yaml("", data);
        return *ret ? 0 : client_fail("out of memory");
}

int cloud_seed_read(Client *c, const char *name, CloudSeed *ret) {
        const char *network = option_given(c, "network-config", 0);
        int r = read_user_data(c, &ret->user_data) ?: make_meta_data(c, name, &ret->meta_data);

        return r ?: network ? read_file("network-config", network, &ret->network_config) : 0;
}
