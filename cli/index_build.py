"""``twinbert index build``, ``reencode`` and ``rebuild``: what makes an index whole."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer

from .build_options import (
    Filterable,
    History,
    IndexKey,
    Memory,
    TargetK,
    TargetRecall,
    TuneQueries,
    VectorType,
    announce,
    chosen_options,
    note_built,
    tuning_queries,
)
from .evidence_options import Language, Lexical, Segments, chosen_evidence
from .index_changes import noting_blank, print_changes
from .options import AsJson, Corpora, IndexPath, ModelName, Quiet, Wait
from .output import note, print_facts, progress_bar
from .threads import usable_threads


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command(
        epilog="Example: twinbert index build docs.index corpus.jsonl  ·  "
        "cat new.jsonl | twinbert index build docs.index -"
    )(build)
    app.command(epilog="Example: twinbert index reencode docs.index --model my-model")(reencode)
    app.command(epilog="Example: twinbert index rebuild docs.index")(rebuild)


def build(
    index: IndexPath,
    corpus: Corpora,
    model: Annotated[str, typer.Option(metavar="MODEL", help="starter, a model folder or a hub id.")] = "starter",
    index_key: IndexKey = None,
    memory: Memory = None,
    target_recall: TargetRecall = None,
    target_k: TargetK = None,
    vector_type: VectorType = None,
    tune_queries: TuneQueries = None,
    filterable: Filterable = None,
    language: Language = None,
    segments: Segments = None,
    lexical: Lexical = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a build that was stopped.")] = False,
    history: History = 100,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encode a corpus into a new index.

    The corpus is read to the end first: a bad row leaves everything as it was. An approximate index is tuned with
    titles and spans of its documents, encoded as queries are, where no --tune-queries are given.
    """
    from ..encoders import TwinEncoder
    from ..index import BuildOptions
    from ..retrieval import EvidenceOptions, Retriever, read_documents

    started = time.perf_counter()
    base = BuildOptions(history=history, lexical=lexical is not False)
    options = chosen_options(base, index_key, memory, target_recall, target_k, vector_type)
    evidence = chosen_evidence(language, segments)
    encoder = TwinEncoder.from_pretrained(model, threads=usable_threads())
    with (
        progress_bar("encoding", quiet=quiet) as progress,
        Retriever.build(
            index,
            noting_blank(read_documents(corpus)),
            encoder,
            options,
            evidence=evidence or EvidenceOptions(),
            filterable=filterable or (),
            tune_queries=tuning_queries(tune_queries),
            overwrite=overwrite,
            resume=resume,
            announce=announce,
            progress=progress,
            wait=wait,
        ) as retriever,
    ):
        report = retriever.last_report
        note_built(retriever.index, tune_queries)
    print_changes(report, started, as_json=as_json)


def reencode(
    index: IndexPath,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="starter, a model folder or a hub id.", show_default=False)
    ],
    index_key: IndexKey = None,
    memory: Memory = None,
    target_recall: TargetRecall = None,
    target_k: TargetK = None,
    vector_type: VectorType = None,
    tune_queries: TuneQueries = None,
    language: Language = None,
    segments: Segments = None,
    lexical: Lexical = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a reencoding that was stopped.")] = False,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encode the documents of an index with another model, and switch to it at once.

    The documents come from the index itself, which answers with its old model until then. Options are those that it
    has, where none are given. `twinbert index rollback` goes back to the old model.
    """
    from ..encoders import TwinEncoder
    from ..index import Listing
    from ..retrieval import Retriever

    started = time.perf_counter()
    with Listing(index) as present:
        options = chosen_options(present.options, index_key, memory, target_recall, target_k, vector_type)
    options = replace(options, lexical=options.lexical if lexical is None else lexical)
    evidence = chosen_evidence(language, segments)
    queries = tuning_queries(tune_queries)
    encoder = TwinEncoder.from_pretrained(model, threads=usable_threads())
    with (
        progress_bar("encoding", quiet=quiet) as progress,
        Retriever.reencode(
            index,
            encoder,
            options,
            evidence=evidence,
            tune_queries=queries,
            resume=resume,
            announce=announce,
            progress=progress,
            wait=wait,
        ) as retriever,
    ):
        report = retriever.last_report
        note_built(retriever.index, tune_queries)
    print_changes(report, started, as_json=as_json)


def rebuild(
    index: IndexPath,
    model: ModelName = None,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make anew what an index derives from its documents and vectors, and mend what is damaged.

    Where the vectors themselves are damaged, all its texts are encoded again, and what it remembers of earlier changes
    is forgotten. A damaged store cannot be mended.
    """
    from ..retrieval import rebuild as make_anew

    started = time.perf_counter()
    with progress_bar("encoding", quiet=quiet) as progress:
        report = make_anew(index, model, progress, threads=usable_threads(), wait=wait)
    if report.damage is not None:
        note(f"note: {report.damage}: its texts were encoded again, and no earlier change can be undone any more")
    facts = {"generation": report.generation, "documents": report.documents, "encoded": report.encoded}
    print_facts(facts | {"seconds": round(time.perf_counter() - started, 3)}, as_json=as_json)
