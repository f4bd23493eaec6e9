"""Studies: planned from a file, refused before anything runs, made once by any number of processes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import tiny
import yaml

from hybrid_batch import config, paths, rows, runner, study

NAMES = sorted(path.stem for path in paths.STUDIES.glob("*.yaml"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Folders of studies, runs and results of its own, with a tiny encoder; a function that writes a study."""
    monkeypatch.setattr(paths, "STUDIES", tmp_path / "studies")
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    tiny.encoder(tmp_path)
    base = dict(encoder=str(tmp_path / "tiny-e5"), languages=["de", "en"], benchmarks=["encyclo11-quick"], steps=2, batch_size=4,
                max_length=16, eval_every=2, eval_batches=1, debias=[], learning_rate="2e-5")

    def write(name="mine", seeds=(0, 1), **content):
        parts = {"part": {"seeds": list(seeds), "conditions": {"none": {"strategy": ""}, "X-Y": {"strategy": "X-Y"},
                                                               "mine": {"strategy": {"qa mono": 1, "qa mixed": 1}}}}}
        body = {"experiment": base, "parts": parts, **content}
        (tmp_path / "studies").mkdir(exist_ok=True)
        (tmp_path / "studies" / f"{name}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        return tmp_path

    return write


# Plans


@pytest.mark.parametrize("name", NAMES)
def test_every_study_has_a_plan_without_two_settings_of_one_condition(name):
    planned = study.plan(name)
    places = [(item.part, item.condition, item.experiment.training.seed) for item in planned]
    assert planned and len(set(places)) == len(places)
    for family, asked in study.load(name).get("comparisons", {}).items():
        assert asked["pairs"] and asked["figures"], family


def test_a_reader_s_own_mixture_is_a_condition_like_any_other(project):
    project()
    planned = study.plan("mine")
    assert [item.condition for item in planned] == ["none", "X-Y", "mine", "X-Y", "mine"]
    assert planned[-1].experiment.mixture.written() == {"qa mixed": 0.5, "qa mono": 0.5}
    assert planned[1].experiment.training.learning_rate == 2e-5  # a text to YAML 1.1


def test_conditions_change_single_sources_and_names_stand_for_corpora(project):
    project(corpora={"big": "mlqa+encyclo11"}, parts={"p": {"seeds": [0], "sources": {"qa": "big"}, "rho": 0.5, "conditions": {
        "a": {}, "b": {"sources": {"reasoning": "xnli"}}}}})
    first, second = (item.experiment.sources for item in study.plan("mine"))
    assert first["qa"] == second["qa"] == "mlqa+encyclo11"
    assert (first["reasoning"], second["reasoning"]) == ("encyclo11-reasoning", "xnli")


@pytest.mark.parametrize("change, named", [
    (dict(parts={"p": {"seeds": [0], "conditions": {"a": {"answers": "shufled"}}}}), "p, a: answers = 'shufled'"),
    (dict(parts={"p": {"seeds": [0], "conditions": {"a": {"alhpa": 1}}}}), "did you mean 'alpha'"),
    (dict(parts={"p": {"seeds": [0], "conditions": {"a": {"alpha": 1.7}}}}), "alpha = 1.7: it must be from 0 to 1"),
    (dict(parts={"p": {"seeds": [0], "conditions": {"a": {"languages": [False]}}}}), "quote them"),
    (dict(parts={"p": {"seeds": [0], "conditions": {"a": {"benchmarks": ["/data/xquad-r"]}}}}), "give its name alone"),
    (dict(comparisons={"f": {"part": "part", "figures": ["Mo map"], "pairs": [["X-Y", "Hybird"]]}}), "no condition 'Hybird'"),
    (dict(comparisons={"f": {"part": "part", "figure": ["Mo map"], "pairs": []}}), "did you mean 'figures'"),
    (dict(partz={}), "did you mean 'parts'")])
def test_what_is_wrong_in_a_study_is_named_before_anything_runs(project, change, named, monkeypatch):
    project(**change)
    monkeypatch.setattr(runner, "make", lambda _: pytest.fail("runs"))
    with pytest.raises(ValueError) as error:
        runner.run("mine")
    assert named in str(error.value)


def test_an_unknown_study_is_named():
    with pytest.raises(ValueError, match="study 'nothing' is unknown; choose from best, cpu-e5, cpu-use, full, gpu"):
        study.plan("nothing")


def test_a_study_takes_over_another_and_changes_it(project):
    project("first")
    folder = project("second", parts={"part": {"seeds": [5]}, "more": {"seeds": [0], "conditions": {"X-X": {"strategy": "X-X"}}}})
    path = folder / "studies" / "second.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({"base": "first", "experiment": {"steps": 3}, "parts": content["parts"]}))
    planned = study.plan("second")
    assert {item.experiment.training.steps for item in planned} == {3}
    assert [str(item) for item in planned if item.part == "more"] == ["more: X-X, seed 0"]
    assert {item.experiment.training.seed for item in planned if item.condition == "X-Y"} == {5}


# Runs


def test_a_study_is_made_once_and_goes_on_where_it_was(project, capsys, monkeypatch):
    project()
    assert runner.run("mine") == 5
    manifests = rows.manifests("mine")
    assert set(manifests) == {item.key for item in study.plan("mine")}
    assert all((paths.RESULTS / "mine" / f"{key}.parquet").exists() for key in manifests)
    assert runner.run("mine") == 0
    (paths.RESULTS / "mine" / f"{study.plan('mine')[1].key}.json").unlink()
    original, made = runner.make, []
    monkeypatch.setattr(runner, "make", lambda item: made.append(str(item)) or original(item))
    assert runner.run("mine") == 1 and made == ["part: X-Y, seed 0"]


def test_a_run_that_fails_is_told_and_the_others_are_made(project, monkeypatch):
    project()
    original = runner.make

    def make(item):
        if item.condition == "X-Y":
            raise ValueError("no such luck")
        return original(item)

    monkeypatch.setattr(runner, "make", make)
    with pytest.raises(RuntimeError, match="2 of 5 runs failed.*part: X-Y, seed 0: no such luck"):
        runner.run("mine")
    assert len(rows.manifests("mine")) == 3


COMMAND = """
import sys
from pathlib import Path
from hybrid_batch import paths, runner
folder = Path(sys.argv[1])
paths.STUDIES, paths.RUNS, paths.RESULTS = folder / "studies", folder / "runs", folder / "results"
if __name__ == "__main__":
    print("made", runner.run("mine", workers=int(sys.argv[2])), flush=True)
"""


def start(folder, workers):
    (folder / "command.py").write_text(COMMAND)
    return subprocess.Popen([sys.executable, str(folder / "command.py"), str(folder), str(workers)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
                            start_new_session=True)


def test_two_commands_share_a_study_and_nothing_is_made_twice(project):
    folder = project(seeds=(0, 1, 2))
    commands = [start(folder, 1), start(folder, 1)]
    told = [command.communicate(timeout=300)[0] for command in commands]
    assert [command.returncode for command in commands] == [0, 0], told
    assert sum(int(text.split("made ")[-1]) for text in told) == 7 == len(rows.manifests("mine"))
    assert not list((folder / "results" / "mine").glob(".*"))


def test_workers_make_the_rows_that_one_process_makes(project):
    folder = project(seeds=(0,))
    command = start(folder, 2)
    assert "made 3" in command.communicate(timeout=300)[0]
    by_workers = {key: rows.read("mine", [key]).value.to_numpy() for key in rows.manifests("mine")}
    runner.run("mine", again=True)
    for key, values in by_workers.items():
        assert rows.read("mine", [key]).value.to_numpy() == pytest.approx(values, abs=1e-4)


def test_a_command_that_is_killed_leaves_nothing_half_written_and_its_runs_to_the_next(project):
    folder = project(seeds=(0, 1))
    command = start(folder, 1)
    deadline = time.monotonic() + 200
    while not rows.manifests("mine") and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    done = rows.manifests("mine")
    assert 0 < len(done) < 5
    for key in done:
        rows.read("mine", [key])
    assert runner.run("mine") == 5 - len(done)


# Ray


def test_without_ray_the_remedy_is_told(project, monkeypatch):
    project()
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"--ray needs the package ray: pip install 'hybrid-batch\[ray\]'"):
        runner.run("mine", ray_address="auto")


def test_on_a_cluster_of_which_a_node_dies_only_its_unfinished_runs_are_made_again(project, tmp_path):
    pytest.importorskip("ray")
    folder = project(seeds=tuple(range(4)))
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=500,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_DEDUP_LOGS": "0"})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["made"] == 9 == len(rows.manifests("mine"))
    started = [line.split(" ") for line in (folder / "started.txt").read_text().splitlines()]
    killed = {key for key, node in started if node == told["killed"]}
    counts = {key: sum(one == key for one, _ in started) for key, _ in started}
    finished_before = set(told["done before"])
    assert killed and all(counts[key] == 1 for key in finished_before)          # what was done is not made again
    assert any(counts[key] > 1 for key in killed - finished_before)             # what was under way is


CLUSTER = """
import json, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from hybrid_batch import paths, rows, runner, study

folder = Path(sys.argv[1])
paths.STUDIES, paths.RUNS, paths.RESULTS = folder / "studies", folder / "runs", folder / "results"
make = runner.make


def noted(item):
    import time
    from pathlib import Path
    import ray
    with open(folder / "started.txt", "a") as stream:
        stream.write(f"{item.key} {ray.get_runtime_context().get_node_id()}\\n")
    time.sleep(2)
    paths.RUNS = folder / "runs"
    return make(item)


runner.make = noted
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
told = {"killed": second.node_id}


def under_way():
    # Two runs are done, and the second node is making one.
    started = (folder / "started.txt").read_text().splitlines() if (folder / "started.txt").exists() else []
    done = rows.manifests("mine")
    return len(done) >= 2 and any(line.split(" ")[1] == second.node_id and line.split(" ")[0] not in done for line in started)


def kill():
    while not under_way():
        time.sleep(0.05)
    told["done before"] = list(rows.manifests("mine"))
    cluster.remove_node(second, allow_graceful=False)


threading.Thread(target=kill, daemon=True).start()
told["made"] = runner.run("mine", ray_address=cluster.address)
print(json.dumps(told), flush=True)
"""


def test_the_number_of_workers_must_make_sense(project):
    project()
    with pytest.raises(ValueError, match="workers = 0"):
        runner.run("mine", workers=0)


def test_seeds_are_those_of_the_part():
    made = config.with_seeds(config.Experiment(), [3, 4])
    assert [one.training.seed for one in made] == [3, 4] and made[0].but(seed=4) == made[1]


def test_one_seed_is_made_of_all_conditions_before_the_next(project):
    conditions = {"a": {"strategy": "X-X"}, "none": {"strategy": ""}, "mixed": {"strategy": "", "encoder": "x-{seed}"}}
    project(parts={"p": {"seeds": [3, 1], "conditions": conditions}})
    assert [(item.condition, item.experiment.training.seed, item.experiment.encoder) for item in study.plan("mine")
            if item.condition != "none"] == [("a", 3, study.plan("mine")[0].experiment.encoder), ("mixed", 3, "x-3"),
                                             ("a", 1, study.plan("mine")[0].experiment.encoder), ("mixed", 1, "x-1")]
    assert [item.experiment.training.seed for item in study.plan("mine") if item.condition == "none"] == [0]


def test_one_training_that_two_parts_ask_for_is_measured_on_all_that_either_asks_for(project):
    project(parts={"p": {"seeds": [0], "conditions": {"a": {"strategy": "X-Y"}}},
                   "q": {"seeds": [0], "by_language": True, "debias": ["centring"], "interpolation": [0.5],
                         "benchmarks": ["encyclo11"], "conditions": {"b": {"strategy": "X-Y", "keep_encoder": True}}}})
    assert runner.run("mine") == 1
    (key, manifest), = rows.manifests("mine").items()
    assert set(manifest["benchmarks"]) == {"encyclo11-quick", "encyclo11"}
    assert manifest["benchmarks"]["encyclo11-quick"]["systems"] == ["plain", "centring", "interpolated 0.5"]
    assert (rows.read("mine", [key]).query_language == "de").any()
    assert runner.run("mine") == 0
    kept = paths.RUNS / "studies" / "mine" / "encoders" / "a-0"
    assert (kept / "encoder" / "modules.json").exists() and (kept / "encoder-0.5" / "modules.json").exists()


def test_an_encoder_that_a_study_keeps_can_be_named_by_its_next_part(project):
    folder = project()
    kept = [folder / "runs" / "studies" / "mine" / "encoders" / f"{name}-{{seed}}" / "encoder" for name in ("a-b", "c")]
    project(parts={"p": {"seeds": [0], "keep_encoder": True, "conditions": {"a b": {"strategy": "X-Y"}, "c": {"strategy": "X-X"}}},
                   "q": {"seeds": [0], "strategy": "", "conditions": {"merged": {"encoder": "+".join(map(str, kept))}}}})
    assert runner.run("mine") == 3
    values = {manifest["label"]: rows.read("mine", [key]) for key, manifest in rows.manifests("mine").items()}
    assert len(values) == 3 and not values["untrained"].empty
