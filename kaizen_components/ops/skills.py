"""Skills: which packages of instructions there are, and whether they are as they were pinned."""

from pathlib import Path
from typing import Any

from ..agent import skills
from ..fields import RawText
from ..op import Result, op
from ..record import Field, Input
from ..store import Store


class SkillChoice(Input):
    """Which skills, and whether to pin them."""

    name: list[RawText] | None = Field(None, description="Only this skill; repeat for more")
    pin: bool = Field(False, description="Keep their hashes: a skill that has another then is refused")


@op("N10", "skill-list", writes=True, keywords="skills SKILL.md inventory hash pin verify packages", example="--pin")
def skill_list(wanted: SkillChoice, store: Store) -> Result:
    """List the skills that the tool `skill` finds, with the SHA-256 of all files of each; --pin keeps the hashes.

    They lie in .kaizen/skills, .claude/skills and .agents/skills of the project, then of the user's home; the first of a name
    counts. `pinned` says yes, changed or no. One that cannot be used is listed with its fault.
    """
    root = store.plane.root
    found = [(name, folder) for name, folder in skills.found(root) if not wanted.name or name in wanted.name]
    # Read before the plane is opened: nobody waits for files.
    read = {name: _read(folder, root) for name, folder in found}
    pins = skills.pins(store)
    records = [_record(name, store.plane.relative(folder), read[name], pins.get(name)) for name, folder in found]
    missing = [name for name in wanted.name or () if name not in read]
    if missing:
        store.warnings.append(f"There is no skill {', '.join(missing)}.")
    result = Result(records=records, count=len(records), gone=[name for name in pins if name not in read and not wanted.name])
    if wanted.pin:
        usable = [skill for skill in read.values() if isinstance(skill, skills.Skill)]
        skills.pin(store, usable)
        result["pinned"] = [skill.name for skill in usable]
        for record in records:
            if record["name"] in result["pinned"]:
                record["pinned"] = "yes"
    return result


def _read(folder: Path, root: Path) -> skills.Skill | skills.SkillFault:
    try:
        return skills.read(folder, skills.root_of(folder, root))
    except skills.SkillFault as fault:
        return fault


def _record(name: str, path: str, skill: skills.Skill | skills.SkillFault, pin: str | None) -> dict[str, Any]:
    if isinstance(skill, skills.SkillFault):
        return {"name": name, "path": path, "fault": skill.kind, "message": skill.message}
    return {
        "name": name,
        "description": skill.description,
        "path": path,
        "files": len(skill.files),
        "bytes": sum(file["bytes"] for file in skill.files),
        "sha256": skill.sha256,
        "pinned": "no" if pin is None else "yes" if pin == skill.sha256 else "changed",
    }
