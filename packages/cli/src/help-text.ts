// Static, so that `temper --help` loads nothing else.

export const helpText = `temper: fine-tune large language models from Node.js

  temper train lora.yaml [key=value ...]      train, evaluate, predict
  temper plan lora.yaml [key=value ...]       memory and time of that run, before it
  temper chat lora.yaml adapter_name_or_path=saves/lora [--once "question"]
  temper export lora.yaml adapter_name_or_path=saves/lora export_dir=merged
  temper demo [--model smollm2]               tune a small model on Docker questions
  temper env                                  versions, CPU, backends
  temper help [command | key | keys | schema] this text, a command, a key, all keys, the JSON Schema
  temper version

Settings are LlamaFactory's YAML keys, from a .yaml or .json file, then key=value or --key value.
Everywhere: --quiet, --json (events as JSON lines on standard output), --debug (stack traces).
Exit codes: 0 done, 2 bad input, 3 environment, 4 not finite, 130/143 stopped after saving.
`;

export const commandHelp: Readonly<Record<string, string>> = {
  train: `temper train <config.yaml> [key=value ...] [--key value ...]

Runs what the configuration asks for: do_train, do_eval, do_predict. The run folder is output_dir.
Ctrl-C (or SIGTERM) finishes the step, saves a checkpoint and exits; a second one quits at once.
Continue with resume_from_checkpoint=true.
`,
  plan: `temper plan <config.yaml> [key=value ...] [--json]

Predicts peak memory, seconds an optimizer step and the time of the run. Nothing of the model is read but its headers:
the run is stepped without numbers, and its products are timed on this machine for up to a second.
Lengths are those of the data set; without dataset all are cutoff_len. Where the run does not fit, it says which keys
would save most.
`,
  chat: `temper chat <config.yaml> [key=value ...] [--once "question"]

Talks to the model on the terminal. Words: clear forgets the conversation, exit leaves.
--once prints the answer to one question on standard output and nothing else.
`,
  export: `temper export <config.yaml> adapter_name_or_path=<folder> export_dir=<folder> [key=value ...]

Merges the adapters into the model and writes a Hugging Face model folder (export_size, infer_dtype).
`,
  demo: `temper demo [--model tiny | smollm2] [--rows 5] [--json]

Shows answers to held-out Docker questions, trains, and shows the answers and the exact match again.
tiny is bundled and needs no network; smollm2 is SmolLM2-135M-Instruct, downloaded once (93 MB).
`,
  env: `temper env [--json]

Prints versions, the processor, the backends with the reason for the choice, and the environment variables.
`,
  version: "temper version\n",
  help: "temper help [command | key | keys | schema]\n",
};
