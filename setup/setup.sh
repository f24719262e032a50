#!/usr/bin/env bash
# Setup: a virtual environment with Kaizen's pinned packages, compiled; --help says the rest.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash setup/setup.sh [--demo | --test] [DEVROOT]

Sets Kaizen up and runs nothing. Running it again is safe, needs no root, and no network once the packages are there.

  (no DEVROOT)  the environment is .venv in this checkout
  DEVROOT       a folder for a clone, a skills store and a shared environment:
                DEVROOT/kaizen/  DEVROOT/SKILLS/  DEVROOT/Python/venvs/kaizen/
  --demo        set up, then show one whole session on a throwaway plane
  --test        set up, install what the tests need, then run all checks and tests
  --help        this text

PYTHON=/path/to/python3 names the interpreter; otherwise python3.13, python3.12, python3.11, python3 or python is taken,
the first that is 3.11 or newer and can make virtual environments.
TEXT
}

say() { printf '%s\n' "setup: $*"; }
# check NAME ARGUMENTS...: run Python with the arguments, and remember the name where it fails.
failed=
check() {
  local name=$1
  shift
  printf '\n%s\n' "== $name"
  "$python" "$@" || failed="$failed, $name"
}
die() {
  printf '%s\n' "setup: $1" >&2
  shift
  for line in "$@"; do printf '%s\n' "       $line" >&2; done
  exit 1
}

# --- what was asked -------------------------------------------------------------------------------

mode=setup
devroot=
for argument in "$@"; do
  case $argument in
    --help | -h) usage; exit 0 ;;
    --demo | --test)
      [ "$mode" = setup ] || die "Give --demo or --test, not both."
      mode=${argument#--} ;;
    -*) die "There is no option $argument." "Run: bash setup/setup.sh --help" ;;
    '') die "DEVROOT is empty." "Leave it out, or name a folder: bash setup/setup.sh \"\$HOME/dev\"" ;;
    *)
      [ -z "$devroot" ] || die "One DEVROOT only; quote a path with spaces." "Got: $devroot and $argument"
      devroot=$argument ;;
  esac
done

# A sandbox's settings must not bend what is installed, compiled or run here.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX CDPATH

checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

# --- where things go ------------------------------------------------------------------------------

lay_out_devroot() {
  mkdir -p -- "$devroot" || die "The folder $devroot cannot be made."
  devroot=$(cd -- "$devroot" && pwd -P)
  mkdir -p -- "$devroot/SKILLS" "$devroot/Python/venvs"
  venv=$devroot/Python/venvs/kaizen
  if [ "$(dirname -- "$checkout")" = "$devroot" ]; then
    say "this checkout lies in $devroot already"
    return
  fi
  local clone=$devroot/kaizen
  if [ -f "$clone/kaizen.py" ] && [ -d "$clone/kaizen_components" ]; then
    say "$clone is there already and stays as it is"
  elif [ -e "$clone" ] && [ -n "$(ls -A -- "$clone" 2>/dev/null || echo file)" ]; then
    die "$clone is there and is no Kaizen checkout; it was left alone." "Choose another DEVROOT, or move that folder yourself."
  else
    command -v git >/dev/null 2>&1 || die "git is needed to clone into $devroot." "Install git and run this again."
    [ -e "$checkout/.git" ] || die "$checkout is no git checkout, so it cannot be cloned." "Move it to $clone and run setup/setup.sh there."
    if [ -n "$(git -C "$checkout" status --porcelain 2>/dev/null)" ]; then
      say "this checkout has changes that are not committed; the clone will not hold them"
    fi
    git clone --quiet -- "$checkout" "$clone" || die "git could not clone $checkout."
    # Later pulls come from where this checkout comes from, not from this folder.
    local origin
    if origin=$(git -C "$checkout" remote get-url origin 2>/dev/null); then
      git -C "$clone" remote set-url origin "$origin"
    fi
    say "cloned into $clone"
  fi
  checkout=$clone
}

# --- the environment ------------------------------------------------------------------------------

