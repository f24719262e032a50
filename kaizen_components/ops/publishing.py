"""Publishing: optimizer files given to an artifact store, and sessions looked up in a fleet's store."""

from typing import Annotated, Any

from .. import clock, denial
from ..fields import Bytes, Text
from ..metrics import correlation, publishing
from ..metrics.artifact_store import Client, endpoint
from ..metrics.events import project
from ..op import Result, op
from ..record import Field, Input
from ..store import Store
from .lifecycle import Until


class Publishing(Input):
    """Which files are published, or how long those that were are kept."""

    dry_run: bool = Field(False, description="Show the manifest; nothing is sent or recorded")
    until: Until | None = Field(None, description="Publish nothing: have the newest publication kept until then")
    reason: Text | None = Field(None, description="Why it is kept longer; --until")


class Session(Input):
    """A session of the fleet."""

    scanned = False
    uid: Annotated[str, Bytes(1_000)] = Field(missing=denial.UidRequired, description="Its uid, such as claude:ID")


@op(
    "P6",
    "metrics-publish",
    writes=True,
    manages_store=True,
    keywords="publish artifact store package manifest evidence retention upload optimizer",
    example="--dry-run",
)
def metrics_publish(given: Publishing, store: Store) -> Result:
    """Publish the newest analysis and the recommendations to an artifact store, once.

    The store is at ARTIFACTSTORE_API_URL, by default http://127.0.0.1:8000; ARTIFACTSTORE_API_TOKEN stays in the environment. A
    package has a manifest with size and SHA-256 of each file and the retention class raw-evidence, and becomes visible as a
    whole with the last call. A call that was stopped is run again and goes on; the same files are not published twice. The
    local files stay what counts.
    """
    if given.until is not None or given.reason is not None:
        return _extended(given, store)
    made = publishing.package(store.plane.root, project(store))
    if given.dry_run:
        url = endpoint()
        found = publishing.known(store, made, url)
        known: dict[str, Any] = {"id": found["id"], "state": found["status"]} if found else {"state": "not begun"}
        return store.warned(Result(dry_run=True, endpoint=url, **known, manifest_sha256=made.sha256, manifest=made.manifest))
    return store.warned(publishing.publish(store, made))


def _extended(given: Publishing, store: Store) -> Result:
    """Ask the store to keep the newest publication longer."""
    if given.until is None or given.reason is None:
        absent = "reason" if given.reason is None else "until"
        raise denial.RequiredFields(f"Pass --{absent.replace('_', '-')}.", field=absent, fields=[absent])
    if given.until <= clock.now():
        raise denial.UntilPast(field="until", value=given.until)
    row = publishing.latest(store)
    answer: dict[str, Any] = {"package_id": row["package_id"], "new_expires_at": given.until, "reason": given.reason}
    if (row["kept_until"], row["kept_reason"]) == (given.until, given.reason):
        return Result(id=row["id"], **answer, already=True)
    with Client(endpoint()) as client:
        client.extend(row["package_id"], given.until, given.reason)
    publishing.note_kept(store, row["id"], given.until, given.reason)
    return Result(id=row["id"], **answer)


@op(
    "P7",
    "metrics-correlate",
    keywords="correlate session helix digest fleet executions traces runs tasks",
    example="--uid claude:0123",
)
def metrics_correlate(given: Session, store: Store) -> Result:
    """Show the fleet's digest of a session beside what is recorded here of it.

    The digest comes from the table digests of the SQLite file that HELIX_STORE_DB names, which is opened for reading alone.
    """
    found: list[dict[str, Any]] = correlation.digests(correlation.database(), given.uid)
    return Result(uid=given.uid, digests=found, here=correlation.here(store, given.uid))
