// Networks in links: an address with #golf= and a .golf file behind it, and the buttons that copy one. What stands in a link
// becomes numbers and words that are made here, and it is never HTML. golf: what makeGolf gives. samples: images, 0 to 255.
// Returns the function that reads the address: a network for the page, or null where the address has none.
function makeLinks(golf, { titles, shape, classes }, samples, paint) {
  const $ = (id) => document.getElementById(id);
  const MOST_STEPS = 2 ** 26; // for an image, so that the pen need not wait for a file that was made to be slow
  const MOST_NUMBERS = 2000; // that are written out
  const count = (n) => n.toLocaleString("en");
  let file = ""; // where the browser keeps the file for its download

  function linked() {
    const [, text] = /^#golf=(.*)$/s.exec(location.hash) ?? [];
    if (text === undefined) return null;
    $("play").scrollIntoView();
    try {
      const network = golf.read(golf.bytesOf(text)), why = unanswered(network);
      describe(network, text, why);
      $("link-state").textContent = "The link that you opened holds this network.";
      return { variant: "#golf", title: `${count(network.nonzero)} numbers · from the link`, layers: why ? [] : lit(network), golf: network, why };
    } catch (error) {
      $("link-state").textContent = `The link that you opened holds no network: ${error.message}.`;
      return null;
    }
  }

  // Why this page cannot let a network answer, or nothing.
  function unanswered(network) {
    const outputs = network.layers.at(-1).out[0], by = (sides) => sides.join(" × ");
    if (by(network.shape) !== by(shape)) return `It does not answer here, because it is for images of ${by(network.shape)} and not of ${by(shape)}.`;
    if (outputs !== classes) return `It does not answer here, because it has ${count(outputs)} classes and not ${classes}.`;
    return golf.steps(network) > MOST_STEPS ? "It does not answer here, because it has too much to compute." : "";
  }

  // As page.js lights the layers of a network.
  function lit({ layers, form, shape }) {
    const found = layers.map((layer) => ({ name: layer.name, label: layer.name, title: titles[layer.kind], shape: layer.out }));
    const last = found.pop();
    found.push({ ...last, name: "logits", shape: [1, 1, last.shape[0]] });
    return form ? [{ name: "form", label: "form", title: "the image brought into form", shape }, ...found] : found;
  }

  function describe(network, text, why) {
    const { layers, numbers, nonzero, bytes, form, tensors } = network;
    const known = document.querySelector(`#links a[href="#golf=${text}"]`); // bytesOf has seen that it is harmless
    const name = `${known?.textContent ?? "network"}.golf`;
    const weights = `${count(nonzero)} of ${count(numbers.length)} weights are not zero`;
    const images = form ? " It sees images in their canonical form, whose own numbers count as well." : "";
    $("link-text").textContent = `${name}, ${count(bytes.length)} bytes: ${weights}.${images} ${layers.map((layer) => layer.text).join(", ")}.`;
    $("link-verify").textContent = `golf verify ${name}`;
    $("link-copy").dataset.copy = text;
    URL.revokeObjectURL(file);
    file = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    Object.assign($("link-file"), { href: file, download: name });
    $("link-samples").replaceChildren(...(why ? [] : samples.map((sample) => answered(network, sample))));
    $("link-numbers").replaceChildren(...tensors.flatMap((tensor) => written(network, tensor)));
  }

  function answered(network, sample) {
    const item = document.createElement("li"), canvas = document.createElement("canvas");
    [, canvas.height, canvas.width] = shape;
    paint(canvas, sample, canvas.width, canvas.height, (v) => [255 - v, 255 - v, 255 - v]);
    const logits = golf.run(network, Float64Array.from(sample, (v) => v / 255)).at(-1);
    item.append(canvas, ` ${logits.every(Number.isFinite) ? logits.indexOf(Math.max(...logits)) : "?"}`);
    return item;
  }

  // The numbers of a tensor that are not zero, to two digits.
  function written({ numbers }, { name, offset, size }) {
    const head = document.createElement("b"), values = numbers.subarray(offset, offset + size).filter((v) => v !== 0);
    head.textContent = name;
    const short = (v) => String(Number(v.toPrecision(2))).replace("-", "\u2212").replace(/^(\u2212?)0\./, "$1.");
    const told = [...values.subarray(0, MOST_NUMBERS)].map(short).join(" ");
    return values.length ? [head, ` ${told}${values.length > MOST_NUMBERS ? " …" : ""} `] : [];
  }

  document.addEventListener("click", async ({ target }) => {
    if (!target.matches("[data-copy]")) return;
    const address = `${location.href.split("#")[0]}#golf=${target.dataset.copy}`;
    try {
      await navigator.clipboard.writeText(address);
      target.textContent = "Copied";
      setTimeout(() => (target.textContent = "Copy link"), 2000);
    } catch { // there is no clipboard here, and the address can be copied by hand
      target.replaceWith(address);
    }
  });

  return linked;
}

