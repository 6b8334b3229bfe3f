"""Files, redact, file with Bytewax: python bytewax_job.py <patterns.json> <input directory> <output>"""

import sys
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.files import DirSource, FileSink
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

import redaction
from measured import measured

patterns, source, target = sys.argv[1:]
redact = redaction.load(patterns)

flow = Dataflow("redact")
lines = op.input("lines", flow, DirSource(Path(source), batch_size=1000))
# A batch a call: the engine's own cost a line is then the least.
redacted = op.flat_map_batch("redact", lines, lambda batch: [("all", redact(line)) for line in batch])
op.output("stored", redacted, FileSink(Path(target)))

measured(lambda: run_main(flow))
