import io
import json
import re
import sys
from pathlib import Path

import pytest
import twinbert
from twinbert import BuildOptions, Document, Retriever, TwinEncoder
from twinbert.errors import IndexLockedError


def test_build_reports_in_the_stable_keys(tmp_path: Path, corpus: Path, run) -> None:
    result = run("index", "build", tmp_path / "new.index", corpus, "--json")
    report = json.loads(result.out)
    assert report.pop("seconds") > 0
    assert report == {"added": 3, "changed": 0, "unchanged": 0, "removed": 0, "documents": 3, "generation": 1}
    assert result.status == 0
    assert re.fullmatch(
        r"Flat: below 10,000 exact search is quick; vectors about 4\.6 kB; building takes about \d+\.\d MB of memory\n",
        result.err,
    )


def test_build_reads_standard_input(tmp_path: Path, corpus: Path, run) -> None:
    assert run("index", "build", tmp_path / "new.index", "-", stdin=corpus.read_bytes()).status == 0
    with Retriever.open(tmp_path / "new.index") as retriever:
        assert len(retriever) == 3


def test_blank_documents_are_kept_and_told(tmp_path: Path, run) -> None:
    corpus = tmp_path / "blank.jsonl"
    corpus.write_text('{"_id": "a", "text": ""}\n{"_id": "b", "text": " "}\n{"_id": "c", "text": "here"}\n')
    result = run("index", "build", tmp_path / "new.index", corpus, "--json")
    assert json.loads(result.out)["documents"] == 3
    assert result.err.splitlines()[0] == "note: document 'a' and 1 more: neither title nor text, kept but hard to find"


def test_ids_and_texts_are_printed_as_they_are(tmp_path: Path, run) -> None:
    corpus = tmp_path / "odd.jsonl"
    corpus.write_text('{"_id": "[/a]", "text": ""}\n{"_id": "urn:x:1", "text": "[red]the:smile: square root"}\n')
    result = run("index", "build", tmp_path / "odd.index", corpus)
    assert result.status == 0
    assert result.err.splitlines()[0] == "note: document '[/a]': neither title nor text, kept but hard to find"
    shown = run("search", tmp_path / "odd.index", "square [/b] root :smile:").out
    for part in ("square [/b] root :smile:\n", "  urn:x:1\n", "  [/a]\n", " [red]the:smile: square root\n"):
        assert part in shown


def test_data_is_utf_8_whatever_the_locale_would_have(index: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", "upsert", index, "-", stdin='{"_id": "é→", "text": "naïve"}\n'.encode())
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert run("index", "get", index, "é→").status == 0
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode("utf-8")) == {"_id": "é→", "title": "", "text": "naïve"}


def test_more_hits_than_there_are_documents_may_be_asked_for(index: Path, run) -> None:
    result = run("search", index, "square root", "-k", 10**13, "--format", "trec")
    assert (result.status, len(result.out.splitlines())) == (0, 3)


def test_search_prints_a_table_for_people(index: Path, run) -> None:
    result = run("search", index, "square root", "-k", "1")
    assert re.fullmatch(r"square root\n  1 +-?\d+\.\d{3}  sqrt\n +the square root of a number\n", result.out)


def test_search_prints_jsonl_for_programs(index: Path, run) -> None:
    result = run("search", index, "trim blanks around a string", "-k", "2", "--format", "jsonl")
    ranking = json.loads(result.out)
    first = ranking["hits"][0]
    assert (ranking["query_id"], ranking["query"]) == ("1", "trim blanks around a string")
    assert list(first) == ["id", "rank", "score", "probability", "title", "text", "metadata"]
    assert (first["id"], first["rank"], first["probability"]) == ("strip", 1, None)
    assert first["metadata"] == {"kind": "method"}


def test_search_prints_trec_runs(index: Path, tmp_path: Path, run) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"_id": "q7", "text": "square root"}\n')
    lines = run("search", index, "--queries", queries, "--format", "trec", "-k", "2").out.splitlines()
    assert lines[0].split()[:4] == ["q7", "Q0", "sqrt", "1"]
    assert len(lines) == 2


def test_without_rerank_the_score_is_the_cosine(index: Path, run) -> None:
    plain = json.loads(run("search", index, "square root", "--no-rerank", "--exact", "--format", "jsonl").out)
    with Retriever.open(index) as retriever:
        query = retriever.encoder.encode_queries(["square root"])[0]
        document = retriever.encoder.encode_documents(["the square root of a number"])[0]
    assert plain["hits"][0]["score"] == pytest.approx(float(query @ document), abs=1e-5)


