// Invented names, versions, ports, paths: the corpus must teach copying, so nearly every name in it is new.

/** mulberry32: a small seeded generator; the corpus is the same on every machine. */
export const makeRandom = (seed) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
};

const words =
  `acorn admin alpha amber anchor apple arrow atlas autumn badge baker basil bench berry billing birch bishop blaze block
board boat bolt book border bottle branch brick brush bucket budget cabin cable camera candle canvas carbon castle cedar center chain chalk
charm cherry circle city clay client clock cloud clover coach coast cobalt coffee comet common copper coral corner cotton counter cousin crane
credit creek crown crystal current daily dawn deck delta demo desert design desk diary dinner dome draft dragon drum eagle early east echo elm
ember engine events falcon farm feather fern field finch fire flag flame flint flower fog forest fox garnet gate ghost giant ginger glass
globe gold grain granite grape green grove guest guide hammer harbor hawk hazel helper hero hill hobby honey horizon horse hotel house hunter
indigo island ivory jacket jade jasper jelly journal jungle juniper kernel kettle kite ladder lake lamp lantern laurel leaf lemon letter level
library light lily linen lion lobby local logic lotus lunar magnet mango maple marble margin market meadow melon member memory menu message
meteor middle mill mint mirror mobile model monitor moon morning moss motor mountain music nest night noble number oak oasis ocean olive onion opal orange orbit orchid otter owl oxide page palace panda panel paper parcel parrot pearl pebble pepper piano pillow pilot pine
pixel planet plaza plum pocket poem point polar pond poppy powder prime prism profile public pulse pump puzzle quartz queen quiet rabbit
radar radio rain raven record river robin rocket roof room root rose sage sail salmon sample sand scout season secret shadow shell
shelf shift signal silver simple sky smoke snow social solar sonic south spark spice spider spring square star state station steel stone
storm story stream street studio sugar summer sun sunset support swan table tango target teacher temple tennis theme thunder tiger timber toast
token tower toy train travel tree tulip tunnel turtle twin uncle union user valley vector velvet video village violet vision wagon walnut water
wave west wheat wheel whisper willow wind window winter wizard wolf wood yard yellow zebra zenith zinc`.split(/\s+/);

const onsets = "b c d f g h j k l m n p r s t v w z br cl cr dr fl gr pl pr sh sl sp st tr th ch".split(" ");
const nuclei = "a e i o u a e i o ai ea oo ou".split(" ");
const codas = ["", "", "", "", "n", "r", "l", "s", "t", "x", "ck", "nd", "rk", "st", "m"];

const rude = /fu(ck|k)|shi?t|cun|tit|coc?k|dic?k|fag|ni?g|piss|slut|cum|rape|nazi/;

/** What follows each pair of letters in `words`; "^" begins a word and "$" ends it. */
const followers = new Map();
for (const word of words) {
  const letters = `^^${word}$`;
  for (let i = 2; i < letters.length; i++) {
    const pair = letters.slice(i - 2, i);
    followers.set(pair, (followers.get(pair) ?? "") + letters[i]);
  }
}

/** A source of names over one random stream. Each method returns a fresh string. `coined`: share of words like English. */
export const makeNames = (random, { coined = 0 } = {}) => {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const int = (low, high) => low + Math.floor(random() * (high - low + 1));
  const syllables = () =>
    Array.from({ length: pick([1, 1, 2, 2, 2, 3]) }, () => pick(onsets) + pick(nuclei)).join("") + pick(codas);
  const invented = () => {
    let made = syllables();
    while (rude.test(made)) made = syllables();
    return made;
  };
  /** English by the sound of it: "hamber", "pinestal". Its pieces are those of real names, in any order. */
  const coin = () => {
    for (;;) {
      let made = "";
      let pair = "^^";
      while (!pair.endsWith("$") && made.length < 12) {
        const next = pick(followers.get(pair));
        if (next !== "$") made += next;
        pair = pair[1] + next;
      }
      if (made.length >= 3 && made.length <= 10 && !rude.test(made)) return made;
    }
  };
  const word = () => {
    if (coined > 0 && random() < coined) return coin();
    return known();
  };
  const known = () => (random() < 0.5 ? pick(words) + (random() < 0.2 ? "s" : "") : invented());
  const version = () =>
    [
      `${int(1, 30)}`,
      `${int(0, 9)}.${int(0, 20)}`,
      `${int(0, 4)}.${int(0, 20)}.${int(0, 9)}`,
      `${int(18, 26)}.0${int(1, 9)}`,
    ][int(0, 3)];
  const name = () => {
    const r = random();
    if (r < 0.6) return word();
    if (r < 0.78) return `${word()}-${int(1, 12)}`;
    return `${word()}-${word()}`;
  };
  const label = () => (random() < 0.7 ? version() : pick([word(), "dev", "latest", "next", "main"]));
  const path = () =>
    `/${[pick(["srv", "var", "opt", "home", "mnt", "data", "etc", "usr", "tmp", word()]), ...Array.from({ length: int(0, 2) }, word)].join("/")}`;
  const file = () =>
    `${word()}${pick([".txt", ".log", ".json", ".yml", ".csv", ".sql", ".conf", ".md", ".html", ".py", ".js", ".env", ".png", ".toml", ".xml", ".svg"])}`;
  const key = () =>
    pick([
      "MODE",
      "LEVEL",
      "PORT",
      "USER",
      "HOST",
      "DEBUG",
      "LANG",
      "TOKEN",
      "ZONE",
      "COLOR",
      "LIMIT",
      "CACHE",
      "TIMEOUT",
      word().toUpperCase(),
    ]);
  const ref = () =>
    [name, () => `${word()}:${label()}`, () => `${word()}/${word()}`, () => `${word()}/${word()}:${label()}`][
      int(0, 3)
    ]();
  const setting = () => `${key()}=${random() < 0.5 ? word() : int(0, 9000)}`;
  const list = (make) => () => Array.from({ length: int(2, 5) }, () => make()).join(" ");
  return {
    pick,
    int,
    invented,
    word,
    name,
    version,
    label,
    path,
    file,
    dir: word,
    filepath: () => `${path()}/${file()}`,
    coord: () => (random() < 0.5 ? `${word()}:${label()}` : `${word()}/${word()}:${label()}`),
    ref,
    host: () =>
      `${random() < 0.5 ? `${word()}.` : ""}${word()}.${pick(["com", "org", "net", "io", "dev", "example.org", "local"])}`,
    port: () => `${pick([int(20, 999), int(1000, 9999), int(1000, 9999), int(10000, 65000), 80, 443, 8080, 3000])}`,
    num: () => `${pick([int(2, 30), int(2, 12) * 10, int(1, 9) * 100])}`,
    pid: () => `${int(100, 39999)}`,
    archive: () => `${name()}.tar`,
    setting,
    script: () =>
      pick([
        "ls",
        "date",
        "env",
        "id",
        "whoami",
        "hostname",
        "uptime",
        `ls ${path()}`,
        `cat ${path()}`,
        `npm run ${word()}`,
        `make ${word()}`,
        `node ${file()}`,
        "make test",
        word(),
        `head ${path()}`,
        `${word()} ${word()}`,
      ]),
    names: list(name),
    refs: list(ref),
    files: list(file),
    settings: list(setting),
    makefile: () => pick([`Makefile.${word()}`, `${word()}.mk`, `${word()}.makefile`]),
  };
};
