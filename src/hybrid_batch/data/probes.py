"""Parallel sentences that nothing is trained on: probes of how well a space is aligned across languages."""

from dataclasses import dataclass
from pathlib import Path

from hybrid_batch import storage
from hybrid_batch.data import io

TATOEBA = {"ar": "ara", "de": "deu", "el": "ell", "es": "spa", "hi": "hin", "ru": "rus", "th": "tha", "tr": "tur",
           "vi": "vie", "zh": "cmn"}
NTREX = {"ar": "arb", "de": "deu", "el": "ell", "en": "eng-src", "es": "spa", "hi": "hin", "ru": "rus", "th": "tha",
         "tr": "tur", "vi": "vie", "zh": "zho-CN"}


@dataclass(frozen=True)
class Probes:
    """tatoeba: {language: (sentences, their English)}; other English for each language.
    ntrex: {language: sentences}, the same in all languages."""

    tatoeba: dict
    ntrex: dict
    checksum: str


def load_probes(data, languages=None, sentences=500):
    """Tatoeba (arXiv 1812.10464) and NTREX-128 (Federmann et al. 2022) from the folders ``tatoeba`` and ``ntrex`` of
    data, in the languages of the study. sentences: the first so many of each set and language. Raises FileNotFoundError
    if they are not there."""
    def read(kind, form, code, fields):
        path = Path(data or ".") / kind / form.format(code)
        if not path.exists():
            raise FileNotFoundError(f"no file {path}: say with --data which folder holds the folder {kind!r}, or leave "
                                    f"the probes out")
        found.append(path)
        columns = list(zip(*([record[field] for field in fields] for _, record in io.records(str(path), fields))))
        if not columns:
            raise ValueError(f"{path} is empty: fetch it again, or leave the probes out")
        return columns

    found = []
    wanted = [code for code in NTREX if languages is None or code in languages]
    tatoeba = {code: tuple(list(part)[:sentences] for part in read("tatoeba", "{}-eng.jsonl.gz", TATOEBA[code], ["text", "en"]))
               for code in wanted if code in TATOEBA}
    ntrex = {code: list(read("ntrex", "{}.jsonl.gz", NTREX[code], ["text"])[0])[:sentences] for code in wanted}
    return Probes(tatoeba, ntrex, storage.checksum(found))
