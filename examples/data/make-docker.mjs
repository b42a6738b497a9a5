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
      "web", "api", "db", "cache", "worker", "proxy", "shop", "blog", "mailer", "search", "queue-1", "api-2",
      "web-3", "auth", "billing", "wiki", "metrics", "frontend", "backend", "crawler", "parser-4", "tunnel",
      "notes", "gateway", "uploads-2", "store", "landing", "accounts", "emails", "images", "exporter", "cleaner",
      "builder", "runner", "sync", "audit", "geo-1", "radar", "matcher", "stats", "bot-7", "player", "cart",
      "media-3", "checkout", "tasks", "scanner", "events", "hooks", "panel", "monitor", "files", "reader",
      "writer-2", "logger", "broadcast", "login", "tickets", "pricing", "helpdesk", "carrier", "translator",
      "thumbs", "feeder", "sampler-8", "compiler", "pinger", "mirror", "archive", "renderer", "votes",
    ],
    test: [
      "orders", "ledger", "invoices", "router", "relay", "chat-5", "forum", "planner", "tracker-6", "payroll",
      "indexer", "resizer", "vault", "beacon", "broker-7", "catalog", "reports", "sentry", "harvest", "courier",
    ],
  },
  i: {
    train: [
      "nginx", "redis:7", "postgres:16", "alpine", "ubuntu:22.04", "node:20", "python:3.11", "mysql:8", "httpd",
      "busybox", "mongo:6", "golang:1.21", "acme/web", "acme/api:2.0", "team/worker:1.3", "debian:12", "memcached",
      "mysql:5.7", "node:18", "alpine:3.19", "nginx:1.26", "postgres", "ubuntu", "python:3.12", "php:8.2",
      "wordpress", "drupal:10", "ghost:5", "jenkins", "sonarqube:9", "consul:1.16", "nats", "kibana:8",
      "logstash:8.1", "telegraf:1.29", "rust:1.70", "gcc:13", "swift:5.9", "centos:7", "rocky:9", "archlinux",
      "couchdb:3", "cassandra:4.1", "neo4j:5", "zookeeper", "kafka:3.6", "solr:9", "tomcat:10", "joomla",
      "redmine:5", "nextcloud:28", "gitea", "registry:2", "acme/shop:3.1", "team/queue", "crew/mail:0.9",
      "lab/model:2.2", "crew/bot", "solo/site:1.0",
    ],
    test: [
      "caddy", "rabbitmq:3", "mariadb:11", "fedora:40", "ruby:3.3", "haproxy:2.9", "traefik", "grafana",
      "umbrella/store:4.5", "umbrella/feed", "elixir:1.17", "influxdb:2", "vault:1.15", "minio", "perl:5.38",
    ],
  },
  v: {
    train: [
      "dbdata", "pgdata", "assets", "backups", "media", "mysql-data", "shared", "site-files", "certs", "uploads",
      "state", "config-vol", "wwwroot", "user-files", "redis-data", "keys", "mails", "models", "build-cache",
      "downloads", "monit-vol", "plugins", "records", "scratch", "dumps",
    ],
    test: ["photos", "museum", "letsgo", "ledger-data", "snapshots", "mongo-store", "sessions", "artifacts"],
  },
  n: {
    train: [
      "mynet", "intern", "front", "app-net", "public", "dmz", "testnet", "mesh-1", "lab", "webnet", "blue",
      "green-net", "core", "inner", "outside", "dbnet", "cluster-2", "proxynet", "guests", "zone-5", "lan", "rack",
      "vpn-net", "sandbox", "traffic",
    ],
    test: ["bridge-9", "office", "private", "side-net", "backbone", "staging", "ring-8", "edge"],
  },
  hp: {
    train: [
      "8080", "3000", "5000", "9000", "8000", "4200", "8888", "5433", "8081", "3001", "5050", "9090", "4141",
      "4111", "8008", "6060", "7777", "1080", "2222", "9443", "3333", "5601",
    ],
    test: ["7070", "6100", "9191", "2345", "7443", "4567"],
  },
  cp: {
    train: [
      "80", "443", "5432", "6379", "3306", "8080", "3000", "22", "9200", "5000", "26", "1521", "11211", "4443",
      "2181",
    ],
    test: ["8443", "9092", "27017", "1883"],
  },
  dir: {
    train: [
      "/data", "/var/lib/data", "/srv/www", "/app", "/cache", "/etc/app", "/etc/nginx", "/usr/share/site",
      "/var/www/html", "/backup", "/opt/app", "/home/node", "/var/log", "/mnt/disk", "/work", "/srv/media",
    ],
    test: ["/opt/docs", "/home/joe", "/mnt/ssd", "/usr/local/site", "/depot"],
  },
  file: {
    train: [
      "/app/app.log", "/etc/hosts", "/data/dump.sql", "/srv/config.yml", "/tmp/report.txt", "/var/log/syslog",
      "/etc/nginx.conf", "/app/result.json", "/home/node/out.txt", "/opt/app/keys.pem", "/tmp/core.dump",
      "/srv/list.csv", "/work/notes.md",
    ],
    test: ["/opt/server.conf", "/var/result.csv", "/home/joe/list.md", "/depot/trace.json"],
  },
  lf: {
    train: [
      "config.json", "app.env", "index.html", "seed.sql", "settings.yml", "logo.png", "data.csv", "server.key",
      "nginx.conf", "main.py", "users.sql", "notes.txt", "routes.yaml", "photo.jpg", "app.js",
    ],
    test: ["users.csv", "rules.toml", "banner.svg", "main.conf", "schema.xml"],
  },
  tar: {
    train: [
      "backup.tar", "image.tar", "web.tar", "export.tar", "base.tar", "old.tar", "nginx.tar", "dump.tar",
      "stack.tar", "monday.tar", "images.tar", "myapp.tar", "v2.tar",
    ],
    test: ["bundle.tar", "offline.tar", "release.tar", "friday.tar"],
  },
  df: {
    train: [
      "Dockerfile.dev", "Dockerfile.prod", "build.dockerfile", "api.dockerfile", "Dockerfile.test",
      "Dockerfile.gpu", "web.dockerfile", "base.dockerfile", "Dockerfile.local", "worker.dockerfile",
    ],
    test: ["Dockerfile.ci", "Dockerfile.arm", "slim.dockerfile", "tools.dockerfile"],
  },
  tag: {
    train: [
      "acme/web:1.1", "myapp", "site:2", "team/api:dev", "shop:latest", "hello", "demo:1.0", "crew/site",
      "acme/cart:2.3", "backend:dev", "lab/tool:0.4", "preview", "blog:3", "team/mail:test", "sketches:9",
      "solo/app:1.2", "night:build", "widget",
    ],
    test: ["umbrella/app:3.4", "portal", "letters:6", "north/cart:beta", "garden:stable"],
  },
  env: {
    train: [
      "MODE=dev", "DEBUG=1", "LEVEL=info", "PORT=3000", "LANG=en", "USER=admin", "HOST=db", "COLOR=red", "TZ=utc",
      "MODE=test", "SIZE=10", "NAME=web", "CACHE=off", "LIMIT=50", "STACK=blue",
    ],
    test: ["STAGE=beta", "TOKEN=abc", "THEME=dark", "REGION=west", "RETRIES=5"],
  },
  reg: {
    train: [
      "ghcr.io", "registry.acme.com", "hub.example.org", "quay.io", "docker.io", "registry.team.org",
      "images.acme.io", "hub.lab.net", "registry.crew.dev",
    ],
    test: ["registry.umbrella.net", "images.north.dev", "gitlab.example.com", "cr.garden.org"],
  },
  num: {
    train: ["20", "50", "100", "10", "200", "500", "5", "15", "30", "60", "80", "120", "260", "300", "1000"],
    test: ["35", "75", "150", "40", "25"],
  },
  cmd: {
    train: [
      "ls", "env", "whoami", "date", "npm test", "cat /etc/hosts", "ls /app", "ps aux", "df -h", "npm start",
      "cat /etc/passwd", "ls -l /srv", "id", "make test", "python --version", "du /data", "free",
    ],
    test: ["hostname", "uptime", "pwd", "yarn lint", "head /etc/passwd", "find /opt"],
  },
  svc: {
    train: [
      "web", "api", "db", "worker", "cache", "proxy", "store", "mailer", "search", "auth", "billing", "metrics",
      "frontend", "queue-1", "crawler", "gateway",
    ],
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
