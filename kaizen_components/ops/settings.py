"""Settings: choices that hold for the whole plane."""

from ..backends.records import Setting
from ..fields import Phrase, RawText
from ..op import Result, op
from ..record import Field, Input
from ..settings import put
from ..store import Store
from . import lifecycle
from .lifecycle import Listing, Retirement, Target, listing

LISTED = ("id", "name", "value", "status", "updated_at")
EXAMPLE = "--id set_20260101000000_0123456789"


class Choice(Input):
    """A setting and its value."""

    name: Phrase = Field(description="Name of the setting")
    value: RawText = Field(description="Its value")


@op("K24", "setting-set", writes=True, keywords="configure choice option plane", example="--name team --value platform")
def setting_set(choice: Choice, store: Store) -> Result:
    """Set a setting of the plane."""
    return lifecycle.written(put(store, choice.name, choice.value), name=choice.name, value=choice.value)


@op(
    "K25",
    "setting-list",
    input=listing(Setting, query=False, filters=("name",)),
    keywords="configuration choices options show find",
    example="",
)
def setting_list(window: Listing, store: Store) -> Result:
    """List the settings of the plane, newest first, or those that --query finds."""
    return lifecycle.queried(Setting, LISTED, window, store)


@op("K26", "setting-inspect", keywords="configuration choice show read", example=EXAMPLE)
def setting_inspect(target: Target, store: Store) -> Result:
    """Show one setting in full."""
    return lifecycle.inspected(Setting, target, store)


@op("K27", "setting-retire", writes=True, keywords="configuration unset remove", example=f'{EXAMPLE} --reason "No longer used."')
def setting_retire(retirement: Retirement, store: Store) -> Result:
    """Retire a setting, with the reason: it is as if it was never set."""
    return lifecycle.retired(("setting",), retirement, store)
