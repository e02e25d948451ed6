"""The plan of a sweep once the registries of its candidates were asked, or by what they last answered.

It must not choose images; see `core/policy.py`.
"""

from dataclasses import replace
from datetime import datetime

from cleaner.core.events import RegistriesProbed
from cleaner.core.image_registries import registries_of_all
from cleaner.core.model import Inspection, Plan, Policy, Trigger
from cleaner.core.policy import PressureContext, plan
from cleaner.core.ports import Registries

SECONDS_TO_ASK = 10.0
"""For all registries together: a sweep waits no longer, whatever hangs."""
SECONDS_UNDER_PRESSURE = 3.0
"""The same where the disk fills meanwhile."""


def plan_within_reach(  # noqa: PLR0913 - the last one is for pressure alone
    inspection: Inspection,
    policy: Policy,
    trigger: Trigger,
    now: datetime,
    registries: Registries | None,
    *,
    context: PressureContext = PressureContext(),  # noqa: B008 - frozen
) -> tuple[Plan, RegistriesProbed | None]:
    """The plan that keeps images whose registry is down, and what was asked; None where none was.

    One round is enough: a reason to keep only takes candidates away, so the second plan has none that the first had
    not.
    """
    first = plan(inspection, policy, trigger, now, context)
    asked = registries_of_all(first.evictions)
    heeded = _heeded(registries, policy, trigger)
    if heeded is None or not asked:
        return first, None
    down = heeded.find_down(asked, SECONDS_UNDER_PRESSURE if trigger is Trigger.PRESSURE else SECONDS_TO_ASK)
    answer = RegistriesProbed(asked - down.keys(), down)
    if not down:
        return first, answer
    known = replace(inspection, registries_down=frozenset(down))
    return plan(known, policy, trigger, now, context), answer


def plan_as_known(  # noqa: PLR0913 - as above
    inspection: Inspection,
    policy: Policy,
    trigger: Trigger,
    now: datetime,
    registries: Registries | None,
    *,
    context: PressureContext = PressureContext(),  # noqa: B008 - frozen
) -> Plan:
    """The plan by what registries last answered; it does not ask them, so that it may be made each minute."""
    heeded = _heeded(registries, policy, trigger)
    down = heeded.known_down() if heeded else frozenset[str]()
    return plan(replace(inspection, registries_down=down), policy, trigger, now, context)


def _heeded(registries: Registries | None, policy: Policy, trigger: Trigger) -> Registries | None:
    """None where none is to be asked."""
    return None if trigger is Trigger.PRESSURE and policy.pressure_ignores_registries else registries
