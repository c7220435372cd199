/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* As much of HTTP/1.1 as one page takes. Whoever can connect may send anything. */

#define HTTP_HEAD_MAX 8192u    /* bytes of a request up to its empty line */
#define HTTP_LINES_MAX 64u

typedef struct HttpRequest {
        bool head;             /* HEAD: the answer has no body */
        bool openmetrics;      /* the client takes OpenMetrics */
} HttpRequest;

/* 0: the request's end has not come yet; else the status to answer with, 200 only for a GET or HEAD of /metrics. */
int http_parse(const char *data, size_t length, HttpRequest *ret);

const char *http_reason(int status);
/* The head of an answer, a new string; NULL: out of memory. */
char *http_answer(int status, const char *type, size_t length);
