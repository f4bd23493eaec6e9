"""A corpus of millions of rows, prepared and sampled in little memory: `python tests/large.py [rows ...]`.

For each number of rows (5,000,000 if none is given) a line of JSON: seconds to prepare the corpus, to index it and to
draw 100 batches of 100 pairs, MiB of peak memory (resident, mapped files included) before, after preparing and at the
end, MiB of disk. Questions have ~50 characters, passages ~300; every item is in five languages. The corpus is made in a
temporary folder (TMPDIR says where): 0.75 GB a million rows, twice that while it is made.
"""

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from hybrid_batch import sampler
from hybrid_batch.data import corpora
from hybrid_batch.strategies import mixture

ALPHABETS = {"de": "abcdefghijklmnopqrstuvwxyzäöüß", "en": "abcdefghijklmnopqrstuvwxyz",
             "hi": "अआइउएकखगघचछजटडणतदनपबमयरलवसह", "ru": "абвгдежзиклмнопрстуфхцчшщыэюя",
             "zh": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年"}


def rows(items):
    """Every item in every language; texts are cut out of a long random one and begin with the item."""
    draw = random.Random(0)
    texts = {language: "".join(draw.choices(letters + "   ", k=100_000)) for language, letters in ALPHABETS.items()}
    for item in range(items):
        for language, text in texts.items():
            at, size = draw.randrange(90_000), draw.randrange(200, 400)
            yield dict(item=f"{item:08x}", language=language, query=f"{item:x} {text[at:at + size // 6]}?",
                       passage=f"{item:x} {text[at:at + size]}.")


def peak():
    """Most memory that this program has had so far, in MiB; getrusage alone counts that of the one that started it."""
    status = Path("/proc/self/status")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
    return round(int(lines.get("VmHWM", "0 kB").split()[0]) / 1024
                 or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure(number):
    start, before = time.perf_counter(), peak()
    corpus = corpora.build("large", rows(number // len(ALPHABETS)), str(number))
    prepared, built = time.perf_counter(), peak()
    index = sampler.Index(corpus.rows)
    indexed = time.perf_counter()
    batches = len(list(sampler.HybridBatchSampler(index, mixture("Hybrid"), 100, 100)))
    sampled = time.perf_counter()
    disk = sum(file.stat().st_size for file in (corpora.CACHE / corpus.key).iterdir())
    return dict(rows=len(corpus.rows), batches=batches, prepare_s=round(prepared - start, 1),
                index_s=round(indexed - prepared, 1), sample_s=round(sampled - indexed, 1), before_mib=before,
                prepare_mib=built, peak_mib=peak(), disk_mib=round(disk / 2**20))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        corpora.CACHE = Path(folder)
        for number in map(int, sys.argv[1:] or [5_000_000]):
            print(json.dumps(measure(number)), flush=True)
