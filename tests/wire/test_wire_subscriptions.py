"""Messaging v2 on the wire: subscriptions and topics."""

import pytest
from janitors import ModelReplicas
from notifiers import Webhooks
from wire.transcript import ANY, keep, play

from swiftqueue.notifier import Notifier
from swiftqueue.swift import Swift

ID = '([0-9a-f-]{36})'
HOOK = 'https://hooks.example.com/a'


def error(title):
    return {'title': title, 'description': ANY}


CONFLICT, BAD, BAD_BODY, MISSING = map(error, (
    'Resource conflict', 'Invalid API request', 'Invalid request body', 'Not found'))


def transcripts(kind):
    place = f'/v2/{kind}/jobs'
    made = {'id': '$id', 'source': 'jobs', 'ttl': 3600, 'age': 10, 'options': {}}
    return {
        'the life of a subscription': [
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy'}, 201, (
                {'subscription_id': keep('id', ID)}, {'Location': f'{place}/subscriptions/$id'})),
            10,
            (f'GET {place}/subscriptions/$id', None, 200, made | {'subscriber': 'queue://copy', 'confirmed': True}),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy'}, 409, CONFLICT),
            (f'PATCH {place}/subscriptions/$id', {'ttl': 100, 'options': {'a': 1}}, 204, None),
            (f'GET {place}/subscriptions', None, 200, {'subscriptions': [made | {
                'subscriber': 'queue://copy', 'confirmed': True, 'ttl': 100, 'age': 0, 'options': {'a': 1}}],
                'links': [{'rel': 'next', 'href': f'{place}/subscriptions?marker=$id'}]}),
            (f'GET {place}/subscriptions?marker=$id', None, 200, {'subscriptions': [], 'links': []}),
            (f'DELETE {place}/subscriptions/$id', None, 204, None),
            (f'DELETE {place}/subscriptions/$id', None, 204, None),
            (f'GET {place}/subscriptions/$id', None, 404, MISSING),
            (f'PATCH {place}/subscriptions/$id', {'ttl': 100}, 404, MISSING),
            (f'PUT {place}/subscriptions/$id/confirm', {'confirmed': True}, 404, MISSING),
            (f'GET {place}/subscriptions', None, 200, {'subscriptions': [], 'links': []}),
        ],
        'a webhook is unconfirmed, and only its receiver can change that': [
            (f'POST {place}/subscriptions', {'subscriber': HOOK, 'ttl': 600}, 201, {'subscription_id': keep('id', ID)}),
            (f'POST {place}/subscriptions', {'subscriber': HOOK}, 201, {'subscription_id': keep('id', '($id)')}),
            (f'PUT {place}/subscriptions/$id/confirm', {'confirmed': True}, 403, error('Not authorized')),
            (f'PUT {place}/subscriptions/$id/confirm', {'confirmed': False}, 204, None),
            10,
            (f'GET {place}/subscriptions/$id', None, 200, made | {
                'subscriber': HOOK, 'confirmed': False, 'ttl': 600}),
        ],
        'what is refused': [
            (f'POST {place}/subscriptions', None, 400, BAD_BODY),
            (f'POST {place}/subscriptions', [], 400, BAD_BODY),
            (f'POST {place}/subscriptions', {'ttl': 100}, 400, BAD_BODY),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy', 'colour': 1}, 400, BAD_BODY),
            (f'POST {place}/subscriptions', {'subscriber': 'mailto:a@example.com'}, 400, BAD),
            (f'POST {place}/subscriptions', {'subscriber': 'trust+http://example.com/'}, 400, BAD),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://a/b'}, 400, BAD),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy', 'ttl': 59}, 400, BAD),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy', 'options': 'x'}, 400, BAD),
            (f'GET {place}/subscriptions?limit=21', None, 400, BAD),
            (f'GET {place}/subscriptions?limit=x', None, 400, BAD),
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy'}, 201, {'subscription_id': keep('id', ID)}),
            (f'PATCH {place}/subscriptions/$id', {}, 400, BAD_BODY),
            (f'PATCH {place}/subscriptions/$id', {'subscriber': 'x'}, 400, BAD),
            (f'PATCH {place}/subscriptions/$id', {'id': 'x'}, 400, BAD_BODY),
            (f'PUT {place}/subscriptions/$id/confirm', {'confirmed': 'yes'}, 400, BAD_BODY),
            (f'POST {place}/subscriptions/$id/confirm', {'confirmed': True}, 405, error('Method not allowed')),
        ],
        'a purge of everything': [
            (f'POST {place}/subscriptions', {'subscriber': 'queue://copy'}, 201, ANY),
            (f'POST {place}/messages', {'messages': [{'body': 1}]}, 201, ANY),
            (f'POST {place}/purge', {'resource_types': ['messages']}, 204, None),
            (f'GET {place}/subscriptions', None, 200, {'subscriptions': [ANY], 'links': [ANY]}),
            (f'POST {place}/purge', None, 204, None),
            (f'GET {place}/subscriptions', None, 200, {'subscriptions': [], 'links': []}),
        ],
    }


