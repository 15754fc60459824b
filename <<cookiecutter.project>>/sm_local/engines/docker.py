"""Docker."""

from __future__ import annotations

from ..plan import Plan
from ..script import call
from .oci import OCI, image


class Docker(OCI):
    """Docker, whose daemon mostly runs as root: then files are handed back to the caller."""

    def libraries(self, plan: Plan, shell: bool = False) -> tuple[str, ...]:
        """Return Docker's files of lib/ that the plan needs, or a shell in its place."""
        handback = ("handback",) if self.facts.owns_files else ()
        return (*super().libraries(plan, shell), "overlay", *handback)

    def before(self, plan: Plan) -> list[str]:
        """Root inside, yours outside: say what is to be handed back."""
        given = [call("hand_back", folder, name) for folder, name in plan.handed_back.items()]
        return [*(given if self.facts.owns_files else []), *super().before(plan)]

    def beside(self, plan: Plan) -> list[str]:
        """Start the helper that hands files back when the job has ended."""
        return [call("start_helper", image(plan))] if self.facts.owns_files else []

    def after(self, plan: Plan) -> list[str]:
        """Remove the job's own network; let the helper work; remove volumes that were left."""
        finish = [call("finish_helper", image(plan))] if self.facts.owns_files else []
        return [*super().after(plan), *finish, "drop_volumes"]
