"""Every command and every line of Python of the how-to guides, executed with an encoder small enough for a test."""

import contextlib
import io
import re
import shlex

import pytest
import tiny
import yaml

from hybrid_batch import book, cli, metrics, paths
from hybrid_batch.data import corpora

TEXT = (paths.CHAPTERS / "howto.md").read_text(encoding="utf-8")
GUIDES = {part.split("\n")[0]: part for part in re.split(r"(?m)^## ", TEXT)}
FIRST, *TASKS = GUIDES
PROFILE = dict(benchmark="encyclo11-quick", languages=["ar", "de", "en"], strategies=["X-X-mono", "Hybrid"], steps=2, batch_size=4,
               max_length=16, eval_every=1, eval_batches=1, draws=50)


@pytest.fixture(scope="module")
def follow(tmp_path_factory):
    """A function (title of a guide) -> what each of its commands printed. Guides are followed in the order of the page, each
    once, as one reads what another has made; a run executes the notebooks 02 and 03 only."""
    folder = tmp_path_factory.mktemp("howto")
    tiny.encoder(folder)
    (folder / "quick.yaml").write_text(yaml.safe_dump(PROFILE | {"encoder": str(folder / "tiny-e5")}))
    names = {"mine.jsonl": folder / "mine.jsonl", "my-encoder": folder / "tiny-e5", "offline-e5-small": tiny_copy(folder),
             "runs/quick": folder / "quick"}
    followed = {}

    def run(title):
        printed, code = [], GUIDES[title]
        for name, place in names.items():
            code = code.replace(name, str(place))
        for language, block in re.findall(r"(?ms)^```(bash|python)\n(.*?)^```", code):
            if language == "python":
                exec(block, {})
                continue
            for line in block.splitlines():
                words = shlex.split(line)
                assert words[:3] == ["python", "-m", "hybrid_batch"], line
                default = ["--encoder", str(folder / "tiny-e5")] * (words[3] == "evaluate" and "--encoder" not in words)
                with contextlib.redirect_stdout(io.StringIO()) as text:
                    cli.main(words[3:] + default)
                printed.append(text.getvalue())
        return printed

    def until(title):
        for each in [FIRST, *CHECKS]:
            if title not in followed:
                followed[each] = followed.get(each) or run(each)
        return followed[title]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", folder)
        patch.setattr(paths, "PROFILES", folder)
        patch.setattr(corpora, "CACHE", folder / "corpora")
        every = book.sources()
        patch.setattr(book, "sources", lambda: {name: every[name] for name in ("02_training", "03_evaluation")})
        kept = [(known, dict(known)) for known in (metrics.METRICS, metrics.QUERY_METRICS, metrics.QUERY_FIGURES, metrics.FIGURES)]
        yield until
        for known, before in kept:  # the metric of the guide is forgotten
            known.clear()
            known.update(before)


def tiny_copy(folder):
    (folder / "other").mkdir()
    tiny.encoder(folder / "other", seed=1)
    return folder / "other" / "tiny-e5"


def test_the_file_of_the_guides_is_written(follow):
    follow(FIRST)
    assert len(corpora.load_corpus(str(paths.RUNS / "mine.jsonl")).rows) == 288 * 2 * 3


CHECKS = {  # in the order in which they can be followed: that of metrics needs runs
    "Train on your own corpus": ["encyclo11-quick", r"=== \[2/2\] 03_evaluation"],
    "Measure on your own benchmark": [r'"rank_distance_low"', r'"groups": 28'],
    "Try your own strategy": [r"0\.2 qa mono"],
    "Use your own encoder": [r'"prompts"', r"tiny-e5"],
    "Compare two runs": [r"\| alpha +\| 0\.5 +\| 0\.7 +\|", r"Hybrid\(0\.7\) − Hybrid\(0\.5\)", "the page: "],
    "Draw the curve of a parameter": [r"\| alpha +\| Mo mAP", r"alpha = 0\.75", "the page: "],
    "Add your own metric": []}


def test_every_guide_is_checked():
    assert set(CHECKS) == set(TASKS) and all(re.search(r"(?m)^```(bash|python)", GUIDES[title]) for title in TASKS)


@pytest.mark.parametrize("title", CHECKS)
def test_a_guide_does_what_it_says(title, follow):
    printed = follow(title)
    assert all(re.search(pattern, "\n".join(printed)) for pattern in CHECKS[title]), printed
    if title == "Compare two runs":  # what does not depend on alpha is neither trained nor measured again
        assert "Hybrid(0.7)" in printed[1]
        assert not any(f"evaluating: {name}," in printed[1] for name in ("untrained", "X-X-mono", "Hybrid(0.5)"))


def test_a_strategy_of_one_s_own_is_in_the_table_of_results(follow):
    follow("Try your own strategy")
    folder, = (path for path in paths.RUNS.glob("quick-strategies*") if path.is_dir())
    assert "0.8 qa mixed + 0.2 qa mono" in (folder / "results.md").read_text()