find_python() {
  local candidate old='' bare=''
  if [ -n "${PYTHON:-}" ] && ! command -v "$PYTHON" >/dev/null 2>&1; then
    die "PYTHON=$PYTHON is no program." "Name a Python 3.11 or newer, or unset PYTHON."
  fi
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    { [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1; } || continue
    if ! "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      old="$old $candidate"
    elif ! "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      bare="$bare $candidate"
    else
      python=$candidate
      return
    fi
    [ "$candidate" != "${PYTHON:-}" ] || break
  done
  if [ -n "$bare" ]; then
    die "Python is there (${bare# }), but it cannot make virtual environments: the module venv or ensurepip is missing." \
      "Debian, Ubuntu: sudo apt-get install python3-venv" \
      "or name another Python: PYTHON=/path/to/python3 bash setup/setup.sh"
  fi
  die "Kaizen needs Python 3.11 or newer${old:+; too old:$old}." \
    "Debian, Ubuntu: sudo apt-get install python3 python3-venv    Fedora: sudo dnf install python3" \
    "macOS: brew install python@3.13                              others: https://www.python.org/downloads/" \
    "or name one: PYTHON=/path/to/python3 bash setup/setup.sh"
}

venv_python() {
  if [ -x "$venv/Scripts/python.exe" ]; then printf '%s\n' "$venv/Scripts/python.exe"; else printf '%s\n' "$venv/bin/python"; fi
}

# works: whether the environment's Python starts and is new enough.
works() { "$(venv_python)" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

make_environment() {
  if ! works; then
    if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A -- "$venv")" ]; then
      die "$venv is there and is no virtual environment; it was left alone." "Move it away and run this again."
    fi
    find_python
    say "making $venv with $("$python" --version 2>&1)"
    "$python" -m venv -- "$venv" || die "The virtual environment could not be made; the lines above say why."
    works || die "$venv is there, but its Python is broken or too old." "Move that folder away and run this again."
  fi
  # Some tools make environments without pip.
  if ! "$(venv_python)" -c 'import pip' >/dev/null 2>&1; then
    "$(venv_python)" -m ensurepip --default-pip >/dev/null 2>&1 || die "$venv has no pip, and ensurepip could not bring it."
  fi
}

# install NAME FILE...: the packages pinned in the files. A stamp says that exactly these are there, so that pip,
# and with it the network, is only needed when a pin changed.
install() {
  local name=$1 stamp wanted arguments=() file py
  shift
  py=$(venv_python)
  stamp=$venv/kaizen-$name.stamp
  wanted=$("$py" - "$@" <<'PYTHON'
import hashlib, pathlib, sys
digest = hashlib.sha256(sys.version.encode())
for name in sys.argv[1:]:
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PYTHON
  )
  if [ -f "$stamp" ] && [ "$(cat -- "$stamp")" = "$wanted" ]; then
    say "the $name packages are installed already"
    return
  fi
  say "installing the $name packages"
  for file in "$@"; do arguments+=(-r "$file"); done
  "$py" -m pip install --quiet --disable-pip-version-check "${arguments[@]}" ||
    die "pip could not install the $name packages." "The first time needs a package index, or wheels named by PIP_FIND_LINKS."
  # Start-up is part of the product: what is compiled now is not compiled at each start in a sandbox that forbids it.
  "$py" -m compileall -q "$("$py" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null ||
    say "some packages hold files that do not compile; they are compiled when used"
  printf '%s\n' "$wanted" >"$stamp"
}

# --- set up ---------------------------------------------------------------------------------------

venv=$checkout/.venv
[ -z "$devroot" ] || lay_out_devroot
make_environment
install core "$checkout/requirements-kaizen.txt"
python=$(venv_python)
"$python" -m compileall -q "$checkout/kaizen_components" >/dev/null ||
  die "kaizen_components does not compile." "Run: \"$python\" -m compileall -q \"$checkout/kaizen_components\""
say "ready: $("$python" "$checkout/kaizen.py" --version)"

case $mode in
  setup)
    say "next:"
    printf '  cd %q\n' "$checkout"
    if [ -f "$venv/bin/activate" ]; then printf '  source %q\n' "$venv/bin/activate"; fi
    printf '  %s\n' "python kaizen.py K1" "python kaizen.py --help"
    ;;
  demo)
    cd -- "$checkout"
    exec "$python" support_scripts/demo.py
    ;;
  test)
    # What is optional is tested as well.
    files=()
    for name in kaizen evidence pytorch mcp metrics optimize tools test; do files+=("$checkout/requirements-$name.txt"); done
    install test "${files[@]}"
    cd -- "$checkout"
    # One run shows every fault; pytest speaks last.
    check "ruff check" -m ruff check
    check "ruff format" -m ruff format --check
    check "pyright" -m pyright --pythonpath "$python"
    check "generated files" support_scripts/generate.py --check
    # What touches the database, on the engine that is not the default one.
    KAIZEN_DB_ENGINE=sqlite check "tests on sqlite" -m pytest -n 2 -m "not slow and not soak and not engines" \
      tests/store tests/ops tests/agent/test_managed.py tests/agent/test_tool_matrix.py tests/test_every_op.py tests/test_properties.py
    check "tests" -m pytest -n 2
    [ -z "$failed" ] || die "not green:${failed#,}"
    ;;
esac
