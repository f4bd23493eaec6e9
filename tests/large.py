"""A corpus of millions of rows, prepared and sampled in the memory of a laptop: `python tests/large.py [rows]`.

Prints rows, seconds, MiB of peak memory (resident set, mapped files included) and of disk. Five languages, items in
all of them, questions of ~50 and passages of ~300 characters. test_sources.py runs 200,000 rows of it.
"""

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from hybrid_batch import corpora, sampler

ALPHABETS = {"de": "abcdefghijklmnopqrstuvwxyzäöüß", "en": "abcdefghijklmnopqrstuvwxyz",
             "hi": "अआइउएकखगघचछजटडणतदनपबमयरलवसह", "ru": "абвгдежзиклмнопрстуфхцчшщыэюя",
             "zh": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年"}


def rows(items):
    """Every item in every language, texts cut out of a long random one, each with words of its own."""
    draw = random.Random(0)
    texts = {language: "".join(draw.choices(letters + "   ", k=100_000)) for language, letters in ALPHABETS.items()}
    for item in range(items):
        for language, text in texts.items():
            at, size = draw.randrange(90_000), draw.randrange(200, 400)
            yield dict(item=f"{item:08x}", language=language, query=f"{item:x} {text[at:at + size // 6]}?",
                       passage=f"{item:x} {text[at:at + size]}.")


def peak():
    """Most memory that this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(number):
    """Prepare a corpus of so many rows and draw 100 batches of 100 pairs; what that took."""
    before, start = peak(), time.perf_counter()
    corpus = corpora.build("large", rows(number // len(ALPHABETS)), "made")
    prepared, built = time.perf_counter(), peak()
    index = sampler.Index(corpus.rows)
    indexed = time.perf_counter()
    drawn = sum(len(pairs) for pairs in sampler.HybridBatchSampler(index, sampler.strategy("Hybrid"), 100, 100))
    sampled = time.perf_counter()
    disk = sum(path.stat().st_size for path in corpora.CACHE.rglob("*") if path.is_file())
    return dict(rows=len(corpus.rows), drawn=drawn, seconds=round(sampled - start), prepare=round(prepared - start),
                index=round(indexed - prepared), sample=round(sampled - indexed), imports_mib=round(before),
                prepare_mib=round(built), peak_mib=round(peak()), disk_mib=round(disk / 2**20))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        corpora.CACHE = Path(folder)
        print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)))
