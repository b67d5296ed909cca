"""The demo's corpus against what Python itself says of the same names, and its questions against the corpus."""

import inspect
import json
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from twinbert.cli.demo.corpus import PythonDocs, read_python_docs
from twinbert.cli.demo.questions import SHOWCASE, judged_questions, read_questions
from twinbert.cli.demo.script import SCENES
from twinbert.retrieval import Document

PURE_MODULES = [
    *("argparse", "asyncio.tasks", "calendar", "contextlib", "copy", "difflib", "fnmatch", "glob", "inspect"),
    *("json", "random", "shutil", "statistics", "string", "subprocess", "tempfile", "textwrap", "threading"),
    *("unittest.case", "urllib.parse", "zipfile"),
]
"""Modules written in Python alone, cheap to import: the interpreter's word on them is the oracle."""

OF_ANOTHER_PLATFORM = {"shutil.disk_usage"}
"""Defined twice, for Windows last: without running the module nobody knows which definition counts."""

KNOWN_AS = {"asyncio.tasks": "asyncio", "unittest.case": "unittest"}

COMES_AND_GOES = (
    *("asyncio.Runner", "asyncio.TaskGroup", "asyncio.Timeout", "asyncio.timeout", "distutils.", "imp.reload"),
    *("inspect.getargspec", "mimetypes.guess_file_type", "mimetypes.MimeTypes.guess_file_type"),
    *("pathlib.Path.", "pdb.set_trace", "traceback.TracebackException.print", "warnings.deprecated"),
)
"""Answers that some supported Python lacks, by the beginning of their names."""


@pytest.fixture(scope="module")
def docs() -> PythonDocs:
    return read_python_docs()


@pytest.fixture(scope="module")
def by_id(docs: PythonDocs) -> dict[str, Document]:
    return {document.id: document for document in docs.documents}


def library(tmp_path: Path, **sources: str) -> dict[str, Document]:
    """The documents of a made-up standard library; ``pkg__tool`` is the file ``pkg/tool.py``."""
    for name, source in sources.items():
        file = tmp_path / f"{name.replace('__', '/').replace('INIT', '__init__')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    documents = read_python_docs(tmp_path).documents
    return {document.id: document for document in documents if "file" in document.metadata}


def test_about_eight_thousand_documents_with_text_and_unique_ids(docs: PythonDocs) -> None:
    assert 5_000 <= len(docs.documents) <= 12_000
    assert len({document.id for document in docs.documents}) == len(docs.documents)
    assert all(document.text.strip() and document.title.startswith(document.id) for document in docs.documents)
    assert {document.metadata["kind"] for document in docs.documents} == {"module", "class", "function", "method"}


def test_every_file_of_the_running_library_parses(docs: PythonDocs) -> None:
    assert docs.skipped == ()


def test_nothing_private_and_no_tests(docs: PythonDocs) -> None:
    parts = [document.id.split(".") for document in docs.documents]
    assert [names for names in parts if any(name.startswith("_") for name in names)] == []
    folders = {folder for document in docs.documents for folder in Path(document.metadata.get("file", "")).parts[:-1]}
    assert folders & {"test", "tests", "idle_test", "site-packages"} == set()


@pytest.mark.parametrize("name", ["str.strip", "dict.get", "len", "int", "list.sort", "ValueError", "object"])
def test_built_in_names_say_what_the_interpreter_says(by_id: dict[str, Document], name: str) -> None:
    value = inspect.getattr_static(import_module("builtins"), name.partition(".")[0])
    if "." in name:
        value = getattr(value, name.partition(".")[2])
    assert by_id[name].text == inspect.getdoc(value)
    assert by_id[name].metadata["module"] == "builtins"


def test_str_strip_word_for_word(by_id: dict[str, Document]) -> None:
    assert by_id["str.strip"] == Document(
        id="str.strip",
        title="str.strip(chars=None, /)",
        text="Return a copy of the string with leading and trailing whitespace removed.\n\n"
        "If chars is given and not None, remove characters in chars instead.",
        metadata={"kind": "method", "module": "builtins"},
    )


def test_subprocess_run(by_id: dict[str, Document]) -> None:
    run = by_id["subprocess.run"]
    assert run.title.startswith("subprocess.run(*popenargs, input=None, capture_output=False, ")
    assert run.text == inspect.getdoc(subprocess.run)
    assert run.metadata == {
        "kind": "function",
        "module": "subprocess",
        "file": "subprocess.py",
        "line": subprocess.run.__code__.co_firstlineno,
    }


