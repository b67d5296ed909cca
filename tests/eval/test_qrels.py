import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.errors import InvalidInputError
from twinbert.eval import Qrels, read_qrels

HEADER = "query-id\tcorpus-id\tscore\n"
BEIR_IDS = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), min_size=1)
TREC_IDS = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda text: text.split() == [text] and not text.startswith("\ufeff")
)
GRADES = st.integers(-1_000_000, 1_000_000)


def table(ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, dict[str, int]]]:
    return st.dictionaries(ids, st.dictionaries(ids, GRADES, min_size=1), min_size=1)


def written(tmp_path: Path, text: str, name: str = "qrels.tsv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def refusal(tmp_path: Path, text: str) -> str:
    """The message, without the place of the file."""
    path = written(tmp_path, text)
    with pytest.raises(InvalidInputError) as caught:
        read_qrels(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "\n" not in message
    return message.removeprefix(f"{path}:")


@given(grades=table(BEIR_IDS))
@settings(max_examples=100, deadline=None)
def test_beir_round_trip(grades: dict[str, dict[str, int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [f"{query}\t{name}\t{grade}\n" for query, row in grades.items() for name, grade in row.items()]
    path = written(tmp_path_factory.mktemp("qrels"), HEADER + "".join(rows))
    assert read_qrels(path) == Qrels(grades) == grades


@given(grades=table(TREC_IDS), gap=st.sampled_from([" ", "\t", "  "]))
@settings(max_examples=100, deadline=None)
def test_trec_round_trip(grades: dict[str, dict[str, int]], gap: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [gap.join([query, "0", name, str(grade)]) for query, row in grades.items() for name, grade in row.items()]
    path = written(tmp_path_factory.mktemp("qrels"), "\n".join(rows), "qrels.trec.gz")
    assert read_qrels(path) == grades


@pytest.mark.parametrize("name", ["qrels.tsv", "qrels.tsv.gz", "QRELS.TSV.GZ"])
def test_windows_ends_byte_order_mark_and_blank_lines_are_taken(tmp_path: Path, name: str) -> None:
    text = "\ufeff" + HEADER.replace("\n", "\r\n") + "a b\td\t-1\r\n\r\na b\te\t2\r\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.lower().endswith(".gz") else text.encode())
    assert read_qrels(path) == {"a b": {"d": -1, "e": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "q\td\n", "2: BEIR qrels (by the header) have query-id<TAB>corpus-id<TAB>score a line, not 'q\\td'"),
        (
            HEADER + "q 0 d 1\n",
            "2: BEIR qrels (by the header) have query-id<TAB>corpus-id<TAB>score a line, not 'q 0 d 1'",
        ),
        (
            HEADER + "\td\t1\n",
            "2: BEIR qrels (by the header) have query-id<TAB>corpus-id<TAB>score a line, not '\\td\\t1'",
        ),
        (
            "q\td\t1\n",
            "1: three columns are BEIR qrels, whose first line must be query-id<TAB>corpus-id<TAB>score: add it",
        ),
        ("q 0 d 1\nq 0 d\n", "2: TREC qrels (no BEIR header) have `query 0 document grade` a line, not 'q 0 d'"),
        ("q 0 d one\n", "1: the grade of a TREC judgement is a whole number within ±1000000, not 'one'"),
        (HEADER + "q\td\t1.0\n", "2: the grade of a BEIR judgement is a whole number within ±1000000, not '1.0'"),
        (HEADER + "q\td\t1_0\n", "2: the grade of a BEIR judgement is a whole number within ±1000000, not '1_0'"),
        ("q 0 d 2147483647\n", "1: the grade of a TREC judgement is a whole number within ±1000000, not '2147483647'"),
        (HEADER + "q\td\t1\n\nq\td\t1\n", "4: document 'd' was judged for query 'q' on line 2 already: keep one"),
        (HEADER, " holds no judgement: name a qrels file"),
        ("", " holds no judgement: name a qrels file"),
    ],
)
def test_bad_rows_are_refused_where_they_stand(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nowhere.tsv: no such file: check the path"):
        read_qrels(tmp_path / "nowhere.tsv")
    with pytest.raises(InvalidInputError, match=r"cannot be read \(Is a directory\)"):
        read_qrels(tmp_path)
    latin = tmp_path / "latin.tsv"
    latin.write_bytes(HEADER.encode() + b"q\xe9\td\t1\n")
    with pytest.raises(
        InvalidInputError, match=r"latin.tsv:2: not UTF-8 \(byte 0xe9 at byte 2\): save the file as UTF-8"
    ):
        read_qrels(latin)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda _: b"plain", lambda data: data[:20] + bytes(40)])
def test_damaged_gzip_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "qrels.tsv.gz"
    rows = "".join(f"q\td{number}\t1\n" for number in range(500))
    path.write_bytes(damage(gzip.compress((HEADER + rows).encode())))
    with pytest.raises(InvalidInputError, match="the gzip data is cut or damaged"):
        read_qrels(path)


def test_qrels_cannot_be_changed() -> None:
    handed_in = {"q": {"d": 1}}
    qrels = Qrels(handed_in)
    handed_in["q"]["d"] = 0
    assert qrels["q"]["d"] == 1
    with pytest.raises(TypeError):
        qrels["q"]["d"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    "grades", [{"": {"d": 1}}, {"q": {"": 1}}, {7: {"d": 1}}, {"q": {"d": 1.0}}, {"q": {"d": True}}]
)
def test_qrels_made_by_hand_are_checked(grades: dict[str, dict[str, int]]) -> None:
    with pytest.raises(InvalidInputError):
        Qrels(grades)
