/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* What a host needs for VMs: a row of the table in verbs-check.c each. */

typedef enum Verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_MISSING, VERDICT_UNNEEDED, _VERDICT_MAX } Verdict;

/* A daemon is asked once; what it says is for all checks. */
typedef struct Look {
        Client *c;
        bool connected;                  /* to a message bus */
        bool remote;                     /* files of that host can't be read */
        bool systemd;                    /* runs there, and answers */
        json_t *names;                   /* on the bus: true for those that can be started, too */
        json_t *host, *capabilities;     /* of virtqemud; NULL: it did not say */
        json_t *errors;                  /* of daemons that did not answer, by their bus name */
} Look;

typedef struct Check Check;

typedef struct Answer {
        const Check *check;
        Verdict verdict;
        char *text, *fix;                /* the command that mends it, or NULL */
} Answer;

struct Check {
        const char *name;
        void (*look)(const Look *l, Answer *a);
        enum { CHECK_ALWAYS, CHECK_OF_HOST, CHECK_OF_SESSION } when;
        bool reads_files;                /* of this host, so that --host can't know */
        /* For programs and kernel modules: what is looked for, in what package it is, and what misses it. */
        const char *path, *package, *what;
        Verdict otherwise;
};

void answer(Answer *a, Verdict verdict, const char *fmt, ...) _printf_(3, 4);
void answer_fix(Answer *a, const char *fmt, ...) _printf_(2, 3);

/* The host itself (check-host.c). */
void check_cpu(const Look *l, Answer *a);
void check_kvm(const Look *l, Answer *a);
void check_nested(const Look *l, Answer *a);
void check_iommu(const Look *l, Answer *a);
void check_cgroup(const Look *l, Answer *a);
void check_hugepages(const Look *l, Answer *a);
void check_namespaces(const Look *l, Answer *a);
void check_subuid(const Look *l, Answer *a);
void check_linger(const Look *l, Answer *a);
/* Programs, files, and what the kernel has (check-installed.c). */
void check_program(const Look *l, Answer *a);
void check_module(const Look *l, Answer *a);
void check_qemu(const Look *l, Answer *a);
void check_firmware(const Look *l, Answer *a);
void check_seabios(const Look *l, Answer *a);
void check_libvirt(const Look *l, Answer *a);
/* Services of the bus (check-services.c). */
void check_bus(const Look *l, Answer *a);
void check_daemon(const Look *l, Answer *a);
void check_units(const Look *l, Answer *a);
void check_systemd(const Look *l, Answer *a);
void check_machined(const Look *l, Answer *a);
void check_polkit(const Look *l, Answer *a);
void check_default_network(const Look *l, Answer *a);
void check_forwarding(const Look *l, Answer *a);
void check_default_pool(const Look *l, Answer *a);
void check_space(const Look *l, Answer *a);

/* Asks whoever is there. */
void look_around(Look *l);
void look_clear(Look *l);
/* What a file says, without its last line end; NULL: it can't be read. New string. */
char *look_at_file(const char *path);
