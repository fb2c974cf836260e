"""A Celery application whose broker is Amazon SQS, on a real Swift. ``make celery`` is the long version."""

from __future__ import annotations

from amazon.celery_run import kill_a_worker, run_tasks


def test_every_task_runs_once(url, tmp_path):
    outcome = run_tasks([url], tmp_path, tasks=50, workers=2, predefined=False)
    assert outcome.good, outcome


def test_the_task_of_a_killed_worker_is_run_by_another_one(url, tmp_path):
    kill_a_worker([url], tmp_path, predefined=True)
