"""The Debian package: what is in it, and whether it works where it is installed."""

import os
import subprocess

import pytest
from havenlib import CACHE, REPO


def run(*words, **options):
    result = subprocess.run([str(word) for word in words], text=True, capture_output=True, **options)
    assert result.returncode == 0, f"{words}\n{result.stdout[-4000:]}{result.stderr[-4000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    run(REPO / "data/debian/build", folder)
    (file,) = folder.glob("haven-live_*.deb")
    return file


def test_the_package_is_in_order(package):
    run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    fields = run("dpkg-deb", "--field", package)
    assert "libsoup-3.0-0" in fields and "gstreamer1.0-nice" in fields
    scripts = run("dpkg-deb", "--info", package)
    assert "conffiles" in scripts and "preinst" not in scripts


def test_what_is_unpacked_runs(package, tmp_path):
    root = tmp_path / "root"
    for folder in "updates", "info":
        (root / "var/lib/dpkg" / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    run("dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--unpack", package)
    listed = run("dpkg", f"--root={root}", "--listfiles", "haven-live").split()
    for path in (
        "/etc/haven-live.conf", "/lib/systemd/system/haven-live.service", "/usr/share/man/man1/haven-live.1.gz",
        "/usr/share/man/man5/haven-live.conf.5.gz", "/usr/share/bash-completion/completions/haven-live",
    ):  # fmt: skip
        assert path in listed
    unit = (root / "lib/systemd/system/haven-live.service").read_text()
    assert "ExecStart=/usr/bin/haven-live serve\n" in unit
    (plugins,) = root.glob("usr/lib/*/gstreamer-1.0")
    env = {**os.environ, "GST_PLUGIN_PATH": str(plugins), "GST_REGISTRY": str(tmp_path / "registry")}
    assert run(root / "usr/bin/haven-live", "--version", env=env).startswith("haven-live ")
    assert str(plugins) in run("gst-inspect-1.0", "livekitsrc", env=env)


@pytest.mark.soak
def test_the_package_works_on_a_debian_with_nothing_else():
    """As root, with debootstrap; the base system stays in the rig's cache."""
    said = run(REPO / "tests/checks/fresh.sh", CACHE / "debian", "package")
    assert said.count("ok - ") == 4, said
