// The page `share`: what an address or a file holds.
const MOST_NUMBERS = 2000; // that are written out
let fileAddress = ""; // where the browser keeps the file for its download
let latest = 0;

async function openHere(find, where) {
  const turn = ++latest;
  try {
    const network = await find();
    if (!network || turn !== latest) return;
    await describe(network);
    $("link-state").textContent = `${where} holds this network. Draw for it, download it, or send it on.`;
  } catch (error) {
    if (turn !== latest) return;
    $("opened").hidden = true;
    play(null);
    $("link-state").textContent = `${where} holds no network: ${error.message}.`;
  }
}

async function describe(network) {
  const name = safeName(network.name);
  $("link-title").textContent = `A network of ${network.kind === "onnx" ? "about " : ""}${count(network.nonzero)} numbers`;
  $("link-text").textContent = `${name}, ${count(network.bytes.length)} bytes: ${network.words}`;
  $("verify").textContent = `golf verify ${name}`;
  URL.revokeObjectURL(fileAddress);
  fileAddress = URL.createObjectURL(new Blob([network.bytes], { type: "application/octet-stream" }));
  Object.assign($("link-file"), { href: fileAddress, download: name });
  $("numbers").hidden = !network.numbers;
  $("link-numbers").replaceChildren(...(network.numbers ?? []).flatMap(([head, values]) => written(head, values)));
  $("opened").hidden = false;
  $("link-samples").replaceChildren();
  await sending(network);
  const shown = { ...network, why: network.why ? `It does not answer here, because ${network.why}.` : "" };
  play(shown);
  if (network.why) note(shown.why);
  else if (network.kind === "golf") await samplesFor(shown);
  else note("It answers when you draw something, or show it an image.");
}

async function samplesFor(network) {
  note("");
  const all = await brought("samples"), size = data.shape.reduce((a, b) => a * b), n = Math.min(20, all.length / size);
  const ready = await (network.ready ??= network.start());
  const scores = await ready.run(all.subarray(0, n * size), n);
  $("link-samples").replaceChildren(...scores.map((logits, k) => {
    const some = [...logits], best = some.every(Number.isFinite) ? data.classes[some.indexOf(Math.max(...some))] : "?";
    return made("li", {}, picture(all.subarray(k * size, (k + 1) * size), data.shape), ` ${best}`);
  }));
}

// The numbers of a tensor that are not zero, to two digits.
function written(head, numbers) {
  const values = numbers.filter((v) => v !== 0);
  const short = (v) => String(Number(v.toPrecision(2))).replace("-", "\u2212").replace(/^(\u2212?)0\./, "$1.");
  const told = [...values.subarray(0, MOST_NUMBERS)].map(short).join(" ");
  return values.length ? [made("b", { textContent: head }), ` ${told}${values.length > MOST_NUMBERS ? " …" : ""} `] : [];
}

const follow = () => openHere(fromAddress, "The link that you opened");
addEventListener("hashchange", follow);
dropped((bytes, name) => openHere(async () => opened(bytes, name), "The file"));
golf.ready = follow();
