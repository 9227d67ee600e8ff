"use strict";
const jobs = [...document.querySelectorAll("details.job")];
const buttons = [...document.querySelectorAll("button[data-state]")];
const search = document.getElementById("search");
const none = document.getElementById("none");
const chosen = new Set();
function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let visible = 0;
  for (const job of jobs) {
    const states = job.dataset.states.split(" ");
    const text = job.dataset.text;
    const fits = (!chosen.size || states.some((s) => chosen.has(s))) && words.every((w) => text.includes(w));
    job.hidden = !fits;
    visible += fits;
  }
  none.hidden = visible > 0;
}
for (const button of buttons) {
  button.addEventListener("click", () => {
    const state = button.dataset.state;
    const on = !chosen.has(state);
    if (on) chosen.add(state); else chosen.delete(state);
    button.setAttribute("aria-pressed", String(on));
    show();
  });
}
search.addEventListener("input", show);
const every = document.getElementById("every");
every.addEventListener("click", () => {
  const open = every.textContent === "open all";
  for (const job of jobs) if (!job.hidden) job.open = open;
  every.textContent = open ? "close all" : "open all";
});
document.querySelector(".filters").hidden = false;
for (const bar of document.querySelectorAll("[data-job]")) {
  bar.addEventListener("click", () => {
    const job = document.getElementById(bar.dataset.job);
    job.hidden = false;
    job.open = true;
    job.scrollIntoView({ block: "center" });
  });
}
