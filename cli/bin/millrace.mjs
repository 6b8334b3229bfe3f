#!/usr/bin/env node
// Committed as it is, so that it can be linked before anything is built.
import "../dist/main.js";
