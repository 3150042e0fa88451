"""XXH3-64 (seed 0) of many rows of the same length: the checksum of a store's rows.

The xxhash package is used where it is installed; otherwise numpy computes all rows side by side, after the public
specification of xxHash (XXH3-64, default secret).
"""

import numpy as np
from numpy.typing import NDArray

try:
    import xxhash
except ImportError:
    xxhash = None

Words = NDArray[np.uint64]

SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
        "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
        "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
        "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
        "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    np.uint8,
)
PRIME32_1, PRIME32_2, PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
PRIME64_1, PRIME64_2, PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
PRIME64_4, PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
PRIME_MX1, PRIME_MX2 = np.uint64(0x165667919E3779F9), np.uint64(0x9FB21C651E98DF25)
START = np.array(
    [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1], np.uint64
)
LOW_HALF, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
STRIPE, BLOCK_STRIPES = 64, 16  # bytes of a stripe, stripes of a block
SHORT, LONG = 16, 240  # bytes: up to SHORT small input, from LONG + 1 large input


def words_of(data: NDArray[np.uint8], first: int, count: int) -> Words:
    """`count` little-endian 64-bit words from byte `first` of every row: [..., count]."""
    return (
        np.ascontiguousarray(data[..., first : first + 8 * count]).view("<u8").astype(np.uint64, copy=False)
    )


def shifted(value: Words, bits: int) -> Words:
    return value >> np.uint64(bits)


def rotated(value: Words, bits: int) -> Words:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


def folded_product(a: Words, b: Words) -> Words:
    """The two halves of the 128-bit product a b, xor-ed; from 32-bit halves."""
    a_low, a_high, b_low, b_high = a & LOW_HALF, a >> HALF, b & LOW_HALF, b >> HALF
    low, cross = a_low * b_low, a_high * b_low
    middle = (low >> HALF) + (cross & LOW_HALF) + a_low * b_high
    high = (cross >> HALF) + (middle >> HALF) + a_high * b_high
    folded: Words = ((middle << HALF) | (low & LOW_HALF)) ^ high
    return folded


def avalanche(value: Words) -> Words:
    value = (value ^ shifted(value, 37)) * PRIME_MX1
    return value ^ shifted(value, 32)


def mixed(data: NDArray[np.uint8], at: int, secret_at: int) -> Words:
    """16 bytes of every row with 16 bytes of the secret: [rows]."""
    keyed = words_of(data, at, 2) ^ words_of(SECRET, secret_at, 2)
    return folded_product(keyed[:, 0], keyed[:, 1])


def small(data: NDArray[np.uint8]) -> Words:
    """4 to 16 bytes a row."""
    length = data.shape[1]
    if length <= 8:
        head = np.ascontiguousarray(data[:, :4]).view("<u4")[:, 0].astype(np.uint64)
        tail = np.ascontiguousarray(data[:, -4:]).view("<u4")[:, 0].astype(np.uint64)
        secret = words_of(SECRET, 8, 2)
        value = (secret[0] ^ secret[1]) ^ (tail | (head << HALF))
        value = (value ^ rotated(value, 49) ^ rotated(value, 24)) * PRIME_MX2
        value = (value ^ (shifted(value, 35) + np.uint64(length))) * PRIME_MX2
        mixed_up: Words = value ^ shifted(value, 28)
        return mixed_up
    secret = words_of(SECRET, 24, 4)
    low = words_of(data, 0, 1)[:, 0] ^ (secret[0] ^ secret[1])
    high = words_of(data, length - 8, 1)[:, 0] ^ (secret[2] ^ secret[3])
    return avalanche(np.uint64(length) + low.byteswap() + high + folded_product(low, high))


def medium(data: NDArray[np.uint8]) -> Words:
    """17 to 240 bytes a row."""
    rows, length = data.shape
    total = np.full(rows, length * PRIME64_1 % 2**64, np.uint64)
    if length <= 128:
        for i in range((length - 1) // 32, -1, -1):
            total += mixed(data, 16 * i, 32 * i) + mixed(data, length - 16 * i - 16, 32 * i + 16)
        return avalanche(total)
    for i in range(8):
        total += mixed(data, 16 * i, 16 * i)
    total = avalanche(total)
    for i in range(8, length // 16):
        total += mixed(data, 16 * i, 16 * (i - 8) + 3)
    return avalanche(total + mixed(data, length - 16, 119))


def accumulated(stripes: Words, secrets: Words) -> Words:
    """What stripes [rows][n][8] with their secrets [n][8] add to the accumulators: [rows][8].

    A lane adds itself to its neighbour's accumulator, and the product of its keyed halves to its own.
    """
    keyed = stripes ^ secrets
    own = ((keyed & LOW_HALF) * (keyed >> HALF)).sum(axis=1, dtype=np.uint64)
    added: Words = own + stripes.sum(axis=1, dtype=np.uint64)[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    return added


def large(data: NDArray[np.uint8]) -> Words:
    """241 bytes a row and more."""
    rows, length = data.shape
    whole = (length - 1) // STRIPE
    stripes = words_of(data, 0, 8 * whole).reshape(rows, whole, 8)
    secrets = np.stack([words_of(SECRET, 8 * n, 8) for n in range(BLOCK_STRIPES)])
    lanes = np.tile(START, (rows, 1))
    for first in range(0, whole, BLOCK_STRIPES):
        block = stripes[:, first : first + BLOCK_STRIPES]
        lanes += accumulated(block, secrets[: block.shape[1]])
        if (first + BLOCK_STRIPES) * STRIPE < length:
            lanes = (lanes ^ shifted(lanes, 47) ^ words_of(SECRET, 128, 8)) * np.uint64(PRIME32_1)
    lanes += accumulated(words_of(data, length - STRIPE, 8)[:, None], words_of(SECRET, 121, 8)[None])
    keyed = lanes ^ words_of(SECRET, 11, 8)
    merged = folded_product(keyed[:, 0::2], keyed[:, 1::2]).sum(axis=1, dtype=np.uint64)
    return avalanche(merged + np.uint64(length * PRIME64_1 % 2**64))


def xxh3_64(data: NDArray[np.uint8]) -> Words:
    """XXH3-64 of every row of data [rows][bytes], 4 bytes or more a row: [rows]."""
    if data.ndim != 2 or data.shape[1] < 4:
        raise ValueError(f"data has shape {data.shape}, expected (rows, 4 bytes or more)")
    with np.errstate(over="ignore"):
        length = data.shape[1]
        return small(data) if length <= SHORT else medium(data) if length <= LONG else large(data)


def checksums(rows: NDArray[np.float32]) -> Words:
    """The checksums of rows [n][P] as a store keeps them."""
    data = np.ascontiguousarray(rows, "<f4").view(np.uint8)
    if xxhash is None:
        return xxh3_64(data)
    return np.array([xxhash.xxh3_64_intdigest(row.data) for row in data], np.uint64)
