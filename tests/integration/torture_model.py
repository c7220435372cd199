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
    together: int = 0    # writes of one operation have the same number


class Model:
    """What the registers were before the round, and who has written to them since."""

    def __init__(self):
        self.before = {}
        self.writes = []
        self.lock = threading.Lock()

    def write(self, register, value, begin, end, sure, together=0):
        with self.lock:
            self.writes.append(Write(register, value, begin, end, sure, together))

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

    def halves(self, observed):
        """Operations of which nobody knows whether they were done, and which were done by half. Only where nobody else has written."""
        found = []
        for number in sorted({w.together for w in self.writes if not w.sure and w.together}):
            # A unit is disabled before the definition goes: by systemd, which keeps no journal of us.
            mine = [w for w in self.writes if w.together == number and w.value != ANY and w.value != self.before.get(w.register) and
                    w.register[-1] != "autostart"]
            alone = [w for w in mine if all(o.together == number for o in self.writes if o.register == w.register)]
            done = [w for w in alone if observed.get(w.register) == w.value]
            if done and len(done) < len(alone):
                missing = [" ".join(map(str, w.register)) for w in alone if w not in done]
                found.append(f"{' '.join(map(str, done[0].register))} was changed, but not {' and '.join(missing)}, which goes with it")
        return found
