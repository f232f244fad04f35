"""The states, kinds and priorities of jobs, as the columns store them."""

from __future__ import annotations

from typing import Final

QUEUED, RUNNING = "queued", "running"
DONE: Final = "done"
FAILED: Final = "failed"
QUARANTINED, CANCELLED = "quarantined", "cancelled"

#: The states of jobs that have ended.
ENDED = (DONE, FAILED, QUARANTINED, CANCELLED)

#: Kinds: a job tags one asset, applies new settings to all assets of an instance, or
#: works through the assets of a bulk action.
TAG, RULES, BULK_ACTION = "tag", "rules", "bulk"

#: The asset types of jobs that have no asset.
RULES_TYPE, BULK_ACTION_TYPE = "autotag_rules", "autotag_bulk_action"

#: Priorities: workers claim bulk jobs when no fresh upload is due.
FRESH, BULK = 0, 1
