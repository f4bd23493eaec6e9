"""Search your own files: an index of their passages that is kept on disk and brought in step with them.

An index is a folder. Its manifest.json names the state that counts: N.faiss, vectors by id, and N.parquet, the passages.
A new state is written beside the old one, and the manifest, written last and at once, makes it count: whenever the
process dies, the index opens.
"""

import contextlib
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import faiss
import filelock
import numpy as np
import pandas as pd
from tqdm import tqdm

from hybrid_batch import debias, documents, experiment, paths, retrieval, storage
from hybrid_batch.data import encyclo11
from hybrid_batch.encoders import load

FOLDER = paths.RUNS / "search"
DEBIAS = ("none", "centring", "LSAR")
BLOCK, SOME = 2048, 256  # passages that are put into the index, and encoded, at once
SAVE_EVERY = 30  # seconds of indexing that a kill may cost, or longer if saving takes long
OTHER = "other"  # every language that our own corpus does not have
COLUMNS = ["file", "place", "text", "language", "certainty"]


def open_index(sources, encoder_name, method="none", folder=FOLDER, tell=print, progress=True):
    """The Index of some files and folders under one encoder, made or brought in step with them.

    method: one of DEBIAS. folder: where indexes are kept, each in a folder of its own. tell: a function that is told, in
    words, what was left out. Raises FileNotFoundError without a source or an encoder, ValueError without a passage.
    """
    experiment.quiet()
    files = documents.find(sources, [folder])
    identity = load.identity(encoder_name)
    place = Path(folder) / storage.digest(sorted(str(Path(source).resolve()) for source in sources), identity)
    encoder = load.load(encoder_name)
    with _locked(place / ".lock", tell):
        index = Index(place, encoder, encoder_name)
        index.update(files, tell, progress)
    if not len(index):
        raise ValueError(f"nothing to search: no passage was found in {', '.join(map(str, sources))}, in {len(files)} files")
    index.remove_bias(method, identity)
    return index


def _locked(path, tell):
    try:
        return storage.lock(path, wait=False).acquire()
    except filelock.Timeout:
        tell("another process is bringing this index up to date: waiting for it")
        return storage.lock(path)


