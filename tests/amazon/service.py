"""The service that the clients use."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

from swiftqueue.cluster import Cluster


def client(url: str) -> boto3.client:
    return boto3.client('sqs', endpoint_url=url, region_name='us-east-1', aws_access_key_id='test:tester',
                        aws_secret_access_key='testing')


def add_url(parser: ArgumentParser) -> None:
    parser.add_argument('--url', action='append', metavar='URL',
                        help='of a running proxy; repeatable (default: two, of a cluster of three nodes)')


@contextmanager
def proxies(given: list[str] | None) -> Iterator[list[str]]:
    """The URLs that were given, or those of a cluster that runs meanwhile."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder, Cluster(
            folder, nodes=3, replicas=3, proxies=2, options={'min_claim_ttl': '1'}) as cluster:
        yield cluster.urls