@pytest.mark.parametrize(
    ("name", "kind", "module"),
    [
        ("json", "module", "json"),
        ("os.path.join", "function", "os.path"),
        ("os.getcwd", "function", "os"),
        ("asyncio.gather", "function", "asyncio"),
        ("collections.deque.rotate", "method", "collections"),
        ("collections.OrderedDict.move_to_end", "method", "collections"),
        ("collections.abc.Mapping.get", "method", "collections.abc"),
        ("concurrent.futures.Executor.submit", "method", "concurrent.futures"),
        ("datetime.datetime.strptime", "method", "datetime"),
        ("decimal.Decimal", "class", "decimal"),
        ("io.StringIO", "class", "io"),
        ("itertools.chain", "class", "itertools"),
        ("pathlib.Path.exists", "method", "pathlib"),
        ("pathlib.PurePath.suffix", "method", "pathlib"),
        ("time.sleep", "function", "time"),
        ("unittest.TestCase.assertRaises", "method", "unittest"),
    ],
)
def test_things_go_by_the_name_people_write(by_id: dict[str, Document], name: str, kind: str, module: str) -> None:
    metadata = by_id[name].metadata
    assert (metadata["kind"], metadata["module"]) == (kind, module)


@pytest.mark.parametrize("name", PURE_MODULES)
def test_every_documented_function_is_there_with_its_text(by_id: dict[str, Document], name: str) -> None:
    module = import_module(name)
    functions = public_functions(module)
    assert functions
    for function in functions:
        names = {f"{home}.{function.__qualname__}" for home in (name, KNOWN_AS.get(name, name))}
        (document,) = [by_id[known] for known in names if known in by_id]
        assert document.text == inspect.cleandoc(function.__doc__) or document.id in OF_ANOTHER_PLATFORM


def public_functions(module: ModuleType) -> list:
    """Functions and methods with a docstring that the module's own source defines, lambdas and copies left out."""
    values = [value for name, value in vars(module).items() if not name.startswith("_")]
    classes = [value for value in values if inspect.isclass(value) and value.__module__ == module.__name__]
    values += [value for owner in classes for value in vars(owner).values()]
    return [
        value
        for value in values
        if inspect.isfunction(value)
        and value.__doc__
        and value.__module__ == module.__name__
        and not any(part.startswith(("_", "<")) for part in value.__qualname__.split("."))
        and value.__code__.co_filename == module.__file__
    ]


