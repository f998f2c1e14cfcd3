// The app behind loopkey is down: ask for this page until the app replies and not loopkey, then open it.
const again = async () => {
  try {
    const response = await fetch(location.href, { method: "HEAD", cache: "no-store", redirect: "manual", headers: { Accept: "text/html" } });
    if (response.headers.get("Loopkey-Upstream") !== "down") return location.reload();
  } catch { /* loopkey itself does not reply: ask again */ }
  setTimeout(again, document.hidden ? 5000 : 1000);
};
setTimeout(again, 1000);
