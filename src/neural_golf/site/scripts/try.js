// The page `try`: a file runs on the test images, and what it answers is shown as accuracy, confusions and mistakes.
const CHUNK = 250, WORST = 30;
let trial = 0;

async function tried(bytes, given) {
  const turn = ++trial, name = safeName(given), stale = () => turn !== trial;
  $("result").hidden = $("opened").hidden = true;
  const tell = (text) => { if (!stale()) $("progress").textContent = text; };
  try {
    const network = opened(bytes, given);
    if (network.why) throw new Error(network.why);
    tell("Reading the test images …");
    const [pixels, labels] = [await brought("images"), new Uint16Array((await brought("labels", "data/images.js")).buffer)];
    network.ready = network.start();
    const ready = await network.ready, size = data.shape.reduce((a, b) => a * b), n = data.count;
    const step = ready.batch ?? CHUNK, answers = new Uint16Array(n), loss = new Float64Array(n);
    for (let at = 0; at < n; at += step) {
      const some = Math.min(step, n - at);
      const scores = await ready.run(pixels.subarray(at * size, (at + some) * size), some);
      if (stale()) return;
      scores.forEach((logits, k) => {
        const values = [...logits];
        if (values.length !== data.classes.length) throw new Error(`it has ${values.length} classes and not ${data.classes.length}`);
        if (!values.every(Number.isFinite)) throw new Error("it answers NaN or infinity");
        const top = Math.max(...values);
        answers[at + k] = values.indexOf(top);
        loss[at + k] = top + Math.log(values.reduce((sum, v) => sum + Math.exp(v - top), 0)) - values[labels[at + k]];
      });
      tell(`${count(at + some)} of ${count(n)} images …`);
      await new Promise((done) => setTimeout(done)); // so that the page stays alive
    }
    shown(network, name, answers, labels, loss, pixels);
    tell("");
    await sending(network);
    $("opened").hidden = false;
    play(network);
  } catch (error) {
    tell(`${name} is not run: ${error.message ?? error}.`);
  }
}

function shown(network, name, answers, labels, loss, pixels) {
  const classes = data.classes.length, table = Array.from({ length: classes }, () => new Uint32Array(classes));
  answers.forEach((answer, k) => table[labels[k]][answer]++);
  const right = table.reduce((sum, row, k) => sum + row[k], 0), n = data.count;
  const figure = (value, words) => made("div", {}, made("b", { textContent: value }), made("span", { textContent: words }));
  $("figures").replaceChildren(
    figure(`${((100 * right) / n).toFixed(2)} %`, `${count(right)} of ${count(n)} right`),
    figure(count(network.nonzero), "non-zero, a preliminary count"),
    figure(count(network.bytes.length), "bytes"),
  );
  Object.assign($("figures").dataset, { right, nonzero: network.nonzero });
  $("judged").textContent = n < data.of ? "" : data.goals.map((goal) => judged(goal, right, network)).filter(Boolean).join(" ");
  $("verify").textContent = `golf verify ${name}`;
  const head = made("tr", {}, made("th", { scope: "col", textContent: "is \\ answer" }), ...data.classes.map((one) => made("th", { scope: "col", className: "num", textContent: one })));
  const rows = table.map((row, k) => made("tr", {}, made("th", { scope: "row", textContent: data.classes[k] }),
    ...[...row].map((times, at) => made("td", { className: `num${at === k ? " right" : times ? " some" : ""}`, textContent: times || "·" }))));
  $("confusion").replaceChildren(made("thead", {}, head), made("tbody", {}, ...rows));
  const size = data.shape.reduce((a, b) => a * b);
  const wrong = [...answers.keys()].filter((k) => answers[k] !== labels[k]).sort((a, b) => loss[b] - loss[a]).slice(0, WORST);
  $("mistakes").replaceChildren(...wrong.map((k) => made("li", {}, picture(pixels.subarray(k * size, (k + 1) * size), data.shape), ` ${data.classes[labels[k]]} → ${data.classes[answers[k]]}`)));
  $("result").hidden = false;
}

function judged({ title, threshold, record, score }, right, network) {
  if (score === "bytes" && network.kind !== "golf") return "";
  if (right < threshold) return `${title}: ${count(threshold - right)} more right ${threshold - right === 1 ? "answer is" : "answers are"} needed.`;
  const size = score === "bytes" ? network.bytes.length : network.nonzero;
  if (record === null || size < record) return `${title}: this would be a new record${record === null ? "" : `; the old one is ${count(record)}`}!`;
  return `${title}: reached, with ${count(size)}; the record is ${count(record)}.`;
}
dropped(tried);
