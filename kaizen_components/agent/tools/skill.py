"""skill: instructions for a kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from ..tool import Access, Context, Given, Outcome, Tool, ToolError

if TYPE_CHECKING:
    from ..skills import Skill as Package


class SkillGiven(Given):
    skill: str = Field(min_length=1, max_length=200, description="Name of the skill")
    args: str | None = Field(None, max_length=20_000, description="What it is to be applied to")


class Skill(Tool):
    """Load a skill: the instructions of its SKILL.md, and which files lie beside it.

    Skills lie in .kaizen/skills, .claude/skills and .agents/skills of the workspace, and of the user's home. Read the files beside it with
    read_file where the instructions name them.
    """

    name = "skill"
    group = "agent"
    takes = SkillGiven
    rule_names = ("Skill",)
    reads_only = True

    def accesses(self, given: SkillGiven, context: Context) -> Sequence[Access]:
        return (Access("use", given.skill),)

    def run(self, given: SkillGiven, context: Context) -> Outcome:
        from .. import skills

        try:
            found = skills.load(given.skill, context.workspace)
        except skills.SkillFault as fault:
            raise ToolError(fault.kind, fault.message, **fault.detail) from None
        pinned = _pinned(found.name, context)
        if pinned not in (None, found.sha256):
            raise ToolError(
                "changed",
                f"The skill {found.name} is not as it was pinned. Look at what changed, then: python kaizen.py N10 --pin --name {found.name}",
                pinned=pinned,
                sha256=found.sha256,
            )
        metadata = {
            "name": found.name,
            "description": found.description,
            "folder": str(found.folder),
            "sha256": found.sha256,
            "pinned": pinned is not None,
            "front_matter": found.front,
            "files": found.files,
            "args": given.args,
        }
        return Outcome(_text(found, given.args), metadata)


def _pinned(name: str, context: Context) -> str | None:
    from .. import skills

    if context.store is None:
        return None
    try:
        return skills.pins(context.store).get(name)
    finally:
        context.store.release()


def _text(found: Package, args: str | None) -> str:
    text = found.body
    if found.beside:
        listed = "\n".join(f"- {file['path']} ({file['bytes']} bytes)" for file in found.beside)
        text += f"\nFiles beside it, in {found.folder}:\n{listed}\n"
    return text if args is None else f"{text}\nArguments: {args}\n"
