#!/usr/bin/env node
// The same command as @welltempered/cli, under the name people install.
import "@welltempered/cli/temper";
