"""Redaction: secrets are found in the shapes people leave them in, and little else is."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import sysconfig
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_components import redaction
from kaizen_components.redaction import PERSONAL_KINDS, SECRET_KINDS, mask, scan

A20, A36 = "A1b2C3d4E5f6G7h8I9j0", "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"

SHAPES = {
    "anthropic_key": "sk-ant-" + A20,
    "openai_key": "sk-proj-" + A20,
    "github_token": "ghp_" + A20,
    "gitlab_token": "glpat-" + A20,
    "aws_access_key": "AKIA" + "Q7RZ2M5KX8WP4TLN",
    "google_api_key": "AIza" + A20,
    "google_oauth_secret": "GOCSPX-" + A20,
    "slack_token": "xoxb-" + A20,
    "slack_webhook": "hooks.slack.com/services/" + "T0A1B2C3D/B0A1B2C3D/" + A20,
    "huggingface_token": "hf_" + A20,
    "npm_token": "npm_" + A36,
    "pypi_token": "pypi-" + A20 * 3,
    "sendgrid_key": "SG." + A20 + "." + A36,
    "stripe_key": "sk_live_" + A20,
    "azure_account_key": "AccountKey=" + "a1B2" * 21 + "==",
    "db_url_credentials": "postgres://app:" + "tr33house@db.local/app",
    "url_credentials": "https://bot:" + "tr33house@git.local/app.git",
    "private_key_block": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----",
    "jwt": "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    "bearer_header": "Authorization: Bearer " + A20,
    "assigned_secret": "password: hunter2!",
}
PERSONAL = {
    "user_home_path": [r"C:\Users\maria", "C:/Users/maria/x.txt", r"c:\\Users\\maria"],
    "posix_home_path": ["/home/maria/x", "/Users/maria", "see /home/maria."],
    "email": ["maria@firma.pl", "Maria <m.k+x@a-b.co.uk>"],
}

ASSIGNED = [
    "password: hunter2!",
    "password: hunter2",
    "PASSWORD=hunter2",
    "DB_PASSWORD=s3cr3tpw",
    "export DB_PASS='Tr0ub4dor&3'",
    '"api_key": "abcd1234efgh5678"',
    "{'api-key':'abcd1234efgh5678'}",
    '{"password":"hunter2!"}',
    r'"{\"password\": \"hunter2!\"}"',
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    'password = "correct-horse-7"',
    "passwd=b'geheim$parole'",
    'SECRET_KEY = "django-insecure-4x!k2$m9q"',
    "client_secret=Zx81kQ9-vB7",
    "secret_key: 9f86d081884c7d659a2feaa0c55ad015",
    "mysql --password hunter2! -u root",
    "tool --api-key=abcd1234efgh",
    'token = "a8Fk29dLq0Zm38xNw1"',
    "auth_token: 5f2a9c81d7e34b60",
    "<password>hunter2!</password>",
    "password => 'hunter2!'",
    'password := "hunter2!x"',
    "PGPASSWORD=hunter2 psql -h db",
    "Server=db;Password=Sup3rS3cret;Database=x",
    "Password: `hunter2!`",
    "pwd=Winter2026!",
    'private_key = "MIIEvQIBADANBg9kqh"',
    "bearer: abc123def456",
    "api key: abcd1234",
    "access key = AB12CD34EF56",
    "PASSWORD='12345678'",
    "hasło, password:\u00a0hunter2!",
]

HARMLESS = [
    "password = lexer.get_token()",
    "password = getpass.getpass()",
    "password = config.password1",
    "password = self._password2",
    "connect(password=config1)",
    "password = config1",
    "password = f'{user}1'",
    "password: required",
    "password: Optional[str] = None",
    'secret = os.environ["SECRET2"]',
    "api_key = settings.API_KEY_1",
    'password="${DB_PASSWORD}"',
    "password={{ vault_password }}",
    "password=<your-password>",
    "password: your-password-here",
    'password = "changeme"',
    "PASSWORD=********",
    "api_key: xxxx-xxxx",
    "secret: sha256",
    "token = tokens[0]",
    "token: 123e4567-e89b-12d3-a456-426614174000",
    "token: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "token: t_20261121033933_083a40157e",
    'key = "abc123def456"',
    'sort_key = "created_at2"',
    "PASS: test_login2",
    "pass: 123456 fail: 2",
    "PWD=/srv/x/y1",
    'password_hash = "5f4dcc3b5aa765d61d8327deb882cf99"',
    'if password == "hunter2!":',
    "the secret of 12345678 stars",
    "secrets: 3 found",
    "password-protected: archive7z",
    "secretary: bob1234",
    "compass: north123",
    "Authorization: Bearer <token>",
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer authentication",
    "https://user:password@host",
    "postgres://user:pass@localhost",
    "http://localhost:8080/a@b",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "--token-limit 120000 --secret-scan level2x",
    "sk-learn and task-force",
    "the eyJ prefix of a token",
    "[REDACTED:jwt] password: [REDACTED:assigned_secret]",
]


def kinds(text: str, *, personal: bool = False) -> list[str]:
    return [finding.kind for finding in scan(text, personal=personal)]


# --- what is found --------------------------------------------------------------------------------


def test_every_kind_has_a_shape_here():
    assert set(SHAPES) == set(SECRET_KINDS) and set(PERSONAL) == set(PERSONAL_KINDS)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "around", ["{}", "see {} there", "KEY={}", '{{"k": "{}"}}', "({})", "k: {}\n", "`{}`", "żółć {}", "İ{{{}}}"]
)
def test_each_kind_is_found_wherever_it_stands(kind, around):
    text = around.format(SHAPES[kind])
    found = [finding for finding in scan(text) if finding.kind == kind]
    assert found, text
    secret = text[found[0].start : found[0].end]
    assert secret in SHAPES[kind] and len(secret) >= 6
    masked, _ = mask(text)
    assert secret not in masked and not scan(masked, personal=False)


@pytest.mark.parametrize("text", ASSIGNED)
def test_an_assigned_secret_is_found_and_masked_alone(text):
    assert kinds(text) == ["assigned_secret"]
    masked, _ = mask(text)
    assert masked.count("[REDACTED:assigned_secret]") == 1 and kinds(masked) == []
    finding = scan(text, personal=False)[0]
    assert masked == text[: finding.start] + "[REDACTED:assigned_secret]" + text[finding.end :]


def test_masked_json_is_still_json():
    import json

    masked, _ = mask(json.dumps({"password": "hunter2!", "note": json.dumps({"api_key": "abcd1234efgh5678"}), "n": 1}))
    assert json.loads(masked)["password"] == "[REDACTED:assigned_secret]"
    assert json.loads(json.loads(masked)["note"]) == {"api_key": "[REDACTED:assigned_secret]"}


def test_a_private_key_is_found_to_its_end_or_as_far_as_it_goes():
    body = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"] * 5)
    whole = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"
    assert mask(f"a {whole} z")[0] == "a [REDACTED:private_key_block] z"
    assert mask(f"a -----BEGIN PRIVATE KEY-----\n{body}")[0] == "a [REDACTED:private_key_block]"
    assert mask("a -----BEGIN OPENSSH PRIVATE KEY----- z")[0] == "a [REDACTED:private_key_block] z"


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_personal_data_is_found_where_it_is_asked_for(kind, text):
    assert kinds(text, personal=True) == [kind] and kinds(text) == []
    assert kind in mask(text, personal=True)[0]


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com",
        "noreply@firma.pl",
        "x@anthropic.com",
        "@decorator",
        "a@b",
        "/homes/x",
        "src/home/x",
        "~/x",
        "https://a.pl/home/x",
    ],
)
def test_what_only_resembles_personal_data_is_not(text):
    assert kinds(text, personal=True) == []


def test_findings_come_in_order_and_several_on_a_line():
    text = f"a@firma.pl {SHAPES['jwt']} b@firma.pl\n/home/ola {SHAPES['github_token']} {SHAPES['github_token']}"
    found = scan(text)
    assert [finding.kind for finding in found] == ["email", "jwt", "email", "posix_home_path", "github_token", "github_token"]
    assert found == sorted(found, key=lambda finding: finding.start)


# --- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HARMLESS)
def test_code_placeholders_and_hashes_are_no_secrets(text):
    assert kinds(text) == []


def test_hashes_ids_and_images_are_no_secrets():
    chance = random.Random(5)
    for _ in range(300):
        data = chance.randbytes(64)
        digest = hashlib.sha256(data).hexdigest()
        for text in (
            digest,
            digest[:40],
            f"token: {digest}",
            str(uuid.UUID(bytes=data[:16])),
            f"sha512-{base64.b64encode(data).decode()}",
        ):
            assert kinds(text) == [], text
    image = "data:image/png;base64," + base64.b64encode(chance.randbytes(300_000)).decode()
    assert kinds(image, personal=True) == []


def test_the_standard_library_holds_next_to_no_secrets():
    """Measured over all of it: 2 findings in 31 MB, and both are made-up passwords. Here over a sample."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    files = [path for path in files if "site-packages" not in path.parts]
    sample = random.Random(3).sample(files, min(300, len(files)))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sample]
    found = sum(len(scan(text, personal=False)) for text in texts)
    assert found <= 2 + sum(map(len, texts)) / 1_000_000


