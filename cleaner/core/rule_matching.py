"""Which rules and which protection an image falls under, by its references.

It must not know times or use, see `policy.py`.
"""

from cleaner.core.model import Image, Policy, Rule
from cleaner.core.references import Name, names_of, parse_reference


def repositories_of(image: Image) -> frozenset[str]:
    """The repositories that its references name; none where one of them makes no sense."""
    return frozenset(name.full_repository for name in names_of(image.references) or ())


def is_protected(image: Image, policy: Policy) -> bool:
    """Whether `policy.protect` matches any of its references, or the image has none and that is protected."""
    if not policy.protect:
        return False
    if not image.references:
        return any(pattern.matches_no_reference for pattern in policy.protect)
    names = names_of(image.references)
    if names is None:  # one that makes no sense must not hide another that is protected
        names = names_of(tuple(text for text in image.references if parse_reference(text))) or ()
    return any(pattern.matches(name, without_tag=True) for pattern in policy.protect for name in names)


def rules_of(image: Image, policy: Policy) -> tuple[Rule, ...] | None:
    """The first rule for each of the image's names; None where a name has none or makes no sense."""
    names = names_of(image.references)
    if names is None:
        return None
    if not names:
        rules = [next((r for r in policy.rules if any(p.matches_no_reference for p in r.match)), None)]
    else:
        rules = [_first_rule(name, policy) for name in names]
    found = tuple(rule for rule in rules if rule is not None)
    return found if len(found) == len(rules) else None


def _first_rule(name: Name, policy: Policy) -> Rule | None:
    return next((rule for rule in policy.rules if any(p.matches(name) for p in rule.match)), None)
