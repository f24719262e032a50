#!/usr/bin/env bash
# Skills: links a skills store into .agents/skills and .claude/skills of a project.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash setup/link-skills.sh [STORE [PROJECT]]

Makes .agents/skills and .claude/skills of PROJECT links to STORE, a folder with one folder for each skill. Running it
again is safe. STORE is the SKILLS folder beside the checkout and PROJECT the checkout, unless given. A folder that is
there already and holds something is left alone.
TEXT
}

die() {
  printf '%s\n' "link-skills: $*" >&2
  exit 1
}

case ${1:-} in
  --help | -h) usage; exit 0 ;;
  -*) die "there is no option $1; run: bash setup/link-skills.sh --help" ;;
esac
[ "$#" -le 2 ] || die "give STORE and PROJECT at most; quote paths with spaces"

unset CDPATH
checkout=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
store=${1:-$checkout/../SKILLS}
project=${2:-$checkout}
[ -d "$store" ] || die "there is no folder $store; name the store: bash setup/link-skills.sh STORE"
[ -d "$project" ] || die "there is no folder $project"
store=$(cd -- "$store" && pwd -P)
project=$(cd -- "$project" && pwd -P)

for surface in .agents .claude; do
  link=$project/$surface/skills
  if [ -e "$link" ] && [ "$(cd -- "$link" 2>/dev/null && pwd -P)" = "$store" ]; then
    printf '%s\n' "link-skills: $surface/skills leads to $store already"
    continue
  fi
  if [ -L "$link" ]; then
    rm -- "$link"
  elif [ -d "$link" ]; then
    rmdir -- "$link" 2>/dev/null || die "$link holds something and was left alone; move what is in it to $store, or link its parts yourself"
  elif [ -e "$link" ]; then
    die "$link is a file and was left alone"
  fi
  mkdir -p -- "$project/$surface"
  ln -s -- "$store" "$link" || die "the link $link could not be made"
  printf '%s\n' "link-skills: $surface/skills -> $store"
done
printf '%s\n' "link-skills: M1 to M5 may read the store once KAIZEN_SKILLS_ROOT names it"