def test_an_upsert_is_visible_at_once_and_a_delete_stays(index: Path, tmp_path: Path, run) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_text('{"_id": "open", "text": "bake bread"}\n{"_id": "new", "text": "ride a bicycle"}\n')
    report = json.loads(run("index", "upsert", index, changed, "--json").out)
    assert [report[key] for key in ("added", "changed", "unchanged", "documents")] == [1, 1, 0, 4]
    assert " new\n" in run("search", index, "cycling", "-k", "1").out
    assert json.loads(run("index", "delete", index, "new", "never", "--json").out) == {"removed": 1, "missing": 1}
    assert "new" not in run("search", index, "cycling").out


def test_ids_to_delete_come_from_a_file_or_standard_input(index: Path, tmp_path: Path, run) -> None:
    ids = tmp_path / "gone.txt"
    ids.write_text("open\n\n")
    assert json.loads(run("index", "delete", index, "--ids", ids, "--json").out)["removed"] == 1
    assert json.loads(run("index", "delete", index, "--ids", "-", "--json", stdin=b"sqrt\n").out)["removed"] == 1


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_only_newlines_end_an_id_and_a_byte_order_mark_is_no_part_of_it(
    source: str, tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["first", "a\u2028b", "c\x85d", "e\x0bf", " naïve "]
    rows = "".join(json.dumps({"_id": identifier, "text": "x"}) + "\n" for identifier in [*ids, "kept"])
    run("index", "build", tmp_path / "i", "-", stdin=rows.encode())
    gone = ("\ufeff" + "\r\n".join(ids)).encode()
    (tmp_path / "gone.txt").write_bytes(gone)
    name, stdin = (tmp_path / "gone.txt", b"") if source == "file" else ("-", gone)
    assert json.loads(run("index", "delete", tmp_path / "i", "--ids", name, "--json", stdin=stdin).out) == {
        "removed": 5,
        "missing": 0,
    }


def test_ids_that_cannot_be_read_are_refused_by_line(index: Path, tmp_path: Path, run) -> None:
    gone = tmp_path / "gone.txt"
    for content, message in (
        (b"open\n\xff\n", ":2: not UTF-8"),
        (b"open\n\nopen\n", ":3: id 'open' stands already at"),
    ):
        gone.write_bytes(content)
        result = run("index", "delete", index, "--ids", gone)
        assert result.status == 1
        assert result.err.startswith(f"error: {gone}{message}")
    assert run("index", "delete", index, "--ids", tmp_path / "none.txt").err.endswith("check the path\n")
    assert json.loads(run("index", "info", index, "--json").out)["documents"] == 3


def test_get_prints_what_was_put(index: Path, corpus: Path, run) -> None:
    lines = run("index", "get", index, "strip", "open").out.splitlines()
    first, second = (json.loads(line) for line in corpus.read_text().splitlines()[:2])
    assert [json.loads(line) for line in lines] == [first, {"_id": "open", "title": "", "text": second["text"]}]


def test_get_names_what_is_missing(index: Path, run) -> None:
    result = run("index", "get", index, "nope", "open")
    assert (result.status, result.err) == (1, "error: not in the index: nope\n")
    assert json.loads(result.out)["_id"] == "open"


def test_info_and_verify(index: Path, run) -> None:
    info = json.loads(run("index", "info", index, "--json").out)
    assert {"documents", "dimension", "index_key", "generation", "space", "bytes"} <= set(info)
    assert (info["documents"], info["dimension"], info["index_key"], info["generation"]) == (3, 384, "Flat", 1)
    assert json.loads(run("index", "verify", index, "--json").out) == {"sound": True, "problems": []}


def test_verify_names_a_damaged_file(index: Path, run) -> None:
    vectors = next(index.glob("segments/*/vectors*"))
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    result = run("index", "verify", index)
    assert result.status == 1
    assert vectors.name in result.out


def test_compact_gives_the_new_generation(index: Path, run) -> None:
    run("index", "delete", index, "open")
    assert json.loads(run("index", "compact", index, "--json").out) == {"generation": 2}


@pytest.fixture
def soon_worn(tmp_path: Path) -> Path:
    """An index that a single change leaves worn."""
    some = [Document(str(number), f"text {number}") for number in range(4)]
    options = BuildOptions(tail_limit=1, tail_share=0.0)
    Retriever.build(tmp_path / "worn.index", some, options=options).close()
    return tmp_path / "worn.index"


NEW = b'{"_id": "new", "text": "ride a bicycle"}\n{"_id": "newer", "text": "row a boat"}\n'


def test_a_change_that_leaves_an_index_worn_compacts_it(soon_worn: Path, run) -> None:
    report = json.loads(run("index", "upsert", soon_worn, "-", "--json", stdin=NEW).out)
    assert (report["added"], report["documents"], report["generation"]) == (2, 6, 2)
    facts = json.loads(run("index", "info", soon_worn, "--json").out)
    assert (facts["generation"], facts["fresh"]) == (2, 0)


def test_a_compaction_that_fails_does_not_fail_the_change(
    soon_worn: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_: object, *, wait: float | None) -> int:
        raise IndexLockedError("somebody else writes")

    monkeypatch.setattr("twinbert.index.Index.compact", locked)
    monkeypatch.setattr("twinbert.retrieval.Retriever.compact", locked)
    upserted = run("index", "upsert", soon_worn, "-", "--json", stdin=NEW)
    note = "note: the change is stored, but the index could not be compacted: somebody else writes\n"
    assert (upserted.status, upserted.err) == (0, note)
    assert json.loads(upserted.out)["generation"] == 1
    deleted = run("index", "delete", soon_worn, "0", "--json")
    assert (deleted.status, deleted.err) == (0, note)
    assert json.loads(deleted.out) == {"removed": 1, "missing": 0}
    assert " new\n" in run("search", soon_worn, "cycling", "-k", "1").out


def test_an_upsert_encodes_on_every_processor(index: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    load = TwinEncoder.from_pretrained

    def watched(source: str, *, threads: int) -> TwinEncoder:
        asked.append(threads)
        return load(source, threads=threads)

    monkeypatch.setattr("twinbert.cli.index_updates.usable_threads", lambda: 3)
    monkeypatch.setattr(TwinEncoder, "from_pretrained", watched)
    assert run("index", "upsert", index, "-", stdin=NEW).status == 0
    assert asked == [3]


def test_eval_prints_the_contract_as_json(index: Path, tmp_path: Path, run) -> None:
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text('{"_id": "1", "text": "square root"}\n{"_id": "2", "text": "read a file"}\n')
    qrels.write_text("query-id\tcorpus-id\tscore\n1\tsqrt\t1\n2\topen\t1\n")
    result = run("eval", index, "--queries", queries, "--qrels", qrels, "-k", "1", "-k", "2", "--json")
    found = json.loads(result.out)
    assert found["judged"] == {"R@1": 1.0, "R@2": 1.0, "nDCG@1": 1.0, "RR@1": 1.0}
    assert found["ann"] == {"1-recall@1": 1.0, "2-recall@2": 1.0}
    assert [stage["stage"] for stage in found["stages"]] == ["cosine exact", "cosine ANN", "+ segments", "+ lexical"]
    assert set(found["latency_ms"]) == {"p50", "p95", "p99"}


def test_eval_prints_tables(index: Path, tmp_path: Path, run) -> None:
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.trec"
    queries.write_text('{"_id": "1", "text": "square root"}\n')
    qrels.write_text("1 0 sqrt 1\n")
    result = run("eval", index, "--queries", queries, "--qrels", qrels, "-m", "P@1")
    assert re.search(r"\+ lexical +│ 1\.000", result.out)
    assert re.search(r"10-recall@10 +│ 1\.0000", result.out)
    assert "1 of 1 queries judged, 3 documents, Flat" in result.err


def test_model_info(run) -> None:
    facts = json.loads(run("model", "info", "starter", "--json").out)
    assert (facts["model"], facts["dimension"], facts["crossings"]) == ("starter", 384, "cosine and residual")


def test_version_names_the_engines(run) -> None:
    result = run("--version")
    pattern = (
        rf"twinbert {re.escape(twinbert.__version__)} \(faiss-cpu [\d.]+, onnxruntime [\d.]+, SQLite 3\.[\d.]+\)\n"
    )
    assert re.fullmatch(pattern, result.out)


COMMANDS = [
    ["demo"],
    ["search"],
    ["eval"],
    ["model", "info"],
    ["model", "import"],
    ["model", "export"],
    ["model", "push"],
    *[["train", name] for name in ("align", "distill", "mine", "score", "teacher", "tune")],
    *[["index", name] for name in ("build", "reencode", "rebuild", "upsert", "sync", "delete", "rollback")],
    *[["index", name] for name in ("get", "info", "history", "verify", "compact", "gc", "export")],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_s_help_shows_an_example(command: list[str], run) -> None:
    result = run(*command, "--help")
    assert result.status == 0
    assert f"Example: twinbert {' '.join(command)}" in " ".join(result.out.split())
