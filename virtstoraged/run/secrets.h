/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../def/secret-def.h"
#include "fault.h"
#include "registry.h"
#include "store.h"
#include "worker.h"

#define SECRETS_MAX 10000u
#define SECRET_VALUE_MAX ((size_t) 64 * 1024)

typedef struct Secrets Secrets;

/* One secret. Its value lies in a file of its own, sealed by systemd-creds where that is possible, and in memory only while it is used;
 * unless it is ephemeral. */
typedef struct Secret {
        Secrets *all;
        sd_id128_t uuid;
        SecretDef *def;
        bool sealed, plain;          /* which file there is */
        void *value;                 /* of an ephemeral one; NULL: none */
        size_t length;
} Secret;

static inline bool secret_has_value(const Secret *s) {
        return s->value || s->sealed || s->plain;
}

typedef struct SecretsWatch {
        void (*added)(Secret *s, void *userdata);
        void (*removed)(Secret *s, void *userdata);      /* still whole */
        void (*changed)(Secret *s, void *userdata);
} SecretsWatch;

struct Secrets {
        sd_event *event;
        bool user;
        Registry *registry;          /* by UUID, also as text */
        Store *definitions, *plains, *seals;
        Worker *worker;              /* seals and unseals */
        uint64_t deadline_usec;
        SecretsWatch watch;
        void *watch_userdata;
        bool loading;
};

int secrets_new(sd_event *event, bool user, const char *config_dir, const SecretsWatch *watch, void *userdata, Secrets **ret);
Secrets *secrets_free(Secrets *s);
DEFINE_CLEANUP(Secrets *, secrets_free)
int secrets_load(Secrets *s);

/* FAULT_NO_SUCH_SECRET. */
int secrets_find(Secrets *s, const char *uuid, Secret **ret, Fault *f);
int secrets_find_usage(Secrets *s, SecretUsage usage, const char *id, Secret **ret, Fault *f);

/* A new one, or another definition of one that is there. FAULT_SECRET_EXISTS: another one is for the same. */
int secrets_define(Secrets *s, const char *text, size_t length, bool validate_only, Secret **ret, Fault *f);
int secrets_undefine(Secret *s, Fault *f);

/* Exactly once, from within the call or later. */
typedef void (*SecretDone)(const Fault *why, void *userdata);
int secret_set_value(Secret *s, const void *value, size_t length, SecretDone done, void *userdata, Fault *f);
/* `fd` is a sealed memfd with the value, the caller's to close only if it is taken out (-1 is left). */
typedef void (*SecretGot)(int *fd, const Fault *why, void *userdata);
int secret_get_value(Secret *s, SecretGot got, void *userdata, Fault *f);
