/* What pages do: a hint where a picture scrolls, and a button on each block of code that copies it: of
   a session what was typed, without the prompts and the output. */
"use strict";

function typed(text) {
  const lines = text.split("\n");
  const prompted = lines.filter((line) => /^(>>>|\.\.\.)( |$)/.test(line));
  const shell = lines.filter((line) => /^\$ /.test(line));
  if (prompted.length) {
    return prompted.map((line) => line.slice(4)).join("\n");
  }
  return shell.length ? shell.map((line) => line.slice(2)).join("\n") : text.trimEnd();
}

function markPictures() {
  for (const picture of document.querySelectorAll(".picture")) {
    picture.classList.toggle("scrolls", picture.scrollWidth > picture.clientWidth + 1);
  }
}

window.addEventListener("load", markPictures);
window.addEventListener("resize", markPictures);

document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("article .highlight")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.type = "button";
    button.textContent = "Copy";
    button.title = "Copy the code, without prompts and output";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(typed(block.querySelector("pre").innerText));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    block.append(button);
  }
});
