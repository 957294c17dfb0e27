"""AES of IAX: vectors of NIST SP 800-38A, and what is refused."""

import struct

import pytest
from iaa_jobs import READ, SELECT, WRITE, Client

DECRYPT, ENCRYPT, FLUSH = 0x40, 0x41, 2
KEY_128, KEY_256 = 0, 2
# F.3.13 to F.3.18: CFB128
VECTOR = bytes(range(16))
PLAIN = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
KEYS = {
    KEY_128: "2b7e151628aed2a6abf7158809cf4f3c",
    KEY_256: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
}
SECRET = {
    KEY_128: "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
    "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
    KEY_256: "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
    "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471",
}


def client(flags, *, algorithm=1, held=0, place=0):
    """A client whose AECS asks for this; ``place`` tells which of the two."""
    made = Client(192)
    raw = struct.pack("<24xBBH44x32s16x16s56x", algorithm, flags, held, bytes.fromhex(KEYS[flags & KEY_256]), VECTOR)
    made.aecs.data[192 * place : 192 * (place + 1)] = raw
    return made


@pytest.mark.parametrize("size", [KEY_128, KEY_256])
def test_vectors_of_nist(size):
    secret = bytes.fromhex(SECRET[size])
    done = client(size).run(ENCRYPT, PLAIN, len(PLAIN), flags=READ)
    assert (done.status, done.size, done.output) == (1, 64, secret)
    done = client(size, place=1).run(DECRYPT, secret, len(PLAIN), flags=READ | SELECT)
    assert (done.status, done.size, done.output) == (1, 64, PLAIN)


def test_many_pieces_are_one_stream():
    """More than the device holds at once, and a last block of 5 bytes."""
    data = PLAIN * 20_000 + b"12345"
    done = client(KEY_256 | 8).run(ENCRYPT, data, len(data), flags=READ)
    assert done.status == 1 and done.output[:64].hex() == SECRET[KEY_256]
    back = client(KEY_256).run(DECRYPT, done.output, len(data), flags=READ, job_flags=FLUSH)
    assert back.status == 1 and back.output == data


@pytest.mark.parametrize(
    ("changed", "data", "room", "error", "words"),
    [
        ({"algorithm": 0}, PLAIN, 64, 22, "algorithm 0"),
        ({"algorithm": 2}, PLAIN, 64, 22, "algorithm 2"),
        ({"held": 5}, PLAIN, 64, 22, "goes on with a job"),
        ({}, PLAIN[:60], 64, 22, "12 bytes would wait"),
        ({}, PLAIN, 63, 25, "no room in 63 bytes"),
    ],
)
def test_what_ends_with_an_error_code(changed, data, room, error, words):
    done = client(KEY_128, **changed).run(ENCRYPT, data, room, flags=READ)
    assert (done.status, done.error) == (0x0A, error) and words in done.outcome.reason


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"flags": READ | WRITE}, 0x11, "written in way 1"),
        ({"flags": 0}, 0x11, "the key comes from an AECS"),
        ({"flags": READ, "job_flags": 1}, 0x30, "cipher flags 0x0001"),
        ({"flags": READ, "aecs": False, "second_size": 160}, 0x13, "AECS size 160"),
        ({"flags": READ, "aecs": False, "second_size": 192, "address": 8}, 0x1C, "AECS address 0x8"),
        ({"flags": READ, "filter_flags": 1}, 0x12, "reserved"),
    ],
)
def test_what_is_refused(options, status, words):
    outcome = client(KEY_128).refused(ENCRYPT, 64, 64, **options)
    assert outcome.status == status and words in outcome.reason, outcome.reason


def test_a_page_that_is_absent_ends_it():
    done = client(KEY_128).run(ENCRYPT, PLAIN * 200, 12_800, flags=READ, absent={(1 << 28 | 0x1000) >> 12})
    assert (done.status, done.completed) == (3, 4096)
