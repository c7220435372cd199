/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/launch.h"
#include "instance.h"

/* For what QEMU takes only as a folder with files of fixed names: one of ours, whose names lead to descriptors that QEMU has. Nothing is
 * in it that anybody else could read. Its descriptor; `want` is a PLAN_FD_FOLDER of the plan. */
int fd_folder_open(const Instance *i, const LaunchPlan *plan, const PlanFd *want, Fault *f);
