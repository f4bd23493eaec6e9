"""What was built, and whether it is what stands on the web.

python .github/manifest.py write FOLDER        writes FOLDER/manifest.json: commit, and the SHA-256 of each file
python .github/manifest.py compare FOLDER URL  fetches the files of that manifest from URL, and fails if one differs
"""

import hashlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

NAME = "manifest.json"
TRIES, PAUSE = 10, 30  # a site takes some minutes to show what was put there; seconds


def write(folder):
    """Write the manifest of a folder; returns it."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    files = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in sorted(folder.rglob("*")) if path.is_file() and path.name != NAME and not hidden(path, folder)}
    made = {"commit": commit, "files": files}
    (folder / NAME).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return made


def hidden(path, folder):
    """Whether a name on the way to a file starts with a dot: such files are not put on the web."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def compare(folder, url, tries=TRIES, pause=PAUSE):
    """The files of the manifest in ``folder`` that are missing or different at ``url``. Raises RuntimeError if the site
    does not show the manifest itself after so many tries."""
    wanted = (folder / NAME).read_bytes()
    for attempt in range(tries):
        try:
            if fetch(f"{url}/{NAME}") == wanted:
                break
        except urllib.error.URLError as error:
            print(f"{url}/{NAME}: {error}")
        time.sleep(pause * (attempt < tries - 1))
    else:
        raise RuntimeError(f"{url} does not show this build")
    different = []
    for name, digest in json.loads(wanted)["files"].items():
        try:
            found = hashlib.sha256(fetch(f"{url}/{urllib.parse.quote(name)}")).hexdigest()
        except urllib.error.URLError as error:
            found = str(error)
        if found != digest:
            different.append(name)
    return different


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "write":
        print(f"{len(write(folder)['files'])} files")
    elif different := compare(folder, sys.argv[3].rstrip("/")):
        sys.exit("different on the web: " + ", ".join(different))
    else:
        print("the site shows what was built")
