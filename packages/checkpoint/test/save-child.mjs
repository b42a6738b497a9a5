// Saves checkpoint-20 into the folder given. Started by faults.test.ts, which breaks it at a system call.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic, writeFolderAtomic, writeSafetensors } from "../dist/index.js";

const [, , parent] = process.argv;
try {
  await writeFolderAtomic(
    parent,
    "checkpoint-20",
    async (folder) => {
      await writeSafetensors(join(folder, "model.safetensors"), [
        { name: "a", dtype: "F32", shape: [2], bytes: new Uint8Array(8) },
      ]);
      await writeFileAtomic(join(folder, "trainer_state.json"), "{}");
    },
    { step: 20 },
  );
} catch (error) {
  writeFileSync(1, JSON.stringify({ exitCode: error.exitCode, message: error.message }));
  process.exitCode = 3;
}
