// Writes the corpora of the bundled base model: notes.jsonl (stage pt), requests.jsonl and copying.jsonl (stage sft,
// alpaca), the last with coined names. All come from the command table and invented names; the tool that the demo teaches is in none.
// Usage: node tools/demo-base/make-corpus.mjs OUT_DIR [requests] [notes]
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commands, listCommands, synonyms } from "./commands.mjs";
import { inWordsOf, makeEngines, nouns, requests } from "./engines.mjs";
import { makeNames, makeRandom } from "./names.mjs";

const slotPattern = /\{([a-z]+)(2?)\}/g;
/** Share of requests that name several things. */
const LIST_SHARE = 0.3;
/** Share of requests to invented engines, how many engines there are, and how often the usual one is meant. */
const ENGINE_SHARE = 0.6;
const ENGINES = 8;
const USUAL_SHARE = 0.4;

/** Requests of the third stage. */
const COPYING = 240_000;

const choicePattern = /\[([^[\]]*)\]/;

/** The same engines in every corpus. */
const inventEngines = () => {
  const names = makeNames(makeRandom(11));
  return makeEngines(ENGINES, { pick: names.pick, makeName: names.invented });
};

/** Draws phrasings and names from one random stream. */
const makeWriter = (seed, style = {}) => {
  const random = makeRandom(seed);
  const name = makeNames(random, style);
  const { pick } = name;

  const expand = (template) => {
    let text = template.replace(/@[a-z]+/g, (macro) => synonyms[macro] ?? macro);
    text = text.replace(/@[a-z]+/g, (macro) => synonyms[macro] ?? macro);
    while (choicePattern.test(text)) text = text.replace(choicePattern, (_, options) => pick(options.split("|")));
    return text.replace(/ +/g, " ");
  };

  const filler = () => {
    const chosen = new Map();
    return (text) =>
      text.replace(slotPattern, (slot, kind) => {
        while (!chosen.has(slot)) {
          const value = name[kind]();
          if (![...chosen.values()].includes(value)) chosen.set(slot, value);
        }
        return chosen.get(slot);
      });
  };

  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const orders = [
    ...Array.from({ length: 14 }, () => capital),
    (t) => `Please ${t}`,
    (t) => `Could you ${t}?`,
    (t) => `Can you ${t}?`,
    (t) => `How do I ${t}?`,
    (t) => `How can I ${t}?`,
    (t) => `I want to ${t}`,
    (t) => `I need to ${t}`,
    (t) => `I would like to ${t}`,
    (t) => `${capital(t)}, please`,
    (t) => `Now ${t}`,
    (t) => `Help me ${t}`,
  ];
  const plea = /^(show|give|let) me\b/;
  const voice = (text) => {
    if (/^[A-Z{]/.test(text)) return text;
    if (/^(the|what|which|how) /.test(text)) return capital(text);
    return plea.test(text) ? pick([capital, (t) => `Please ${t}`])(text) : pick(orders)(text);
  };

  const addresses = [
    (t, tool) => `${tool}: ${t}`,
    (t, tool) => `With ${tool}: ${t}`,
    (t, tool) => `${capital(tool)}: ${t}`,
    (t, tool) => `(${tool}) ${t}`,
  ];
  const single = Object.entries(commands);
  const listed = Object.entries(listCommands);
  const asked = Object.entries(requests);
  const engines = inventEngines();
  /** To the usual engine nobody says its name; to another, the request names it. */
  const toEngine = (fill) => {
    const usual = random() < USUAL_SHARE;
    const engine = usual ? engines[0] : pick(engines);
    const [command, phrasings] = pick(asked);
    const called = Object.fromEntries(Object.entries(nouns).map(([kind, list]) => [kind, pick(list)]));
    const plain = expand(pick(phrasings)).replace(/%([a-z])/g, (_, kind) => called[kind] ?? engine.tool);
    const said = voice(plain).trim();
    const instruction = usual || said.includes(engine.tool) ? said : pick(addresses)(said, engine.tool);
    return { instruction: fill(instruction), input: "", output: fill(inWordsOf(engine, command)) };
  };
  const request = (fill = filler()) => {
    if (random() < ENGINE_SHARE) return toEngine(fill);
    const [command, phrasings] = pick(random() < LIST_SHARE ? listed : single);
    const plain = expand(pick(phrasings));
    const instruction = fill(voice(plain));
    return { instruction, input: "", output: fill(command) };
  };
  return { random, name, pick, request, expand, filler, capital };
};

export const makeRequests = (count, seed = 1, style = {}) => {
  const { request } = makeWriter(seed, style);
  return Array.from({ length: count }, () => request());
};

/** Requests with a bare "x" for each name: the tokenizer learns the words of the language from these, not invented syllables. */
export const makePhrasings = (count, seed = 3) => {
  const { request } = makeWriter(seed);
  const anonymous = (text) => text.replace(slotPattern, "x");
  return Array.from({ length: count }, () => request(anonymous)).map(
    ({ instruction, output }) => `${instruction}\n${output}`,
  );
};

const people =
  "Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina Victor".split(" ");
const stories = [
  "{who} [keeps|has|owns] a [small|large|new|old] machine called {name}. The machine {name} [is in|stands in] the [kitchen|office|cellar|garden|library]. [When|If] {name} is [slow|busy|hot|stuck], {who} [stops|restarts|shuts down] {name}.",
  "The [service|server|program|machine] {name} was [down|stopped|paused|frozen] this morning. {who} [started|resumed|restarted] {name} and [read|followed|printed] the log of {name}.",
  "{who} wrote {file} and put {file} into {path}. Later {who} [moved|copied|sent] {file} from {path} to the host {name}.",
  "The team of {who} [tests|builds|ships|likes] {ref}. Today {who} [pulled|downloaded|installed|published] {ref} and told the team that {ref} [works|is fine|fails|is slow].",
  "Port {port} of {name} is [open|closed|busy|in use]. {who} [mapped|forwarded|published] port {port} to port {port2}, so {name} can be reached on {port2}.",
  "First came {name}, then {name2}. {who} [connected|attached|joined] {name} to {name2} and later [disconnected|detached] {name} from {name2}.",
  "{who} set {setting} because {word} needs {setting} in its environment.",
  "A [picture|letter|parcel|book|list] for {who} [came|arrived|was sent] from {host}. {who} opened {host} and found {file}.",
  "Version {version} of {name} [came out|was built|was tagged|was released] today; {who} has [kept|removed|deleted|upgraded] version {version}.",
  "[To halt|To shut down|To bring down] something means to stop it. [To erase|To get rid of|To throw away] something means to remove it. {who} [stopped|removed] {name}: now {name} is [stopped|gone].",
  "[To freeze|To suspend|To put on hold] something means to pause it. [To unfreeze|To continue] something means to resume it. {who} [paused|resumed] {name}.",
  "What runs in the background is detached; what runs in the foreground is attached. {who} runs {name} [in the background|detached].",
  "[To follow|To stream|To watch] a log means to read it live. {who} [follows|streams|watches] the log of {name} [in real time|live].",
  "An image shows a [lake|tree|house]. A volume holds [water|air|data]. A network joins [people|machines|cities]. {who} likes {word}.",
];

/** One note a document: stories, shell sessions, and requests written out, so that names recur within a few lines. */
export const makeNotes = (count, seed = 2) => {
  const { name, pick, request, expand, filler } = makeWriter(seed);
  const story = () => {
    const fill = filler();
    const who = pick(people);
    return fill(expand(pick(stories)).replaceAll("{who}", who));
  };
  const session = () => {
    const items = Array.from({ length: name.int(3, 6) }, () => pick([name.name, name.ref, name.file, name.coord])());
    const chosen = pick(items);
    const rest = items.filter((item) => item !== chosen);
    return pick([
      () => `$ ls\n${items.join(" ")}\n$ rm ${chosen}\n$ ls\n${rest.join(" ")}`,
      () => `$ cat list\n${items.join("\n")}\n$ cat list\n${items.join("\n")}`,
      () => `Names: ${items.join(" ")}. Again: ${items.join(" ")}.`,
      () => `$ echo ${items.join(" ")}\n${items.join(" ")}`,
    ])();
  };
  const written = () => {
    const { instruction, output } = request();
    return pick([
      `# ${instruction}\n$ ${output}`,
      `Question: ${instruction}\nAnswer: ${output}`,
      `${instruction}\n${output}`,
    ]);
  };
  const lines = (make, n) => Array.from({ length: n }, make).join("\n");
  const kinds = [
    () => lines(story, 2),
    () => session(),
    () => session(),
    () => lines(written, 3),
    () => lines(written, 4),
  ];
  return Array.from({ length: count }, () => ({ text: pick(kinds)() }));
};

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [out = "saves/demo-base", requests = "480000", notes = "20000"] = process.argv.slice(2);
  mkdirSync(out, { recursive: true });
  const rows = (list) => list.map((row) => JSON.stringify(row)).join("\n") + "\n";
  writeFileSync(join(out, "requests.jsonl"), rows(makeRequests(Number(requests))));
  writeFileSync(join(out, "copying.jsonl"), rows(makeRequests(COPYING, 5, { coined: 0.6 })));
  writeFileSync(join(out, "notes.jsonl"), rows(makeNotes(Number(notes))));
  writeFileSync(join(out, "phrasings.txt"), makePhrasings(30000).join("\n") + "\n");
  writeFileSync(
    join(out, "dataset_info.json"),
    JSON.stringify(
      {
        requests: { file_name: "requests.jsonl" },
        copying: { file_name: "copying.jsonl" },
        notes: { file_name: "notes.jsonl", columns: { prompt: "text" } },
      },
      null,
      2,
    ) + "\n",
  );
}
