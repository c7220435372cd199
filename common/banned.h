/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Included before every source of the daemons (meson: -include banned.h). Functions that block the loop, lose errors or
 * overrun buffers do not compile. The system headers come first, so that their declarations stay whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll
#pragma GCC poison system popen
#pragma GCC poison sleep usleep
#pragma GCC poison waitpid wait3 wait4
