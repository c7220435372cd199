# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long what is quick may take where others want the processors, too."""

import os
import time

MOST = 4    # times that a time limit may become, so that what hangs ends


def at_most(limit):
    """A limit (of any unit) for a quiet machine, times how many want each processor; twice, as that is the last minute's average."""
    return limit * max(1.0, 2 * os.getloadavg()[0] / os.cpu_count())


def patient(seconds):
    """A time limit for what hangs if it takes that long on a quiet machine."""
    return min(at_most(seconds), MOST * seconds)


class Deadline:
    """Such a limit from now on. It moves when others come meanwhile."""

    def __init__(self, seconds):
        self.seconds, self.began = seconds, time.monotonic()

    def left(self):
        return self.began + patient(self.seconds) - time.monotonic()

    def passed(self):
        return self.left() <= 0
