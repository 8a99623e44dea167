// The page `inside`: its figures are those of the network that is chosen, here or in the address behind #of=.
function portray(name) {
  $("portrait").value = name;
  for (const one of document.querySelectorAll("[data-of]")) one.hidden = one.dataset.of !== name;
  for (const image of document.querySelectorAll("img[data-kind]")) {
    const file = data.files[`${image.dataset.kind}-${name}`];
    if (!file) continue;
    image.src = `figures/${file}`;
    image.alt = `${name}. ${image.closest("figure").querySelector("figcaption span").textContent}`;
  }
}
function chosen() {
  const [, name] = /^#of=(.*)$/.exec(location.hash) ?? [];
  if ([...$("portrait").options].some((option) => option.value === name)) portray(name);
}
$("portrait").addEventListener("change", (event) => portray(event.target.value));
addEventListener("hashchange", chosen);
chosen();
