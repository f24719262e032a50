"""Shielded: files that a command must neither see nor change although the workspace is open to it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from kaizen_components.agent import ToolRegistry, bubblewrap, confinement, landlock, shielded
from kaizen_components.agent.confinement import Jail
from kaizen_components.agent.permissions import files
from kaizen_components.agent.permissions.rules import parse
from kaizen_components.agent.permissions.settings import Policy
from kaizen_components.agent.tool import Context

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are held in on Linux")


@pytest.fixture
def put(plane):
    """Puts files into the workspace."""

    def files_at(*names: str, text: str = "KEY=1") -> None:
        for name in names:
            path = plane / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8")

    return files_at


@pytest.fixture
def bash(kz, plane, monkeypatch):
    """Runs commands under management, held in by bubblewrap unless told otherwise."""
    kz.ok("K1")
    registry = ToolRegistry()
    registry.register_defaults()

    def call(command, *, by="bubblewrap", **options):
        monkeypatch.setenv("KAIZEN_CONFINEMENT", by)
        if confinement.available().name != by:
            pytest.skip(confinement.available().reason or "not there")
        session = registry.session(plane, **options)
        try:
            return session.call("bash_command", {"command": command})
        finally:
            session.store.leave()

    return call


def rule(kz, decision, text):
    kz.ok("N4", action="add", decision=decision, rule=text)


def found(plane, *rules: tuple[str, str], **options):
    """(names hidden, names protected, what was not seen) in the workspace under some rules."""
    parsed = tuple(parse(decision, text, "test", project=plane, home=plane.parent) for decision, text in rules)
    seen = shielded.look([str(plane)], Policy(rules=parsed), **options)
    hidden, protected = (sorted(str(path.relative_to(plane)) for path in paths) for paths in (seen.hidden, seen.protected))
    return hidden, protected, seen.unseen


# --- what is found --------------------------------------------------------------------------------


def test_files_that_usually_hold_secrets_are_found_wherever_they_lie(plane, put):
    put(
        ".env",
        "app/.env.local",
        "certs/server.pem",
        "home/.aws/credentials",
        "a.txt",
        ".env.example",
        "secrets/notes.md",
        "id_rsa.pub",
    )
    assert found(plane) == ([".env", "app/.env.local", "certs/server.pem", "home/.aws"], [], [])


@pytest.mark.parametrize(
    "path",
    [
        "/w/.env", "/w/.envrc", "/w/.env.prod", "/w/.netrc", "/w/_netrc", "/w/.pgpass", "/w/.pypirc", "/w/.git-credentials", "/w/.my.cnf",
        "/w/.htpasswd", "/w/id_rsa", "/w/id_ed25519_sk", "/w/id_ecdsa.old", "/w/a.pem", "/w/A.P12", "/w/a.pfx", "/w/a.kdbx", "/w/a.jks",
        "/w/a.keystore", "/w/a.ppk", "/w/a.key", "/w/credentials", "/w/secret", "/w/secrets.yaml", "/w/Credentials.json", "/w/.npmrc",
        "/w/.dockercfg", "/w/.vault-token", "/w/service-account.json", "/w/.docker/config.json",
    ],
)  # fmt: skip
def test_the_quick_look_at_a_name_misses_nothing(path):
    assert files.sensitive(path) and files.may_be_sensitive(*path.split("/")[-2:])
    assert not files.may_be_sensitive("w", "readme.md") and not files.may_be_sensitive("w", ".env.example")


def test_a_rule_that_names_a_secret_opens_it(plane, put):
    put(".env", "certs/server.pem", ".aws/config", ".aws/credentials")
    assert found(plane, ("allow", "Read(**)"))[0] == [".aws", ".env", "certs/server.pem"]
    assert found(plane, ("allow", "Read(.env)"), ("allow", "Read(*.pem)"))[0] == [".aws"]
    assert found(plane, ("allow", "Read(.aws/credentials)"))[0] == [".env", "certs/server.pem"]


def test_what_a_call_was_granted_is_not_hidden_and_bypass_hides_keys_alone(plane, put):
    put(".env", "server.pem")
    assert found(plane, granted={str(plane / ".env")})[0] == ["server.pem"]
    assert found(plane, bypass=True)[0] == ["server.pem"]


def test_a_link_with_the_name_of_a_secret_hides_where_it_leads(plane, put, tmp_path):
    put("settings/dev")
    (tmp_path / "shared").write_text("KEY=2")
    (plane / ".env").symlink_to("settings/dev")
    (plane / ".env.shared").symlink_to(tmp_path / "shared")
    (plane / ".env.null").symlink_to("/dev/null")
    (plane / ".env.gone").symlink_to("nowhere")
    hidden = shielded.look([str(plane)], Policy()).hidden
    assert set(hidden) == {plane / "settings" / "dev", tmp_path / "shared"}


def test_patterns_that_begin_nowhere_are_found_out(plane, put):
    put("a/data.sqlite", "b/c/x.lock", "src/gen/x.py", "gen/y.py", "a/plain")
    rules = [("deny", "Read(*.sqlite)"), ("deny", "Edit(*.LOCK)"), ("ask", "Edit(**/gen/**)"), ("deny", "Edit(/*.toml)")]
    put("top.toml", "a/other.toml")
    assert found(plane, *rules) == (["a/data.sqlite"], ["b/c/x.lock", "gen", "src/gen", "top.toml"], [])


def test_folders_that_tools_fill_are_passed_over_and_told(plane, put):
    put("node_modules/a/test.pem", ".venv/lib/cacert.pem", ".git/x.pem")
    assert found(plane) == ([], [], ["what lies in .venv, node_modules"])


def test_the_look_is_bounded_and_says_so(plane, put, monkeypatch):
    put(*(f"d{n}/f{n}" for n in range(30)), ".env", "d1/.env")
    monkeypatch.setattr(shielded, "MOST", 31)
    hidden, _, unseen = found(plane)
    assert hidden == [".env"] and "beyond the first 31 files" in unseen[0]


@pytest.mark.parametrize("settled", [0, 60])
def test_what_came_since_the_last_look_is_seen(plane, put, monkeypatch, settled):
    monkeypatch.setattr(shielded, "SETTLED", settled)
    put("a/x")
    time.sleep(0.02)
    assert found(plane)[0] == []
    # A name that came within one tick of the clock would not show: so soon, nothing is remembered.
    assert (str(plane / "a") in shielded._cache) == (settled == 0)
    put("a/.env")
    assert found(plane)[0] == ["a/.env"]
    (plane / "a" / ".env").unlink()
    assert found(plane)[0] == []


def test_what_git_runs_is_found_in_every_repository(plane):
    for folder in (plane, plane / "lib" / "one"):
        subprocess.run(["git", "init", "-q", "--template=", str(folder)], check=True)
    submodule = plane / ".git" / "modules" / "deep" / "two"
    submodule.mkdir(parents=True)
    (submodule / "HEAD").write_text("ref: refs/heads/main")
    (submodule / "config").write_text("")
    assert found(plane)[1] == ["lib/one/.git/config", "lib/one/.git/hooks"]
    assert {submodule / "hooks", submodule / "config"} <= set(confinement.protected(plane))


# --- what holds -----------------------------------------------------------------------------------


def test_a_command_reads_no_secret_of_the_workspace(kz, plane, put, bash):
    put(".env", "app/.env.local", "app/tls/server.pem", ".aws/credentials", ".env.example")
    result = bash("grep -rs KEY . --exclude-dir=AI")
    assert result.output["stdout"] == "./.env.example:KEY=1\n"
    record = kz.ok("N5", id=result.call_id)["record"]
    assert '".env", ' in record["confinement_json"] and str(plane) not in record["confinement_json"]


def test_nothing_that_a_command_does_to_a_secret_shows_it_to_the_next(plane, put, bash):
    put(".env", "app/tls/server.pem")
    put(
        "moves.sh",
        text="mv .env node_modules; mv app node_modules; mv app/tls app/venv; ln app/tls/server.pem x; cp app/tls/server.pem y",
    )
    assert bash("sh moves.sh").output["stderr"].count("busy") == 3
    put("script.sh", text="echo new > .env; rm -rf app/tls; cat app/tls/server.pem")
    result = bash("sh script.sh; true")
    assert "KEY" not in result.output["stdout"] and result.output["stderr"].count("Permission denied") == 2
    assert (plane / ".env").read_text() == (plane / "app" / "tls" / "server.pem").read_text() == "KEY=1\n"
    assert not (plane / "node_modules").exists() and not (plane / "app" / "venv").exists()


def test_an_approved_command_reads_the_secret_that_it_names(kz, put, bash):
    put(".env", "app/.env")
    asked = bash("cat .env")
    assert (asked.decision, asked.rule) == ("ask", "default: files with secrets")
    kz.ok("N8", id=asked.call_id)
    assert bash("cat .env").output["stdout"] == "KEY=1\n"
    assert bash("cat .env; grep -rs KEY app", approve=lambda _: True).output["stdout"] == "KEY=1\n"
    rule(kz, "allow", "Bash(cat app/.env)")
    assert bash("cat app/.env").output["stdout"] == "KEY=1\n"


def test_in_plan_mode_secrets_are_hidden_by_either_means(put, bash):
    put(".env", "app/x")
    for by in ("bubblewrap", "landlock"):
        assert bash("grep -rsh KEY . --exclude-dir=AI", by=by, mode="plan").output["stdout"] == "KEY=1\n", by


def test_landlock_says_what_it_leaves_open(kz, plane, put, bash):
    put(".env", "x.lock", "node_modules/a/b.pem")
    rule(kz, "deny", "Edit(*.lock)")
    result = bash("ls", by="landlock")
    assert {"hidden: .env", "protected: x.lock", "protected: AI/db", "hidden, protected: what lies in node_modules"} <= {
        what.replace(f"{plane}/", "") for what in result.confinement["not_held"]
    }
    assert bash("cat .env", by="landlock").decision == "ask"
    asked = bash("touch new; make", by="landlock")
    assert asked.decision == "ask" and "AI/db" in asked.error


def test_patterns_that_begin_nowhere_hold_for_commands(kz, plane, put, bash):
    put("a/data.sqlite", "b/x.lock", "b/other")
    rule(kz, "deny", "Read(*.sqlite)")
    rule(kz, "deny", "Edit(*.lock)")
    put("s.sh", text="cat a/data.sqlite; echo 2 > b/x.lock; echo 2 > b/other; mv b c")
    bash("sh s.sh")
    assert (plane / "b" / "x.lock").read_text() == "KEY=1\n" and (plane / "b" / "other").read_text() == "2\n"
    assert "KEY" not in bash("sh s.sh; true").output["stdout"]


def test_what_git_runs_stays_in_every_repository(kz, plane, put, bash, tmp_path):
    shared = tmp_path / "shared"
    put(".kaizen/settings.json", text='{"permissions": {"additionalDirectories": ["../shared"]}}')
    for folder in (plane / "lib" / "one", shared):
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
    put(
        "s.sh",
        text=f"for g in lib/one/.git {shared}/.git; do echo x >> $g/config; mkdir -p $g/hooks; echo x > $g/hooks/post-checkout; done; mv lib x",
    )
    bash("sh s.sh; true")
    for folder in (plane / "lib" / "one", shared):
        assert "x" not in (folder / ".git" / "config").read_text().splitlines()
        assert not (folder / ".git" / "hooks" / "post-checkout").exists()


def test_git_is_not_led_to_the_settings_of_another_folder(kz, plane, put, bash):
    from kaizen_components import gitstate

    subprocess.run(["git", "init", "-q", str(plane)], check=True)
    put("s.sh", text="cp -r .git evil; echo ../evil > .git/commondir")
    result = bash("sh s.sh")
    assert result.metadata["protected_changed"] == [".git/commondir"] and not (plane / ".git" / "commondir").exists()
    (plane / ".git" / "commondir").write_text("../evil")
    state = gitstate.read(plane)
    assert state is not None and "commondir" in str(state.error)


def test_a_place_on_the_way_to_a_secret_opens_nothing_that_is_protected(plane, put, monkeypatch):
    monkeypatch.setenv("KAIZEN_CONFINEMENT", "bubblewrap")
    means = confinement.available()
    if means.name != "bubblewrap":
        pytest.skip(means.reason or "")
    put("kept/a/b/.env", "kept/a/x", "kept/a/c/file")
    jail = Jail(
        writable=(plane,), protected=(plane / "kept", plane / "kept" / "a" / "c"), hidden=(plane / "kept" / "a" / "b" / ".env",)
    )
    held = bubblewrap.hold(means, jail, ["sh", "-c", "echo 2 > kept/a/x; echo 2 > kept/a/c/file; cat kept/a/b/.env"], plane)
    ended = subprocess.run(held.argv, cwd=plane, capture_output=True, text=True, check=False)
    assert (
        ended.stdout == ""
        and (plane / "kept" / "a" / "x").read_text() == (plane / "kept" / "a" / "c" / "file").read_text() == "KEY=1\n"
    )


def test_nothing_is_looked_for_where_nothing_holds(plane, monkeypatch):
    monkeypatch.setattr(shielded, "look", None)
    confinement.jail(Context(workspace=plane, cwd=plane, confinement=confinement.Confinement("unconfined")))


def test_around_what_is_hidden_landlock_opens_the_rest_of_a_folder(tmp_path):
    for name in ("w/a/x", "w/b", "w/.env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    hidden = [tmp_path / "w" / ".env"]
    assert set(landlock._readable(hidden, str(tmp_path / "w"))) == {str(tmp_path / "w" / "a"), str(tmp_path / "w" / "b")}
    assert [*landlock._readable(hidden, str(tmp_path / "w" / "a"))] == [str(tmp_path / "w" / "a")]
