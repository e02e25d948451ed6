"""Reading the state of a node: what is there, what is in use, and what images share."""

from dataclasses import replace

from cleaner.core.image_users import ids_in_use, needs_of
from cleaner.core.model import Observation
from cleaner.core.ports import Node


def observe(node: Node) -> Observation:
    """One look at the node, with what its images share; raises where a list cannot be read."""
    observation = look(node)
    return replace(observation, layers=node.runtime.read_layers(observation.images))


def look(node: Node) -> Observation:
    """What is there and in use. Images first: what starts meanwhile counts."""
    images = node.runtime.list_images()
    sandbox_images = node.runtime.list_sandbox_images()
    containers = node.runtime.list_containers()
    used = (*containers, *node.runtime.take_uses())
    in_use = ids_in_use(images, needs_of(used, sandbox_images))
    memory = node.ledger.remember(images, in_use, node.timer.now())
    return Observation(images, containers, sandbox_images, memory)
