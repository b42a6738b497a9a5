// Prints what the backends of this process say, and which is taken where none is asked for.
import { describeBackends, openBackend } from "@welltempered/kernels";

console.log(JSON.stringify({ cuda: describeBackends().backends[0], taken: openBackend().name }));
