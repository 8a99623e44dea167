// A pad and the network that answers to it. A network is { layers, sure, why, ready }, where `ready` is a promise of { run, maps },
// made when somebody begins to draw. play(network) puts another network there.
const lights = $("paper") ? makeLights(data.classes) : null;
let current = null, pad = null, pending = false, busy = false;

function changed() {
  pending = true;
  if (busy) return;
  busy = true;
  requestAnimationFrame(async () => {
    while (pending) {
      pending = false;
      try {
        await update();
      } catch (error) {
        note(`This browser could not run the network: ${error.message ?? error}`);
      }
    }
    busy = false;
  });
}

async function update() {
  const [, H, W] = data.shape, values = pad.values(), network = current;
  paint($("seen"), values, W, H, (v, k) => [255 - v[k], 255 - v[k], 255 - v[k]]);
  if (!network || network.why || pad.isEmpty()) return lights.blank(network?.why || "Draw something.", network?.layers);
  const { logits, maps } = await answer(values, true, network);
  if (network !== current) return;
  if (!logits.every(Number.isFinite)) return lights.blank("It gives no number for this drawing.", network.layers);
  lights.show(logits, maps, network.layers, network.sure);
}

async function answer(values, layers = true, network = current) {
  const ready = await (network.ready ??= network.start());
  const [logits] = await ready.run(values, 1);
  return { logits: [...logits], maps: layers && network.layers.length ? await ready.maps(values) : null };
}

function play(network) {
  current = network;
  if (pad) changed();
}

if ($("paper")) {
  pad = makePad({
    shape: data.shape,
    sample: () => nextSample(),
    changed,
    begun: () => { if (current && !current.why) (current.ready ??= current.start())?.catch((error) => note(`It cannot answer: ${error.message}.`)); },
    say: note,
  });
  dark.addEventListener("change", changed);
}
if (data.network) {
  const { slug, layers } = data.network;
  play({
    layers, sure: true, why: data.why ? "This copy of the site cannot answer." : "",
    start: async () => session(await brought(`net-${slug}`), layers),
  });
}
// For the tests, and for whoever looks into the console.
globalThis.golf = { show: (values) => pad.show(values), answer: (values, layers) => answer(values, layers), prepared: () => pad.prepared(), onPaper: () => pad.values(), file: () => brought(`net-${data.network.slug}`) };
