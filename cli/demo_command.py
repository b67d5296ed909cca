"""``twinbert demo``: the main job from end to end, on the documentation of the Python that runs it."""

from __future__ import annotations

import platform
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import MissingExtraError
from .eval_command import print_evaluation
from .options import AsJson, Quiet
from .output import console, note, print_hits, print_json, print_line, progress_bar
from .threads import usable_threads

if TYPE_CHECKING:
    from ..eval import Evaluation
    from ..retrieval import Retriever
    from .demo.corpus import PythonDocs
    from .demo.questions import JudgedQuestions

HITS = 3
"""Hits shown a question."""


def demo(
    keep: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option(metavar="INDEX", help="Keep the index in this new folder, to search it afterwards."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build, search, update and judge an index of this Python's own documentation, in under a minute.

    Example: twinbert demo --keep python.index, then: twinbert search python.index "copy a file"
    """
    started = time.perf_counter()
    _require_measures()
    from .demo.corpus import read_python_docs

    with ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "python.index"
        docs = read_python_docs()
        retriever = stack.enter_context(_build(docs, folder, quiet=quiet or as_json))
        if as_json:
            found = _judge(retriever, docs)
            print_json(_figures(retriever, found, started))
            return
        _say(f"{len(retriever):,} documents of Python {platform.python_version()} in {_seconds(started)}")
        _ask_showcase(retriever)
        _tell_update(retriever)
        print_evaluation(_judge(retriever, docs))
        _say(f"done in {_seconds(started)}" + (f"; the index is in {keep}" if keep else ""))


def _require_measures() -> None:
    """Fail before the build rather than after it."""
    try:
        import ir_measures  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("the demo's recall table", "eval") from None


def _build(docs: PythonDocs, folder: Path, *, quiet: bool) -> Retriever:
    from ..encoders import TwinEncoder
    from ..index import BuildOptions
    from ..retrieval import Retriever

    encoder = TwinEncoder.from_pretrained(threads=usable_threads())
    options = BuildOptions(
        index_key="HNSW32"
    )  # so few would be searched exactly, and the table show nothing of the ANN
    with progress_bar("encoding", quiet=quiet) as progress:
        return Retriever.build(folder, docs.documents, encoder, options, progress=progress)


def _ask_showcase(retriever: Retriever) -> None:
    from .demo.questions import SHOWCASE

    _title("questions")
    for question in SHOWCASE:
        print_hits(question, retriever.search(question, k=HITS))


def _tell_update(retriever: Retriever) -> None:
    from .demo.script import SCENES

    _title("a live update")
    _answers(retriever, "before")
    report = retriever.upsert([scene.document for scene in SCENES])
    _answers(retriever, f"after an upsert of {report.added} documents")
    leaving = [scene.document.id for scene in SCENES if scene.deleted_later]
    deleted = retriever.delete(leaving)
    _answers(retriever, f"after deleting {deleted.removed}: {', '.join(leaving)}")
    retriever.delete([scene.document.id for scene in SCENES if not scene.deleted_later])


def _answers(retriever: Retriever, moment: str) -> None:
    from .demo.script import SCENES

    print_line(f"  {moment}")
    for scene in SCENES:
        best = retriever.search(scene.question, k=1)[0]
        print_line(f"    {scene.question:<52} → {best.id} ({best.score:.2f})")


def _judge(retriever: Retriever, docs: PythonDocs) -> Evaluation:
    from ..eval import Qrels, evaluate
    from .demo.questions import judged_questions

    judged = judged_questions({document.id for document in docs.documents})
    for line in shortfalls(docs, judged):
        note(line)
    return evaluate(retriever, judged.queries, Qrels(judged.qrels))


def shortfalls(docs: PythonDocs, judged: JudgedQuestions) -> list[str]:
    """What this Python lacks of the demo's material, a line each; none as a rule."""
    lines = []
    if docs.skipped:
        lines.append(f"files that could not be read or parsed: {', '.join(docs.skipped)}")
    if judged.left_out:
        lines.append(f"questions left out, this Python having no answer to them: {judged.left_out}")
    return lines


def _figures(retriever: Retriever, found: Evaluation, started: float) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "documents": len(retriever),
        "seconds": round(time.perf_counter() - started, 1),
        "eval": found.to_dict(),
    }


def _say(text: str) -> None:
    console.print(text, style="green")


def _title(text: str) -> None:
    print_line(f"\n— {text} —")


def _seconds(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"
