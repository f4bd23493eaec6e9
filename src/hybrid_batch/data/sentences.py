"""The sentences of a paragraph, and the one that answers a question.

The benchmarks of LAReQA ask for the sentence in which the answer begins. The other sentences of the paragraph are on
the same subject and do not answer: the hardest of wrong answers.
"""

import re

from hybrid_batch.data.table import identity

# After a mark that ends a sentence, with closing quotes, if a space follows; after Chinese marks and the danda always.
END = re.compile(r"(?<=[.!?؟…])[\"'”’»)\]]*\s+(?=\S)|(?<=[。！？।])[”」』）]*\s*(?=[^\s。！？।”」』）])|\s*\n\s*")
SHORT = 20  # characters: a shorter stretch is joined to the next, for it is an abbreviation or a heading


def sentences(text):
    """[(begin, end)] of the sentences of a text, by their marks: rough, since abbreviations have them too."""
    spans, begin, last = [], 0, len(text.rstrip())
    for end, after in [*(mark.span() for mark in END.finditer(text)), (last, last)]:
        if end - begin >= SHORT * (0.4 if text[begin:begin + 1] > "\u2e80" else 1):
            spans.append((begin, end))
            begin = after
    if begin < last:
        spans.append((spans.pop()[0] if spans else begin, last))
    return spans


def texts(text):
    """The sentences of a text, as texts."""
    return [" ".join(text[begin:end].split()) for begin, end in sentences(text)]


def nearest(text, place, most):
    """(the sentence of a text that holds the place, up to ``most`` others, the nearest first)."""
    ends = [end for _, end in sentences(text)]
    return nth(text, next((number for number, end in enumerate(ends) if place < end), len(ends) - 1), most)


def nth(text, number, most):
    """(the sentence of a text with a number, up to ``most`` others, the nearest first)."""
    parts = texts(text)
    others = [i for i in range(len(parts)) if identity(parts[i]) != identity(parts[number])]
    return parts[number], [parts[i] for i in sorted(others, key=lambda i: abs(i - number))[:most]]


def first_answer(answers, context, at):
    """(where the first answer of a question begins in its context, whether that is where it was marked).

    answers: a list of dicts with answer_start and, perhaps, text, or a dict of two lists, as SQuAD's Parquet files have
        it. A text that does not stand where it is marked is taken from where it does, if that is one place.
    Returns None for a question without an answer. at: the file and the question, for the error.
    """
    if isinstance(answers, dict):
        texts = answers.get("text") or [None] * len(answers["answer_start"])
        answers = [dict(text=text, answer_start=start) for text, start in zip(texts, answers["answer_start"])]
    if not answers or answers[0].get("text") == "":
        return None
    start, text = answers[0]["answer_start"], answers[0].get("text")
    if not isinstance(start, int) or isinstance(start, bool) or not isinstance(text, (str, type(None))):
        raise ValueError(f"{at}: an answer needs a text and a whole number as answer_start, not {answers[0]!r:.80}: "
                         f"fix it")
    if text is None or start >= 0 and context.startswith(text, start):
        return start, True
    if (found := context.count(text)) != 1:
        raise ValueError(f"{at}: the answer {text!r:.60} does not stand at answer_start {start}, but {found} times "
                         f"elsewhere in its context: fix answer_start")
    return context.index(text), False
