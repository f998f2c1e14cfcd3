// A button beside each piece of code copies it. Without this script there are no such buttons, and nothing is lost.
const say = document.createElement("p");
say.className = "unseen";
say.setAttribute("role", "status");
document.body.append(say);
const offerCopies = () => {
  for (const pre of document.querySelectorAll("main pre")) {
    if (pre.parentElement.classList.contains("copyable")) continue;
    const box = document.createElement("div");
    const button = document.createElement("button");
    box.className = "copyable";
    button.className = "quiet";
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + pre.textContent.trim().split("\n")[0].slice(0, 80));
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(pre.textContent.trimEnd());
        button.textContent = say.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(pre);
        button.textContent = say.textContent = "Selected";
      }
      button.classList.add("done");
      setTimeout(() => { button.textContent = "Copy"; say.textContent = ""; }, 2000);
    });
    pre.replaceWith(box);
    box.append(pre, button);
  }
};
offerCopies();
addEventListener("renewed", offerCopies);
