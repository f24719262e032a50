"""Embeddings: the vectors of what is in evidence and in the records, and which model's vectors are in use."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from .. import backends, denial, embeddings, progress, settings
from ..fields import Bytes, Link, TaskRef
from ..op import Result, op
from ..record import Field, Input
from ..store import Store

if TYPE_CHECKING:
    from ..store.vectors import Index, Vectors

DocumentRef = Annotated[str, Bytes(1_000), Link("evidence_document")]
Model = Annotated[str, Bytes(1_000)]


class Reembedding(Input):
    """What gets vectors, and of which model."""

    id: DocumentRef | None = Field(None, description="Only the chunks of this document")
    model: Model | None = Field(None, description="The model; default: the active one, else the configured one")
    records: bool = Field(False, description="Records of every kind that has a text, not only chunks")
    activate: bool = Field(False, description="Let this model answer from now on, once every chunk has its vector")
    keep_all: bool = Field(False, description="Keep the indexes of all earlier models")
    task_id: TaskRef | None = Field(None, description="The task it belongs to")


class EmbedIndexes(Input):
    """What to do with the indexes, and with which."""

    list: bool = Field(False, description="List them; what is done where nothing else is asked for")
    activate: bool = Field(False, description="Let the vectors of --model answer")
    prune: bool = Field(False, description="Delete the vectors of --model, --previous or --all-but-active")
    model: Model | None = Field(None, description="The model")
    previous: bool = Field(False, description="With --prune: the model that was active before")
    all_but_active: bool = Field(False, description="With --prune: every model but the active one")
    keep_all: bool = Field(False, description="With --activate: keep the indexes of all earlier models")


@op(
    "B3",
    "reembed",
    writes=True,
    manages_store=True,
    keywords="embedding vectors semantic index backfill missing records chunks",
    example="",
)
def reembed(wanted: Reembedding, store: Store) -> Result:
    """Give what has no vector of a model its vector: the chunks in use, or with --records every record with a text.

    Vectors are kept a batch at a time, by model and text: a run that is cut short pays for nothing twice, and neither does a document
    that is cut anew. --activate makes this model the one that answers, and prunes the indexes of earlier models beyond
    KAIZEN_EMBED_KEEP (2; 0 keeps all).
    """
    from ..store import vectors

    if wanted.records and wanted.id is not None:
        raise denial.FlagConflict("Pass --id or --records.", message="--records means all records, --id one document.")
    first = store.perform(store.call, lambda: _refuse_early(wanted, store))
    if first.get("replayed"):
        return first
    kinds = None if wanted.records else embeddings.CHUNKS
    model = wanted.model or first["model"]
    done = None
    with vectors.opened(store) as found:
        lacking = found.missing(model or "", kinds=kinds, document_id=wanted.id)
        if lacking:
            embedder = backends.opened("embedding", model=model)
            model = embedder.model
            with progress.bar("Embedding", len(lacking)) as show:
                done = embeddings.embed(store, found, embedder, kinds=kinds, document_id=wanted.id, show=show)
        index = found.index(model) if model else None
        left = found.count_missing(model, embeddings.CHUNKS) if model else 0
        indexes = found.indexes()

    def work() -> Result:
        said = f"Embedded {done.count} texts by {done.provider}." if done else ""
        if done and done.count:
            embeddings.trace(store, done, model, said, wanted.task_id)
        activation, note = None, None
        if wanted.activate:
            if index is None or left:
                lacking = f"{left} chunk{' has' if left == 1 else 's have'} no vector of it"
                note = f"{model} was not activated: {lacking}." if left else "There is no index to activate."
            else:
                activation = _activated(index, indexes, store, keep_all=wanted.keep_all)
        if done is None:
            note = note or "Everything has its vector."
        return Result(
            model=model,
            reembedded=done.count if done else 0,
            dimension=index.dim if index else None,
            note=note,
            activation=activation,
        )

    result = store.perform(store.call, work)
    if result["activation"] and not result.get("replayed"):
        _prune(result["activation"]["pruned"], store)
    return result


def _refuse_early(wanted: Reembedding, store: Store) -> Result:
    """Whatever would refuse the end refuses it before anything is paid for; the model that answers."""
    embeddings.keep()
    if wanted.id is not None:
        store.get("evidence_document", wanted.id)
    if wanted.task_id is not None:
        store.check_link(wanted.task_id, "task", "task_id")
    return Result(model=embeddings.active_model(store))


@op(
    "B7",
    "embed-index",
    writes=True,
    manages_store=True,
    keywords="embedding vectors semantic model switch activate prune list size",
    example="--list",
)
def embed_index(wanted: EmbedIndexes, store: Store) -> Result:
    """List the embedding indexes, one a model; activate one, or prune some.

    --activate takes a model whose vectors are complete, and prunes the indexes of earlier models beyond KAIZEN_EMBED_KEEP (2; 0 keeps
    all) unless --keep-all. --prune deletes vectors: they have to be paid for again; the active model's stay.
    """
    asked = [
        flag for flag, given in (("--list", wanted.list), ("--activate", wanted.activate), ("--prune", wanted.prune)) if given
    ]
    if len(asked) > 1:
        raise denial.FlagConflict(f"Pass {' or '.join(asked)}.", message=f"{' and '.join(asked)} are two things.", flag=asked[1])
    if wanted.activate:
        return _activate(wanted, store)
    if wanted.prune:
        return _prune_chosen(wanted, store)
    return store.perform(store.call, lambda: _shown(store, model=wanted.model))


def _activate(wanted: EmbedIndexes, store: Store) -> Result:
    """Switch to a model whose chunks are all there."""
    if wanted.model is None:
        raise denial.ModelRequired()
    model = wanted.model

    def work() -> Result:
        with _opened(store) as found:
            index, indexes = _indexed(found, model), found.indexes()
            left, total = found.count_missing(model, embeddings.CHUNKS), found.count(embeddings.CHUNKS)
        if left:
            raise denial.EmbedIndexIncomplete(
                f"Complete it: python kaizen.py B3 --model {model}", model=model, indexed_chunks=total - left, total_chunks=total
            )
        activation = _activated(index, indexes, store, keep_all=wanted.keep_all)
        return _shown(store, note=f"{model} answers from now on.", pruned=activation["pruned"])

    result = store.perform(store.call, work)
    if not result.get("replayed"):
        _prune(result["pruned"], store)
    return result


def _activated(index: "Index", indexes: Sequence["Index"], store: Store, *, keep_all: bool) -> dict[str, Any]:
    """Make a model the one that answers, in the unit under way; what is to be pruned when that is durable."""
    previous = settings.current(store, embeddings.ACTIVE)
    settings.put(store, embeddings.ACTIVE, index.model)
    pruned = [] if keep_all else embeddings.surplus(indexes, index.model)
    return {"active_embedding_model": index.model, "previous": previous, "pruned": pruned}


def _prune_chosen(wanted: EmbedIndexes, store: Store) -> Result:
    """Delete the vectors of the models that are named."""
    targets = [
        flag
        for flag, given in (
            ("--model", wanted.model),
            ("--previous", wanted.previous),
            ("--all-but-active", wanted.all_but_active),
        )
        if given
    ]
    if not targets:
        raise denial.PruneTarget()
    if len(targets) > 1:
        raise denial.FlagConflict(f"Pass one of {', '.join(targets)}.", message=f"{' and '.join(targets)} name two targets.")

    def work() -> Result:
        active = embeddings.active_model(store)
        with _opened(store) as found:
            if wanted.model is not None:
                pruned = [_indexed(found, wanted.model).model]
            else:
                others = [index.model for index in found.indexes() if index.model != active]
                pruned = others if wanted.all_but_active else _previous(store, others)
        if active in pruned:
            raise denial.PruneActive(model=active)
        if wanted.all_but_active and active is None and pruned:
            raise denial.ModelRequired(
                "Activate one first: B7 --activate --model MODEL.", message="No model is active.", models=pruned
            )
        return _shown(store, note=None if pruned else "There is nothing to prune.", pruned=pruned)

    result = store.perform(store.call, work)
    if not result.get("replayed"):
        _prune(result["pruned"], store)
    return result


def _previous(store: Store, others: Sequence[str]) -> list[str]:
    """The model that was active before the active one, else the newest of the others."""
    import json

    rows = store.list("setting", {"name": embeddings.ACTIVE}, limit=1, columns=("id",))
    entries = store.history(rows[0]["id"]) if rows else []
    values = [json.loads(entry["content"])["record"]["value"] for entry in reversed(entries) if entry["content"]]
    return [model for model in (*values, *others) if model in others][:1]


def _prune(models: Sequence[str], store: Store) -> None:
    if models:
        with _opened(store) as found:
            found.prune(models)


def _indexed(found: "Vectors", model: str) -> "Index":
    """The index of a model; DENIED_EMBED_INDEX_ABSENT."""
    index = found.index(model)
    if index is None:
        known = [other.model for other in found.indexes()]
        raise denial.EmbedIndexAbsent(f"Make them: python kaizen.py B3 --model {model}", model=model, indexed=known)
    return index


def _opened(store: Store) -> "contextlib.AbstractContextManager[Vectors]":
    from ..store import vectors

    return vectors.opened(store)


def _shown(store: Store, *, note: str | None = None, pruned: Sequence[str] = (), model: str | None = None) -> Result:
    """The indexes but for those that are pruned now. A plane without any gets no file for being asked."""
    active = embeddings.active_model(store)
    models: list[dict[str, Any]] = []
    total = store.count("evidence_chunk", {"status": "active"})
    if store.plane.vectors.is_file():
        with _opened(store) as found:
            total = found.count(embeddings.CHUNKS)
            for index in found.indexes():
                if index.model not in pruned:
                    count = total - found.count_missing(index.model, embeddings.CHUNKS)
                    models.append(_told(index, count, active))
    indexed = next((entry["chunks_indexed"] for entry in models if entry["is_active"]), 0)
    lacking = f"{total - indexed} chunk{' has' if total - indexed == 1 else 's have'} no vector"
    if active is None and models:
        note = note or "No model is active: B7 --activate --model MODEL."
    elif indexed < total:
        note = note or (
            f"{lacking} of {active} yet: B3 reembed makes them." if active else f"{lacking}, and no model is configured."
        )
    return Result(
        active_embedding_model=active,
        keep=embeddings.keep(),
        models=[entry for entry in models if model in (None, entry["model"])],
        note=note,
        indexed_chunks=indexed,
        total_chunks=total,
        pruned=[*pruned],
        remaining=[entry["model"] for entry in models],
    )


def _told(index: "Index", count: int, active: str | None) -> dict[str, Any]:
    return {
        "model": index.model,
        "dim": index.dim,
        "chunks_indexed": count,
        "vectors": index.vectors,
        "approx_bytes": index.bytes,
        "created_at": index.created_at,
        "is_active": index.model == active,
    }
