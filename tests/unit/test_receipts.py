"""Receipts: nobody but the engine makes one, and one is good for its own queue only."""

import random

import pytest

from swiftqueue import receipts
from swiftqueue.errors import ReceiptInvalid
from swiftqueue.names import decode_text, encode_text
from swiftqueue.receipts import TOKEN, Receipt, sign, verify

KEY = b'the key of the cluster'
PLACE = ('AUTH_test', 'jobs')
RECEIPT = Receipt('01a3185c-5000-7abc-9def-0123456789ab', 3, bytes(range(TOKEN)))
SIGNED = sign(KEY, *PLACE, RECEIPT.core)


@pytest.mark.parametrize('receipt', [
    RECEIPT,
    Receipt(RECEIPT.message_id, 1, b'\xff' * TOKEN, mixed=True),
    Receipt('00000000-0000-7000-8000-000000000000', 2 ** 32 - 1, bytes(TOKEN))])
def test_a_signed_receipt_comes_back_as_it_was(receipt):
    assert verify(KEY, *PLACE, sign(KEY, *PLACE, receipt.core)) == receipt


def test_a_receipt_fits_in_a_path():
    assert SIGNED.isascii() and set(SIGNED) <= set(
        'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')


def test_every_flipped_bit_is_noticed():
    data = decode_text(SIGNED)
    for bit in range(len(data) * 8):
        forged = bytearray(data)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ReceiptInvalid):
            verify(KEY, *PLACE, encode_text(bytes(forged)))


def test_every_cut_or_longer_receipt_is_refused():
    data = decode_text(SIGNED)
    for length in range(len(data)):
        with pytest.raises(ReceiptInvalid):
            verify(KEY, *PLACE, encode_text(data[:length]))
    for more in (b'\0', data):
        with pytest.raises(ReceiptInvalid):
            verify(KEY, *PLACE, encode_text(data + more))


@pytest.mark.parametrize('key, account, queue', [
    (b'another key', *PLACE),
    (b'', *PLACE),
    (KEY, 'AUTH_other', 'jobs'),
    (KEY, 'AUTH_test', 'Jobs'),
    (KEY, 'AUTH_testj', 'obs'),  # the same letters, cut elsewhere
    (KEY, 'jobs', 'AUTH_test')])
def test_a_receipt_is_good_for_its_own_key_account_and_queue_only(key, account, queue):
    with pytest.raises(ReceiptInvalid):
        verify(key, account, queue, SIGNED)


def test_a_core_without_its_signature_is_refused():
    with pytest.raises(ReceiptInvalid):
        verify(KEY, *PLACE, RECEIPT.core)


def last_letter_changed():
    """The other texts that a lenient decoder would read as the same bytes."""
    letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    place = letters.index(SIGNED[-1])
    spare = -len(decode_text(SIGNED)) % 3 * 2  # bits of the last letter that carry nothing
    return [SIGNED[:-1] + letters[place ^ low] for low in range(1, 2 ** spare)]


def test_the_receipt_has_spare_bits_to_forge():
    assert last_letter_changed()


@pytest.mark.parametrize('text', [
    *last_letter_changed(), SIGNED + '=', SIGNED + '==', SIGNED + '\n', ' ' + SIGNED,
    *(SIGNED[:10] + foreign + SIGNED[10:] for foreign in ('\r\n', '!', ' '))])
def test_a_receipt_written_in_another_way_is_refused(text):
    with pytest.raises(ReceiptInvalid):
        verify(KEY, *PLACE, text)


def test_the_other_base64_alphabet_is_refused():
    chance = random.Random(1)
    signed = next(text for text in (
        sign(KEY, *PLACE, Receipt(RECEIPT.message_id, 1, chance.randbytes(TOKEN)).core)
        for _ in range(100)) if '-' in text or '_' in text)
    with pytest.raises(ReceiptInvalid):
        verify(KEY, *PLACE, signed.replace('-', '+').replace('_', '/'))


def test_garbage_is_a_bad_receipt_and_nothing_worse():
    chance = random.Random(2)
    alphabets = ['AZaz09-_', 'AZaz09-_=+/', ''.join(map(chr, range(256))),
                 '\ud800\u0660\U0001f600A=']
    for _ in range(4000):
        text = ''.join(chance.choices(chance.choice(alphabets), k=chance.randrange(90)))
        with pytest.raises(ReceiptInvalid):
            verify(KEY, *PLACE, text)


def test_signatures_are_compared_in_constant_time(monkeypatch):
    compared = []
    real = receipts.hmac.compare_digest
    monkeypatch.setattr(receipts.hmac, 'compare_digest',
                        lambda ours, theirs: compared.append((ours, theirs)) or real(ours, theirs))
    verify(KEY, *PLACE, SIGNED)
    with pytest.raises(ReceiptInvalid):
        verify(b'another key', *PLACE, SIGNED)
    assert len(compared) == 2


def test_two_claims_of_one_delivery_have_different_receipts():
    other = Receipt(RECEIPT.message_id, RECEIPT.delivery, bytes(TOKEN))
    assert other.core != RECEIPT.core


def test_mixed_claims_say_so():
    mixed = Receipt(RECEIPT.message_id, RECEIPT.delivery, RECEIPT.token, mixed=True)
    assert mixed.core != RECEIPT.core
    assert verify(KEY, *PLACE, sign(KEY, *PLACE, mixed.core)).mixed is True
    assert verify(KEY, *PLACE, SIGNED).mixed is False
