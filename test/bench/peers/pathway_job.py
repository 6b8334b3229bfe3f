"""Files, redact, file with Pathway: python pathway_job.py <patterns.json> <input directory> <output>

The output is an object of JSON a line, with the redacted line in `line`.
"""

import sys

import pathway as pw

import redaction
from measured import measured

patterns, source, target = sys.argv[1:]
redact = redaction.load(patterns)

lines = pw.io.plaintext.read(source, mode="static")
redacted = lines.select(line=pw.apply_with_type(redact, str, pw.this.data))
pw.io.jsonlines.write(redacted, target)

measured(lambda: pw.run(monitoring_level=pw.MonitoringLevel.NONE))
