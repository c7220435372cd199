# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtctl -H: a host that is reached by a real ssh. And who may not do everything."""

import json

import pytest

from domains import tiny_xml
from host import USER

pytestmark = pytest.mark.host

CONFIG = "Host far\n  HostName 127.0.0.1\n  Port 2222\n  IdentityFile /srv/keys/client\n  UserKnownHostsFile /srv/keys/known\n  BatchMode yes\n"


@pytest.fixture(scope="module")
def bed(installed):
    """Its own far host: with a server of ssh that lets root in by a key."""
    installed.run("systemctl enable --now virtqemud.socket")
    installed.run("mkdir -p -m 0700 /root/.ssh /srv/keys && cd /srv/keys && dropbearkey -t ed25519 -f server && dropbearkey -t ed25519 -f dropbear && "
                  "dropbearconvert dropbear openssh dropbear client && chmod 0600 client && dropbearkey -y -f dropbear | grep ^ssh- >/root/.ssh/authorized_keys && "
                  "chmod 0600 /root/.ssh/authorized_keys && echo [127.0.0.1]:2222 $(dropbearkey -y -f server | grep ^ssh- | cut -d' ' -f 1,2) >known")
    installed.put("/root/.ssh/config", CONFIG, mode=0o600)
    installed.run("systemd-run --unit=ssh-server dropbear -F -E -r /srv/keys/server -p 127.0.0.1:2222")
    installed.wait(lambda: not installed.run("ssh far true", check=False).returncode)
    yield installed
    installed.run("systemctl stop ssh-server")


def test_a_day_from_afar(bed):
    bed.put("/srv/web.xml", tiny_xml("web"))
    bed.run("virtctl -H far define /srv/web.xml")
    bed.run("virtctl -H far start web")
    assert json.loads(bed.run("virtctl -H far list --json=short").stdout)[0]["state"] == "running"
    assert "State: running (booted)" in bed.run("virtctl --host=far status web").stdout
    assert bed.run("EDITOR=\"sed -i 's,>16<,>24<,'\" virtctl -H far edit web").stderr.splitlines()[:2] == ["VM web is changed.", "It runs, and these changes wait:"]
    assert bed.run("virtctl -H far wait web running").stdout == ""
    assert "stdio" not in bed.run("virtctl -H far log web").stderr
    late = bed.run("virtctl -H far stop web --timeout=1", check=False)
    assert late.returncode == 1 and "did not power off within 1 s" in late.stderr
    assert bed.run("virtctl __complete -H far status w").stdout == "web\n"
    bed.run("virtctl -H far kill web")
    bed.run("virtctl -H far undefine web")
    assert bed.run("ssh far virtctl -q list").stdout == "NAME STATE CPUS MEMORY ADDRESSES AUTOSTART SINCE\n", "what is printed for descriptors works"


def test_unreachable(bed):
    nobody = bed.run("virtctl -H nobody@127.0.0.1:2223 list", check=False)
    assert nobody.returncode == 5 and "the system bus of nobody@127.0.0.1:2223 can't be reached" in nobody.stderr, nobody.stderr
    assert "Does this work: ssh -p 2223 nobody@127.0.0.1 systemd-stdio-bridge" in nobody.stderr


def test_edit_without_the_right_to_see_secrets(bed):
    """They are not in the text, and stay what they are."""
    bed.put("/srv/web.xml", tiny_xml("web", devices="<graphics type='vnc' autoport='yes' passwd='sesame'/>"))
    bed.run("virtctl define /srv/web.xml")
    refused = bed.run("EDITOR=\"sed -i 's,>16<,>24<,'\" virtctl edit web", user=USER, check=False)
    assert refused.returncode == 4 and "What was written is kept in " in refused.stderr, refused.stderr
    bed.put("/etc/polkit-1/rules.d/50-edit.rules",
            'polkit.addRule(function(action, subject) {\n'
            '  if (action.id == "org.virtbus.qemu1.manage-config" && subject.user == "%s")\n'
            '    return polkit.Result.YES;\n});\n' % USER)
    bed.wait(lambda: not bed.run("virtctl set-memory web 15M", user=USER, check=False).returncode)
    done = bed.run("EDITOR='f() { ! grep -q sesame $1 && sed -i s,15360,14336, $1; }; f' virtctl edit web", user=USER, check=False)
    assert done.returncode == 0 and done.stderr == "VM web is changed.\n", done.stderr + bed.run("virtctl cat web").stdout
    text = bed.run("virtctl cat --secrets web").stdout
    assert "sesame" in text and "14336" in text
    bed.run("virtctl undefine web")
