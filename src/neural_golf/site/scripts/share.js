// The box from which a network is sent as a link, and the zone where files are dropped.
const MOST_MODULES = 2953; // bytes of the largest QR code
async function sending(network) {
  const address = await linkOf(network);
  $("link-address").value = address;
  $("link-told").textContent = `${count(network.bytes.length)} bytes become a link of ${count(address.length)} characters. It carries the network itself, behind the #, which no browser sends to a server.`;
  $("link-open").href = address;
  const fits = address.length <= MOST_MODULES;
  $("link-qr").hidden = !fits;
  $("link-qr").replaceChildren(...(fits ? [qrPicture(address), made("figcaption", { textContent: "The same link as a QR code" })] : []));
  if (!fits) $("link-told").textContent += " A QR code holds fewer characters than this.";
}
$("link-copy").addEventListener("click", async ({ target }) => {
  $("link-address").select();
  try {
    await navigator.clipboard.writeText($("link-address").value);
    target.textContent = "Copied";
    setTimeout(() => (target.textContent = "Copy link"), 2000);
  } catch { // there is no clipboard here, and the address is selected to be copied by hand
    target.textContent = "Press Ctrl and C";
  }
});

function dropped(take) {
  const zone = $("dropzone"), input = $("file");
  const read = async (file) => { if (file) take(new Uint8Array(await file.arrayBuffer()), file.name); };
  input.addEventListener("change", () => { read(input.files[0]); input.value = ""; });
  for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    read(event.dataTransfer.files[0]);
  });
}
// A file's name without what a page or a shell would act on.
const safeName = (name) => name.replace(/[^\w.-]/g, "_").slice(0, 80) || "network";
