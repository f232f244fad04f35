"""The states, kinds and priorities of jobs, as the columns store them."""

from __future__ import annotations

from typing import Final

QUEUED, RUNNING = "queued", "running"
DONE: Final = "done"
FAILED: Final = "failed"
QUARANTINED, CANCELLED = "quarantined", "cancelled"

#: The states of jobs that have ended.
ENDED = (DONE, FAILED, QUARANTINED, CANCELLED)

#: Kinds: a job tags one asset, or applies new settings to all assets of an instance.
TAG, RULES = "tag", "rules"

#: The asset type of a job of the kind RULES, which has no asset.
RULES_TYPE = "autotag_rules"

#: Priorities: workers claim bulk jobs when no fresh upload is due.
FRESH, BULK = 0, 1
