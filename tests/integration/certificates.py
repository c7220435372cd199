# SPDX-License-Identifier: LGPL-2.1-or-later
"""Certificates as a host has them for TLS of displays: an authority of its own, and a server at 127.0.0.1."""

import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(folder, *argv):
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True, timeout=60)


def make(folder):
    """The three files of a server, and the authority's key."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(folder, "req", "-x509", *KEY, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca-cert.pem")
    openssl(folder, "req", *KEY, "-subj", "/CN=host", "-keyout", "server-key.pem", "-out", "server.csr")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server-cert.pem")
    return folder


def make_client(folder, name="viewer"):
    """Of the same authority, for one who has to show who they are: the files of the certificate and its key."""
    openssl(folder, "req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
            "-out", f"{name}-cert.pem")
    return folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