# --- how fast -------------------------------------------------------------------------------------

MEGABYTE = 1_000_000
PIECES = [
    "password",
    "password: ",
    'password="',
    "password='a1",
    'password=b\\"',
    "secret_access_key",
    "--password ",
    "--",
    "api_key=",
    "token",
    "api key key key",
    "AKIA",
    " AKIAAAAAAAAAAAAAAA",
    "eyJ",
    "eyJaaaaaa.eyJaaaaaa.",
    " eyJaaaaaa.",
    "sk-",
    "sk-ant-",
    "sk-proj-",
    "ghp_",
    "xoxb-",
    "SG.",
    "AccountKey=",
    "AccountKey=a",
    "postgres://",
    "postgres://a:",
    "postgres",
    "https://",
    "https://a:b",
    "http://a:bbbbbb",
    "Authorization: Bearer ",
    "authorization",
    "-----BEGIN ",
    "-----BEGIN A ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA\n",
    "-----BEGIN RSA PRIVATE KEY-----a----",
    "-",
    "A",
    "A ",
    "a.",
    "a@",
    "@",
    "@a.",
    "a.a@a.a",
    "+",
    "/home/",
    "/Users/a",
    "C:\\",
    "c:/users",
    "c:\\users\\",
    "hooks.slack.com/services/",
    "\\",
    '\\"',
    "'",
    "İ",
    "0",
    "a1",
    " \t",
    "\n",
    "{",
]


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_is_slow_to_scan(piece):
    """A megabyte of each pattern's beginnings, alone and behind a beginning that never ends."""
    for text in (
        piece * (MEGABYTE // len(piece)),
        "password='" + piece * 1000,
        "-----BEGIN PRIVATE KEY-----" + piece * (MEGABYTE // 4 // len(piece)),
    ):
        start = time.process_time()
        scan(text)
        assert time.process_time() - start < 3.0


def test_ordinary_text_is_scanned_fast():
    """Over 20 MB a second were measured; a shared machine may be much slower than that, but not by so much."""
    text = Path(redaction.__file__).with_name("record.py").read_text(encoding="utf-8") * 60
    seconds = []
    for _ in range(3):
        start = time.process_time()
        scan(text, personal=False)
        seconds.append(time.process_time() - start)
    assert len(text) / min(seconds) > 4 * MEGABYTE


# --- whatever the text ----------------------------------------------------------------------------

PARTS = st.sampled_from(
    [*SHAPES.values(), *ASSIGNED, *HARMLESS, *(text for texts in PERSONAL.values() for text in texts), *PIECES]
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(PARTS, st.text(max_size=8)), max_size=6),
    st.sampled_from(["", " ", "\n", "=", ".", '"', "-"]),
    st.booleans(),
)
def test_mask_leaves_nothing_that_scan_finds(parts, glue, personal):
    masked, findings = mask(glue.join(parts), personal=personal)
    assert scan(masked, personal=personal) == []
    assert (masked == glue.join(parts)) == (findings == [])


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_scanned_and_masked(text):
    for finding in scan(text):
        assert 0 <= finding.start < finding.end <= len(text)
    assert scan(mask(text, personal=True)[0]) == []


KEY = SHAPES["aws_access_key"]
ESCAPED = "\\u0041" + KEY[1:]


@pytest.mark.parametrize(
    "payload",
    [
        f'{{"a": "{ESCAPED}"}}',
        f'{{"{ESCAPED}": 1}}',
        f'{{"a": [{{"b": "line\\n{KEY}"}}]}}',
        f'{{"a": "line\\f{KEY}"}}',
        '{"passw\\u006frd": "hunter2Xy9"}',
        r'{"url": "postgres:\/\/app:tr33house@db.local\/app"}',
        json.dumps({"inner": f'{{"a": "{ESCAPED}"}}'}),
    ],
)
def test_json_escapes_hide_no_secret(kz, payload):
    refusal = kz.denied("DENIED_REDACTION", "W5", summary="A packet.", payload_json=payload)
    assert refusal["field"] == "payload_json"
    line = json.dumps({"op": "W5", "summary": "A packet.", "payload_json": json.loads(payload)})
    assert "DENIED_REDACTION" in kz("K8", _stdin=line).stdout


def test_a_key_behind_an_escaped_line_end_is_masked():
    assert mask(f'{{"log": "line\\n{KEY} line"}}')[0] == '{"log": "line\\n[REDACTED:aws_access_key] line"}'


@pytest.mark.parametrize(
    ("op", "flags"),
    [
        ("Q2", {"summary": "x.", "conclusion": KEY}),
        ("W1", {"_args": [KEY]}),
        (KEY, {}),
        ("K18", {"id": KEY}),
        ("W1", {"title": "a", "summary_file": KEY}),
        ("R0", {"limit": KEY}),
        ("R1", {"since": KEY}),
        ("T2", {"payload_json": f'{{"{KEY}": 1, "{KEY}": 2}}'}),
        ("K11", {"path": KEY}),
        ("Q11", {"_command": [KEY]}),
    ],
)
def test_a_refusal_repeats_no_secret(kz, op, flags):
    for text in (False, True):
        reply = kz(op, _text=text, **flags)
        assert reply.code and KEY not in reply.stderr + reply.stdout


def test_an_observed_branch_and_folder_are_masked(kz, plane, monkeypatch):
    folder = plane / KEY
    folder.mkdir()
    monkeypatch.chdir(folder)
    subprocess.run(["git", "init", "-q", "-b", KEY, str(plane)], check=True)
    made = kz.ok("Q11", _command=["true"])
    assert KEY not in made.stdout and made["git"]["before"]["branch"] == "[REDACTED:aws_access_key]"
    assert KEY not in kz.ok("Q7", id=made["id"]).stdout
