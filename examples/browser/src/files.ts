// The model and the data set of `npm run demo`, as addresses beside the page.

const named = (modules: Record<string, string>): Map<string, string> =>
  new Map(Object.entries(modules).map(([path, address]) => [path.slice(path.lastIndexOf("/") + 1), address]));

const model = named(
  import.meta.glob<string>("../../demo-base/*.{json,safetensors}", { query: "?url", import: "default", eager: true }),
);
const data = named(import.meta.glob<string>("../../data/*.json", { query: "?url", import: "default", eager: true }));

export interface Fetched {
  model: Map<string, Uint8Array>;
  data: Map<string, Uint8Array>;
}

/** Fetches every file; `progress` gets bytes. */
export async function fetchFiles(progress: (done: number, total: number) => void): Promise<Fetched> {
  const counts = { done: 0, total: 0 };
  const grow = (count: Partial<typeof counts>): void => {
    counts.done += count.done ?? 0;
    counts.total += count.total ?? 0;
    progress(counts.done, counts.total);
  };
  const all = async (folder: string, addresses: Map<string, string>): Promise<Map<string, Uint8Array>> =>
    new Map(
      await Promise.all(
        [...addresses].map(
          async ([name, address]) => [name, await fetchFile(`${folder}/${name}`, address, grow)] as const,
        ),
      ),
    );
  const [modelFiles, dataFiles] = await Promise.all([all("examples/demo-base", model), all("examples/data", data)]);
  return { model: modelFiles, data: dataFiles };
}

async function fetchFile(
  name: string,
  address: string,
  grow: (count: { done?: number; total?: number }) => void,
): Promise<Uint8Array> {
  const answer = await fetch(address).catch(() => undefined);
  if (answer === undefined) throw new Error(`${name}: the server does not answer; check the connection and load again`);
  if (!answer.ok || answer.body === null)
    throw new Error(`${name}: the server answered ${answer.status}; put the whole folder of the page on it`);
  grow({ total: Number(answer.headers.get("content-length") ?? 0) });
  const parts: Uint8Array[] = [];
  const reader = answer.body.getReader();
  for (let part = await reader.read(); part.value !== undefined; part = await reader.read()) {
    parts.push(part.value);
    grow({ done: part.value.length });
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}
