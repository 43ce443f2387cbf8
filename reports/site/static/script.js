// Keys press the links of the page that are marked with them; gains of tokens are asked for when the page says where;
// a page that says how often brings itself up to date.
"use strict";

function linkOf(key) {
  return document.querySelector(`a[data-key="${CSS.escape(key)}"]`);
}

function searchBox() {
  return document.querySelector("header input[name=\"q\"], .filters input[type=search]");
}

function moveInList(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return false;
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  next.focus();
  return true;
}

function moveInStrip(event) {
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  const cell = document.activeElement;
  if (!(event.key in steps) || !cell.matches(".strip .cell")) return false;
  const next = steps[event.key] < 0 ? cell.previousElementSibling : cell.nextElementSibling;
  if (next) next.focus();
  return true;
}

function act(event) {
  if (event.key === "/") return searchBox() ? (searchBox().focus() ?? true) : false;
  if (event.key === "?") return document.getElementById("keys").showModal() ?? true;
  if (moveInStrip(event)) return true;
  const link = linkOf(event.key);
  if (link) return link.click() ?? true;
  return (event.key === "j" && moveInList(1)) || (event.key === "k" && moveInList(-1));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (act(event)) event.preventDefault();
});

async function paint(target) {
  const status = target.nextElementSibling;
  status.textContent = "The reference LM is scoring …";
  let painted;
  try {
    painted = await (await fetch(target.dataset.gains)).json();
  } catch {
    painted = { error: "The server does not answer." };
  }
  status.textContent = painted.error ?? painted.words;
  if (painted.error) return;
  [...target.children].forEach((token, place) => {
    token.className = painted.steps[place] ?? "";
    token.title = painted.gains[place] ?? "";
  });
}

document.querySelectorAll("[data-gains]").forEach(paint);

async function renew(status) {
  if (!document.hidden && getSelection().isCollapsed) {
    try {
      const answer = await fetch(location.href);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok || !fresh.querySelector("[data-refresh]")) throw new Error(answer.status);
      const open = [...document.querySelectorAll("main details")].map((details) => details.open);
      document.querySelector("main").replaceWith(fresh.querySelector("main"));
      document.querySelectorAll("main details").forEach((details, place) => { details.open = open[place] ?? false; });
      document.title = fresh.title;
    } catch {
      status.textContent = "The server does not answer; what is below was so when it last did.";
    }
  }
  begin();
}

function begin() {
  const status = document.querySelector("[data-refresh]");
  if (status) setTimeout(renew, 1000 * status.dataset.refresh, status);
}

begin();