class Index:
    """Passages of some files, and how to find them. folder: see above, read if it is there. encoder: a SentenceTransformer
    with the prompts "query" and "passage"."""

    def __init__(self, folder, encoder, name=""):
        self.folder, self.encoder, self.name = Path(folder), encoder, name
        self.precision = retrieval.encoding_precision(encoder)
        self.number, self.files, self.passages = 0, {}, pd.DataFrame(columns=COLUMNS)
        self.vectors = faiss.IndexIDMap2(faiss.IndexFlatIP(encoder.get_embedding_dimension()))
        if (self.folder / "manifest.json").exists():
            manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
            self.number, self.files = manifest["state"], manifest["files"]
            self.passages = pd.read_parquet(self.folder / f"{self.number}.parquet")
            self.vectors = faiss.read_index(str(self.folder / f"{self.number}.faiss"))
        self.remove_bias("none")

    def __len__(self):
        return len(self.passages)

    def save(self):
        """Make what is in memory the state that counts."""
        self.number += 1
        with storage.replacing(self.folder / f"{self.number}.faiss") as partial:
            faiss.write_index(self.vectors, str(partial))
        with storage.replacing(self.folder / f"{self.number}.parquet") as partial:
            self.passages.to_parquet(partial)
        storage.write(self.folder / "manifest.json", json.dumps(
            {"state": self.number, "encoder": self.name, "precision": self.precision, "files": self.files}, ensure_ascii=False))
        self._clean()

    def _clean(self):
        """Remove older states, and what processes left that were killed."""
        for left in self.folder.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        for old in [*self.folder.glob("*.faiss"), *self.folder.glob("*.parquet")]:
            if old.stem != str(self.number):
                old.unlink()

    def update(self, files, tell=print, progress=True):
        """Bring the index in step with some files: what was not indexed as it is now is read and encoded, and passages of
        other files are removed. tell: is told which files were left out, and why. One process at a time, see open_index."""
        self._clean()
        stamps = {str(path): _stamp(path) for path in files}
        gone = set(self.files) - {name for name, stamp in stamps.items() if stamp}
        self._remove(gone)
        waiting = [name for name, stamp in stamps.items() if stamp != self.files.get(name, {}).get("stamp")]
        sizes = [stamps[name][0] for name in waiting]
        dirty, block, read, saved, seconds = bool(gone), [], 0, time.monotonic(), 0
        with tqdm(unit=" passages", desc="indexing", disable=not progress or not waiting) as bar:
            for number, name in enumerate(waiting, 1):
                about, found = self._read(name, lambda text: tell(f"{name}: {text}"))
                dirty = dirty or name in self.files or about is not None
                read += len(found or ())
                block.append((name, about, found))
                if number < len(waiting) and sum(len(part or ()) for *_, part in block) < BLOCK:
                    continue
                bar.total = round(read * max(sum(sizes), 1) / max(sum(sizes[:number]), 1))  # estimated by bytes
                self._replace(block, bar)
                block = []
                if time.monotonic() - saved > max(SAVE_EVERY, 20 * seconds):
                    saved = time.monotonic()
                    self.save()
                    seconds, dirty = time.monotonic() - saved, False
        if dirty:
            self.save()
        self.remove_bias("none")

    def _read(self, name, tell):
        """(what the manifest says of a file, its passages); (None, None) if it cannot be read, which is told, and
        (about, None) if it was only touched."""
        try:
            for _ in range(3):
                stamp, data = _stamp(name), Path(name).read_bytes()
                if stamp == _stamp(name):
                    break
            else:
                tell("changes while it is read: indexed as it was a moment ago; search again later")
            about = {"stamp": stamp, "sha256": hashlib.sha256(data).hexdigest()}
            if about["sha256"] == self.files.get(name, {}).get("sha256"):
                return about, None
            return about, documents.read(name, data, tell)
        except (OSError, ValueError) as error:
            tell(f"left out: {error.strerror if isinstance(error, OSError) and error.strerror else error}")
            return None, None

    def _replace(self, block, bar):
        """Put the passages of a block of files, as _read returns them, in the place of those that they had."""
        self._remove({name for name, about, found in block if about is None or found is not None})
        rows = [(name, part.place, part.text, part.language, part.certainty) for name, _, found in block for part in found or ()]
        self.files |= {name: about for name, about, _ in block if about}
        if rows:
            first = int(self.passages.index.max()) + 1 if len(self) else 0
            new = pd.DataFrame(rows, columns=COLUMNS, index=np.arange(first, first + len(rows)))
            self.vectors.add_with_ids(encode_passages(self.encoder, new.text.tolist(), self.precision, bar), new.index.to_numpy())
            self.passages = pd.concat([self.passages, new]) if len(self) else new

    def _remove(self, names):
        ids = self.passages.index[self.passages.file.isin(names)]
        if len(ids):
            self.vectors.remove_ids(ids.to_numpy(np.int64))
            self.passages = self.passages.drop(ids)
        self.files = {name: about for name, about in self.files.items() if name not in names}

    def remove_bias(self, method, identity=""):
        """Search with the vectors after a debias method, one of DEBIAS, fitted on our own parallel corpus: means over the
        user's files would differ by what the files of a language are about, too. centring takes the language that was
        recognised; texts in languages that our corpus lacks are centred by the mean over all. identity: names the
        encoder, whose vectors of that corpus are kept."""
        if method not in DEBIAS:
            raise ValueError(f"debias {method!r} is unknown; choose from {', '.join(DEBIAS)}")
        self.ranked, self._unbias_query = self.vectors, None
        self.title = f"{self.name}{f', {method}' * (method != 'none')}"
        if method != "none":
            unbias, languages = self._fit(method, identity)
            self._unbias_query = unbias["queries"]
            names = self.passages.language.where(self.passages.language.isin(languages), OTHER)
            ids = faiss.vector_to_array(self.vectors.id_map)
            self.ranked = faiss.IndexIDMap2(faiss.IndexFlatIP(self.vectors.d))
            self.ranked.add_with_ids(unbias["passages"](self.vectors.index.reconstruct_n(0, len(ids)), names.loc[ids]), ids)

    def _fit(self, method, identity):
        """({"queries", "passages": a function of vectors and languages, see debias}, the languages it was fitted on)."""
        key = storage.digest(identity, storage.checksum(encyclo11.files(experiment.FITTED_ON)))
        path = self.folder.parent / f"fitted-{key}.npz"
        if not path.exists():
            made, corpus = experiment.embed_fitted(self.encoder, self.precision)
            with storage.replacing(path) as partial:
                np.savez(partial, queries=made.queries, passages=made.passages,
                         queries_languages=corpus.queries.language.to_numpy(str),
                         passages_languages=corpus.passages.language.to_numpy(str))
        unbias = {}
        with np.load(path) as saved:
            for what in ("queries", "passages"):
                vectors, languages = saved[what], saved[f"{what}_languages"]
                known = set(languages)
                if method == "centring":  # all texts stand for OTHER, too
                    vectors, languages = np.concatenate([vectors, vectors]), [*languages, *[OTHER] * len(languages)]
                unbias[what] = debias.METHODS[method](vectors, languages)
        self._languages = known
        return unbias, known

    def search(self, query, top=10):
        """The best passages for a query, best first: dicts with rank, score (a cosine), file, place, language, certainty
        and text. Raises ValueError for a query without text."""
        if not query.strip():
            raise ValueError("the query is empty: ask in any language")
        vector = retrieval.encode(self.encoder, [query], "query", precision=self.precision)
        if self._unbias_query:
            language, _ = documents.detect_language(query)
            vector = self._unbias_query(vector, [language if language in self._languages else OTHER])
        scores, ids = self.ranked.search(vector, min(top, len(self)))
        results = []
        for rank, (score, number) in enumerate(zip(scores[0], ids[0]), 1):
            hit = self.passages.loc[number].to_dict()
            if Path(hit["file"]).is_relative_to(here := Path.cwd()):
                hit["file"] = str(Path(hit["file"]).relative_to(here))
            results.append(dict(rank=rank, score=round(float(score), 4)) | hit)
        return results


def prompt():
    """Yield the queries that are typed, one a line, until the end of the input."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            if query := input("query> " if sys.stdin.isatty() else "").strip():
                yield query


def as_text(results):
    """Results of one index as lines for a terminal."""
    lines = []
    for hit in results:
        language = f"{hit['language'] or '??'} {hit['certainty']:.0%}"
        lines.append(f"{hit['rank']:3}  {hit['score']:.3f}  {language}  {hit['file']}, {hit['place']}\n     {hit['text']}\n")
    return "\n".join(lines)


def encode_passages(encoder, texts, precision="float32", bar=None):
    """Vectors of passages, (texts, dim), some at a time, so that a bar moves."""
    parts = []
    for start in range(0, len(texts), SOME):
        parts.append(retrieval.encode(encoder, texts[start:start + SOME], "passage", precision=precision))
        if bar is not None:
            bar.update(len(parts[-1]))
    return np.concatenate(parts)


def _stamp(path):
    """[bytes, time of the last change in ns] of a file; None if it is gone."""
    try:
        about = Path(path).stat()
        return [about.st_size, about.st_mtime_ns]
    except OSError:
        return None
