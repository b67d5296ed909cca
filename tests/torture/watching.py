"""Threads that search and read while somebody else writes, and hold every answer to the oracle of one commit.

``python -m watching FOLDER STOP BUG`` goes on until the file STOP is there, then prints JSON. Commit ``n`` of the
writer puts ``state(n)``: every document carries the number, so an answer from two commits shows.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import bugs
from index_world import expected, named, vectors
from twinbert.errors import IndexFolderError
from twinbert.index import Index
from workload import say

DOCUMENTS, K = 60, 5
"""Enough documents, and few enough answers, for FAISS to be asked."""


def state(number: int) -> dict[str, str]:
    """The documents after commit ``number``; every other commit lacks the last."""
    return {f"d{place:02}": f"{number} {place}" for place in range(DOCUMENTS - number % 2)}


class Watcher:
    """One thread's eyes: what it read, and what was wrong with it."""

    def __init__(self, index: Index, number: int) -> None:
        self._index, self._number = index, number
        self._last = 0
        self.reads, self.commits, self.faults = 0, set[int](), list[str]()

    def watch(self, stop: Path) -> None:
        """Read until told to stop, or until something is wrong."""
        while not stop.exists() and not self.faults:
            for look in (self._search, self._read):
                try:
                    look()
                    self.reads += 1
                except (AssertionError, IndexFolderError) as error:
                    self.faults.append(f"{type(error).__name__}: {error}"[:400])

    def _search(self) -> None:
        query = f"{self._last} {self._number}"
        found = self._index.search(vectors([query]), K)
        assert (found.rows >= 0).all(), "fewer documents than there are"
        try:
            answer = named(self._index, found)
            texts = {stored.payload for stored in self._index.stored(found.rows[0])}
        except IndexFolderError as error:
            if "search again" in str(error):  # the writer published three times while this thread waited for its turn
                return
            raise
        number = self._one_commit(texts)
        assert answer == expected(state(number), query, K), f"commit {number} answers otherwise"

    def _read(self) -> None:
        names = list(state(0))
        found = {stored.id: stored.payload for stored in self._index.get(names) if stored is not None}
        number = self._one_commit(set(found.values()))
        assert found == state(number), f"not the documents of commit {number}"

    def _one_commit(self, texts: set[str]) -> int:
        numbers = {int(text.split()[0]) for text in texts}
        assert len(numbers) == 1, f"one answer from the commits {sorted(numbers)}"
        (number,) = numbers
        assert number >= self._last, f"commit {number} was seen after {self._last}"
        self._last = number
        self.commits.add(number)
        return number


def main(folder: Path, stop: Path, bug: str) -> None:
    """Three watchers, two of which share an index."""
    bugs.plant(bug)
    shared = Index.open(folder)
    watchers = [Watcher(index, number) for number, index in enumerate([shared, shared, Index.open(folder)])]
    threads = [threading.Thread(target=watcher.watch, args=[stop], daemon=True) for watcher in watchers]
    for thread in threads:
        thread.start()
    say("watching")
    while not stop.exists() and all(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    for thread in threads:
        thread.join(timeout=60)
    result = {
        "reads": sum(watcher.reads for watcher in watchers),
        "commits": len(set.union(*(watcher.commits for watcher in watchers))),
        "faults": [fault for watcher in watchers for fault in watcher.faults],
    }
    say(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
