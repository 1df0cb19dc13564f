#!/usr/bin/env python3
"""data.py SOURCES HAVEN_LIVE UNIT: what data/ says of the programs is true: manual, completion, example configuration,
unit, alerts and dashboard. TAP."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

sources, program, unit = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
data = sources / "data"
control = sources / "server/control"


class Skip(Exception):
    """What it needs is not on this machine."""


def run(*command, **settings):
    result = subprocess.run(
        [str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings
    )
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}"
    return result.stdout


def tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip(f"no {name}")
    return path


def promtool():
    """Debian's package would start a server: only the program is taken out of it, once."""
    path, folder = shutil.which("promtool"), unit.parent / "promtool"
    if path:
        return path
    if not (folder / "usr/bin/promtool").exists():
        folder.mkdir(exist_ok=True)
        try:
            run("apt-get", "-qq", "download", "prometheus", cwd=folder)
            for package in folder.glob("*.deb"):
                run("dpkg-deb", "-x", package, folder)
                package.unlink()
        except (AssertionError, OSError) as error:
            raise Skip("no promtool") from error
    return folder / "usr/bin/promtool"


def settings():
    """(group, name, environment, default) of haven-config.c's table; None where it says NULL."""
    table = re.search(r"\} keys\[HAVEN_N_KEYS\] = \{(.*?)\n\};", (control / "haven-config.c").read_text(), re.S)[1]
    word = r'(NULL|WS_ACCESS_DEFAULT_ORIGINS|"[^"]*")'
    rows = re.findall(r"\{ " + r",\s*".join([word] * 4) + ",", table)
    assert len(rows) == table.count("[HAVEN_KEY_"), "the table is written otherwise"
    header = (sources / "plugins/havenws/ws-access.h").read_text()
    origins = re.search(r"WS_ACCESS_DEFAULT_ORIGINS((?:.*\\\n)*.*)", header)[1]
    origins = "".join(re.findall(r'"([^"]*)"', origins))

    def value(text):
        return {"NULL": None, "WS_ACCESS_DEFAULT_ORIGINS": origins}.get(text, text.strip('"'))

    return [tuple(value(text) for text in row) for row in rows]


def metric_names():
    """name -> type, of what haven-metrics.c can give"""
    text = (control / "haven-metrics.c").read_text()
    table = re.search(r"\} families\[\] = \{(.*?)\n\};", text, re.S)[1]
    return dict(re.findall(r'\{ "(haven_\w+)", "(\w+)"', table))


def test_manual_has_no_mistakes():
    run(tool("mandoc"), "-T", "lint", "-W", "warning", data / "man/haven-live.1", data / "man/haven-live.conf.5")


def test_manual_knows_every_setting_and_no_other():
    text = (data / "man/haven-live.conf.5").read_text()
    found, group = {}, None
    for line in text.splitlines():
        if line.startswith(".Sh"):
            group = re.fullmatch(r"\.Sh \[(\w+)\]", line)
            group = group and group[1]
        elif group and line.startswith(".It Cm "):
            found[group, line.split()[2]] = None
            last = group, line.split()[2]
        elif group and line.startswith(".Ev "):
            found[last] = line.split()[1]
    assert found == {(group, name): variable for group, name, variable, _ in settings() if group}, found


def test_manual_knows_every_option():
    text = (data / "man/haven-live.1").read_text().replace("Fl -", "--")
    for command in "serve", "record", "recover", "token", "doctor":
        for option in re.findall(r"(--[a-z-]+)", run(program, command, "--help")):
            assert option == "--help" or f"{option} " in text or f"{option}\n" in text \
                or f", -{option[2:]} " in text, f"{command} {option}"


def test_manual_knows_every_variable():
    text = (data / "man/haven-live.1").read_text()
    for _, _, variable, _ in settings():
        assert variable is None or variable in text, variable


def test_completion_offers_every_option():
    script = """
      _init_completion() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") \
        cword=$COMP_CWORD; }
      . "$1"; shift
      COMP_WORDS=(haven-live "$@") COMP_CWORD=$#; _haven_live; printf '%s\\n' "${COMPREPLY[@]}" """

    def complete(*words):
        return set(run("bash", "-c", script, "bash", data / "completion/haven-live", *words).split())

    assert complete("rec") == {"record", "recover"}
    assert complete("serve", "--log-format", "j") == {"json"}
    for command in "serve", "record", "recover", "token", "doctor":
        expected = set(re.findall(r"(--[a-z-]+)", run(program, command, "--help")))
        assert complete(command, "--") == expected, (command, complete(command, "--") ^ expected)


def test_example_configuration_is_valid():
    out = run(program, "serve", "--check-config", "--config", data / "haven-live.conf.example", env={})
    assert "valid" in out, out


def test_example_configuration_shows_what_holds_without_it():
    defaults = {(group, name): default for group, name, _, default in settings() if group}
    elsewhere = {  # secrets and what systemd says
        ("server", "state-directory"), ("server", "runtime-directory"), ("server", "api-token-file"),
        ("livekit", "api-secret"), ("livekit", "api-secret-file"), ("session", "binary"),
        ("recording", "webhook-secret"), ("recording", "webhook-secret-file"),
    }
    shown, group = set(), None
    for line in (data / "haven-live.conf.example").read_text().splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        setting = re.fullmatch(r"(#?)([a-z-]+)=(.*)", line)
        if setting:
            key = group, setting[2]
            assert key in defaults, f"there is no {key}"
            assert not setting[1] or setting[3] == (defaults[key] or ""), f"{key} is {defaults[key]!r} without it"
            shown.add(key)
    assert shown == set(defaults) - elsewhere, shown ^ (set(defaults) - elsewhere)


