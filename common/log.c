/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "str.h"

static int max_level = LOG_INFO;
static bool to_journal;
static const char *log_identifier = "virtbus";

static const char *const level_words[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

int log_level_from_string(const char *word) {
        if (word[0] >= '0' && word[0] <= '7' && !word[1])
                return word[0] - '0';
        for (size_t i = 0; i < ARRAY_SIZE(level_words); i++)
                if (streq(level_words[i], word))
                        return (int) i;
        return -EINVAL;
}

const char *log_level_to_string(int level) {
        return level >= 0 && level < (int) ARRAY_SIZE(level_words) ? level_words[level] : NULL;
}

/* $JOURNAL_STREAM names the device and inode of the stream systemd gave us; an inherited variable with another stderr does not count. */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long device, inode;
        struct stat st;

        return e && sscanf(e, "%lu:%lu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
               st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *identifier) {
        const char *e = getenv("VIRTBUS_LOG_LEVEL");
        int level = e ? log_level_from_string(e) : -EINVAL;

        assert(identifier);

        log_identifier = identifier;
        to_journal = stderr_is_journal();
        if (level >= 0)
                max_level = level;
}

void log_set_max_level(int level) {
        max_level = level;
}

int log_get_max_level(void) {
        return max_level;
}

static void send_journal(int level, int error, const LogScope *scope, const char *file, int line, const char *func,
                         const char *text) {
        struct iovec iov[12];
        int n = 0;

#define FIELD(...)                                                                                      \
        do {                                                                                            \
                char *s = strf(__VA_ARGS__);                                                            \
                if (s)                                                                                  \
                        iov[n++] = (struct iovec) { s, strlen(s) };                                     \
        } while (false)

        if (scope && scope->domain)
                FIELD("MESSAGE=%s: %s", scope->domain, text);
        else
                FIELD("MESSAGE=%s", text);
        FIELD("PRIORITY=%d", level);
        FIELD("SYSLOG_IDENTIFIER=%s", log_identifier);
        FIELD("CODE_FILE=%s", file);
        FIELD("CODE_LINE=%d", line);
        FIELD("CODE_FUNC=%s", func);
        if (error)
                FIELD("ERRNO=%d", error);
        if (scope && scope->domain)
                FIELD("VIRTBUS_DOMAIN=%s", scope->domain);
        if (scope && scope->uuid)
                FIELD("VIRTBUS_DOMAIN_UUID=%s", scope->uuid);
        if (scope && scope->unit)
                FIELD("OBJECT_SYSTEMD_%sUNIT=%s", scope->user ? "USER_" : "", scope->unit);
        if (scope && scope->message_id)
                FIELD("MESSAGE_ID=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(*scope->message_id));
#undef FIELD

        (void) sd_journal_sendv(iov, n);
        while (n > 0)
                free(iov[--n].iov_base);
}

int log_full(int level, int error, const LogScope *scope, const char *file, int line, const char *func, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        int saved = errno, r;
        va_list ap;

        error = abs(error);
        errno = error;
        va_start(ap, fmt);
        r = vasprintf(&text, fmt, ap);
        va_end(ap);

        if (r >= 0) {
                if (to_journal)
                        send_journal(level, error, scope, file, line, func, text);
                else if (scope && scope->domain)
                        fprintf(stderr, "%s[%s]: %s\n", log_identifier, scope->domain, text);
                else
                        fprintf(stderr, "%s: %s\n", log_identifier, text);
        }
        errno = saved;
        return -error;
}
