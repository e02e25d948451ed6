"""Reading the state of a node: what is there, what is in use, and what images share."""

from dataclasses import replace

from cleaner.core.image_users import ids_in_use, image_users
from cleaner.core.model import Inspection
from cleaner.core.ports import Node


def inspect_node(node: Node) -> Inspection:
    """The state of the node, with what its images share; raises where a list cannot be read."""
    return with_layers(node, inspect_images(node))


def with_layers(node: Node, inspection: Inspection) -> Inspection:
    """The same with what its images share; where the runtime has no API for that, their sizes are upper bounds."""
    layers = node.runtime.read_layers(inspection.images)
    return replace(inspection, layers=layers, sizes_are_bounds=layers is None and node.runtime.layers_error is None)


def inspect_images(node: Node) -> Inspection:
    """What is there and in use. Images first: what starts meanwhile counts."""
    images = node.runtime.list_images()
    sandbox_images = node.runtime.list_sandbox_images()
    containers = node.runtime.list_containers()
    used = (*containers, *node.runtime.drain_created_containers())
    in_use = ids_in_use(images, image_users(used, sandbox_images))
    memory = node.ledger.store_images(images, in_use, node.timer.now())
    return Inspection(images, containers, sandbox_images, memory)
