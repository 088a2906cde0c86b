"""Tokenizers of a few tokens that cut, prepend and normalise as those of large models do."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CHARACTERS = [
    *("a", "b", " ", "\n", "é", "e\u0301", "ß", "ки", "中", "日", "😀", "😁", "👩‍👩‍👧"),
    *("\u202e", "\x00", "\u2028", "\ufffd", "\r", "ﬁ"),
]
MERGES = ((0xF0, 0x9F), (0xC3, 0xA9), (ord("a"), 0xF0), (0x98, 0x80), (ord("b"), ord("a")))


def letters():
    """The letter that ByteLevel writes for each byte, from its own encoding of Latin-1 text and of what is left."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + n) for n, b in enumerate(rest)}}


def byte_level(*, prefix_space=False):
    """A byte-level BPE whose merges join bytes across characters and inside them; `<end>` is special."""
    letter = letters()
    assert set(letter.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter[byte]: byte for byte in range(256)}
    merges = [(letter[one], letter[other]) for one, other in MERGES]
    vocabulary |= {one + other: 256 + n for n, (one, other) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    return tokenizer


def bytes_of_ids():
    """The bytes of each id of `byte_level`."""
    return {b: bytes([b]) for b in range(256)} | {256 + n: bytes(pair) for n, pair in enumerate(MERGES)}


def byte_fallback():
    """Characters where it has them, else a token for each byte, as Llama 2 and Gemma; id 256 and up are characters."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {c: 256 + n for n, c in enumerate("ab ▁é\n")}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def _llama():
    tokenizer = byte_fallback()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    strip = decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), strip])
    return tokenizer


def _with(tokenizer, **parts):
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


MADE = {
    "byte level": byte_level,
    "prefix space": lambda: byte_level(prefix_space=True),
    "trimmed offsets": lambda: _with(byte_level(), post_processor=processors.ByteLevel(trim_offsets=True)),
    "composed": lambda: _with(byte_level(), normalizer=normalizers.NFKC()),
    "stripped": lambda: _with(
        byte_level(), normalizer=normalizers.Sequence([normalizers.Strip(), normalizers.Lowercase()])
    ),
    "byte fallback": byte_fallback,
    "llama": _llama,
    "word by word": lambda: _with(byte_fallback(), pre_tokenizer=pre_tokenizers.Whitespace()),
}
