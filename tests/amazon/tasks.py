"""A Celery application whose broker is Amazon SQS. What its tasks did is in the file ``LOG``, a line for each."""

import os
import time

from celery import Celery

LOG = os.environ.get('TASKS_LOG', '')
URL = os.environ.get('TASKS_PREDEFINED', '')  # of a queue that somebody else has made

app = Celery('tasks', broker=os.environ['TASKS_BROKER'])
app.conf.task_default_queue = QUEUE = os.environ['TASKS_QUEUE']
app.conf.task_ignore_result = True
app.conf.broker_transport_options = {
    'visibility_timeout': int(os.environ.get('TASKS_VISIBILITY', '1800')),  # of a queue that Celery makes
    'wait_time_seconds': 5, 'polling_interval': 0.1,
    **({'predefined_queues': {QUEUE: {'url': URL}}} if URL else {}),
}


def note(what):
    """Lines this short are appended whole."""
    with open(LOG, 'a') as log:
        log.write(f'{what} {os.getpid()}\n')


@app.task
def count(number):
    note(f'count {number}')


@app.task(acks_late=True)
def hang(number):
    """Does not come to an end in the first process that tries."""
    with open(LOG) as log:
        tried = f'begin {number} ' in log.read()
    note(f'begin {number}')
    if not tried:
        time.sleep(3600)
    note(f'end {number}')
