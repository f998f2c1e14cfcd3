// Keeps an open page current: it changes when the session does, and the bars move.
const words = (s) => {
  if (s <= 0) return "expired";
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const parts = [];
  for (const [size, name] of units) {
    const n = Math.floor(s / size);
    if (n > 0 && parts.length < 2) parts.push(n + " " + name + (n === 1 ? "" : "s"));
    s -= n * size;
  }
  return parts.join(" ") + " left";
};
const tick = () => {
  const now = Date.now() / 1000;
  for (const bar of document.querySelectorAll("progress[data-until]")) {
    const left = Math.max(0, Math.floor(Date.parse(bar.dataset.until) / 1000 - now));
    bar.value = left;
    bar.className = left === 0 ? "expired" : left * 5 < bar.max ? "low" : "";
  }
  for (const text of document.querySelectorAll("[data-life]")) {
    const said = words(Math.floor(Date.parse(text.dataset.life) / 1000 - now));
    if (text.textContent !== said) text.textContent = said;
  }
};
setInterval(tick, 1000);
// A picture that does not load leaves no gap: the name stands beside it.
addEventListener("error", (e) => { if (e.target.matches?.("img.avatar")) e.target.remove(); }, true);

const page = async (address) => {
  const response = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
  return response.ok ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
};
const renew = async () => {
  const fresh = (await page(location.pathname)) ?? (await page(document.querySelector("a.mark").pathname));
  if (!fresh) return;
  document.title = fresh.title;
  for (const part of ["header.top", "main"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
  tick();
};
let known = false;
const events = new EventSource("/auth/events");
events.addEventListener("change", renew);
events.addEventListener("open", () => { if (known) renew(); known = true; }); // what happened while it was away
