"""Echo: the runner that says what it was told, for tests and for trying out what stands around runs."""

from __future__ import annotations

from . import Ending, Order


class Echo:
    """Answers with the prompt. Nothing shows that anything was done, so its runs end as unverified."""

    name = "echo"

    def carry_out(self, order: Order) -> Ending:
        order.tell("message", content=order.prompt)
        return Ending("completed", output=order.prompt)
