"""Cuts a text into passages of about a hundred words, between sentences where that is possible."""

import re
from itertools import zip_longest

TARGET = 92  # words; with this the corpus gives about 20,000 passages
LONGEST_SENTENCE = 160  # words; beyond, a sentence is cut at its punctuation
SHORTEST_END = 40  # words; a shorter last passage joins the one before

# A full stop after these, or after a single letter, ends no sentence.
_ABBREVIATIONS = frozenset({
    "art", "aug", "capt", "cf", "ch", "co", "col", "cos", "dec", "dr", "etc", "feb", "gen", "gov",
    "hon", "inst", "jan", "jr", "lieut", "lt", "maj", "messrs", "mr", "mrs", "ms", "no", "nos",
    "nov", "oct", "pp", "rep", "sec", "sen", "sept", "sr", "st", "ult", "viz", "vol", "vs",
})  # fmt: skip
_END = re.compile(r"[.!?][\"'\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK})\]]*$")
_START = re.compile(r"[\"'\N{LEFT DOUBLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}(\[]*[A-Z0-9]")


def _ends_sentence(word: str, following: str) -> bool:
    """Tell whether a sentence ends between two words."""
    if not _END.search(word) or not _START.match(following):
        return False
    bare = word.strip("\"'()[]\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")
    if not bare.endswith("."):
        return True
    stem = bare.rstrip(".").lower()
    # "1.", "J." and "D.C." are numbers and initials, not ends.
    return stem not in _ABBREVIATIONS and not re.fullmatch(r"[a-z]|\d{1,2}|(?:[a-z]\.)+[a-z]", stem)


def _sentences(words: list[str]) -> list[list[str]]:
    """Cut the words into sentences."""
    sentences: list[list[str]] = [[]]
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        sentences[-1].append(word)
        if _ends_sentence(word, following):
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def _clauses(sentence: list[str]) -> list[list[str]]:
    """Cut a sentence that is too long, at the strongest punctuation nearest to the wished length."""
    pieces = []
    while len(sentence) > LONGEST_SENTENCE:
        low, high = TARGET // 2, TARGET * 3 // 2
        cut = TARGET
        for marks in (";:", ","):
            places = [i + 1 for i in range(low, high) if sentence[i][-1] in marks]
            if places:
                cut = min(places, key=lambda place: abs(place - TARGET))
                break
        pieces.append(sentence[:cut])
        sentence = sentence[cut:]
    return [*pieces, sentence]


def split(text: str) -> list[str]:
    """Cut a text into passages; joined by single spaces they are its words again."""
    passages: list[list[str]] = []
    current: list[str] = []
    for sentence in _sentences(text.split()):
        for piece in _clauses(sentence):
            over = len(current) + len(piece) - TARGET
            # Stop before this piece when that comes nearer to the wished length.
            if current and over > TARGET - len(current):
                passages.append(current)
                current = []
            current = current + piece
    if current:
        if passages and len(current) < SHORTEST_END:
            passages[-1] += current
        else:
            passages.append(current)
    return [" ".join(words) for words in passages]
