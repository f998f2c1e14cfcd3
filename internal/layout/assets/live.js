// Keeps an open page current: it changes when the session does, the bars move, and it says when the server is gone.
const words = (s, then) => {
  if (s <= 0) return then;
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
    bar.className = left === 0 ? bar.dataset.then : left * 5 < bar.max ? "low" : "";
  }
  for (const text of document.querySelectorAll("[data-life]")) {
    const said = words(Math.floor(Date.parse(text.dataset.life) / 1000 - now), text.dataset.then);
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
  const fresh = (await page(location.pathname + location.search)) ?? (await page(document.querySelector("a.mark").pathname));
  if (!fresh) return;
  const open = [...document.querySelectorAll("details[open][id]")].map((d) => d.id);
  const focused = document.activeElement?.id;
  document.title = fresh.title;
  for (const part of ["header.top", "main"]) document.querySelector(part).replaceWith(fresh.querySelector(part));
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus();
  tick();
  dispatchEvent(new Event("renewed"));
};

const gone = document.createElement("p");
gone.className = "gone";
gone.setAttribute("role", "alert");
const left = (is) => {
  if (!is) return gone.remove();
  if (gone.isConnected) return;
  const app = document.querySelector("a.mark").textContent.trim();
  gone.textContent = app + " no longer runs here, so this page may be out of date. Start it again, and the page goes on by itself.";
  document.body.append(gone);
};
// What was not ready is asked for again, unless somebody types.
const again = async () => {
  if (!document.querySelector("[data-again]")) return;
  if (document.activeElement?.tagName !== "INPUT") await renew();
  setTimeout(again, 1000);
};
setTimeout(again, 1000);
let events, waiting, known = false;
const listen = () => {
  events = new EventSource("/auth/events");
  events.addEventListener("change", renew);
  events.addEventListener("open", () => {
    clearTimeout(waiting);
    waiting = undefined;
    left(false);
    if (known) renew(); // what happened while it was away
    known = true;
  });
  events.addEventListener("error", () => {
    waiting ??= setTimeout(() => {
      waiting = undefined;
      left(true);
      if (events.readyState === EventSource.CLOSED) listen(); // another program replied
    }, 2500);
  });
};
// A page that nobody sees listens to nothing: browsers keep six connections to one server, for all tabs together.
const attend = () => {
  if (!document.hidden) return listen();
  clearTimeout(waiting);
  waiting = undefined;
  events?.close();
};
document.addEventListener("visibilitychange", attend);
attend();
