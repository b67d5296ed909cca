"""How hard one search looks: by its own options, else as tuned, else by default."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import InvalidInputError
from .ann import SPARE, Ann
from .ann_build import default_visits
from .keys import Family, Kind
from .options import AnnOptions
from .planning import Plan, Reach
from .snapshot import Snapshot

_EF_PER_WANTED = 2
"""A graph examines so many candidates for each neighbour wanted beyond those it was tuned for."""
_EXACT_SHARE = 0.25
"""A search for more than this share of the living vectors scores them all: a graph would visit most."""
_FEW_LEFT_OUT = 0.95
"""Where at least this share may be answered, the index leaves out the rest itself, and looks that much harder."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How to ask an index.

    visits: efSearch or nprobe. refine: candidates scored again exactly for each one wanted.
    plan, reach: how to find those that may be answered among more that may not; None where the index does so itself.
    """

    visits: int
    refine: int
    plan: Plan | None = None
    reach: Reach | None = None


def effort_of(snapshot: Snapshot, ann: Ann, k: int, options: AnnOptions) -> Effort | None:
    """The effort of a search for ``k`` candidates; None where exact search is asked for, or is the cheaper way.

    Raises InvalidInputError for an option that the index's family does not have.
    """
    _check(ann.family, options)
    if options.exact or k > snapshot.nodes * _EXACT_SHARE:
        return None
    effort = _chosen(snapshot, ann, k, options)
    share = snapshot.nodes / len(ann.twins)
    if snapshot.selector is None or share >= _FEW_LEFT_OUT:
        return Effort(max(1, round(effort.visits / share)), effort.refine)
    tuning = snapshot.segment.description.tuning
    wanted = k * effort.refine + SPARE
    plan = Plan(ann, snapshot.selector, wanted, effort.visits, max(wanted, tuning.k if tuning else 0))
    reach = plan.reach(share)
    return None if reach is None else replace(effort, plan=plan, reach=reach)


def _chosen(snapshot: Snapshot, ann: Ann, k: int, options: AnnOptions) -> Effort:
    tuning = snapshot.segment.description.tuning
    refine = tuning.chosen.refine if tuning else 1 if ann.family.is_fine else _EF_PER_WANTED
    visits = tuning.chosen.visits if tuning else default_visits(ann.family, snapshot.commit.options)
    if ann.family.kind is Kind.HNSW and not (tuning and k <= tuning.k):
        visits = max(visits, _EF_PER_WANTED * k)
    own = options.ef_search if ann.family.kind is Kind.HNSW else options.nprobe
    return Effort(own or visits, options.refine or refine)


def _check(family: Family, options: AnnOptions) -> None:
    if family.kind is Kind.HNSW and options.nprobe is not None:
        raise InvalidInputError(f"nprobe is of inverted lists, this index is {family.key}: set ef_search")
    if family.kind is Kind.IVF and options.ef_search is not None:
        raise InvalidInputError(f"ef_search is of HNSW graphs, this index is {family.key}: set nprobe")