def words(path):
    return set((sources / path).read_text().split())


def package_field(name):
    text = (data / "debian/control").read_text()
    field = re.search(rf"(?m)^{name}:((?:\n? .*)*)", text)[1]
    return {re.sub(r"\(.*\)", "", entry).strip() for entry in field.split(",")} - {""}


def test_package_is_of_this_version_and_needs_what_building_and_running_do():
    version = re.search(r"version : '([^']+)'", (sources / "meson.build").read_text())[1]
    assert (data / "debian/changelog").read_text().startswith(f"haven-live ({version}-1) ")
    needed = package_field("Build-Depends")
    assert needed - {"debhelper-compat"} == words("data/setup/build.txt") - {"gcc", "libc6-dev"}
    programs = {"curl", "gstreamer1.0-tools"}  # of ./run and gst-launch
    assert {d for d in package_field("Depends") if "$" not in d} == words("data/setup/run.txt") - programs


def test_alerts_and_dashboard_name_only_metrics_that_are():
    names = metric_names()
    assert len(names) > 10
    dashboard = json.loads((data / "monitoring/haven-live.dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert expressions
    rules = (data / "monitoring/haven-live.rules.yml").read_text()
    for text in [*expressions, *re.findall(r"haven_\w+[^\n]*", rules)]:
        for name in re.findall(r"\bhaven_\w+", text):
            assert name in names, f"no metric is called {name}"
        for name in re.findall(r"\b(?:rate|increase)\((haven_\w+)", text):
            assert names[name] == "counter", f"{name} is no counter"
    shown = set(re.findall(r"\bhaven_\w+", " ".join(expressions)))
    assert shown == set(names), f"the dashboard does not show {set(names) - shown}"


def test_alerts_fire_when_they_should():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(data / "monitoring/haven-live.rules.yml", folder)
        shutil.copy(sources / "tests/install/rules-test.yml", folder)
        run(promtool(), "check", "rules", "haven-live.rules.yml", cwd=folder)
        run(promtool(), "test", "rules", "rules-test.yml", cwd=folder)


def test_unit_has_no_mistakes():
    analyze = tool("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "haven-live.service"
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", unit.read_text())
        copy.write_text(re.sub(r"(?m)^Documentation=.*\n", "", text))  # the manual is not installed
        out = run(analyze, "--man=no", "verify", copy)
        assert "haven-live.service" not in out, out
        run(analyze, "security", "--no-pager", "--offline=true", "--threshold=25", copy)


def test_server_tells_systemd():
    """What Type=notify, WatchdogSec and ExecReload count on."""
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(folder + "/notify")
        listener.settimeout(60)
        environment = {
            "PATH": os.environ["PATH"], "NOTIFY_SOCKET": folder + "/notify", "WATCHDOG_USEC": "200000",
            "STATE_DIRECTORY": folder + "/state", "RUNTIME_DIRECTORY": folder + "/run", "HOME": folder,
            "CREDENTIALS_DIRECTORY": folder + "/credentials",
        }
        os.mkdir(folder + "/credentials")
        pathlib.Path(folder, "credentials/api-token").write_text("open sesame\n")
        pathlib.Path(folder, "haven-live.conf").write_text("[server]\nlisten=127.0.0.1:0\n")
        with open(folder + "/log", "wb") as log:
            server = subprocess.Popen(
                [program, "serve", "--config", folder + "/haven-live.conf"], stderr=log, env=environment
            )
        try:
            def wait_for(word):
                while listener.recv(4096).decode() != word:
                    pass

            wait_for("READY=1")
            wait_for("WATCHDOG=1")
            server.send_signal(signal.SIGHUP)
            wait_for("RELOADING=1")
            wait_for("READY=1")
            log = pathlib.Path(folder, "log").read_text()
            port = re.search(r"event=listening.* port=(\d+)", log)[1]
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/metrics", headers={"Authorization": "Bearer open sesame"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            metrics = opener.open(request, timeout=60).read().decode()
            try:
                opener.open(request.full_url, timeout=60)
                raise AssertionError("the credential api-token does not count")
            except urllib.error.HTTPError as error:
                assert error.code == 401, error.code
            server.send_signal(signal.SIGTERM)
            wait_for("STOPPING=1")
            assert server.wait(60) == 0
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
        assert set(re.findall(r"^(haven_\w+)", metrics, re.M)) <= set(metric_names())
        run(promtool(), "check", "metrics", input=metrics)


def main():
    failed = False
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        name = name.removeprefix("test_").replace("_", " ")
        try:
            test()
            print(f"ok {number} - {name}")
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}")
        except Exception as error:
            failed = True
            print(f"not ok {number} - {name}")
            print("".join(f"# {line}\n" for line in f"{type(error).__name__}: {error}".splitlines()), end="")
    return failed


sys.exit(main())
