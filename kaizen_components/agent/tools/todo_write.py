"""todo_write: the list of what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from ...call import Result
from ..tool import Access, Context, Given, Outcome, Tool, ToolError

MARKS = {"pending": "[ ]", "in_progress": "[>]", "completed": "[x]"}


class Todo(Given):
    content: str = Field(min_length=1, max_length=2_000, description="What is to be done, as an order: Run the tests")
    status: Literal["pending", "in_progress", "completed"] = Field(description="Where it stands")
    activeForm: str = Field(min_length=1, max_length=2_000, description="The same while it is being done: Running the tests")


class TodoGiven(Given):
    todos: list[Todo] = Field(max_length=500, description="The whole list, which takes the place of the one before")


class TodoWrite(Tool):
    """Replace the to-do list of this run.

    Give the whole list each time. At most one entry is in_progress. The list is kept in the data plane, where others can read it and where
    a run that goes on later finds it.
    """

    name = "todo_write"
    group = "interaction"
    takes = TodoGiven
    rule_names = ("TodoWrite",)
    reads_only = True

    def accesses(self, given: TodoGiven, context: Context) -> Sequence[Access]:
        return ()

    def run(self, given: TodoGiven, context: Context) -> Outcome:
        from .. import todos

        under_way = [todo.content for todo in given.todos if todo.status == "in_progress"]
        if len(under_way) > 1:
            raise ToolError("two_in_progress", "At most one entry is in_progress.", in_progress=under_way)
        store = context.store
        if store is None:
            raise ToolError("no_plane", "There is no data plane to keep the list in.")
        listed = [todo.model_dump() for todo in given.todos]

        def work() -> Result:
            row = todos.put(store, listed, run_id=context.run_id, session=store.call.session)
            return Result(id=row["id"])

        written = store.perform(replace(store.call, key=None), work)
        counts = {status: sum(todo.status == status for todo in given.todos) for status in MARKS}
        text = "\n".join(f"{MARKS[todo.status]} {todo.content}" for todo in given.todos) or "The list is empty."
        return Outcome(text, {"todo_list_id": written["id"], **counts})
