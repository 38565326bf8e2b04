"""Tags that no document needs."""

from django.template import Library

register = Library()


@register.simple_tag
def spare() -> str:
    """Return nothing much."""
    return "spare"
