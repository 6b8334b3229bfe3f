"""Wall and CPU time of a run, without starting and importing, as a line of JSON on standard output."""

import json
import resource
import time


def measured(run):
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": time.perf_counter() - begun, "cpu_seconds": cpu, "rss_max_mb": after.ru_maxrss * 1024 / 1e6}
    print(json.dumps(figures), flush=True)
