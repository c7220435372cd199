/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* pkttyagent, which asks on this terminal for the password that polkit wants, unless a desktop's agent does. */

void ask_agent_open(void);
void ask_agent_close(void);
