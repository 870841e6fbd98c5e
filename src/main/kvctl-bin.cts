#!/usr/bin/env node
/** Starts kvctl; a file of its own, as kvd has one, so that both are named alike in the package's `bin`. */
void import("./kvctl.ts");
