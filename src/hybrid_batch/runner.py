"""The runs of a study.

They are made one after the other, by several processes of this machine, or on a Ray cluster; any number of commands may
work on one study at once, and none makes what another has made or is making. A run leaves its rows in results/NAME, small
enough to commit, see rows.
"""

import concurrent.futures
import contextlib
import multiprocessing
import time
from dataclasses import replace

import filelock
import torch

from hybrid_batch import experiment, paths, rows, storage, study

UNITED = ("benchmarks", "debias", "interpolation", "choices")  # of one training that several parts ask for


def run(name, data=None, workers=1, ray_address=None, again=False, results=None):
    """Make all runs of a study that have no rows yet. workers: processes, one thread each; ray_address: of a Ray cluster
    whose machines have the project and the data at the same paths, or "auto". again: rows that are there are made anew.
    An interrupted study goes on where it was. Returns the number of runs made. Raises RuntimeError if some failed."""
    if workers < 1:
        raise ValueError(f"workers = {workers}: it must be 1 or more")
    wanted = _wanted(study.plan(name, data))
    waiting, made, failed = dict(wanted), 0, []
    at_once = len(wanted) if ray_address else workers
    with contextlib.ExitStack() as stack:
        submit = stack.enter_context(_pool(workers, ray_address))
        running = {}
        while waiting or running:
            for key, item in list(waiting.items()):
                if len(running) >= at_once:
                    break
                lock = storage.lock(paths.RUNS / "studies" / name / f"{key}.lock", wait=False)
                try:
                    lock.acquire()
                except filelock.Timeout:
                    continue  # another command is making it
                del waiting[key]
                if not again and is_done(name, item, results):
                    lock.release()
                    continue
                print(f"[{len(wanted) - len(waiting)}/{len(wanted)}] {item}", flush=True)
                running[submit(item)] = item, lock
            for future in [future for future in running if future.done()]:
                item, lock = running.pop(future)
                try:
                    rows.write(name, item.key, *future.result(), results)
                    made += 1
                except Exception as error:
                    failed.append(f"{item}: {error}")
                    print(f"failed: {failed[-1]}", flush=True)
                finally:
                    lock.release()
            time.sleep(0.2)
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(wanted)} runs failed, the others are in results/{name}. The first: "
                           f"{failed[0]}")
    return made


def _wanted(planned):
    """{key: Planned}: one run for all parts that ask for the same training, measured on all that they ask for."""
    wanted = {}
    for item in planned:
        if (first := wanted.get(item.key)) is None:
            wanted[item.key] = item
            continue
        both = first.experiment, item.experiment
        changes = {name: tuple(dict.fromkeys(getattr(both[0], name) + getattr(both[1], name))) for name in UNITED}
        changes["languages"] = both[0].languages if both[0].languages == both[1].languages else ()  # all
        changes |= {name: any(getattr(one, name) for one in both) for name in ("probes", "keep_encoder")}
        wanted[item.key] = replace(first, experiment=replace(both[0], **changes),
                                   by_language=first.by_language or item.by_language,
                                   compared=tuple(dict.fromkeys(first.compared + item.compared)))
    return wanted


def is_done(name, item, results=None):
    """Whether a run has rows for all that it is to be measured on."""
    manifest = rows.manifests(name, results).get(item.key)
    return bool(manifest) and set(item.experiment.benchmarks) <= set(manifest["benchmarks"]) and (
        set(item.experiment.choices) <= set(manifest.get("choices", ())))


def make(item):
    """One run: (manifest, rows)."""
    finished = experiment.run(item.experiment)
    for kept in finished.folder.glob("encoder*"):
        with storage.replacing(item.encoders / kept.name) as partial:
            kept.rename(partial)
    found = rows.collect(finished, item.by_language, item.compared)
    for system in finished.systems(item.experiment.benchmarks[0]):  # large, and all that is kept is in the rows
        for benchmark in finished.manifest["benchmarks"]:
            finished.file(benchmark, system, "vectors.npz").unlink(missing_ok=True)
    return found


@contextlib.contextmanager
def _pool(workers, ray_address):
    """Yield a function from a Planned to a future."""
    if ray_address:
        yield from _ray(ray_address)
    elif workers > 1:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
            yield lambda item: pool.submit(make, item)
    else:
        yield _now


def _now(item):
    future = concurrent.futures.Future()
    try:
        future.set_result(make(item))
    except Exception as error:
        future.set_exception(error)
    return future


def _ray(address):
    try:
        import ray
    except ImportError:
        raise ValueError("--ray needs the package ray: pip install 'hybrid-batch[ray]'") from None
    ray.init(address=address, log_to_driver=False)
    # A task whose machine dies is made again elsewhere; finished ones are with this process, which writes them.
    remote = ray.remote(num_cpus=1, max_retries=3)(make)
    try:
        yield lambda item: remote.remote(item).future()
    finally:
        ray.shutdown()
