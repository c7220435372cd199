# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/tour.md, command by command, on a host that has just been installed."""

import re

import pytest

import cloud
from host import HERE

pytestmark = [pytest.mark.host, pytest.mark.skipif(bool(cloud.why_not()), reason=str(cloud.why_not()))]
TOUR = HERE.parents[1] / "docs" / "tour.md"


def blocks():
    """The commands, under the headings they stand below."""
    found = []
    for part in re.split(r"^## ", TOUR.read_text(), flags=re.M)[1:]:
        heading = part.splitlines()[0]
        found += [(heading, block) for block in re.findall(r"^```sh\n(.*?)^```$", part, re.M | re.S)]
    return found


@pytest.fixture
def bed(installed, tmp_path):
    cloud.build(tmp_path / "image")
    # Ordinary guests hang on some hosts' KVM: it is not there in this one.
    installed.run("mount --bind /dev/null /dev/kvm", check=False)
    installed.put("/root/tour/debian-12-genericcloud-amd64.qcow2", (tmp_path / "image").read_bytes())
    yield installed
    installed.run("virtctl -q kill web; virtctl -q undefine web; virtctl stop-pool default; virtctl undefine-pool default; rm -rf /root/tour /root/.ssh; "
                  "virtctl stop-network --force default; umount /dev/kvm", check=False)


def test_tour(bed):
    said = {}
    for heading, block in blocks():
        # What a block has set is there in the next.
        script = f"cd /root/tour; [ ! -e vars ] || . ./vars; set -e; {{\n{block}}} 2>&1; declare -p address >vars 2>/dev/null || true"
        if heading.startswith("1."):
            script = script.replace("virtctl check", "virtctl check || true")
        done = bed.run(["bash", "-c", script], timeout=400)
        said[heading] = said.get(heading, "") + done.stdout
    chapter = {int(re.match(r"\d+", h)[0]): text for h, text in said.items()}
    assert re.search(r"^default +dir +active", chapter[2], re.M)
    assert re.search(r"^web +running", chapter[3], re.M)
    assert "VIRTBUS-GUEST" in chapter[4] or "udhcpc" in chapter[4]
    assert "Linux web" in chapter[4] and re.search(r"8080", chapter[4])
    assert "virtqemu@web.service" in chapter[5] and re.search(r"^web +vm", chapter[5], re.M)
    assert "web-before.qcow2" in chapter[7] and "enabled" in chapter[8]
    assert "0 machines" in bed.run("virtctl list").stdout
    assert bed.run("ls /var/lib/virtbus/images").stdout == ""
