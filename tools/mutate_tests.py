# SPDX-License-Identifier: MIT
"""Of tools/mutate: the tests of a build, how one runs with a mistake chosen, and several things at once."""
import collections, json, os, re, resource, shutil, signal, subprocess, tempfile, threading, time

LEAVE = {"install", "layers", "format", "adding", "mutations", "doxygen", "where"}  # tests of the tree itself: they build, or read sources


class Test:
    def __init__(self, d):
        p = {x["name"]: x["value"] for x in d.get("properties", [])}
        self.name, self.command = d["name"], d["command"]
        self.dir = p.get("WORKING_DIRECTORY")
        self.env = dict(e.split("=", 1) for e in p.get("ENVIRONMENT", []))
        self.skip = p.get("SKIP_RETURN_CODE", -1)
        self.slow = "slow" in p.get("LABELS", [])
        # until it is measured: scripts and slow ones take long
        self.wall = self.cpu = 30.0 if self.slow else 8.0 if "/bin/" in self.command[0] else 1.0
        self.enters, self.measured, self.broken = None, False, False


def tests_of(build_dir, without):
    out = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build_dir, capture_output=True, text=True, check=True).stdout
    return [Test(t) for t in json.loads(out)["tests"] if t["name"] not in LEAVE and "command" in t and not (without and re.search(without, t["name"]))]


def run_test(t, env, most_cpu, most_wall):
    """(passed, wall, cpu); what it leaves running is ended, what it leaves on disk goes."""
    folder = tempfile.mkdtemp(prefix="oct-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    full = dict(os.environ, **t.env, **env, TMPDIR=folder)
    def limit():
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if most_cpu:
            resource.setrlimit(resource.RLIMIT_CPU, (int(most_cpu) + 1, int(most_cpu) + 2))
    began = time.time()
    p = subprocess.Popen(t.command, cwd=t.dir, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limit)
    timer = threading.Timer(most_wall, lambda: os.killpg(p.pid, signal.SIGKILL))
    timer.start()
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = status
    timer.cancel()
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except OSError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    return code == 0 or code == t.skip, time.time() - began, used.ru_utime + used.ru_stime


def parallel(jobs, items, work):
    items, lock = collections.deque(items), threading.Lock()
    def loop():
        while True:
            with lock:
                if not items:
                    return
                item = items.popleft()
            work(item)
    threads = [threading.Thread(target=loop) for _ in range(jobs)]
    for t in threads: t.start()
    for t in threads: t.join()
