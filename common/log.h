/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>
#include <syslog.h>
#include <systemd/sd-id128.h>

#include "macro.h"

/* Journal fields of the object a line is about; any may be NULL. */
typedef struct LogScope {
        const char *domain;  /* VIRTBUS_DOMAIN= */
        const char *uuid;    /* VIRTBUS_DOMAIN_UUID= */
        const char *unit;    /* whose lines these are, too: "journalctl -u" shows them */
        bool user;           /* it is one of a user's manager */
        const sd_id128_t *message_id; /* what kind of message it is, which a catalog explains */
} LogScope;

/* Lines go to the journal with fields where stderr is the journal, else to stderr. Default LOG_INFO, or $VIRTBUS_LOG_LEVEL. */
void log_open(const char *identifier);
void log_set_max_level(int level);
int log_get_max_level(void);
/* "emerg" … "debug" or 0 … 7; -EINVAL otherwise. */
int log_level_from_string(const char *word);
const char *log_level_to_string(int level);

/* Returns -|error|, so that a failure is logged and returned in one expression. %m is that error. */
int log_full(int level, int error, const LogScope *scope, const char *file, int line, const char *func, const char *fmt, ...)
        _printf_(7, 8);

#define log_at(level, error, scope, ...)                                                                \
        (LOG_PRI(level) <= log_get_max_level()                                                          \
                 ? log_full((level), (error), (scope), __FILE__, __LINE__, __func__, __VA_ARGS__)       \
                 : -abs(error))

#define log_debug(...) ((void) log_at(LOG_DEBUG, 0, NULL, __VA_ARGS__))
#define log_info(...) ((void) log_at(LOG_INFO, 0, NULL, __VA_ARGS__))
#define log_notice(...) ((void) log_at(LOG_NOTICE, 0, NULL, __VA_ARGS__))
#define log_warning(...) ((void) log_at(LOG_WARNING, 0, NULL, __VA_ARGS__))
#define log_error(...) ((void) log_at(LOG_ERR, 0, NULL, __VA_ARGS__))
#define log_debug_errno(error, ...) log_at(LOG_DEBUG, (error), NULL, __VA_ARGS__)
#define log_warning_errno(error, ...) log_at(LOG_WARNING, (error), NULL, __VA_ARGS__)
#define log_error_errno(error, ...) log_at(LOG_ERR, (error), NULL, __VA_ARGS__)
#define log_oom() log_error_errno(ENOMEM, "out of memory")