def test_reading_imports_nothing_and_is_the_same_in_another_process(docs: PythonDocs) -> None:
    script = (
        "import hashlib, json, sys\n"
        "from twinbert.cli.demo.corpus import read_python_docs\n"
        "before = set(sys.modules)\n"
        "documents = [[d.id, d.title, d.text, dict(d.metadata)] for d in read_python_docs().documents]\n"
        "print(json.dumps([sorted(set(sys.modules) - before), documents]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=Path(__file__).parent)
    new, documents = json.loads(done.stdout)
    codecs_and_build_settings = ("encodings.", "_sysconfigdata")
    assert [name for name in new if not name.startswith(codecs_and_build_settings)] == []
    here = [[document.id, document.title, document.text, dict(document.metadata)] for document in docs.documents]
    assert documents == here


def test_without_source_the_built_in_names_remain(tmp_path: Path) -> None:
    docs = read_python_docs(tmp_path / "python313.zip")
    ids = {document.id for document in docs.documents}
    assert {"str.strip", "len", "sys.exit", "time.sleep", "itertools.chain"} <= ids
    assert docs.skipped == ()
    assert not any("file" in document.metadata for document in docs.documents)


def test_signatures_leave_self_out(tmp_path: Path) -> None:
    source = '''
"""Tools of all kinds.

More about them."""
def work(a, /, b=1, *, c: int = 2): "Works."
class Box:
    "Holds things."
    def __init__(self, size, *, lid=True): "Never read."
    def open(self, /, slowly=False): "Opens."
    async def close(self): """Closes.

        In the end."""
    @property
    def size(self): "How big."
    @staticmethod
    def default(size): "A usual box."
    @classmethod
    def of(cls, *things): "A box of things."
    class Lid:
        "Covers."
    def silent(self): return 1
    def _hidden(self): "Nobody reads this."
'''
    documents = library(tmp_path, tool=source)
    assert {document.id: document.title.removeprefix(document.id) for document in documents.values()} == {
        "tool": ": Tools of all kinds.",
        "tool.work": "(a, /, b=1, *, c: int=2)",
        "tool.Box": "(size, *, lid=True)",
        "tool.Box.open": "(slowly=False)",
        "tool.Box.close": "()",
        "tool.Box.size": "",
        "tool.Box.default": "(size)",
        "tool.Box.of": "(*things)",
        "tool.Box.Lid": "",
    }
    assert documents["tool.Box.close"].text == "Closes.\n\nIn the end."
    assert documents["tool.Box.open"].metadata == {"kind": "method", "module": "tool", "file": "tool.py", "line": 9}


def test_long_signatures_are_cut(tmp_path: Path) -> None:
    arguments = ", ".join(f"argument_{number}=None" for number in range(20))
    title = library(tmp_path, tool=f"def work({arguments}): 'Works.'")["tool.work"].title
    assert len(title) <= len("tool.work") + 100
    assert title.endswith("argument_4=None, …)")


def test_definitions_under_conditions_count_and_the_last_one_wins(tmp_path: Path) -> None:
    source = """
import sys
if sys.platform == "win32":
    def a(): "On Windows."
else:
    def a(): "Elsewhere."
try:
    from _fast import b
except ImportError:
    def b(): "Slow but sure."
class C:
    @property
    def d(self): "What it is."
    @d.setter
    def d(self, value): "Not what it is."
"""
    documents = library(tmp_path, tool=source)
    assert {name: document.text for name, document in documents.items()} == {
        "tool.a": "Elsewhere.",
        "tool.b": "Slow but sure.",
        "tool.C.d": "What it is.",
    }


def test_private_modules_speak_through_the_public_one_that_imports_them(tmp_path: Path) -> None:
    documents = library(
        tmp_path,
        clock="try:\n    from _clock import *\n    from _clock import __doc__\nexcept ImportError:\n    pass",
        _clock="'Tells the time.'\n__all__ = ['tick']\ndef tick(): 'Ticks.'\ndef tock(): 'Not listed.'",
        bystander="from _clock import tock\n__all__ = ['other']",
    )
    assert set(documents) == {"clock", "clock.tick"}
    assert documents["clock"].text == "Tells the time."
    assert documents["clock.tick"].metadata == {
        "kind": "function",
        "module": "clock",
        "file": "_clock.py",
        "line": 3,
    }


def test_packages_hand_out_what_their_submodules_define(tmp_path: Path) -> None:
    documents = library(
        tmp_path,
        pkg__INIT="from .core import *\nfrom pkg.late import early\n__all__ = ['a', 'early', 'lazy']\n"
        "def __getattr__(name):\n    from .late import lazy as found\n    return found",
        pkg__core="'The core.'\ndef a(): 'A.'\ndef b(): 'B.'",
        pkg__late="def lazy(): 'Lazy.'\ndef early(): 'Early.'",
        other="from pkg.core import b",
    )
    assert set(documents) == {"pkg.a", "pkg.early", "pkg.lazy", "pkg.core", "pkg.core.b"}


def test_public_classes_have_the_methods_of_their_private_bases(tmp_path: Path) -> None:
    documents = library(
        tmp_path,
        shelf="from _shelf import Base\n__all__ = ['Shelf']\nclass _Local(Base):\n    def near(self): 'Near.'\n"
        "class Shelf(_Local):\n    'A shelf.'\n    def put(self, book): 'Puts a book.'",
        _shelf="class Base:\n    def put(self, thing): 'Puts a thing.'\n    def take(self): 'Takes it.'\n"
        "    def _secret(self): 'Hidden.'",
        sub="from shelf import Shelf\nclass Sub(Shelf):\n    'Inherits from a public class.'",
    )
    shelf = {name: document.text for name, document in documents.items() if name.startswith("shelf.Shelf")}
    assert shelf == {
        "shelf.Shelf": "A shelf.",
        "shelf.Shelf.put": "Puts a book.",
        "shelf.Shelf.near": "Near.",
        "shelf.Shelf.take": "Takes it.",
    }
    assert documents["shelf.Shelf.take"].metadata["file"] == "_shelf.py"
    assert [name for name in documents if name.startswith("sub.")] == ["sub.Sub"]


def test_files_that_cannot_be_read_are_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:", encoding="utf-8")
    (tmp_path / "garbled.py").write_bytes(b"# no coding line\n'\xff\xfe'\n")
    (tmp_path / "old.py").write_bytes("# -*- coding: latin-1 -*-\n'Grüße.'\n".encode("latin-1"))
    (tmp_path / "escapes.py").write_text("'''Says \\d.'''\n", encoding="utf-8")
    (tmp_path / "not-a-module.py").write_text("'A script.'", encoding="utf-8")
    docs = read_python_docs(tmp_path)
    assert docs.skipped == ("broken.py", "garbled.py")
    found = {document.id: document.text for document in docs.documents if "file" in document.metadata}
    assert found == {"old": "Grüße.", "escapes": "Says \\d."}


def test_tests_and_installed_packages_are_left_out(tmp_path: Path) -> None:
    for folder in ("test", "pkg/tests", "idlelib/idle_test", "site-packages/pip", "__pycache__", "lib-dynload"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "tool.py").write_text("'A tool.'", encoding="utf-8")
    assert set(library(tmp_path, pkg__tool="'The only one.'")) == {"pkg.tool"}


def test_at_least_a_hundred_questions_are_asked_here(by_id: dict[str, Document]) -> None:
    judged = judged_questions(by_id)
    assert len(judged.queries) >= 100
    assert len({query.id for query in judged.queries}) == len(judged.queries)
    assert len({query.text for query in judged.queries}) == len(judged.queries)
    assert [query.id for query in judged.queries] == list(judged.qrels)
    assert judged.left_out == 0, "every question has an answer on every supported Python"


def test_judgements_are_documents_of_the_corpus(by_id: dict[str, Document]) -> None:
    targets = [target for answers in judged_questions(by_id).qrels.values() for target in answers]
    assert set(targets) <= set(by_id)
    assert all(grade == 1 for answers in judged_questions(by_id).qrels.values() for grade in answers.values())


def test_no_answer_is_misspelled(by_id: dict[str, Document]) -> None:
    for question in read_questions():
        assert len(set(question.targets)) == len(question.targets), question.id
        missing = [target for target in question.targets if target not in by_id]
        assert [target for target in missing if not target.startswith(COMES_AND_GOES)] == []


def test_questions_are_not_lifted_from_the_docstrings(by_id: dict[str, Document]) -> None:
    lines = {line.strip().rstrip(".").lower() for document in by_id.values() for line in document.text.splitlines()}
    assert [question.text for question in read_questions() if question.text.rstrip(".?").lower() in lines] == []


def test_answers_that_do_not_exist_are_dropped_and_unanswerable_questions_counted() -> None:
    everything = read_questions()
    judged = judged_questions({"subprocess.run", "str.strip"})
    assert judged.qrels == {
        question.id: {target: 1 for target in ("str.strip", "subprocess.run") if target in question.targets}
        for question in everything
        if {"str.strip", "subprocess.run"} & set(question.targets)
    }
    assert {query.text for query in judged.queries} >= {
        "remove whitespace from both ends of a string",
        "run another program and read what it prints",
    }
    assert judged.left_out == len(everything) - len(judged.queries) > 100


def test_questions_file_is_plain_jsonl() -> None:
    text = files("twinbert.cli.demo").joinpath("questions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["_id"] for row in rows] == [f"q{number:03}" for number in range(1, len(rows) + 1)]
    assert all(set(row) == {"_id", "text", "targets"} and row["targets"] for row in rows)


def test_showcase_questions_are_judged_and_answered(by_id: dict[str, Document]) -> None:
    assert len(set(SHOWCASE)) == 5
    assert set(SHOWCASE) <= {query.text for query in judged_questions(by_id).queries}


def test_the_scripted_update_brings_documents_that_python_does_not_have(by_id: dict[str, Document]) -> None:
    ids = [scene.document.id for scene in SCENES]
    assert ids == ["acme.slugify", "acme.open_invoices", "acme.page_on_call"]
    assert not set(ids) & set(by_id)
    assert [scene.document.id for scene in SCENES if scene.deleted_later] == ["acme.open_invoices"]
    assert len({scene.question for scene in SCENES}) == len(SCENES)
