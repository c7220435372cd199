/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "worker-serve.h"

/* Secrets' values through systemd-creds: {"do": "seal" or "unseal", "name"} + value → + the other one. */
int serve_seal(WorkerRequest *q, Fault *f);
int serve_unseal(WorkerRequest *q, Fault *f);
