# SPDX-License-Identifier: LGPL-2.1-or-later
"""What may be so after several clients have changed the same things at once.

The world is registers: ("vm", "a", "title"), ("volume", "p", "v1") and so on, each with a value; None is "not there". An operation writes
some of them. The answer says how sure that is: of one that succeeded the write has been done before the answer, of one that failed it has
not been done, and where nobody answered it may have been.
"""

import threading
from dataclasses import dataclass

ANY = "(anything)"


@dataclass
class Write:
    register: tuple
    value: object
    begin: float
    end: float           # it is done by then, if at all
    sure: bool


class Model:
    """What the registers were before the round, and who has written to them since."""

    def __init__(self):
        self.before = {}
        self.writes = []
        self.lock = threading.Lock()

    def write(self, register, value, begin, end, sure):
        with self.lock:
            self.writes.append(Write(register, value, begin, end, sure))

    def settle(self, observed):
        """A round is over: what was found is what the next one begins with."""
        self.before = dict(observed)
        self.writes = []

    def possible(self, register):
        """All values that it may have now; ANY among them if there is no telling."""
        mine = [w for w in self.writes if w.register == register]
        sure = [w for w in mine if w.sure]
        # What was written is still there unless somebody has begun to write for sure after it was done.
        found = {w.value for w in mine if not any(o.begin > w.end for o in sure)}
        return found if sure else found | {self.before.get(register)}

    def wrong(self, observed):
        """(register, what is there, what could be) of all that can't be as it is."""
        for register in sorted({*self.before, *observed, *(w.register for w in self.writes)}):
            possible, value = self.possible(register), observed.get(register)
            if value not in possible and ANY not in possible:
                yield register, value, possible