TOPICS = {
    'the life of a topic': [
        ('GET /v2/topics', None, 200, {'topics': [], 'links': []}),
        ('PUT /v2/topics/news', {'colour': 'red'}, 201, (None, {'Location': '/v2/topics/news'})),
        ('PUT /v2/topics/news', None, 204, None),
        ('GET /v2/topics?detailed=true&with_count=true', None, 200, {
            'topics': [{'name': 'news', 'href': '/v2/topics/news', 'metadata': ANY}], 'count': 1,
            'links': [{'rel': 'next', 'href': '/v2/topics?detailed=true&with_count=true&marker=news'}]}),
        ('GET /v2/topics?marker=news', None, 200, {'topics': [], 'links': []}),
        ('GET /v2/queues', None, 200, {'queues': [], 'links': []}),
        ('POST /v2/topics/news/messages', {'messages': [{'body': 'a'}]}, 201, (
            {'resources': [keep('href', f'(/v2/topics/news/messages/{ID})'.replace('([', '(?:[', 1))]}, {
                'Location': ANY})),
        ('GET /v2/topics/news/messages?echo=true', None, 200, {'messages': [
            {'id': ANY, 'href': '$href', 'ttl': 3600, 'age': 0, 'body': 'a'}], 'links': [ANY]}),
        ('GET /v2/topics/news/stats', None, 200, {'messages': {
            'claimed': 0, 'free': 1, 'total': 1, 'oldest': ANY, 'newest': {
                'age': 0, 'created': ANY, 'href': '$href'}}}),
        ('GET $href', None, 200, ANY),
        ('DELETE $href', None, 204, None),
        ('GET $href', None, 404, MISSING),
        ('GET /v2/queues/news/stats', None, 200, {'messages': {'claimed': 0, 'free': 0, 'total': 0}}),
        ('POST /v2/topics/news/purge', None, 204, None),
        ('DELETE /v2/topics/news', None, 204, None),
        ('GET /v2/topics', None, 200, {'topics': [], 'links': []}),
    ],
}


@pytest.mark.parametrize('kind', ['queues', 'topics'])
@pytest.mark.parametrize('title', transcripts('queues'))
def test_transcript(wire, kind, title):
    play(wire, transcripts(kind)[title])


@pytest.mark.parametrize('title', TOPICS)
def test_transcript_of_topics(wire, title):
    play(wire, TOPICS[title])


@pytest.fixture
def notify(wire):
    """Have the notifier run; what webhooks were sent."""
    hooks = Webhooks()

    def run():
        def swift(account):
            return Swift(wire.swift, {'swift.cache': wire.cache}, account, logger=wire.filter.door.logger,
                         clock=wire.clock)
        wire.clock.advance(3)
        Notifier(wire.engine, swift, ModelReplicas(wire.swift), hooks, wire.filter.door.logger).run_once()
        wire.clock.advance(3)
        return [body for _, body in hooks.sent]
    return run


