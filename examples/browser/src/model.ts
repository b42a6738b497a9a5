// The worker as a thing with methods: each sends a task and waits for its result.
import type { FromWorker, Opened, Result, Settings, ToWorker } from "./protocol.ts";

type Kind = Result["type"];
type Task = Exclude<ToWorker, { type: "stop" }>;
/** What comes while a task runs. */
export type Between = Exclude<FromWorker, Result>;

export class ModelInWorker {
  readonly #worker: Worker;
  #onBetween: (message: Between) => void = () => {};
  #settle: { resolve(result: Result): void; reject(error: Error): void } | undefined;

  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#settle?.reject(new Error(event.message || "the worker could not be loaded; load the page again"));
    };
  }

  open(settings: Settings, onBetween: (message: Between) => void): Promise<Opened> {
    return this.#run("opened", { type: "open", settings }, onBetween);
  }

  exam(onBetween: (message: Between) => void): Promise<Extract<Result, { type: "examined" }>> {
    return this.#run("examined", { type: "exam" }, onBetween);
  }

  train(onBetween: (message: Between) => void): Promise<Extract<Result, { type: "trained" }>> {
    return this.#run("trained", { type: "train" }, onBetween);
  }

  async ask(question: string, onToken: (text: string) => void): Promise<string> {
    const grow = (message: Between): void => void (message.type === "token" && onToken(message.text));
    return (await this.#run("answered", { type: "ask", question }, grow)).answer;
  }

  async adapter(): Promise<Map<string, Uint8Array>> {
    return (await this.#run("adapter", { type: "adapter" })).files;
  }

  /** Ends a training run after its step. */
  stop(): void {
    this.#worker.postMessage({ type: "stop" } satisfies ToWorker);
  }

  async #run<K extends Kind>(
    kind: K,
    task: Task,
    onBetween: (message: Between) => void = () => {},
  ): Promise<Extract<Result, { type: K }>> {
    this.#onBetween = onBetween;
    const result = await new Promise<Result>((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#worker.postMessage(task);
    });
    if (result.type !== kind) throw new Error(`the worker answered ${result.type} to ${task.type}`);
    return result as Extract<Result, { type: K }>;
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "fetched":
      case "event":
      case "token":
        this.#onBetween(message);
        break;
      case "failed":
        this.#onBetween = () => {};
        this.#settle?.reject(new Error(message.message));
        break;
      default:
        this.#settle?.resolve(message);
    }
  }
}
