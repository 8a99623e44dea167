// onnxruntime-web, which is read when somebody draws or drops a file, and networks that run in it.
let runtime = null;
function startRuntime(say = () => {}) {
  if (data.why) return Promise.reject(new Error(data.why));
  runtime ??= (async () => {
    say("Reading the runtime, once, about 5 MB …");
    await load("assets/ort.js");
    const { env } = globalThis.ort, wasm = await brought("wasm");
    env.wasm.numThreads = 1;
    env.wasm.wasmBinary = wasm.buffer;
    env.logLevel = "error";
    say("");
    return globalThis.ort;
  })();
  runtime.catch(() => (runtime = null));
  return runtime;
}

// A network of an ONNX file as { run, input, batch }: `run` takes n images, 0 to 255, in a row, and gives their scores [n][classes].
// layers: names of outputs that it shows as well, if it is asked for them.
async function session(file, layers = []) {
  const { InferenceSession, Tensor } = await startRuntime(note);
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "disabled" };
  const judge = await InferenceSession.create(file, options); // the file, byte for byte: it answers
  const names = layers.map((layer) => layer.name).filter((name) => name !== "logits");
  const glass = names.length ? await InferenceSession.create(withOutputs(file, names), options) : null; // shows its layers
  const [input] = judge.inputMetadata, [output] = judge.outputMetadata;
  const bytes = input.type === "uint8";
  const tensor = (values, shape) => new Tensor(input.type, bytes ? Uint8Array.from(values) : Float32Array.from(values, (v) => v / 255), shape);
  const shape = input.shape.slice(1);
  return {
    input, output, shape,
    batch: typeof input.shape[0] === "number" ? input.shape[0] : null,
    async run(values, n = 1) {
      const found = (await judge.run({ [judge.inputNames[0]]: tensor(values, [n, ...shape]) }))[judge.outputNames[0]];
      if (found.type !== "float32") throw new Error(`its answer is ${found.type} and not float32`);
      if (found.dims.length !== 2 || found.dims[0] !== n) throw new Error(`${n} images give an answer of shape ${found.dims.join(" × ")}`);
      const classes = found.dims[1];
      return Array.from({ length: n }, (_, k) => found.data.slice(k * classes, (k + 1) * classes));
    },
    async maps(values) {
      return glass ? glass.run({ [judge.inputNames[0]]: tensor(values, [1, ...shape]) }) : null;
    },
  };
}
function note(text) {
  if ($("play-state")) $("play-state").textContent = text;
}