@pytest.mark.parametrize('place', ['/v2/queues/jobs', '/v2/topics/jobs'])
def test_a_webhook_confirms_with_what_it_was_sent(wire, notify, place):
    made = wire.request(f'POST {place}/subscriptions', {'subscriber': HOOK}).json['subscription_id']
    wire.request(f'POST {place}/messages', {'messages': [{'body': 'early'}]})
    question, = notify()
    assert (question['Message_Type'], question['subscription_id']) == ('SubscriptionConfirmation', made)
    assert question['URL-Paths'] == f'{place}/subscriptions/{made}/confirm'
    signed = {name: question[name] for name in (
        'URL-Signature', 'URL-Methods', 'URL-Paths', 'URL-Expires', 'X-Project-ID')}

    def confirm(body, headers, path=question['URL-Paths'], method='PUT'):
        return wire.request(f'{method} {path}', body, user=None, headers=headers).status
    for wrong in ({'URL-Signature': 'x' * 64}, {'X-Project-ID': 'other'}, {'URL-Expires': '2200-01-01T00:00:00'}):
        assert confirm(question['SubscribeBody'], signed | wrong) == 404
    assert confirm(None, signed, f'{place}/subscriptions/{made}', 'DELETE') == 404
    other = wire.request(f'POST {place}/subscriptions', {'subscriber': HOOK + '/b'}).json['subscription_id']
    assert confirm(question['SubscribeBody'], signed, f'{place}/subscriptions/{other}/confirm') == 404
    assert confirm(question['SubscribeBody'], signed) == 204
    assert wire.request(f'GET {place}/subscriptions/{made}').json['confirmed'] is True
    wire.request(f'POST {place}/messages', {'messages': [{'body': {'n': 1}, 'ttl': 100}]})
    *_, told = [body for body in notify() if body['Message_Type'] == 'Notification']
    assert told == {'Message_Type': 'Notification', 'id': told['id'], 'queue_name': 'jobs', 'body': {'n': 1},
                    'ttl': 100}
    assert wire.request(f'GET {place}/messages/{told["id"]}').json['body'] == {'n': 1}
    assert confirm(question['UnsubscribeBody'], signed) == 204
    assert wire.request(f'GET {place}/subscriptions/{made}').json['confirmed'] is False


def test_what_one_webhook_was_sent_confirms_no_other_that_takes_its_place(wire, notify):
    path = '/v2/queues/jobs/subscriptions'
    made = wire.request(f'POST {path}', {'subscriber': HOOK}).json['subscription_id']
    mine, = notify()

    def confirm(question):
        headers = {name: question[name] for name in (
            'URL-Signature', 'URL-Methods', 'URL-Paths', 'URL-Expires', 'X-Project-ID')}
        answer = wire.request(f'PUT {question["URL-Paths"]}', question['SubscribeBody'], user=None, headers=headers)
        return answer.status
    wire.request(f'PATCH {path}/{made}', {'subscriber': 'https://victim.example.com/'})
    assert confirm(mine) == 404
    assert wire.request(f'GET {path}/{made}').json['confirmed'] is False
    _, theirs = notify()
    wire.request(f'POST {path}', {'subscriber': HOOK})  # cannot have the id that it would have
    assert confirm(theirs) == 204
    assert wire.request(f'GET {path}/{made}').json['confirmed'] is True
    assert confirm(mine) == 204
    shown = wire.request(f'GET {path}').json['subscriptions']
    assert [each['confirmed'] for each in shown] == [True, True]


def test_the_owners_own_signed_url_does_not_confirm(wire):
    made = wire.request('POST /v2/queues/jobs/subscriptions', {'subscriber': HOOK}).json['subscription_id']
    shared = wire.request('POST /v2/queues/jobs/share', {'paths': ['subscriptions'], 'methods': ['PUT', 'POST', 'GET']}
                          ).json
    signed = {'URL-Signature': shared['signature'], 'URL-Methods': ','.join(shared['methods']),
              'URL-Paths': ','.join(shared['paths']), 'URL-Expires': shared['expires'],
              'X-Project-ID': shared['project']}

    def ask(line, body=None):
        return wire.request(line, body, user=None, headers=signed).status
    path = '/v2/queues/jobs/subscriptions'
    assert ask(f'PUT {path}/{made}/confirm', {'confirmed': True}) == 403
    assert ask(f'GET {path}') == 200
    assert ask(f'POST {path}', {'subscriber': HOOK + '/b'}) == 201
    assert ask(f'POST {path}', {'subscriber': 'queue://elsewhere'}) == 403


def test_topic_messages_can_be_posted_by_whom_its_acl_lets(wire, notify):
    wire.request('PUT /v2/topics/news', {'_write_acl': 'other:stranger'})
    wire.request('POST /v2/topics/news/subscriptions', {'subscriber': 'queue://copy'})
    theirs = {'user': 'stranger', 'headers': {'X-Project-Id': 'AUTH_test'}}
    assert wire.request('POST /v2/topics/news/messages', {'messages': [{'body': 'a'}]}, **theirs).status == 201
    for line in ('GET /v2/topics/news/subscriptions', 'POST /v2/topics/news/subscriptions',
                 'GET /v2/topics/news/messages', 'DELETE /v2/topics/news'):
        assert wire.request(line, {'subscriber': HOOK} if line.startswith('POST') else None, **theirs).status == 403
    notify()
    assert [each['body'] for each in wire.request('GET /v2/queues/copy/messages').json['messages']] == []
    assert [each['body'] for each in wire.request('GET /v2/queues/copy/messages?echo=true').json['messages']] == ['a']
