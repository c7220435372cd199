# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may call what: every method of every daemon by every kind of caller. The methods come from the running daemons, what each takes from dbus-interfaces/,
and who has that from the installed policies of polkit. No answer tells more than that."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from domains import disk_xml, tiny_xml
from host import USER
from test_storage import options

pytestmark = pytest.mark.host

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"org.virtbus.qemu1": "virtqemud", "org.virtbus.network1": "virtnetworkd", "org.virtbus.storage1": "virtstoraged",
            "org.virtbus.log1": "virtlogd", "org.virtbus.lock1": "virtlockd"}
CALLER = "/srv/caller.py"
DENIED = ("org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
# What somebody with some rights has, and nothing besides.
HELPER = ["org.virtbus.qemu1.manage-power", "org.virtbus.network1.attach", "org.virtbus.storage1.volume-data", "org.virtbus.log1.read", "org.virtbus.lock1.read"]
RULES = """polkit.addRule(function(action, subject) {
  if (action.id.indexOf("org.virtbus.") == 0 && subject.user == "warden") return polkit.Result.YES;
  if (%s.indexOf(action.id) >= 0 && subject.user == "helper") return polkit.Result.YES;
});
"""
NETWORK = "<network><name>inner</name><bridge name='vbinner'/></network>"
POOL = "<pool type='dir'><name>files</name><target><path>/srv/files</path></target></pool>"
SECRET = "<secret ephemeral='no' private='no'><usage type='volume'><volume>/srv/none</volume></usage></secret>"
WORDS = {"vnc": "sesame-d", "value": "sesame-of-the-secret"}
# What methods with "self" decide by: what is asked for here takes this.
SELF = {"GetPlan": "nobody", "ExportDefinition": "org.virtbus.qemu1.read-secure", "ConvertDefinition": ""}


def annotated(element, name):
    return next((a.get("value") for a in element.findall("annotation") if a.get("name") == name), None)


def documented():
    """{(interface, method): action} of dbus-interfaces/."""
    found = {}
    for p in sorted((ROOT / "dbus-interfaces").glob("*.xml")):
        interface = ElementTree.parse(p).getroot().find("interface")
        found.update({(interface.get("name"), m.get("name")): annotated(m, "org.virtbus.Action") for m in interface.findall("method")})
    return found


def policies(bed):
    """{action: whether whoever sits at the host has it}; nobody else has any of them by default."""
    found = {}
    for service in SERVICES:
        for action in ElementTree.fromstring(bed.read(f"/usr/share/polkit-1/actions/{service}.policy").encode()).findall("action"):
            defaults = {d.tag: d.text for d in action.find("defaults")}
            assert defaults["allow_any"] == defaults["allow_inactive"] == "auth_admin", action.get("id")
            found[action.get("id")] = defaults["allow_active"] == "yes"
    return found


@pytest.fixture(scope="module")
def bed(installed):
    installed.run("systemctl enable --now " + " ".join(f"{d}.socket" for d in SERVICES.values()))
    installed.run("for u in warden helper seated; do useradd --create-home $u; done; mkdir -p /srv/files; truncate -s 1M /srv/web.img")
    installed.put(CALLER, (Path(__file__).parent / "caller.py").read_text(), mode=0o755)
    installed.put("/etc/polkit-1/rules.d/50-test.rules", RULES % json.dumps(HELPER))
    yield installed


@pytest.fixture(scope="module")
def client(bed):
    client = bed.bus()
    yield client
    client.close()


def make_storage(client):
    storaged = client.object("org.virtbus.storage1", "/org/virtbus/storage1")
    pool = client.object("org.virtbus.storage1", storaged.DefinePool("libvirt-xml", POOL, 0, {}), "org.virtbus.storage1.Pool")
    pool.Start(0, {})
    pool.CreateVolume("some", 1 << 20, 0, {})
    secret = client.object("org.virtbus.storage1", storaged.DefineSecret("libvirt-xml", SECRET, 0, {}), "org.virtbus.storage1.Secret")
    secret.SetValue(WORDS["value"].encode(), 0, {})
    return client.object("org.virtbus.storage1", pool.GetVolume("some"), "org.virtbus.storage1.Volume")


@pytest.fixture(scope="module")
def objects(bed, client):
    """An object of each interface, and what is going on all the time: {(service, interface): path}."""
    volume = make_storage(client)
    networkd = client.object("org.virtbus.network1", "/org/virtbus/network1")
    network = client.object("org.virtbus.network1", networkd.DefineNetwork("libvirt-xml", NETWORK, 0, {}), "org.virtbus.network1.Network")
    network.Start(0, {})
    devices = (disk_xml("/srv/web.img") + "<interface type='network'><source network='inner'/><model type='virtio'/></interface><serial type='pty'/>"
               f"<graphics type='vnc' autoport='yes' passwd='{WORDS['vnc']}'/><video><model type='vga'/></video>")
    qemud = client.object("org.virtbus.qemu1", "/org/virtbus/qemu1")
    web = client.object("org.virtbus.qemu1", qemud.DefineDomain("libvirt-xml", tiny_xml("web", devices=devices), 0, {}))
    client.mark()
    web.Start(0, {})
    client.wait_signal("StateChanged", path=web.path, match=lambda _, new, *__: new == "running", since=0)
    waiting = web.WaitForAddress(0, {})
    # A transfer whose bytes do not come.
    out, to = os.pipe()
    upload = volume.Upload(out, 0, 0, 8, options())
    client.call("org.virtbus.lock1", "/org/virtbus/lock1", "org.virtbus.lock1.Manager", "ListLockspaces")
    found = {}
    for service in SERVICES:
        root = "/" + service.replace(".", "/")
        found[service, f"{service}.Manager"] = root
        for path, interfaces in client.call(service, root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0].items():
            for interface in interfaces:
                if interface.startswith("org.virtbus."):
                    found.setdefault((service, interface), path)
    assert found["org.virtbus.qemu1", "org.virtbus.job1"] == waiting and found["org.virtbus.storage1", "org.virtbus.job1"] == upload
    yield found
    os.close(to)
    os.close(out)
    client.call("org.virtbus.qemu1", waiting, "org.virtbus.job1", "Cancel", "ta{sv}", 0, {})
    web.Terminate(0, {})


@pytest.fixture(scope="module")
def matrix(client, objects):
    """All methods as their daemons describe them: [service, path, interface, method, signature of what it takes]."""
    rows = []
    for (service, interface), path in sorted(objects.items()):
        text, = client.call(service, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        [described] = [i for i in ElementTree.fromstring(text).findall("interface") if i.get("name") == interface]
        for method in described.findall("method"):
            signature = "".join(a.get("type") for a in method.findall("arg") if a.get("direction", "in") == "in")
            rows.append([service, path, interface, method.get("name"), signature])
    return rows


def action_of(row, actions):
    service, _, interface, method, _ = row
    if interface == "org.virtbus.job1":
        return "org.virtbus.storage1.manage" if service == "org.virtbus.storage1" else "org.virtbus.qemu1.manage-power"
    short = actions[interface, method]
    if short == "self":
        return SELF[method]
    return f"{service}.{short}" if short else ""


def ask(bed, calls, user=None, how="{}"):
    """The answers to calls of that somebody, see caller.py. `how` wraps the command."""
    task = json.dumps({"calls": calls})
    return json.loads(bed.run(how.format(f"/usr/bin/python3 {CALLER}"), user=user, input=task, timeout=100).stdout)


def as_seated(command="{}"):
    """A session at the host's own seat."""
    return f"systemd-run --pipe --wait -q -p PAMName=login -p User=seated -E XDG_SEAT=seat0 {command}"


def as_vm(bed, command="{}"):
    """A process of web's unit, as QEMU's user, but with all of the host's files to see. The message bus knows that user, as it does where there is nss-systemd."""
    pid, cgroup = (bed.run(f"systemctl show -P {what} virtqemu@web").stdout.strip() for what in ("MainPID", "ControlGroup"))
    uid = bed.run(f"stat -c %u /proc/{pid}").stdout.strip()
    assert 61184 <= int(uid) <= 65519
    bed.run(f"grep -q ^_vm-web: /etc/passwd || echo _vm-web:x:{uid}:{uid}::/:/bin/false >>/etc/passwd")
    return f"echo $$ >/sys/fs/cgroup{cgroup}/cgroup.procs && exec setpriv --reuid={uid} --regid={uid} --clear-groups {command}"


def verdicts(bed, rows, actions, has, **who):
    """What went otherwise than it should, for somebody who has these actions."""
    wrong = []
    for row, (error, text) in zip(rows, ask(bed, rows, **who)):
        action = action_of(row, actions)
        allowed = action == "" or has(action)
        if (error not in DENIED) != allowed:
            wrong.append(f"{row[2]}.{row[3]}() takes {action or 'nothing'}: {error or 'done'}: {text}")
        elif not allowed and action != "nobody" and action not in text:
            wrong.append(f"{row[2]}.{row[3]}() does not say that it takes {action}: {text}")
        elif allowed and error is not None and (error.startswith("System.Error") or "UnknownMethod" in error or error == "local"):
            wrong.append(f"{row[2]}.{row[3]}() was not tried: {error}: {text}")
    return wrong


def test_no_method_is_missing(matrix):
    actions = documented()
    assert {(interface, method) for _, _, interface, method, _ in matrix} == set(actions)
    assert None not in actions.values()
    assert {m for (_, m), a in actions.items() if a == "self"} == set(SELF)
    assert len(matrix) > 150


WHO = {"root": (None, lambda policy, a: a != "nobody"), "an administrator": ("warden", lambda policy, a: a != "nobody"),
       "somebody with some rights": ("helper", lambda policy, a: a in HELPER), "an ordinary user": (USER, lambda policy, a: False),
       "nobody": ("nobody", lambda policy, a: False), "whoever sits at the host": ("seated", lambda policy, a: policy.get(a, False)),
       "QEMU of a VM": ("vm", lambda policy, a: False)}


@pytest.mark.parametrize("name", WHO)
def test_who_may(bed, matrix, name):
    user, has = WHO[name]
    policy = policies(bed)
    who = {"how": as_seated()} if user == "seated" else {"how": as_vm(bed)} if user == "vm" else {"user": user}
    assert verdicts(bed, matrix, documented(), lambda action: has(policy, action), **who) == []


def private(service):
    return f"unix:path=/run/virtbus/{SERVICES[service]}.sock"


def test_private_sockets(bed, matrix):
    """They are for root. Nobody else is told anything there, not even by a property."""
    wrong = []
    rows = [r for r in matrix if r[3] != "GetPlan"]
    for row, (error, text) in zip(rows, ask(bed, [[private(r[0]), *r[1:]] for r in rows])):
        wrong += [f"{row}: {error}: {text}"] * (error in DENIED)
    assert wrong == []
    calls = [[private(r[0]), *r[1:]] for r in matrix]
    for service in SERVICES:
        root = [private(service), "/" + service.replace(".", "/")]
        calls += [[*root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""], [*root, "org.freedesktop.DBus.Introspectable", "Introspect", ""],
                  [*root, "org.freedesktop.DBus.Properties", "GetAll", "s", {"0": json.dumps(f"{service}.Manager")}],
                  [*root, "org.freedesktop.DBus.Peer", "Ping", ""]]
    for who in ({"user": USER}, {"user": "nobody"}, {"how": as_vm(bed)}):
        assert {error for error, _ in ask(bed, calls, **who)} == {DENIED[0]}


def test_signals_on_private_sockets(bed, client, objects):
    """What happens to others is not told to whoever holds a connection."""
    domain = client.object("org.virtbus.qemu1", objects["org.virtbus.qemu1", "org.virtbus.qemu1.Domain"], "org.virtbus.qemu1.Domain")
    task = json.dumps({"calls": [[private("org.virtbus.qemu1"), "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager", "ListDomains", ""]], "listen": True})
    root, stranger = (bed.popen(["/usr/bin/python3", CALLER], user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for user in (None, USER))
    for p in (root, stranger):
        p.stdin.write(f"{task}\n")
        p.stdin.flush()
    for p in (root, stranger):
        assert p.stdout.readline() == "ready\n"
    domain.Suspend(0, {})
    domain.Resume(0, {})
    assert any(line == "org.virtbus.qemu1.Domain.StateChanged\n" for line in root.stdout)
    assert stranger.communicate("enough\n", timeout=60)[0] == ""
    root.communicate("enough\n", timeout=60)


def test_nothing_can_be_set(bed, client, objects):
    """There are no writable properties, and no interface of sd-bus lets one in."""
    calls = []
    for (service, interface), path in objects.items():
        text, = client.call(service, path, "org.freedesktop.DBus.Introspectable", "Introspect")
        for p in ElementTree.fromstring(text).iter("property"):
            assert p.get("access") == "read", p.get("name")
        for name in client.call(service, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface)[0]:
            calls.append([service, path, "org.freedesktop.DBus.Properties", "Set", "ssv", {"0": json.dumps(interface), "1": json.dumps(name)}])
    assert len(calls) > 100
    assert {error for error, _ in ask(bed, calls)} == {"org.freedesktop.DBus.Error.PropertyReadOnly"}


def test_denied_is_denied_whatever_it_is_about(bed):
    """Who may not do something is not told whether it is there to be done."""
    there = [["org.virtbus.qemu1", "Manager", "StartDomain", "st", "web", "no"], ["org.virtbus.network1", "Manager", "StopNetwork", "st", "inner", "no"],
             ["org.virtbus.storage1", "Manager", "StopPool", "st", "files", "no"], ["org.virtbus.storage1", "Manager", "FindSources", "sa{sv}", "dir", "no"],
             ["org.virtbus.lock1", "Manager", "ListLeases", "s", "default", "no"], ["org.virtbus.qemu1", "Manager", "DefineDomain", "ssta{sv}", "libvirt-xml", "no"]]
    calls = [[service, "/" + service.replace(".", "/"), f"{service}.{interface}", method, signature, {"0": json.dumps(name)}]
             for service, interface, method, signature, *names in there for name in names]
    for user in (USER, "nobody"):
        answers = ask(bed, calls, user=user)
        assert [a for a in answers if a[0] not in DENIED] == []
        assert answers[0::2] == answers[1::2]


def test_nobodys_program_is_run(bed):
    """To complete a definition its emulator is asked what it can. That is not for everybody to choose."""
    bed.put("/srv/emulator", "#!/bin/sh\nid >/srv/was-run\n", mode=0o755)
    xml = tiny_xml("x").replace("<devices>", "<devices><emulator>/srv/emulator</emulator>")
    manager = ["org.virtbus.qemu1", "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager"]
    given = {"0": "'libvirt-xml'", "1": json.dumps(xml), "2": "'libvirt-xml'", "3": "0", "4": "{}"}
    named = {"0": "'/srv/emulator'", "1": "''", "2": "''", "3": "{}"}
    calls = [[*manager, "ConvertDefinition", "sssta{sv}", given], [*manager, "DomainCapabilities", "sssa{sv}", named]]
    for user in (USER, "nobody", "helper"):
        (convert, text), (capabilities, _) = ask(bed, calls, user=user)
        assert convert in DENIED and "org.virtbus.qemu1.create" in text and capabilities == "org.virtbus.Error.NotSupported"
    assert not bed.exists("/srv/was-run")
    (error, _), (capabilities, _) = ask(bed, calls, user="warden")
    assert error not in (*DENIED, None) and capabilities == "org.virtbus.Error.NotSupported"
    assert "uid=0" in bed.read("/srv/was-run")
    # It runs as root, so nobody else may have written it.
    for change, part in ((f"chown {USER} /srv/emulator", "/srv/emulator"), ("chmod 777 /srv/emulator", "/srv/emulator"),
                         (f"mkdir /srv/theirs && cp -p /srv/emulator /srv/theirs/ && chown {USER} /srv/theirs && ln -sf /srv/theirs/emulator /srv/emulator", "/srv/theirs")):
        bed.run(f"rm /srv/was-run; {change}")
        (error, text), = ask(bed, calls[:1], user="warden")
        assert error == "org.virtbus.Error.NotSupported" and f"others than root can change {part}" in text, text
        assert not bed.exists("/srv/was-run")
        bed.run("chown root /srv/emulator; chmod 755 /srv/emulator; touch /srv/was-run")
    given["1"] = json.dumps(tiny_xml("x"))
    assert ask(bed, calls[:1], user="nobody")[0][0] is None


def test_a_job_is_its_owners(bed, objects):
    """The first thing that somebody says on a new connection, when the daemon does not know yet who it is, ends nobody else's job."""
    domain = objects["org.virtbus.qemu1", "org.virtbus.qemu1.Domain"]
    wait = ["org.virtbus.qemu1", domain, "org.virtbus.qemu1.Domain", "WaitForAddress", "ta{sv}", {"0": "0", "1": "{}"}]
    [(error, text)] = ask(bed, [wait], user="nobody")
    assert error is None
    job = text.split("'")[1]
    cancel = ["org.virtbus.qemu1", job, "org.virtbus.job1", "Cancel", "ta{sv}", {"0": "0", "1": "{}"}]
    uid = bed.run(f"busctl get-property org.virtbus.qemu1 {job} org.virtbus.job1 StartedByUID").stdout
    assert uid == f"u {bed.run('id -u nobody').stdout}"
    assert ask(bed, [cancel], user=USER)[0][0] in DENIED
    assert ask(bed, [cancel], user="nobody")[0][0] is None


def test_secrets_are_told_to_nobody(bed, client, objects):
    """Not by properties, not by answers, not by signals, not by files, not by command lines."""
    client.mark()
    domain = client.object("org.virtbus.qemu1", objects["org.virtbus.qemu1", "org.virtbus.qemu1.Domain"], "org.virtbus.qemu1.Domain")
    listener = bed.popen("timeout 3 dbus-monitor --system \"type='signal'\"", user="nobody", stdout=subprocess.PIPE, text=True)
    display = client.object("org.virtbus.qemu1", objects["org.virtbus.qemu1", "org.virtbus.qemu1.Graphics"], "org.virtbus.qemu1.Graphics")
    display.SetPassword("sesame-n", 0, 0, {})
    domain.Reconfigure("libvirt-xml", domain.ExportDefinition("", 34), 0, {})
    secret = client.object("org.virtbus.storage1", objects["org.virtbus.storage1", "org.virtbus.storage1.Secret"], "org.virtbus.storage1.Secret")
    secret.SetValue(WORDS["value"].encode(), 0, {})
    calls = [[service, "/" + service.replace(".", "/"), "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""] for service in SERVICES]
    one = ["org.virtbus.qemu1", domain.path, "org.virtbus.qemu1.Domain"]
    calls += [[*one, "ExportDefinition", "st", {"0": "''", "1": flags}] for flags in ("0", "1", "2")]
    calls += [[*one, "PlanStart", "ta{sv}", {"0": "0", "1": "{}"}], [*one, "ListPendingChanges", ""]]
    calls += [["org.virtbus.storage1", secret.path, "org.virtbus.storage1.Secret", "ExportDefinition", "st", {"0": "'libvirt-xml'", "1": "0"}]]
    said = ask(bed, calls, user="nobody")
    assert [error for error, _ in said] == [None] * len(calls)
    everything = json.dumps(said) + str(client.signals) + listener.communicate()[0]
    assert "org.virtbus" in everything and "sesame" not in everything
    # (The brackets keep the search from finding itself.)
    look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' ' | grep -a '[s]esame'; grep -rs '[s]esame' /run /etc/virtbus /var/log /var/lib /var/cache/virtbus /srv/web.img"
    assert bed.run(look, user="nobody", check=False).stdout == ""
    assert bed.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -a '[s]esame'; journalctl -o export | grep -a '[s]esame'", check=False).stdout == ""


def test_names_of_the_bus_are_not_for_everybody(bed):
    take = [["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su", {"0": json.dumps(name), "1": "4"}]
            for name in (*SERVICES, "org.virtbus.qemu1.other")]
    for who in ({"user": USER}, {"user": "nobody"}, {"user": "warden"}, {"how": as_vm(bed)}):
        answers = ask(bed, take, **who)
        assert {error for error, _ in answers[:len(SERVICES)]} == {"org.freedesktop.DBus.Error.AccessDenied"}


def test_one_user_leaves_room_for_others(bed):
    """Somebody who has polkit ask for hundreds of passwords at a time is told to wait, and nobody else."""
    call = ["org.virtbus.qemu1", "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager", "StartDomain", "st"]
    answers = ask(bed, [call] * 120, user=USER)
    assert {error for error, _ in answers} <= {*DENIED, "org.virtbus.Error.LimitExceeded"}
    assert ask(bed, [call])[0][0] not in (*DENIED, "org.virtbus.Error.LimitExceeded", None)
