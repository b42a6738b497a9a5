// Lets the cuda backend run on the emulator of tools/cuda-on-cpu, where no folder of NVIDIA's libraries is named.

import { emulator, emulatorMissing } from "../../tools/cuda-on-cpu/build.mjs";

if (process.env["TEMPER_CUDA_LIBRARIES"] === undefined && emulatorMissing() === undefined) {
  process.env["TEMPER_CUDA_LIBRARIES"] = emulator();
}
