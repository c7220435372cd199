# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long what is quick may take where others want the processors, too."""

import os


def at_most(limit):
    """A limit (of any unit) for a quiet machine, times how many want each processor; twice, as that is the last minute's average."""
    return limit * max(1.0, 2 * os.getloadavg()[0] / os.cpu_count())
