// Writes docker_train.json and docker_test.json (alpaca format) from the authored templates below.
// The two halves share no phrasing and no name: a model scores on the test half only by understanding and copying.
// A question that ends in a name carries no full stop, so that "redis:7." never has to be told from "redis:7".
// Usage: node examples/data/make-docker.mjs
import { realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { intents } from "./docker-intents.mjs";

/** What may stand in each {slot}; `train` and `test` are disjoint. `{c2}` is a second, different `{c}`. */
export const names = {
  c: {
    train: [
      "web",
      "api",
      "db",
      "cache",
      "worker",
      "proxy",
      "shop",
      "blog",
      "mailer",
      "search",
      "queue-1",
      "api-2",
      "web-3",
      "auth",
      "billing",
      "wiki",
      "metrics",
      "frontend",
      "backend",
      "crawler",
      "parser-4",
      "tunnel",
      "notes",
      "gateway",
      "uploads-2",
    ],
    test: [
      "orders",
      "ledger",
      "invoices",
      "router",
      "relay",
      "chat-5",
      "forum",
      "planner",
      "tracker-6",
      "payroll",
      "indexer",
      "resizer",
      "vault",
      "beacon",
      "broker-7",
      "catalog",
      "reports",
      "sentry",
      "harvest",
      "courier",
    ],
  },
  i: {
    train: [
      "nginx",
      "redis:7",
      "postgres:16",
      "alpine",
      "ubuntu:22.04",
      "node:20",
      "python:3.11",
      "mysql:8",
      "httpd",
      "busybox",
      "mongo:6",
      "golang:1.21",
      "acme/web",
      "acme/api:2.0",
      "team/worker:1.3",
      "debian:12",
      "memcached",
    ],
    test: [
      "caddy",
      "rabbitmq:3",
      "mariadb:11",
      "fedora:40",
      "ruby:3.3",
      "haproxy:2.9",
      "traefik",
      "grafana",
      "umbrella/store:4.5",
      "umbrella/feed",
      "elixir:1.17",
      "influxdb:2",
      "vault:1.15",
      "minio",
      "perl:5.38",
    ],
  },
  v: {
    train: [
      "dbdata",
      "pgdata",
      "assets",
      "backups",
      "media",
      "mysql-data",
      "shared",
      "site-files",
      "certs",
    ],
    test: [
      "photos",
      "museum",
      "letsgo",
      "ledger-data",
      "snapshots",
      "mongo-store",
      "sessions",
      "artifacts",
    ],
  },
  n: {
    train: ["mynet", "intern", "front", "app-net", "public", "dmz", "testnet", "mesh-1", "lab"],
    test: ["bridge-9", "office", "private", "side-net", "backbone", "staging", "ring-8", "edge"],
  },
  hp: {
    train: ["8080", "3000", "5000", "9000", "8000", "4200", "8888", "5433"],
    test: ["7070", "6100", "9191", "2345", "7443", "4567"],
  },
  cp: { train: ["80", "443", "5432", "6379", "3306"], test: ["8443", "9092", "27017", "1883"] },
  dir: {
    train: ["/data", "/var/lib/data", "/srv/www", "/app", "/cache", "/etc/app"],
    test: ["/opt/docs", "/home/joe", "/mnt/ssd", "/usr/local/site", "/depot"],
  },
  file: {
    train: ["/app/app.log", "/etc/hosts", "/data/dump.sql", "/srv/config.yml", "/tmp/report.txt"],
    test: ["/opt/server.conf", "/var/result.csv", "/home/joe/list.md", "/depot/trace.json"],
  },
  lf: {
    train: ["config.json", "app.env", "index.html", "seed.sql", "settings.yml", "logo.png"],
    test: ["users.csv", "rules.toml", "banner.svg", "main.conf", "schema.xml"],
  },
  tar: {
    train: ["backup.tar", "image.tar", "web.tar", "export.tar", "base.tar"],
    test: ["bundle.tar", "offline.tar", "release.tar", "friday.tar"],
  },
  df: {
    train: ["Dockerfile.dev", "Dockerfile.prod", "build.dockerfile", "api.dockerfile"],
    test: ["Dockerfile.ci", "Dockerfile.arm", "slim.dockerfile", "tools.dockerfile"],
  },
  tag: {
    train: ["acme/web:1.1", "myapp", "site:2", "team/api:dev", "shop:latest", "hello"],
    test: ["umbrella/app:3.4", "portal", "letters:6", "north/cart:beta", "garden:stable"],
  },
  env: {
    train: ["MODE=dev", "DEBUG=1", "LEVEL=info", "PORT=3000", "LANG=en", "USER=admin"],
    test: ["STAGE=beta", "TOKEN=abc", "THEME=dark", "REGION=west", "RETRIES=5"],
  },
  reg: {
    train: ["ghcr.io", "registry.acme.com", "hub.example.org", "quay.io"],
    test: ["registry.umbrella.net", "images.north.dev", "gitlab.example.com", "cr.garden.org"],
  },
  num: { train: ["20", "50", "100", "10", "200", "500"], test: ["35", "75", "150", "40", "25"] },
  cmd: {
    train: ["ls", "env", "whoami", "date", "npm test", "cat /etc/hosts", "ls /app"],
    test: ["hostname", "uptime", "pwd", "yarn lint", "head /etc/passwd", "find /opt"],
  },
  svc: {
    train: ["web", "api", "db", "worker", "cache", "proxy"],
    test: ["orders", "relay", "forum", "indexer", "router"],
  },
};

/** Deals the values of one slot in a fixed, mixed order, so that each is used about equally often. */
const dealer = (values, seed) => {
  let next = seed;
  const stride = [7, 5, 3, 2, 1].find((s) => values.length % s !== 0 || s === 1) ?? 1;
  return () => values[(next++ * stride) % values.length];
};

const slotPattern = /\{([a-z]+)(2?)\}/g;

/** Fills question and command with the same names. */
const fill = (question, command, deal) => {
  const chosen = new Map();
  const pick = (slot, list) => {
    if (chosen.has(slot)) return;
    let name = deal[list]();
    while ([...chosen.values()].includes(name)) name = deal[list]();
    chosen.set(slot, name);
  };
  for (const [, list, second] of (question + command).matchAll(slotPattern))
    pick(list + second, list);
  const put = (text) => text.replace(slotPattern, (_, list, second) => chosen.get(list + second));
  return { instruction: put(question), input: "", output: put(command) };
};

/** All rows of one half ("train" or "test"), phrasing by phrasing so that neighbours differ in intent. */
export const makeRows = (intents, half) => {
  const deal = Object.fromEntries(
    Object.entries(names).map(([list, halves], i) => [list, dealer(halves[half], i)]),
  );
  const rounds = Math.max(...intents.map((intent) => intent[half].length));
  const rows = [];
  for (let round = 0; round < rounds; round++) {
    for (const intent of intents) {
      const question = intent[half][round];
      if (question !== undefined) rows.push(fill(question, intent.command, deal));
    }
  }
  return rows;
};

/** One row a line: readable in a diff. */
export const toJson = (rows) =>
  `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n]\n`;

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const half of ["train", "test"]) {
    writeFileSync(new URL(`docker_${half}.json`, import.meta.url), toJson(makeRows(intents, half)));
  }
}
